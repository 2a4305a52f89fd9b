"""The three sign-in commands as a user runs them, against the simulator's pages, in Chromium too."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import stat
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from msgspec import structs
from playwright.sync_api import expect, sync_playwright

from schwab_integration.auth import authorization_url, code_of_redirect, exchange_code
from schwab_integration.config import SchwabSettings
from schwab_integration.token_store import Token, TokenStore
from simulator.visitor import sign_in_by_pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BACKEND = Path(__file__).resolve().parents[2]
KEYRINGS = BACKEND / "tests" / "keyrings"
REAUTH = "sys_testing/reauth_schwab.py"
DIAGNOSE = "sys_testing/token_diagnostics.py"
WATCH = "sys_testing/auto_reauth.py"

VISITS = """
import ssl, sys, urllib.request
from simulator.visitor import sign_in_by_pages
url = sign_in_by_pages(sys.argv[1], "demo", "demo-password", cancel=len(sys.argv) > 2)
urllib.request.urlopen(url, context=ssl._create_unverified_context()).read()
"""
"""What a person's browser does, as a program that BROWSER can name."""


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Desk:
    """A simulator with pages, and somebody's settings."""

    simulator: dict[str, Any]
    environment: dict[str, str]
    token_file: Path

    def run(self, *arguments: str, given: str = "", **more: str) -> Done:
        with self.start(*arguments, **more) as child:
            out, err = child.communicate(given, timeout=120)
        return Done(child.returncode, out, err)

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=BACKEND,
            env=self.environment | more,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def by_paste(self, change: Callable[[str], str] = lambda url: url) -> Done:
        """Sign in by the pages, change the redirect, and paste it."""
        with self.start(REAUTH, "--paste") as child:
            printed, address = address_of(child)
            pasted = change(sign_in_by_pages(address, "demo", "demo-password"))
            out, err = child.communicate(f"{pasted}\n", timeout=60)
        return Done(child.returncode, printed + out, err)

    def signed_in(self, **changes: Any) -> Token:
        """Sign in without a program, for what comes after a sign-in."""
        settings = SchwabSettings(
            _env_file=None,
            app_key=self.simulator["app_key"],
            app_secret=self.simulator["app_secret"],
            callback_url=self.simulator["callback_url"],
            base_url=self.simulator["schwab"],
            token_file=self.token_file,
        )
        page = authorization_url(settings, state="s")
        redirect = sign_in_by_pages(page, "demo", "demo-password")
        exchange_code(settings, code_of_redirect(redirect, state="s"))
        token = structs.replace(TokenStore(self.token_file).read(), **changes)
        TokenStore(self.token_file).write(token)
        return token

    def diagnosed(self, *arguments: str, **more: str) -> tuple[int, dict[str, Any]]:
        done = self.run(DIAGNOSE, "--json", *arguments, **more)
        assert done.err == ""
        return done.status, json.loads(done.out)


def address_of(child: subprocess.Popen[str]) -> tuple[str, str]:
    """Read what is printed up to the sign-in page's address."""
    assert child.stdout
    printed = ""
    while not (found := re.search(r"http://\S+\n", printed)):
        line = child.stdout.readline()
        assert line, child.stderr and child.stderr.read()
        printed += line
    return printed, found[0].strip()


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A simulator that shows its pages."""
    callback = f"https://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "simulator", "--port", "0", "--callback", callback]
    command += ["--parent-pid", str(os.getpid())]
    home = str(tmp_path_factory.mktemp("simulator"))
    with subprocess.Popen(
        command,
        cwd=BACKEND,
        env=os.environ | {"OPTIONS_HOME": home},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        yield json.loads(process.stdout.readline())
        process.terminate()


@pytest.fixture
def desk(pages: dict[str, Any], tmp_path: Path) -> Desk:
    token_file = tmp_path / "tokens" / "schwab.json"
    own = {name: text for name, text in os.environ.items() if name not in {"DISPLAY", "BROWSER"}}
    environment = own | {
        "SCHWAB_APP_KEY": pages["app_key"],
        "SCHWAB_APP_SECRET": pages["app_secret"],
        "SCHWAB_CALLBACK_URL": pages["callback_url"],
        "SCHWAB_BASE_URL": pages["schwab"],
        "SCHWAB_TOKEN_FILE": str(token_file),
        "PYTHONPATH": str(KEYRINGS),
        "PYTHON_KEYRING_BACKEND": "file_keyring.FileKeyring",
        "TEST_KEYRING_FILE": str(tmp_path / "keyring.json"),
        "COLUMNS": "200",
    }
    return Desk(pages, environment, token_file)


# reauth_schwab.py


def test_the_browser_opens_and_the_listener_receives(desk: Desk, tmp_path: Path) -> None:
    script = tmp_path / "visits.py"
    script.write_text(VISITS)
    done = desk.run(REAUTH, BROWSER=f"{sys.executable} {script} %s", PYTHONPATH=str(BACKEND))
    assert (done.status, done.err) == (0, "")
    assert "opens in your browser" in done.out
    assert "Signed in until" in done.out
    assert stat.S_IMODE(desk.token_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(desk.token_file.parent.stat().st_mode) == 0o700


def test_a_person_in_chromium_is_led_back_to_the_listener(
    desk: Desk, chromium: Path, tmp_path: Path
) -> None:
    with desk.start(REAUTH, "--no-browser") as child, sync_playwright() as playwright:
        _, address = address_of(child)
        browser = playwright.chromium.launch(
            executable_path=chromium, chromium_sandbox=os.geteuid() != 0
        )
        page = browser.new_context(ignore_https_errors=True).new_page()
        page.goto(address)
        expect(page.locator("#user")).to_be_focused()  # the keyboard alone from here on
        page.keyboard.type("demo")
        page.keyboard.press("Tab")
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        page.get_by_role("alert").wait_for()
        page.keyboard.type("demo-password")
        page.keyboard.press("Enter")
        page.get_by_label("I have read this and agree").check()
        page.get_by_label("Demo cash").uncheck()
        page.get_by_role("button", name="Allow").click()
        page.get_by_text("Signed in: you may close this page.").wait_for()
        browser.close()
        out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, "")
    assert "Signed in until" in out
    assert desk.diagnosed()[1]["live_call"] == "ok"


def test_denied_access_is_a_sentence_in_both_places(desk: Desk) -> None:
    with desk.start(REAUTH, "--no-browser") as child:
        _, address = address_of(child)
        url = sign_in_by_pages(address, "demo", "demo-password", cancel=True)
        trusting = ssl._create_unverified_context()
        told = urllib.request.urlopen(url, context=trusting).read().decode()
        _, err = child.communicate(timeout=60)
    assert child.returncode == 2
    assert "access was denied" in err
    assert "Not signed in: access was denied" in told
    assert not desk.token_file.exists()


def test_other_visitors_of_the_listener_do_not_disturb_it(desk: Desk) -> None:
    place = urlsplit(desk.environment["SCHWAB_CALLBACK_URL"])
    trusting = ssl._create_unverified_context()
    with desk.start(REAUTH, "--no-browser") as child:
        _, address = address_of(child)
        silent = socket.create_connection((place.hostname, place.port))  # says nothing
        for path in ("/favicon.ico", "/", "/?x=1"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"{place.geturl()}{path}", context=trusting)
        url = sign_in_by_pages(address, "demo", "demo-password")
        urllib.request.urlopen(url, context=trusting).read()
        out, err = child.communicate(timeout=60)
        silent.close()
    assert (child.returncode, err) == (0, "")
    assert "Signed in until" in out


def test_a_taken_port_leaves_pasting(desk: Desk) -> None:
    port = urlsplit(desk.environment["SCHWAB_CALLBACK_URL"]).port
    with socket.create_server(("127.0.0.1", port or 0)), desk.start(REAUTH) as child:
        printed, address = address_of(child)
        url = sign_in_by_pages(address, "demo", "demo-password")
        _, err = child.communicate(f"{url}\n", timeout=60)
    assert (child.returncode, err) == (0, "")
    assert f"port {port} of SCHWAB_CALLBACK_URL is in use" in printed


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda url: url.replace("state=", "state=x"), "another sign-in"),
        (lambda _: "https://127.0.0.1:[", "is no URL"),
        (lambda _: "hello", "must begin with https://127.0.0.1"),
        (lambda url: url.partition("?")[0], "another sign-in"),
        (lambda url: re.sub("code=[^&]+", "code=C0.other%40", url), "refused the sign-in code"),
        (lambda _: "", "no address was pasted"),
    ],
)
def test_a_wrong_paste_is_one_sentence(
    desk: Desk, change: Callable[[str], str], sentence: str
) -> None:
    done = desk.by_paste(change)
    assert done.status == 2
    assert sentence in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not desk.token_file.exists()


def test_a_code_works_once(desk: Desk) -> None:
    used: list[str] = []

    def use_first(url: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": parse_qs(urlsplit(url).query)["code"][0],
            "redirect_uri": desk.environment["SCHWAB_CALLBACK_URL"],
        }
        used.append(form["code"])
        post(desk, form)
        return url

    done = desk.by_paste(use_first)
    assert done.status == 2
    assert "works once, for 30 seconds" in done.err
    assert used[0] not in done.out + done.err


def post(desk: Desk, form: dict[str, str]) -> None:
    import base64  # noqa: PLC0415
    from urllib.parse import urlencode  # noqa: PLC0415

    pair = f"{desk.simulator['app_key']}:{desk.simulator['app_secret']}".encode()
    request = urllib.request.Request(
        f"{desk.simulator['http']}/v1/oauth/token",
        urlencode(form).encode(),
        {"Authorization": f"Basic {base64.b64encode(pair).decode()}"},
    )
    urllib.request.urlopen(request).read()


def test_a_revoked_app_is_a_sentence(desk: Desk) -> None:
    token = desk.signed_in()
    TokenStore(desk.token_file).write(structs.replace(token, access_expires_at=datetime.now(UTC)))
    done = desk.run(DIAGNOSE, SCHWAB_APP_SECRET="revoked-secret-1")
    assert done.status == 1
    assert "Schwab does not know this app" in done.out
    assert "revoked-secret-1" not in done.out + done.err


def test_nobody_comes(desk: Desk) -> None:
    with desk.start(REAUTH, "--no-browser", "--minutes", "0.01") as child:
        assert child.stderr
        assert "nobody signed in" in child.stderr.read()
        assert child.wait(60) == 2


# token_diagnostics.py


def test_a_fresh_sign_in_is_healthy(desk: Desk) -> None:
    desk.signed_in()
    status, found = desk.diagnosed()
    assert (status, found["state"], found["live_call"]) == (0, "healthy", "ok")
    assert found["file_mode"] == "0600"
    assert 29 < found["access_minutes_left"] <= 30
    assert 6.99 < found["refresh_days_left"] <= 7
    assert abs(found["clock_skew_s"]) < 5
    assert found["next_step"] == "Nothing."
    table = desk.run(DIAGNOSE)
    assert table.status == 0
    for words in ("healthy", "minutes left", "days left", "0600 (yours alone)", "live call", "ok"):
        assert words in table.out


def test_a_sign_in_that_ends_within_a_day_is_partial(desk: Desk) -> None:
    desk.signed_in(refresh_expires_at=datetime.now(UTC) + timedelta(hours=23))
    status, found = desk.diagnosed()
    assert (status, found["state"]) == (4, "soon")
    assert "run python sys_testing/reauth_schwab.py before" in found["next_step"]


def test_a_sign_in_that_has_ended_asks_for_another(desk: Desk) -> None:
    desk.signed_in(refresh_expires_at=datetime.now(UTC) - timedelta(hours=1))
    status, found = desk.diagnosed("--offline")
    assert (status, found["state"], found["live_call"]) == (3, "expired", None)
    assert "run python sys_testing/reauth_schwab.py" in found["next_step"]


def test_a_refresh_token_that_schwab_refuses_is_expired(desk: Desk) -> None:
    desk.signed_in(refresh_token="dead@", access_expires_at=datetime.now(UTC))
    status, found = desk.diagnosed()
    assert (status, found["state"]) == (3, "expired")
    assert "expired or was revoked" in found["live_call"]


def test_a_renewal_that_was_cut_off_is_told(desk: Desk) -> None:
    at = datetime(2026, 11, 20, 12, tzinfo=UTC)
    desk.signed_in(refresh_token="dead@", access_expires_at=at, renewing_at=at)
    status, found = desk.diagnosed()
    assert status == 3
    assert found["renewal_cut_off_at"] == "2026-11-20T12:00:00Z"
    assert "it probably carried the replacement" in found["next_step"]
    assert "was cut off" in desk.run(DIAGNOSE, "--offline").out


def test_an_open_token_file_is_told(desk: Desk) -> None:
    desk.signed_in()
    desk.token_file.chmod(0o644)
    status, found = desk.diagnosed("--offline")
    assert (status, found["file_mode"]) == (0, "0644")
    assert "chmod 600" in found["next_step"]


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: path.unlink(), "There is no Schwab token yet"),
        (lambda path: path.write_bytes(path.read_bytes()[:80]), "does not hold a whole Schwab"),
        (lambda path: path.write_text('{"token": {}}'), "does not hold a whole Schwab token"),
    ],
)
def test_a_spoilt_token_file_asks_for_a_sign_in(
    desk: Desk, spoil: Callable[[Path], Any], sentence: str
) -> None:
    desk.signed_in()
    spoil(desk.token_file)
    status, found = desk.diagnosed()
    assert (status, found["state"]) == (3, "expired")
    assert sentence in found["next_step"]


def test_the_token_file_of_another_app_is_noticed(desk: Desk) -> None:
    desk.signed_in()
    status, found = desk.diagnosed(SCHWAB_APP_KEY="another-key")
    assert status == 3
    assert "another app than SCHWAB_APP_KEY names" in found["next_step"]


def test_a_server_that_is_gone_is_a_failed_call(desk: Desk) -> None:
    desk.signed_in()
    status, found = desk.diagnosed(SCHWAB_BASE_URL="http://127.0.0.1:9")
    assert (status, found["state"]) == (1, "failed")
    assert "cannot be reached" in found["live_call"]


# auto_reauth.py


def test_warnings_go_out_once_and_by_apprise(desk: Desk, serve: Any, answer: Any) -> None:
    webhook = serve(lambda _: answer())
    urls = f"{webhook.url.replace('http', 'json')}/hush-hush-path"
    desk.signed_in(refresh_expires_at=datetime.now(UTC) + timedelta(hours=5))
    for _ in range(2):
        done = desk.run(WATCH, "--once", SCHWAB_WARN_URLS=urls)
        assert (done.status, done.err) == (4, "")
    (came,) = webhook.received
    said = json.loads(came.body)
    assert said["title"] == "Schwab: the sign-in ends in 5 hours"
    assert "run python sys_testing/reauth_schwab.py" in said["message"]


def test_a_warning_that_nobody_takes_stays_due(desk: Desk, serve: Any, answer: Any) -> None:
    desk.signed_in(refresh_expires_at=datetime.now(UTC) - timedelta(hours=5))
    done = desk.run(WATCH, "--once", SCHWAB_WARN_URLS="json://127.0.0.1:9/hush-hush-path")
    assert done.status == 2
    assert "none of the 1 addresses of SCHWAB_WARN_URLS took the notice" in done.err
    assert "hush" not in done.err
    webhook = serve(lambda _: answer())
    urls = webhook.url.replace("http", "json")
    assert desk.run(WATCH, "--once", SCHWAB_WARN_URLS=urls).status == 3
    assert len(webhook.received) == 1


def test_an_address_that_is_none_is_one_sentence_without_it(desk: Desk) -> None:
    urls = "json://127.0.0.1:9/ nosuch://hush-hush"
    done = desk.run(WATCH, "--once", SCHWAB_WARN_URLS=urls)
    assert done.status == 2
    assert "address 2 of SCHWAB_WARN_URLS" in done.err
    assert "hush" not in done.err


def test_a_test_warning(desk: Desk, serve: Any, answer: Any) -> None:
    webhook = serve(lambda _: answer())
    done = desk.run(WATCH, "--test", SCHWAB_WARN_URLS=webhook.url.replace("http", "json"))
    assert (done.status, done.out) == (0, "Sent to 1 addresses.\n")
    assert desk.run(WATCH, "--test").status == 2


def test_chromium_signs_in_with_the_keyrings_credentials(
    desk: Desk, chromium: Path, serve: Any, answer: Any
) -> None:
    webhook = serve(lambda _: answer())
    switched_on = {
        "SCHWAB_AUTO_SIGN_IN": "true",
        "SCHWAB_CHROMIUM": str(chromium),
        "SCHWAB_WARN_URLS": webhook.url.replace("http", "json"),
    }
    desk.signed_in(refresh_expires_at=datetime.now(UTC) + timedelta(minutes=50))
    stored = desk.run(WATCH, "--store-credentials", given="demo\ndemo-password\n")
    assert stored.status == 0, stored.err
    assert "RISKS" in stored.out
    done = desk.run(WATCH, "--once", **switched_on)
    assert (done.status, done.err) == (0, ""), done.out
    left = TokenStore(desk.token_file).read().refresh_expires_at - datetime.now(UTC)
    assert left > timedelta(days=6, hours=23)
    assert "signed in again" in json.loads(webhook.received[0].body)["title"]
    assert desk.diagnosed()[0] == 0


def test_wrong_credentials_warn_and_are_tried_once(
    desk: Desk, chromium: Path, serve: Any, answer: Any
) -> None:
    webhook = serve(lambda _: answer())
    switched_on = {
        "SCHWAB_AUTO_SIGN_IN": "true",
        "SCHWAB_CHROMIUM": str(chromium),
        "SCHWAB_WARN_URLS": webhook.url.replace("http", "json"),
    }
    desk.signed_in(refresh_expires_at=datetime.now(UTC) + timedelta(minutes=50))
    assert desk.run(WATCH, "--store-credentials", given="demo\nhush-hush\n").status == 0
    for _ in range(2):
        assert desk.run(WATCH, "--once", **switched_on).status == 4
    (came,) = webhook.received
    assert "refuses the keyring's credentials" in json.loads(came.body)["message"]
    assert "hush" not in came.body.decode()
    assert desk.run(WATCH, "--forget-credentials").out == "Forgotten.\n"
    assert desk.run(WATCH, "--forget-credentials").out == "The keyring held none.\n"


@pytest.mark.parametrize(
    ("arguments", "environment", "sentence"),
    [
        (["--now"], {}, "is switched off"),
        (["--now"], {"SCHWAB_AUTO_SIGN_IN": "true"}, "the keyring holds no Schwab credentials"),
        (
            ["--store-credentials"],
            {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"},
            "this machine has no keyring",
        ),
        (["--store-credentials"], {"GIVEN": "\n\n"}, "nothing was stored"),
    ],
)
def test_what_automatic_sign_in_lacks_is_one_sentence(
    desk: Desk, arguments: list[str], environment: dict[str, str], sentence: str
) -> None:
    given = environment.get("GIVEN", "demo\ndemo-password\n")
    done = desk.run(WATCH, *arguments, given=given, **environment)
    assert done.status == 2
    assert sentence in done.err
    assert "demo-password" not in done.out + done.err


def test_a_browser_that_is_none_is_one_sentence(desk: Desk) -> None:
    desk.run(WATCH, "--store-credentials", given="demo\ndemo-password\n")
    on = {"SCHWAB_AUTO_SIGN_IN": "true"}
    done = desk.run(WATCH, "--now", SCHWAB_CHROMIUM="/no/such/chromium", **on)
    assert done.status == 2
    assert "SCHWAB_CHROMIUM names /no/such/chromium, which cannot be run" in done.err


def test_the_watch_waits_and_ends_at_ctrl_c(desk: Desk) -> None:
    import signal  # noqa: PLC0415

    desk.signed_in()
    with desk.start(WATCH) as child:
        assert child.stdout
        assert "Signed in until" in child.stdout.readline()
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=30)
    assert child.returncode == 130


# secrets


def test_no_secret_is_shown_in_a_whole_life(desk: Desk, chromium: Path) -> None:
    """Sign-in, renewal, failures and the browser, each with --debug: nothing secret is printed."""
    secrets: set[str] = {desk.simulator["app_secret"], "demo-password"}
    said: list[str] = []

    def note(done: Done) -> None:
        said.extend((done.out, done.err))
        if desk.token_file.exists():
            token = TokenStore(desk.token_file).read()
            secrets.update((token.access_token, token.refresh_token))

    def keep_code(url: str) -> str:
        secrets.add(parse_qs(urlsplit(url).query)["code"][0])
        return url

    note(desk.by_paste(keep_code))
    note(desk.by_paste(lambda url: keep_code(url).replace("state=", "state=x")))
    note(desk.by_paste(lambda url: keep_code(url).replace("code=", "code=x")))
    token = TokenStore(desk.token_file).read()
    old = datetime(2026, 11, 20, tzinfo=UTC)
    for changes in (
        {"access_expires_at": old},  # renews
        {"access_token": "I0.refused-by-the-server@"},  # 401, renews
        {"refresh_token": "refresh-that-is-dead@", "access_expires_at": old},
        {"access_expires_at": old, "refresh_expires_at": old},
    ):
        secrets.update(text for text in changes.values() if isinstance(text, str))
        TokenStore(desk.token_file).write(structs.replace(token, **changes))
        note(desk.run(DIAGNOSE, "--debug"))
        note(desk.run(WATCH, "--once", "--debug"))
    note(desk.run(DIAGNOSE, "--debug", SCHWAB_BASE_URL="http://127.0.0.1:9"))
    note(desk.run(WATCH, "--store-credentials", "--debug", given="demo\ndemo-password\n"))
    on = {"SCHWAB_AUTO_SIGN_IN": "true", "SCHWAB_CHROMIUM": str(chromium)}
    note(desk.run(WATCH, "--now", "--debug", **on))
    note(desk.run(WATCH, "--now", "--debug", SCHWAB_BASE_URL="http://127.0.0.1:9", **on))
    text = "\n".join(said)
    assert len(secrets) > 8
    assert [secret for secret in secrets if secret in text] == []
    # The key stands in the address that a person opens, and nowhere else.
    shown = re.sub(r"http://\S+/v1/oauth/authorize\S+", "", text)
    assert desk.simulator["app_key"] not in shown
    assert "Traceback" not in re.sub(r"(?s)Traceback.*?\n\S", "", text)
