"""Watches the seven days of a sign-in: warns ahead, each warning once, and has it renewed."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from models.errors import AuthError, ConfigError, TokenExpired, TradingError
from schwab_integration.token_store import SIGN_IN
from utils.clock import Clock, wall_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from schwab_integration.token_store import Token, TokenStore

WARN_HOURS = (24, 6, 1, 0)
"""Hours before the end at which a warning is due; 0 is the end itself."""

Health: TypeAlias = Literal["healthy", "soon", "expired"]

_LONGEST_WAIT = timedelta(minutes=15)
"""Whoever signs in meanwhile is noticed after this time."""


class _Sent(msgspec.Struct, frozen=True):
    """What the state file holds: which end was warned of, and at which of its hours.

    `tried` are the hours at which signing in automatically was tried and `why` tells how that
    ended, whether or not the warning went out: a password is not tried again for want of mail.
    """

    refresh_expires_at: datetime | None = None
    hours: tuple[int, ...] = ()
    tried: tuple[int, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Round:
    """What one look found.

    Attributes:
        health: Healthy, ending within a day, or ended.
        sentence: For a person.
        warned: Whether a warning was due and went out.
    """

    health: Health
    sentence: str
    warned: bool = False


class SignInWatch:
    """Looks at the token file and warns.

    Args:
        store: Of the token.
        notify: Sends a title and a text to the user; raises a TradingError when it cannot.
        renew: Signs in by itself, or None where the user has not switched that on. It is tried
            once at each warning, even one that cannot be sent: a wrong password must not lock the
            account.
        clock: Wall time.
    """

    def __init__(
        self,
        store: TokenStore,
        notify: Callable[[str, str], None],
        *,
        renew: Callable[[], Token] | None = None,
        clock: Clock = wall_clock,
    ) -> None:
        self._store = store
        self._notify = notify
        self._renew = renew
        self._clock = clock
        self._file = store.path.with_name(f"{store.path.name}.warned")

    def look(self) -> Round:
        """Warn if a warning is due that nobody has sent.

        Raises:
            ConfigError: A file cannot be read or written.
            TradingError: The warning cannot be sent; it stays due.
        """
        token = self._token()
        if isinstance(token, Round):
            return token
        if not self._due(token):
            return Round("healthy", _until(token))
        with self._alone():
            token = self._token()  # another watch may have had it renewed meanwhile
            if isinstance(token, Round):
                return token
            due = self._due(token)
            if not due:
                return Round("healthy", _until(token))
            if due[-1] in self._sent(token).hours:
                return Round(_health(self._left(token)), _until(token))
            return self._warn(token, due)

    def wait_s(self) -> float:
        """Return the seconds until the next look is worth while."""
        try:
            left = self._store.read().refresh_expires_at - self._clock()
        except (TokenExpired, AuthError):
            return _LONGEST_WAIT.total_seconds()
        spans = [left - timedelta(hours=hours) for hours in WARN_HOURS]
        ahead = [span for span in spans if span > timedelta(0)]
        return min([_LONGEST_WAIT, *ahead]).total_seconds()

    def _token(self) -> Token | Round:
        """Return the token, or what is to be said where there is none of use."""
        try:
            return self._store.read()
        except (TokenExpired, AuthError) as error:
            return Round("expired", str(error))

    def _left(self, token: Token) -> timedelta:
        return token.refresh_expires_at - self._clock()

    def _due(self, token: Token) -> tuple[int, ...]:
        """Return the hours ahead of its end that have come, the last one last."""
        left = self._left(token)
        return tuple(hours for hours in WARN_HOURS if left <= timedelta(hours=hours))

    def _warn(self, token: Token, due: tuple[int, ...]) -> Round:
        sent = self._sent(token)
        why = sent.why
        if self._renew and due[-1] not in sent.tried:
            self._keep(_Sent(token.refresh_expires_at, sent.hours, due))
            try:
                token = self._renew()
            except TradingError as error:
                why = f" Signing in automatically failed: {error}."
                self._keep(_Sent(token.refresh_expires_at, sent.hours, due, why))
            else:
                self._notify("Schwab: signed in again", f"The sign-in was renewed. {_until(token)}")
                return Round("healthy", _until(token), warned=True)
        left = self._left(token)
        title, text = _warning(token, left)
        self._notify(title, f"{text}{why}")
        self._keep(_Sent(token.refresh_expires_at, due, due))
        return Round(_health(left), f"{text}{why}", warned=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other watches from sending the same warning."""
        path = self._file.with_name(f"{self._file.name}.lock")
        try:
            lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(f"{path} cannot be made: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _sent(self, token: Token) -> _Sent:
        try:
            sent = msgspec.json.decode(self._file.read_bytes(), type=_Sent)
        except FileNotFoundError:
            return _Sent()
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _Sent()  # cut in half: one warning more is better than none
        except OSError as error:
            raise ConfigError(f"{self._file} cannot be read: {error.strerror}") from None
        return sent if sent.refresh_expires_at == token.refresh_expires_at else _Sent()

    def _keep(self, sent: _Sent) -> None:
        new = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        try:
            with new.open("wb") as file:
                file.write(msgspec.json.encode(sent))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._file)
        except OSError as error:
            with suppress(OSError):
                new.unlink()
            raise ConfigError(f"{self._file} cannot be written: {error.strerror}") from None


def _health(left: timedelta) -> Health:
    return "expired" if left <= timedelta(0) else "soon"


def _until(token: Token) -> str:
    until = token.refresh_expires_at.astimezone()
    return f"Signed in until {until:%A %Y-%m-%d %H:%M}."


def _warning(token: Token, left: timedelta) -> tuple[str, str]:
    until = token.refresh_expires_at.astimezone()
    if left <= timedelta(0):
        return (
            "Schwab: the sign-in has ended",
            f"Since {until:%A %H:%M} nothing can be asked or traded: run {SIGN_IN}.",
        )
    hours = left / timedelta(hours=1)
    span = f"{hours:.0f} hours" if hours > 1.5 else f"{left / timedelta(minutes=1):.0f} minutes"
    return (
        f"Schwab: the sign-in ends in {span}",
        f"It ends on {until:%A %Y-%m-%d at %H:%M}: run {SIGN_IN} before.",
    )
