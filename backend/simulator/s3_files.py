"""Which flat files the simulator's S3 has at a moment, for whom, and their bytes.

A file appears at 11:00 in New York on the day after its session. One in twenty is replaced five
hours later (its first edition lacks the last line), as the vendor's sometimes are. Size, ETag and
time of a file follow from its name alone, so that a year is listed without making a year of files:
the compressed text is filled up to its size with empty blocks, which every reader of gzip skips.
"""

from __future__ import annotations

import hashlib
import struct
import threading
import zlib
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from simulator.faults import FaultKind
from simulator.s3_faults import wrong_now, wrong_text
from utils.market_calendar import NEW_YORK, is_session, previous_session, sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from simulator.faults import Fault, Faults
    from simulator.s3_content import Content

PUBLISHED_AT: Final = time(11)
"""New York, on the calendar day after the session."""

REPLACED_AFTER: Final = timedelta(hours=5)
REPLACED_ONE_IN: Final = 20

HISTORY: Final = timedelta(days=5 * 366)
"""How far back the bucket goes."""

_KEPT_DAYS = 24
_KEPT_BODIES = 32
_SIZES = {
    "trades_v1": 700_000,
    "quotes_v1": 1_400_000,
    "minute_aggs_v1": 420_000,
    "day_aggs_v1": 60_000,
}
_RECORDED_SIZES = {"quotes_v1": 4_000_000, "minute_aggs_v1": 200_000, "day_aggs_v1": 40_000}


@dataclass(frozen=True, slots=True)
class Plan:
    """What an access key may read.

    Attributes:
        name: Of the plan.
        secret: Of the access key.
        prefixes: Beginnings of keys that it covers.
        history: How far back.
    """

    name: str
    secret: str
    prefixes: tuple[str, ...]
    history: timedelta

    def covers(self, key: str, day: date, today: date) -> bool:
        """Return whether a file may be read."""
        return key.startswith(self.prefixes) and day >= today - self.history


_OPRA = "us_options_opra"
_AGGS = (f"{_OPRA}/minute_aggs_v1/", f"{_OPRA}/day_aggs_v1/")

PLANS: Final = {
    "SIMULATORADVANCED": Plan(
        "advanced",
        "advanced-secret-of-the-simulator",
        (f"{_OPRA}/", "us_stocks_sip/"),
        10 * HISTORY,
    ),
    "SIMULATORDEVELOPER": Plan(
        "developer",
        "developer-secret-of-the-simulator",
        (*_AGGS, f"{_OPRA}/trades_v1/"),
        timedelta(days=4 * 365),
    ),
    "SIMULATORSTARTER": Plan(
        "starter", "starter-secret-of-the-simulator", _AGGS, timedelta(days=2 * 365)
    ),
    "SIMULATORBASIC": Plan("basic", "basic-secret-of-the-simulator", (), timedelta(0)),
}
"""By access key, as the vendor's price list has them."""

DEMO_KEY: Final = "SIMULATORADVANCED"


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of the bucket.

    Attributes:
        key: Its name.
        day: Its session.
        edition: 1, or 2 once it is replaced.
        modified: When it appeared, UTC.
        size: Bytes.
        etag: With its quotation marks.
        wrong: What is wrong with it on demand.
    """

    key: str
    day: date
    edition: int
    modified: datetime
    size: int
    etag: str
    wrong: Fault | None = field(default=None, compare=False)


class Bucket:
    """The objects, as they are at the market's time.

    Args:
        content: Makes the text.
        clock: Market time.
        seed: Of the world; another one gives other ETags.
        faults: Which files are wrong; those have another ETag.
    """

    def __init__(
        self, content: Content, clock: Callable[[], datetime], seed: int, faults: Faults
    ) -> None:
        self._content, self.clock, self._seed = content, clock, seed
        self._faults = faults
        self._days: OrderedDict[date, dict[str, str]] = OrderedDict()
        self._bodies: OrderedDict[Entry, bytes] = OrderedDict()
        self._lock = threading.Lock()
        own = content.days()
        self._own_days = own
        self._sizes = _SIZES if own is None else _RECORDED_SIZES

    def entry(self, key: str) -> Entry | None:
        """Return an object that is there now, or None."""
        prefix, _, name = key.rpartition("/")
        try:
            day = date.fromisoformat(name.removesuffix(".csv.gz"))
        except ValueError:
            return None
        base = prefix.removesuffix(f"/{day:%Y/%m}")
        if key != f"{base}/{day:%Y/%m/%Y-%m-%d}.csv.gz" or base not in self._content.prefixes():
            return None
        return self._at(base, day) if self._has(day) else None

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Yield the objects whose keys begin so, in the order of their keys."""
        for base in sorted(self._content.prefixes()):
            start = base[: len(prefix)] if len(base) > len(prefix) else base
            if not prefix.startswith(start):
                continue
            for day in self._listed():
                key = f"{base}/{day:%Y/%m/%Y-%m-%d}.csv.gz"
                if key.startswith(prefix) and (found := self._at(base, day)):
                    yield found

    def body(self, entry: Entry) -> bytes:
        """Return an object's bytes."""
        with self._lock:
            known = self._bodies.get(entry)
        if known is not None:
            return known
        base = entry.key.rsplit("/", 3)[0]
        text = self._files(self._told_of(entry))[base]
        if entry.wrong is not None:
            text = wrong_text(text, entry.wrong)
        elif entry.edition == 1 and self._is_replaced(entry.key) and text.count("\n") > 1:
            text = text[: text.rfind("\n", 0, -1) + 1]
        body = padded(text.encode(), entry.size)
        with self._lock:
            self._bodies[entry] = body
            while len(self._bodies) > _KEPT_BODIES:
                self._bodies.popitem(last=False)
        return body

    def _told_of(self, entry: Entry) -> date:
        """Return the session whose rows a file has: its own, or on demand the one before."""
        if entry.wrong is None or entry.wrong.fault is not FaultKind.STALE:
            return entry.day
        if self._own_days is None:
            return previous_session(entry.day).day
        return max((day for day in self._own_days if day < entry.day), default=entry.day)

    def _files(self, day: date) -> dict[str, str]:
        with self._lock:
            if day not in self._days:
                self._days[day] = self._content.day_files(day)
                while len(self._days) > _KEPT_DAYS:
                    self._days.popitem(last=False)
            self._days.move_to_end(day)
            return self._days[day]

    def _has(self, day: date) -> bool:
        if self._own_days is not None:
            return day in self._own_days
        return is_session(day) and day >= self._today() - HISTORY

    def _listed(self) -> list[date]:
        today = self._today()
        if self._own_days is not None:
            return sorted(self._own_days)
        return [each.day for each in sessions(today - HISTORY, today)]

    def _today(self) -> date:
        return self.clock().astimezone(NEW_YORK).date()

    def _at(self, base: str, day: date) -> Entry | None:
        key = f"{base}/{day:%Y/%m/%Y-%m-%d}.csv.gz"
        published = published_at(day)
        now = self.clock()
        if now < published:
            return None
        replaced = self._is_replaced(key) and now >= published + REPLACED_AFTER
        edition = 2 if replaced else 1
        wrong = wrong_now(self._faults, key)
        spelled = f"{edition}" if wrong is None else f"{edition}:{wrong.fault}:{wrong.by}"
        draw = self._draw(key, spelled)
        size = self._sizes[base.rpartition("/")[2]] + draw[0] * 16
        modified = published + (REPLACED_AFTER if replaced else timedelta(0))
        return Entry(key, day, edition, modified, size, f'"{draw.hex()[:32]}"', wrong)

    def _is_replaced(self, key: str) -> bool:
        return self._draw(key, "0")[1] % REPLACED_ONE_IN == 0

    def _draw(self, key: str, edition: str) -> bytes:
        return hashlib.sha256(f"{self._seed}:{key}:{edition}".encode()).digest()


def published_at(day: date) -> datetime:
    """Return when a session's files appear, UTC."""
    return datetime.combine(day + timedelta(days=1), PUBLISHED_AT, NEW_YORK).astimezone(UTC)


def padded(text: bytes, size: int) -> bytes:
    """Return gzip of exactly this size, filled up with empty stored blocks where it is smaller.

    Raises:
        ValueError: The text does not fit.
    """
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH)
    end = packer.flush() + struct.pack("<II", zlib.crc32(text), len(text) & 0xFFFFFFFF)
    room = size - 10 - len(body) - len(end)
    if room < 0:
        raise ValueError(f"{len(body)} compressed bytes do not fit into {size}")
    blocks, rest = divmod(room, 5)
    name = b"x" * (rest - 1) + b"\0" if rest else b""
    head = b"\x1f\x8b\x08" + bytes([8 if rest else 0]) + b"\0\0\0\0\0\xff" + name
    return head + body + b"\0\0\0\xff\xff" * blocks + end
