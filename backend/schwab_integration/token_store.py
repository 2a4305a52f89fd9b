"""The token file: readable by its owner alone, never half written, one writer at a time."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import mkstemp

import msgspec

from models.errors import AuthError, ConfigError, TokenExpired

SIGN_IN = "python sys_testing/reauth_schwab.py"
"""What a person runs to sign in again."""


class Token(msgspec.Struct, frozen=True):
    """What Schwab granted.

    Attributes:
        access_token: Sent with each request; lives 30 minutes.
        refresh_token: Buys new access tokens; lives 7 days from the sign-in, whatever is done.
        access_expires_at: Aware, in UTC.
        refresh_expires_at: Aware, in UTC.
        app: `SchwabSettings.app_mark` of the app that it was granted to; empty in older files.
        renewing_at: When a renewal began whose reply nobody has stored, or None. Should Schwab then
            refuse the refresh token, its replacement was in that reply.
    """

    access_token: str
    refresh_token: str
    access_expires_at: datetime
    refresh_expires_at: datetime
    app: str = ""
    renewing_at: datetime | None = None

    def __repr__(self) -> str:
        """Return the times alone."""
        return (
            f"Token(access until {self.access_expires_at:%F %T}, "
            f"refresh until {self.refresh_expires_at:%F %T})"
        )

    def good_for(self, span: timedelta, now: datetime) -> bool:
        """Return whether the access token lives longer than `span` from `now`."""
        return self.access_expires_at - now > span


class TokenStore:
    """One token in one file, shared by processes and threads.

    Args:
        path: The file; its folder is made if need be, with mode 0700.
        app: Mark of our app (`SchwabSettings.app_mark`); a token of another one is refused. Empty
            takes any.
        lock_timeout_s: How long to wait for another process.
        sleep: Waits.
    """

    def __init__(
        self,
        path: Path,
        *,
        app: str = "",
        lock_timeout_s: float = 60.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.path = path
        self._app = app
        self._lock_path = path.with_name(f"{path.name}.lock")
        self._lock_timeout_s = lock_timeout_s
        self._sleep = sleep

    def read(self) -> Token:
        """Return the token.

        Raises:
            TokenExpired: There is no token, or the file does not hold one, or half of one.
            AuthError: It is another app's.
            ConfigError: The file cannot be read.
        """
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            raise TokenExpired(f"there is no Schwab token yet: run {SIGN_IN}") from None
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be read: {error.strerror}") from None
        try:
            token = msgspec.json.decode(text, type=Token)
        except (msgspec.DecodeError, UnicodeDecodeError):
            message = f"{self.path} does not hold a whole Schwab token: run {SIGN_IN}"
            raise TokenExpired(message) from None
        if self._app and token.app not in {"", self._app}:
            message = (
                f"{self.path} holds the token of another app than SCHWAB_APP_KEY names: correct "
                f"that, name another file in SCHWAB_TOKEN_FILE, or run {SIGN_IN}"
            )
            raise AuthError(message)
        return token

    def write(self, token: Token) -> None:
        """Replace the file as a whole: a crash leaves the old token or the new one.

        Raises:
            ConfigError: It cannot be written; the old file stands.
        """
        try:
            self._make_folder()
            descriptor, name = mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
            try:
                with os.fdopen(descriptor, "wb") as file:  # mkstemp made it 0600
                    file.write(msgspec.json.encode(token))
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(self.path)
            except BaseException:
                with suppress(OSError):
                    Path(name).unlink()
                raise
            self._sync_folder()
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be written: {error.strerror}") from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process and thread out of the body.

        Raises:
            ConfigError: The lock file cannot be made.
            AuthError: Another process holds it too long.
        """
        try:
            self._make_folder()
            lock = os.open(self._lock_path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(f"{self._lock_path} cannot be made: {error.strerror}") from None
        try:
            self._take(lock)
            yield
        finally:
            os.close(lock)  # gives the lock up; so does a killed process

    def _take(self, lock: int) -> None:
        waited = 0.0
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waited >= self._lock_timeout_s:
                    message = f"another process has been renewing {self.path} for {waited:.0f} s"
                    raise AuthError(message) from None
                self._sleep(0.02)
                waited += 0.02
            else:
                return

    def _make_folder(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _sync_folder(self) -> None:
        """Make the rename itself survive a power cut."""
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
