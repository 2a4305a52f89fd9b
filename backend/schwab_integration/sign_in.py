"""A person's sign-in: show the page, take the redirect from a listener or a paste, store tokens."""

from __future__ import annotations

import os
import queue
import secrets
import sys
import threading
import webbrowser
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from models.errors import AuthError, ConfigError, TradingError
from schwab_integration.auth import authorization_url, code_of_redirect, exchange_code
from schwab_integration.callback_listener import CallbackListener, can_listen
from schwab_integration.token_store import SIGN_IN

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from schwab_integration.config import SchwabSettings
    from schwab_integration.token_store import Token

SIGNED_IN = "Signed in: you may close this page."

_END_OF_INPUT = ""


@dataclass(frozen=True, slots=True)
class Ways:
    """How the sign-in page is shown and how the redirect comes back.

    Attributes:
        browser: Open one where there is a display.
        listen: Receive the redirect at the callback, where that is on this machine.
        typed: Where pasted addresses come from; None takes none.
        patience_s: How long to wait for a person.
        open_page: Opens a browser at an address.
    """

    browser: bool = True
    listen: bool = True
    typed: TextIO | None = None
    patience_s: float = 600.0
    open_page: Callable[[str], object] = field(default=webbrowser.open)


def sign_in(settings: SchwabSettings, ways: Ways, say: Callable[[str], None]) -> Token:
    """Lead a person through the sign-in and store the tokens.

    Args:
        settings: Of the app.
        ways: How.
        say: Tells the person something.

    Raises:
        ConfigError: A setting is missing, or the redirect can be received in no way.
        AuthError: The redirect is wrong, access was denied, nobody came, or Schwab refuses.
        ProviderError: Schwab is out of order.
    """
    state = secrets.token_urlsafe(24)
    address = authorization_url(settings, state=state)
    came: queue.Queue[str] = queue.Queue()
    with ExitStack() as stack:
        listener = _listener(settings, ways, came, say)
        if listener:
            stack.enter_context(listener)
        _show(address, settings, ways, say, listening=listener is not None)
        if ways.typed:
            _read_lines(ways.typed, came)
        url = _first(came, ways, listening=listener is not None)
        try:
            code = code_of_redirect(url, state=state, callback=settings.callback_url)
            token = exchange_code(settings, code)
        except TradingError as error:
            if listener:
                listener.tell(f"Not signed in: {error}.")
            raise
        if listener:
            listener.tell(SIGNED_IN)
        return token


def has_display() -> bool:
    """Return whether a browser can be seen here."""
    if sys.platform in {"win32", "darwin"}:
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def _listener(
    settings: SchwabSettings, ways: Ways, came: queue.Queue[str], say: Callable[[str], None]
) -> CallbackListener | None:
    if not (ways.listen and can_listen(settings.callback_url)):
        return None
    try:
        return CallbackListener(settings.callback_url, came.put)
    except ConfigError as error:
        if ways.typed is None:
            raise
        say(f"Note: {error}, so the address must be pasted.")
        return None


def _show(
    address: str,
    settings: SchwabSettings,
    ways: Ways,
    say: Callable[[str], None],
    *,
    listening: bool,
) -> None:
    opened = ways.browser and has_display()
    if opened:  # some browsers keep their caller waiting until they end
        threading.Thread(target=ways.open_page, args=(address,), daemon=True).start()
    first = "The sign-in page opens in your browser; if not, open" if opened else "Open"
    say(f"1. {first} this address in a browser and sign in:\n\n   {address}\n")
    if listening:
        say(
            "2. At the end the browser warns of a certificate that it does not know: it is this "
            f"program's own,\n   made for {settings.callback_url} and for this once; continue.\n"
        )
    if ways.typed:
        where = (
            "If the browser runs on another machine"
            if listening
            else "The browser ends at a page that cannot be shown"
        )
        say(f"{3 if listening else 2}. {where}, copy the whole address that it ends at")
        say("   (good for about 30 seconds) and paste it here:")


def _read_lines(typed: TextIO, came: queue.Queue[str]) -> None:
    """Hand the first line that is typed on, or the end of input; the thread dies with us.

    It reads the descriptor itself: a thread that waits inside Python's own buffer when the program
    ends makes the interpreter abort.
    """
    descriptor = typed.fileno()

    def read() -> None:
        text = b""
        while b"\n" not in text.lstrip():
            piece = os.read(descriptor, 4096)
            if not piece:
                break
            text += piece
        lines = text.decode(errors="replace").split("\n")
        came.put(next((line.strip() for line in lines if line.strip()), _END_OF_INPUT))

    threading.Thread(target=read, daemon=True).start()


def _first(came: queue.Queue[str], ways: Ways, *, listening: bool) -> str:
    """Return the first redirect that comes in any way."""
    try:
        url = came.get(timeout=ways.patience_s)
        if url == _END_OF_INPUT and listening:  # nobody can type here: only the listener is left
            url = came.get(timeout=ways.patience_s)
    except queue.Empty:
        minutes = ways.patience_s / 60
        raise AuthError(
            f"nobody signed in for {minutes:.0f} minutes: run {SIGN_IN} again"
        ) from None
    if url == _END_OF_INPUT:
        raise AuthError(f"no address was pasted: run {SIGN_IN} again")
    return url
