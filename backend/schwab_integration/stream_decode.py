"""Frames of Schwab's streamer: bytes to typed updates, merged onto the last state.

Pure: no socket, no clock. Most frames are good, so their way is short: msgspec decodes them straight
into dictionaries of typed fields, and `dict.update` merges those. What does not fit takes the slow
way of `stream_repair`, where the fields that do fit are kept and the others counted.

Duplicates change nothing. Of a frame that another one overtook (the server stamps each) only those
fields count that no newer frame has told.
"""

from __future__ import annotations

from collections import deque
from typing import Any, TypeAlias

import msgspec

from models.events import Bar, Book, Heartbeat, Screen
from models.schwab_fields import LEVEL_ONE, Service
from schwab_integration.stream_repair import Misfits, audit, repaired, surplus, tally
from schwab_integration.stream_state import LATEST_MS, NS_PER_MS, QuoteState
from schwab_integration.stream_whole import WholeReader
from schwab_integration.stream_wire import (
    SERVICES,
    TYPED_FRAME,
    Activity,
    Batch,
    Frame,
    Notice,
    Response,
)

LATE_FRAMES = 32
"""Batches of a service that are remembered, to place one that comes late. Their bytes are: decoded
ones would take memory from the quick way for the sake of the rare one."""

LATE_MS = 60_000
"""A batch that is older than the newest by more is not late: the server's clock was set."""

MOST_STATES = 20_000
"""Instruments of a service that are kept: nobody subscribes more, whatever a server sends."""

_Remembered: TypeAlias = tuple[int, int, bytes]
"""Timestamp of a batch, its place in its frame, the frame."""

_DECODER = msgspec.json.Decoder(TYPED_FRAME)


class Updates(msgspec.Struct):
    """What one frame told, each kind in the order of the frame.

    Attributes:
        quotes: States that changed, merged already; one may stand here twice.
        bars: New ones, and newer versions of known ones.
        books: Whole books.
        screens: Whole lists.
        activity: Messages of the account.
        responses: Answers to requests.
        notices: What the server says unasked.
        heartbeat: The last one of the frame.
    """

    quotes: list[QuoteState] = []
    bars: list[Bar] = []
    books: list[Book] = []
    screens: list[Screen] = []
    activity: list[Activity] = []
    responses: list[Response] = []
    notices: list[Notice] = []
    heartbeat: Heartbeat | None = None


class _Level:
    """States and newest batches of one level-one service."""

    __slots__ = ("newest", "recent", "states")

    def __init__(self) -> None:
        self.states: dict[str, QuoteState] = {}
        self.recent: deque[_Remembered] = deque(maxlen=LATE_FRAMES)
        self.newest = 0


class StreamDecoder:
    """Turns frames into updates and keeps the last state of every instrument.

    Attributes:
        misfits: Counts what was unknown or wrong.
        updates: Level-one items merged so far.
    """

    def __init__(self) -> None:
        self.misfits = Misfits()
        self.updates = 0
        self._levels = {service: _Level() for service in LEVEL_ONE}
        self._whole = WholeReader(self.misfits)

    def begin(self) -> None:
        """Begin a new connection: its clock and sequence numbers owe nothing to the last one's.

        States stay until the new connection's first, whole messages replace them.
        """
        for level in self._levels.values():
            level.recent.clear()
            level.newest = 0
        self._whole.begin()

    def state(self, service: Service, key: str) -> QuoteState | None:
        """Return the state of an instrument, or None before its first message."""
        level = self._levels.get(service)
        return level.states.get(key) if level else None

    def states(self, service: Service) -> dict[str, QuoteState]:
        """Return the states of a level-one service, by the streamer's keys."""
        return dict(self._levels[service].states)

    def forget(self, service: Service, keys: set[str]) -> None:
        """Drop the states of what nobody subscribes any longer."""
        level = self._levels.get(service)
        if level:
            for key in keys:
                level.states.pop(key, None)

    def decode(self, data: bytes) -> Updates:
        """Return what a frame told; a frame of no use gives empty updates and is counted."""
        try:
            frame: Frame = _DECODER.decode(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            frame = repaired(data, self.misfits)
        else:
            if frame.data and surplus(data, frame.data):
                audit(data, self.misfits)
        updates = Updates(responses=frame.response)
        for place, batch in enumerate(frame.data):
            service = SERVICES[type(batch)]
            level = self._levels.get(service)
            if level is None:
                self._read_whole(service, batch, updates)
            else:
                self._read_level(service, level, batch, (batch.timestamp, place, data), updates)
        for notice in frame.notify:
            _read_notice(notice, updates)
        return updates

    def _read_whole(self, service: Service, batch: Batch, updates: Updates) -> None:
        for each in self._whole.read(service, batch.content):
            if isinstance(each, Activity):
                each.time_ms = _since(batch)
            _KINDS[type(each)](updates).append(each)

    def _read_level(
        self,
        service: Service,
        level: _Level,
        batch: Batch,
        remembered: _Remembered,
        updates: Updates,
    ) -> None:
        newest, recent = level.newest, level.recent
        if batch.timestamp > newest:
            level.newest = batch.timestamp
        elif newest - batch.timestamp > LATE_MS:
            recent.clear()
            level.newest = batch.timestamp
        elif remembered in recent:
            return  # a duplicate
        elif batch.timestamp < newest:
            self._merge_late(service, level, batch, updates.quotes)
            _insert(recent, remembered)
            return
        recent.append(remembered)
        self._merge(service, level, batch, updates.quotes)

    def _merge(
        self, service: Service, level: _Level, batch: Batch, changed: list[QuoteState]
    ) -> None:
        states = level.states
        for item in batch.content:
            state = states.get(item["key"])
            if state is None:
                if len(states) >= MOST_STATES:
                    tally(self.misfits.items, service)
                    continue
                states[item["key"]] = state = QuoteState(service, item, _since(batch))
            elif "assetMainType" in item:  # the first message of a subscription is whole
                state.fields = dict(item)
            else:
                state.fields.update(item)
            changed.append(state)
        self.updates += len(batch.content)

    def _merge_late(
        self, service: Service, level: _Level, batch: Batch, changed: list[QuoteState]
    ) -> None:
        """Merge a batch that a newer one overtook, below what the newer ones told."""
        recent = level.recent
        if len(recent) == LATE_FRAMES and batch.timestamp < recent[0][0]:
            self.misfits.late += 1  # what came between is not known any more
            return
        later = [_again(each) for each in recent if each[0] > batch.timestamp]
        for item in batch.content:
            key = item["key"]
            over = [other for items in later for other in items if other["key"] == key]
            if any("assetMainType" in other for other in over):
                continue
            state = level.states.get(key)
            if state is None:
                level.states[key] = state = QuoteState(service, item, _since(batch))
            elif "assetMainType" in item:
                state.fields = dict(item)
                for other in over:
                    state.fields.update(other)
            else:
                told = {name for other in over for name in other}
                state.fields.update({n: v for n, v in item.items() if n not in told})
            changed.append(state)
        self.updates += len(batch.content)


def _again(remembered: _Remembered) -> list[dict[str, Any]]:
    """Return the items of a batch that was read before."""
    _, place, data = remembered
    try:
        frame: Frame = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        frame = repaired(data, Misfits())
    items: list[dict[str, Any]] = frame.data[place].content
    return items


def _insert(recent: deque[_Remembered], batch: _Remembered) -> None:
    """Put a late batch in its place; the oldest leaves where there is no room."""
    kept = sorted([*recent, batch], key=lambda each: each[0])[-LATE_FRAMES:]
    recent.clear()
    recent.extend(kept)


def _since(batch: Batch) -> int:
    return batch.timestamp if 0 <= batch.timestamp < LATEST_MS else 0


def _read_notice(notice: Notice, updates: Updates) -> None:
    if notice.heartbeat is None:
        updates.notices.append(notice)
        return
    try:
        time_ms = int(notice.heartbeat)
    except ValueError:
        time_ms = 0
    if 0 <= time_ms < LATEST_MS:
        updates.heartbeat = Heartbeat(time_ns=time_ms * NS_PER_MS)


_KINDS: dict[type[Any], Any] = {
    Bar: lambda updates: updates.bars,
    Book: lambda updates: updates.books,
    Screen: lambda updates: updates.screens,
    Activity: lambda updates: updates.activity,
}
