"""Polygon's flat files over S3: what is there, what the plan allows, and their bytes, resumably.

    files = FlatFiles(settings)
    files.look("minute_aggs", day)              # available, or why not, in one sentence
    with files.open(remote, folder) as bytes:   # in order, from the part that is here already
        ...

A transfer asks for several ranges at a time and writes them, in order, to a `.part` file beside a
note of the object's ETag and size; whoever comes after a broken transfer goes on behind the last
whole byte. A file that was replaced meanwhile is begun anew. Nothing is published before size and
ETag are those that were listed; the ETag of a multipart upload is no MD5, so the checksum of the
text is that of the gzip trailer, which whoever inflates it checks.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import obstore
from obstore.exceptions import (
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from models.errors import (
    AuthError,
    NotEntitled,
    NotFound,
    ProviderError,
    RateLimited,
    StoreError,
    Unavailable,
)
from polygon_integration.config import PROVIDER, PolygonSettings
from polygon_integration.flat_datasets import FlatDataset, dataset
from utils.market_calendar import FIRST_DAY, NEW_YORK, is_session

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date
    from pathlib import Path

    from utils.clock import Clock

RANGE_BYTES: Final = 8 << 20
AT_ONCE: Final = 4
"""Ranges in flight, fewer when the service throttles; with their size a bound of memory."""

PUBLISHED_AT_HOUR: Final = 11
"""New York, on the day after the session, as the vendor says."""

_TRIES = 6
_FIRST_WAIT_S = 0.25
_MOST_WAIT_S = 8.0

T = TypeVar("T")


class State(StrEnum):
    """What a look at a file found."""

    AVAILABLE = "available"
    NOT_IN_PLAN = "not in plan"
    NOT_YET = "not yet published"
    HOLIDAY = "no session"
    MISSING = "missing"
    THROTTLED = "throttled"


@dataclass(frozen=True, slots=True)
class Remote:
    """An object as it was listed.

    Attributes:
        key: Its name.
        size: Bytes.
        etag: As S3 writes it.
        modified: When it was written.
    """

    key: str
    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """Whether a day's file can be had.

    Attributes:
        day: Of the file.
        state: As in `State`.
        sentence: For a person.
        remote: The object, where it is available.
    """

    day: date
    state: State
    sentence: str
    remote: Remote | None = None


class FlatFiles:
    """The bucket of flat files.

    Args:
        settings: Address and keys.
        clock: The market's time, which tells what can be published yet.

    Raises:
        ConfigError: A key is missing.
    """

    def __init__(self, settings: PolygonSettings, clock: Clock) -> None:
        access, secret = settings.s3_credentials()
        self._at_once = AT_ONCE
        self._clock = clock
        self.place = settings.s3_endpoint
        # Tries are ours: they must tell throttling from a plan's end.
        self._store = S3Store(
            settings.s3_bucket,
            endpoint=settings.s3_endpoint,
            access_key_id=access,
            secret_access_key=secret,
            region="us-east-1",
            virtual_hosted_style_request=False,
            client_options={
                "allow_http": settings.s3_endpoint.startswith("http:"),
                "connect_timeout": "10s",
                "timeout": "120s",
            },
            retry_config={"max_retries": 0},
        )

    def look(self, name: str, day: date) -> Found:
        """Ask whether a day's file can be had, and say why not where it cannot.

        Args:
            name: Of the dataset, as minute_aggs.
            day: Of the file.

        Raises:
            AuthError: The keys are wrong.
            Unavailable: The service does not answer.
        """
        what = dataset(name)
        if why := self._too_early(what, day):
            return why
        try:
            meta = self._asked(lambda: obstore.head(self._store, what.key(day)), what.key(day))
        except FileNotFoundError:
            return self._absent(what, day)
        except NotEntitled as error:
            # Everybody may list: keys that are wrong are told there, which HEAD cannot tell.
            self._asked(lambda: self._page(f"{what.prefix}/{day:%Y/%m}/"), what.prefix)
            return Found(day, State.NOT_IN_PLAN, str(error))
        except RateLimited as error:
            return Found(day, State.THROTTLED, str(error))
        remote = Remote(what.key(day), meta["size"], meta["e_tag"] or "", meta["last_modified"])
        return Found(day, State.AVAILABLE, f"{what.key(day)} is there", remote)

    def listed(self, name: str, first: date, last: date) -> dict[date, Remote]:
        """Return the files of some days that are in the bucket, whatever the plan allows.

        Raises:
            AuthError: The keys are wrong.
            Unavailable: The service does not answer.
        """
        what = dataset(name)
        found: dict[date, Remote] = {}
        month = first.replace(day=1)
        while month <= last:
            prefix = f"{what.prefix}/{month:%Y/%m}/"
            for meta in self._asked(lambda prefix=prefix: self._page(prefix), prefix):  # type: ignore[misc]
                day = what.day_of(meta.key)
                if day is not None and first <= day <= last:
                    found[day] = meta
            month = (month + timedelta(days=32)).replace(day=1)
        return found

    def _page(self, prefix: str) -> list[Remote]:
        return [
            Remote(each["path"], each["size"], each["e_tag"] or "", each["last_modified"])
            for page in obstore.list(self._store, prefix=prefix)
            for each in page
        ]

    def open(self, remote: Remote, folder: Path) -> Transfer:
        """Return the object's bytes in order, as a file to read from.

        Args:
            remote: The object.
            folder: For its `.part`.
        """
        return Transfer(remote, folder, self._range, lambda: self._at_once)

    def download(self, remote: Remote, folder: Path) -> Path:
        """Fetch an object into a folder, from where a broken transfer ended.

        Returns:
            The file, complete, its size and ETag those of `remote`.

        Raises:
            ProviderError: The service failed for good; what came stays for the next time.
            StoreError: The disk does not take it.
        """
        goal = folder / remote.key.rpartition("/")[2]
        with self.open(remote, folder) as transfer:
            while transfer.read(1 << 20):
                pass
            transfer.publish(goal)
        return goal

    def _range(self, remote: Remote, begin: int, end: int) -> bytes:
        """Fetch a range of exactly that object."""

        def ask() -> bytes:
            options = {"range": (begin, end), "if_match": remote.etag or None}
            reply = obstore.get(self._store, remote.key, options=options)  # type: ignore[arg-type]
            content = bytes(reply.bytes())
            if len(content) != end - begin:
                raise Unavailable(
                    f"{self.place} sent {len(content)} bytes of {remote.key} and not {end - begin}",
                    provider=PROVIDER,
                    retryable=True,
                )
            return content

        return self._asked(ask, remote.key)

    def _asked(self, ask: Callable[[], T], key: str) -> T:
        """Ask, and ask again where waiting helps; translate what stays wrong.

        Raises:
            FileNotFoundError: There is no such object.
        """
        wait = _FIRST_WAIT_S
        for last in (*[False] * (_TRIES - 1), True):
            try:
                return ask()
            except FileNotFoundError:
                raise
            except (BaseError, Unavailable) as error:
                told = error if isinstance(error, Unavailable) else self._told(error, key)
                if last or not (isinstance(told, ProviderError) and told.retryable):
                    raise told from None
            time.sleep(wait)
            wait = min(2 * wait, _MOST_WAIT_S)
        raise AssertionError(key)  # the last try returns or raises

    def _told(self, error: BaseError, key: str) -> ProviderError | AuthError:
        text = str(error)
        if isinstance(error, UnauthenticatedError) or any(code in text for code in _WRONG_KEYS):
            return AuthError(
                f"{self.place} does not accept the access key of the flat files: look at "
                "POLYGON_S3_ACCESS_KEY and POLYGON_S3_SECRET_KEY"
            )
        if isinstance(error, PermissionDeniedError):
            return NotEntitled(
                f"the plan does not include {key} (403): it may lack this kind of file, or so old a "
                "day",
                provider=PROVIDER,
                status=403,
            )
        if isinstance(error, PreconditionError):
            return _Replaced(
                f"{key} was replaced while it was fetched", provider=PROVIDER, status=412
            )
        if any(code in text for code in ("429", "SlowDown", "503", "TooManyRequests")):
            self._at_once = max(self._at_once // 2, 1)  # one user sees 429 for parallel requests
            return RateLimited(
                f"{self.place} asks for fewer requests: try again in a few minutes",
                provider=PROVIDER,
            )
        return Unavailable(
            f"{self.place} cannot be reached or answers badly: try again, what was fetched is kept",
            provider=PROVIDER,
            retryable=True,
        )

    def _too_early(self, what: FlatDataset, day: date) -> Found | None:
        today = self._clock().astimezone(NEW_YORK).date()
        if day > today:
            return Found(day, State.NOT_YET, f"{day} is in the future: nothing is published yet")
        if day < FIRST_DAY or day.year < what.first_year:
            sentence = f"{what.prefix} begins in {what.first_year}: there is nothing of {day}"
            return Found(day, State.MISSING, sentence)
        if not is_session(day):
            return Found(day, State.HOLIDAY, f"{day} is no session: the exchange was closed")
        return None

    def _absent(self, what: FlatDataset, day: date) -> Found:
        now = self._clock().astimezone(NEW_YORK)
        due = datetime.combine(day + timedelta(days=1), datetime.min.time(), NEW_YORK) + timedelta(
            hours=PUBLISHED_AT_HOUR
        )
        if now < due + timedelta(hours=12):
            sentence = f"{what.key(day)} is not published yet: it comes about {due.astimezone(NEW_YORK):%Y-%m-%d %H:%M} in New York"
            return Found(day, State.NOT_YET, sentence)
        sentence = f"{what.key(day)} is missing: the vendor has no file of this session"
        return Found(day, State.MISSING, sentence)


_WRONG_KEYS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthorizationHeaderMalformed")


class _Replaced(ProviderError):
    """The object is another one now."""


class _Note(msgspec.Struct, frozen=True):
    """Beside a `.part`: which object it is of."""

    key: str
    etag: str
    size: int


class Transfer(io.RawIOBase):
    """An object's bytes in order: first those that lie here, then those that come.

    Args:
        remote: The object.
        folder: Of the `.part`; made if need be.
        fetch: Fetches a range (begin, end) of the object.
        at_once: Tells how many ranges may be in flight now.
    """

    def __init__(
        self,
        remote: Remote,
        folder: Path,
        fetch: Callable[[Remote, int, int], bytes],
        at_once: Callable[[], int] = lambda: AT_ONCE,
    ) -> None:
        super().__init__()
        self._remote, self._fetch, self._at_once = remote, fetch, at_once
        name = remote.key.replace("/", "_")
        self._part = folder / f"{name}.part"
        self._note = folder / f"{name}.part.json"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._locked()
            self._have = self._resumed()
        except OSError as error:
            raise _disk(error, folder) from None
        self._pool = ThreadPoolExecutor(AT_ONCE, "range")
        self._coming: deque[Future[bytes]] = deque()
        self._asked = self._had = self._have
        self._place = 0

    @property
    def resumed(self) -> int:
        """Bytes that were here already."""
        return self._had

    def _resumed(self) -> int:
        """Return how much of exactly this object lies here; note which object it is."""
        own = _Note(self._remote.key, self._remote.etag, self._remote.size)
        with suppress(OSError, msgspec.MsgspecError):
            if msgspec.json.decode(self._note.read_bytes(), type=_Note) == own:
                return min(os.fstat(self._file.fileno()).st_size, own.size)
        if os.fstat(self._file.fileno()).st_size:
            self._file.truncate(0)
        self._note.write_bytes(msgspec.json.encode(own))
        return 0

    def _locked(self) -> io.FileIO:
        """Open the part for ourselves alone: a worker that is dying may still write to it."""
        while True:
            file = io.FileIO(os.open(self._part, os.O_RDWR | os.O_CREAT, 0o600), "r+")
            fcntl.flock(file, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.fstat(file.fileno()).st_ino == self._part.stat().st_ino:
                    return file
            file.close()  # whoever had it has published or removed it

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read the next bytes; fetch and keep them where they are not here yet.

        Raises:
            ProviderError: The service failed for good.
            StoreError: The disk is full.
        """
        while self._place >= self._have:
            if self._have >= self._remote.size:
                return 0
            self._receive()
        self._file.seek(self._place)
        most = min(len(buffer), self._have - self._place)
        count = self._file.readinto(memoryview(buffer)[:most]) or 0
        self._place += count
        return count

    def _receive(self) -> None:
        most = max(self._at_once(), 1)
        while len(self._coming) < most and self._asked < self._remote.size:
            end = min(self._asked + RANGE_BYTES, self._remote.size)
            self._coming.append(self._pool.submit(self._fetch, self._remote, self._asked, end))
            self._asked = end
        try:
            content = self._coming.popleft().result()
        except _Replaced:
            self._forget()
            raise
        except FileNotFoundError:
            self._forget()
            raise NotFound(f"{self._remote.key} is gone", provider=PROVIDER, status=404) from None
        try:
            self._file.seek(self._have)
            view = memoryview(content)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise _disk(error, self._part.parent) from None
        self._have += len(content)

    def publish(self, goal: Path) -> None:
        """Give the file its name, now that it is whole.

        Raises:
            StoreError: It is not, or the disk does not take it.
        """
        if self._part.stat().st_size != self._remote.size:
            raise StoreError(f"{self._part.name} has not the size that {self._remote.key} has")
        self._part.replace(goal)
        self._note.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the part: what was in it is used, or is no good."""
        self._forget()

    def _forget(self) -> None:
        self._part.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def close(self) -> None:
        """Stop; the part stays for the next time."""
        if not self.closed:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._file.close()
        super().close()


def due_at(day: date) -> datetime:
    """Return about when a session's files are published, UTC."""
    morning = datetime.combine(day + timedelta(days=1), time_of_day(PUBLISHED_AT_HOUR), NEW_YORK)
    return morning.astimezone(UTC)


def _disk(error: OSError, folder: Path) -> StoreError:
    why = "the disk is full" if error.errno in {errno.ENOSPC, errno.EDQUOT} else error.strerror
    return StoreError(f"{folder} cannot be written: {why}; free some space and run it again")
