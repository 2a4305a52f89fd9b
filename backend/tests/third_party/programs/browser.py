"""The user's browser: opens an address in a real Chromium, signs in, agrees, and ends where sent.

Usage: python browser.py URL [--tell] (as a library's `webbrowser` starts it through $BROWSER; with
--tell it prints where the browser ends). Host names go where SIMULATOR_HOSTS says, as for every program
that runs under the simulator's launcher; user and password are those that the launcher names.
CHROMIUM names the browser's program.
"""

import os
import sys

from playwright.sync_api import Page, sync_playwright


def ended_at(url: str) -> str:
    """Go through the sign-in and consent pages; return the callback's address."""
    rules = [
        "MAP {}:443 {}".format(*pair.split("=", 1))
        for pair in os.environ["SIMULATOR_HOSTS"].split(",")
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ["CHROMIUM"],
            args=["--no-sandbox", f"--host-resolver-rules={','.join(rules)}"],
        )
        page = browser.new_page(ignore_https_errors=True)
        address = signed_in(page, url)
        browser.close()
    return address


def signed_in(page: Page, url: str) -> str:
    callback = os.environ["SCHWAB_CALLBACK_URL"]
    page.goto(url)
    page.fill("#user", os.environ["SIMULATOR_USER"])
    page.fill("#password", os.environ["SIMULATOR_PASSWORD"])
    page.click("#sign-in")
    for box in page.locator("input[type=checkbox]").all():
        box.check()
    # Where nobody listens the browser shows an error page, and the address is all that counts.
    with page.expect_request(lambda request: request.url.startswith(callback)) as came:
        page.click("#allow")
    if came.value.response() is not None:
        page.wait_for_load_state()
    return came.value.url


if __name__ == "__main__":
    address = ended_at(sys.argv[1])
    if "--tell" in sys.argv:
        print(address)
