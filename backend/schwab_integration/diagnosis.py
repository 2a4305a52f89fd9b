"""What state the stored sign-in is in, and what to do next."""

from __future__ import annotations

import stat
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from models.errors import AuthError, ConfigError, TokenExpired, TradingError
from schwab_integration.auth import SchwabAuth, token_store
from schwab_integration.config import PROVIDER
from schwab_integration.refusals import refusal
from schwab_integration.token_store import SIGN_IN
from utils.clock import Clock, wall_clock
from utils.http import HttpSession, Patience, Service

if TYPE_CHECKING:
    from schwab_integration.config import SchwabSettings
    from schwab_integration.token_store import Token
    from utils.http import Reply

State: TypeAlias = Literal["healthy", "soon", "expired", "failed"]
"""Healthy; a sign-in is due within a day; a person must sign in; the service or a setting is wrong."""

SOON = timedelta(hours=24)
"""A refresh token with less life than this is told as ending soon."""

MOST_SKEW_S = 30.0
"""A clock further off than this is told: it misjudges how long tokens and codes live."""

_ASKED = "/marketdata/v1/markets"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found. Holds no token, key or secret.

    Attributes:
        state: The judgement.
        next_step: One sentence: what to do now.
        token_file: Its path.
        file_mode: Permissions as octal digits; None without a file.
        access_minutes_left: Negative when past; None without a token. After a live call: of the
            token that the call has perhaps renewed.
        refresh_days_left: As `access_minutes_left`.
        refresh_expires_at: When a person must sign in again.
        renewal_cut_off_at: When a renewal began whose reply was never stored.
        clock_skew_s: Our clock less the server's, to about a second; None when it was not asked.
        live_call: "ok", the sentence of the error, or None when nothing was asked.
    """

    state: State
    next_step: str
    token_file: str
    file_mode: str | None = None
    access_minutes_left: float | None = None
    refresh_days_left: float | None = None
    refresh_expires_at: datetime | None = None
    renewal_cut_off_at: datetime | None = None
    clock_skew_s: float | None = None
    live_call: str | None = None


@dataclass(frozen=True, slots=True)
class _Call:
    error: TradingError | None
    skew_s: float | None


def diagnose(
    settings: SchwabSettings, *, live: bool = True, clock: Clock = wall_clock
) -> Diagnosis:
    """Look at the token file, and ask the service once.

    Args:
        settings: Of the app.
        live: Whether to ask; it renews the access token where that is due.
        clock: Wall time.

    Raises:
        ConfigError: The token file cannot be read.
    """
    path = settings.token_path()
    file_mode = f"{stat.S_IMODE(path.stat().st_mode):04o}" if path.exists() else None
    store = token_store(settings)
    try:
        before = store.read()
    except AuthError as error:
        return Diagnosis("expired", _sentence(error), str(path), file_mode)
    call = _called(settings, clock) if live else None
    token = store.read()
    now = clock()
    cut_off = before.renewing_at or token.renewing_at
    return Diagnosis(
        state=_state(token, now, call),
        next_step=_next_step(settings, token, now, call, file_mode),
        token_file=str(path),
        file_mode=file_mode,
        access_minutes_left=_left(token.access_expires_at, now, 60.0, 1),
        refresh_days_left=_left(token.refresh_expires_at, now, 86_400.0, 3),
        refresh_expires_at=token.refresh_expires_at,
        renewal_cut_off_at=cut_off,
        clock_skew_s=call.skew_s if call else None,
        live_call=None if call is None else str(call.error or "ok"),
    )


def _state(token: Token, now: datetime, call: _Call | None) -> State:
    error = call.error if call else None
    if token.refresh_expires_at <= now or isinstance(error, TokenExpired):
        return "expired"
    if error:
        return "failed"
    return "soon" if token.refresh_expires_at - now < SOON else "healthy"


def _next_step(
    settings: SchwabSettings, token: Token, now: datetime, call: _Call | None, file_mode: str | None
) -> str:
    """Return the most urgent thing to do."""
    if call and call.error:
        return _sentence(call.error)
    if token.refresh_expires_at <= now:
        return f"The sign-in has ended after its seven days: run {SIGN_IN}."
    if file_mode and int(file_mode, 8) & 0o077:
        return f"Others can read the token file: chmod 600 {settings.token_path()}"
    if call and call.skew_s is not None and abs(call.skew_s) > MOST_SKEW_S:
        fast = "fast" if call.skew_s > 0 else "slow"
        return f"This machine's clock is {abs(call.skew_s):.0f} s {fast}: set it (NTP)."
    if token.refresh_expires_at - now < SOON:
        until = token.refresh_expires_at.astimezone()
        return f"The sign-in ends on {until:%A at %H:%M}: run {SIGN_IN} before."
    return "Nothing."


def _sentence(error: TradingError) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def _left(until: datetime, now: datetime, unit_s: float, digits: int) -> float:
    return round((until - now).total_seconds() / unit_s, digits)


def _called(settings: SchwabSettings, clock: Clock) -> _Call:
    """Ask for the market's hours, renewing the access token if need be."""
    service = Service(settings.base_url, PROVIDER, ca_file=settings.ca_file, check=_anything)
    auth = SchwabAuth(settings, clock=clock)
    skew_s = None
    try:
        with HttpSession(service, patience=Patience(attempts=2)) as session:
            token = auth.access_token()
            reply, skew_s = _asked(session, token, clock)
            if reply.status == 401:
                reply, skew_s = _asked(session, auth.renew(token), clock)
    except ConfigError:
        raise
    except TradingError as error:
        return _Call(error, skew_s)
    finally:
        auth.close()
    return _Call(refusal(f"GET {_ASKED}", reply), skew_s)


def _asked(session: HttpSession, token: str, clock: Clock) -> tuple[Reply, float | None]:
    started, sent_at = time.monotonic(), clock()
    headers = {"authorization": f"Bearer {token}"}
    reply = session.get(_ASKED, {"markets": "equity"}, headers=headers)
    middle = sent_at + timedelta(seconds=(time.monotonic() - started) / 2)
    return reply, _skew_s(reply, middle)


def _skew_s(reply: Reply, ours: datetime) -> float | None:
    """Return our clock less the server's: its header counts whole seconds, cut off."""
    try:
        theirs = parsedate_to_datetime(reply.headers.get("date", ""))
    except ValueError:
        return None
    aware = theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)
    return round((ours - aware).total_seconds() - 0.5, 1)


def _anything(_what: str, _reply: Reply) -> TradingError | None:
    """Accept every reply: its date counts, whatever it says."""
    return None
