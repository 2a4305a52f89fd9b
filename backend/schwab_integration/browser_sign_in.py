"""Goes through the sign-in page with a real Chromium and the keyring's credentials.

The pages are read by what every sign-in page has: a password field with a text field before it, tick
boxes, and a button that goes on. That is proved against the simulator's pages. Schwab's own pages may
change at any time and mostly ask for a second factor: then this gives up with a sentence, and a
person signs in.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from models.errors import AuthError, ConfigError, Unavailable
from schwab_integration.auth import authorization_url, code_of_redirect, exchange_code
from schwab_integration.config import PROVIDER
from schwab_integration.token_store import SIGN_IN
from utils.notifier import NEEDED

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Playwright

    from schwab_integration.config import SchwabSettings
    from schwab_integration.credentials import Credentials
    from schwab_integration.token_store import Token

_log = logging.getLogger(__name__)

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
)
"""Programs that are looked for on PATH when Playwright has not downloaded a Chromium of its own."""

_GO_ON = re.compile(
    r"^\s*(allow|accept|agree|continue|next|submit|done|i agree|finish)\b", re.IGNORECASE
)
_ONE_TIME = (
    "input[autocomplete=one-time-code], input[name*=otp i], input[id*=securitycode i], "
    "input[name*=securitycode i]"
)
_OUR_DOMAINS = ("schwab.com", "schwabapi.com")
_STEP_MS = 250
_ACTION_TIMEOUT_MS = 10_000


def chromium(named: Path | None, playwrights_own: Path) -> Path:
    """Return the browser: the named one, else Playwright's own, else one on PATH.

    Raises:
        ConfigError: There is none.
    """
    if named:
        if os.access(named, os.X_OK):
            return named
        raise ConfigError(f"SCHWAB_CHROMIUM names {named}, which cannot be run")
    if playwrights_own.exists():
        return playwrights_own
    for name in BROWSERS:
        found = shutil.which(name)
        if found:
            return Path(found)
    raise ConfigError(
        "no Chromium is installed: install one (apt install chromium, or playwright install "
        "chromium), or name one in SCHWAB_CHROMIUM"
    )


def sign_in_with_browser(
    settings: SchwabSettings,
    credentials: Credentials,
    *,
    program: Path | None = None,
    patience_s: float = 90.0,
) -> Token:
    """Sign in without a person, and store the tokens.

    Args:
        settings: Of the app.
        credentials: Typed into a page of Schwab's own, or of `settings.base_url`, alone.
        program: The browser; None finds one.
        patience_s: For the whole way through the pages.

    Raises:
        ConfigError: No browser can be started, or a setting is missing.
        AuthError: The pages refuse, ask for a second factor, or lead nowhere.
        ProviderError: Schwab is out of order.
    """
    try:
        from playwright.sync_api import Error, sync_playwright  # noqa: PLC0415 - extra `reauth`
    except ImportError:
        raise ConfigError(f"signing in by browser needs Playwright: {NEEDED}") from None
    state = secrets.token_urlsafe(24)
    address = authorization_url(settings, state=state)
    with sync_playwright() as playwright:
        path = chromium(program, Path(playwright.chromium.executable_path))
        browser = _started(playwright, path)
        try:
            # The simulator's certificate; a password is never typed at a distant doubtful one.
            context = browser.new_context(ignore_https_errors=_is_local(settings.base_url))
            walk = _Walk(context, settings, credentials, patience_s)
            url = walk.redirect(address)
        except Error as error:  # its further lines tell what was typed
            kind = str(error).partition("\n")[0]
            raise Unavailable(
                f"the sign-in page cannot be shown: {_without_urls(kind)}",
                provider=PROVIDER,
                retryable=True,
            ) from None
        finally:
            browser.close()
    code = code_of_redirect(url, state=state, callback=settings.callback_url)
    return exchange_code(settings, code)


def _started(playwright: Playwright, path: Path) -> Browser:
    """Start a browser, with Chromium's own sandbox where this user and system can have one."""
    from playwright.sync_api import Error  # noqa: PLC0415 - as above

    for sandbox in (True, False):
        try:
            return playwright.chromium.launch(executable_path=path, chromium_sandbox=sandbox)
        except Error:
            _log.info("%s does not start with chromium_sandbox=%s", path, sandbox)
    raise ConfigError(f"{path} cannot be started as a browser")


class _Walk:
    """One way through the pages."""

    def __init__(
        self,
        context: BrowserContext,
        settings: SchwabSettings,
        credentials: Credentials,
        patience_s: float,
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        self._deadline = time.monotonic() + patience_s
        self._typed = False
        self._pressed: set[str] = set()
        self._found: str | None = None
        context.set_default_timeout(_ACTION_TIMEOUT_MS)
        context.on("request", lambda request: self._watch(request.url))
        self._page = context.new_page()

    def redirect(self, address: str) -> str:
        """Return the callback that the pages lead to."""
        self._page.goto(address, wait_until="commit")
        while self._found is None:
            if time.monotonic() > self._deadline:
                raise AuthError(_stuck(self._page, typed=self._typed))
            self._step(self._page)
            self._page.wait_for_timeout(_STEP_MS)
        return self._found

    def _watch(self, url: str) -> None:
        """Note the callback as soon as the browser is sent there, whether or not anybody listens."""
        callback, here = urlsplit(self._settings.callback_url), urlsplit(url)
        if (here.scheme, here.netloc) == (callback.scheme, callback.netloc):
            self._found = self._found or url

    def _step(self, page: Page) -> None:
        """Do what this page asks for, if it asks for anything."""
        from playwright.sync_api import Error  # noqa: PLC0415 - as above

        try:
            password = page.locator("input[type=password]:visible")
            if password.count():
                self._type(page)
            elif page.locator(_ONE_TIME).count():
                raise AuthError(f"Schwab asks for a second factor: run {SIGN_IN} yourself")
            elif self._typed:
                self._agree(page)
        except Error:
            if self._found is None and page.is_closed():
                raise
            # The page moved on meanwhile: look again.

    def _type(self, page: Page) -> None:
        if self._typed:
            alert = page.locator("[role=alert]:visible")
            if alert.count():
                raise AuthError(
                    "the sign-in page refuses the keyring's credentials: store the right ones "
                    "with auto_reauth.py --store-credentials"
                )
            return
        if not _may_type_at(page.url, self._settings.base_url):
            raise AuthError("the sign-in page is not one of Schwab's: nothing was typed")
        fields = page.locator("input[type=text]:visible, input[type=email]:visible")
        fields.first.fill(self._credentials.user)
        password = page.locator("input[type=password]:visible").first
        password.fill(self._credentials.password)
        self._typed = True
        password.press("Enter")

    def _agree(self, page: Page) -> None:
        """Tick every box and go on, once on each page."""
        seen = f"{page.url} {page.title()}"
        if seen in self._pressed:
            return
        buttons = page.get_by_role("button").filter(has_text=_GO_ON)
        if not buttons.count():
            return
        for box in page.locator("input[type=checkbox]:visible").all():
            box.check()
        self._pressed.add(seen)
        buttons.first.click(no_wait_after=True)


def _is_local(base_url: str) -> bool:
    return urlsplit(base_url).hostname in {"127.0.0.1", "localhost"}


def _may_type_at(url: str, base_url: str) -> bool:
    """Whether a page may be told the password.

    At a simulator of this machine that page alone: certificates of others are not looked at there.
    """
    here, base = urlsplit(url), urlsplit(base_url)
    if (here.scheme, here.netloc) == (base.scheme, base.netloc):
        return True
    if _is_local(base_url):
        return False
    host = here.hostname or ""
    ours = any(host == domain or host.endswith(f".{domain}") for domain in _OUR_DOMAINS)
    return here.scheme == "https" and ours


def _stuck(page: Page, *, typed: bool) -> str:
    where = urlsplit(page.url).hostname or "an empty page"
    after = "after the password" if typed else "before any password"
    return f"the sign-in pages led nowhere {after} (at {where}): run {SIGN_IN} yourself"


def _without_urls(text: str) -> str:
    return re.sub(r"\S+://\S+", "an address", text)
