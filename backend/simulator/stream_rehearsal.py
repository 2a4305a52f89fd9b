"""A streamer without sockets, waiting or a world: as many frames as wanted, the same by seed.

The frames come from the session and the encoder of the real streamer, its faults from the same
`Faults`; prices are a seeded walk, since a million messages need no market. For tests of clients::

    rehearsal = StreamRehearsal(seed=1, equities=("AAPL",), options=(...,))
    frames = rehearsal.connect() + rehearsal.ask(request)
    frames += rehearsal.step()  # 1.02 s later, faults included
    rehearsal.state()  # what every subscribed key shows in truth
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from models.schwab_fields import Service
from simulator import stream_facts as facts
from simulator.faults import Fault, Faults
from simulator.stream_faults import DATA, FrameFaults
from simulator.stream_session import StreamSession
from simulator.stream_tape import Moment
from simulator.stream_wire import Item
from simulator.users import DEMO

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from simulator.faults import FaultKind

START_MS = 1_795_194_000_000
"""Market time of the beginning: 2026-11-20, 12:00 in New York."""

_LOGIN = '{"requestid":"0","service":"ADMIN","command":"LOGIN","parameters":{"Authorization":"rehearsal"}}'
_HEADS: Mapping[Service, Mapping[str, Any]] = {
    Service.LEVELONE_EQUITIES: {
        "delayed": False,
        "assetMainType": "EQUITY",
        "assetSubType": "COE",
        "cusip": "000000000",
    },
    Service.LEVELONE_OPTIONS: {"delayed": False, "assetMainType": "OPTION"},
}
_BID, _SIZE, _VOLUME, _TIME = "bid", "size", "volume", "time"
_PLACES: Mapping[Service, Mapping[str, tuple[int, ...]]] = {
    Service.LEVELONE_EQUITIES: {_BID: (1, 2, 3), _SIZE: (4, 5), _VOLUME: (8,), _TIME: (34,)},
    Service.LEVELONE_OPTIONS: {_BID: (2, 3, 4), _SIZE: (16, 17), _VOLUME: (8,), _TIME: (38,)},
}


class StreamRehearsal:
    """One client's stream, step by step.

    Args:
        seed: Of prices and faults.
        equities: Symbols of LEVELONE_EQUITIES that there are.
        options: Symbols of LEVELONE_OPTIONS that there are.
        rates: Probability that a frame of data comes twice (DUPLICATE), is lost (GAP) or comes
            after the next one (REORDER).
        busy: Share of the keys that change in a step.
    """

    def __init__(
        self,
        seed: int,
        equities: Sequence[str] = (),
        options: Sequence[str] = (),
        rates: Mapping[FaultKind, float] | None = None,
        *,
        busy: float = 0.5,
    ) -> None:
        self._walk = _Walk(
            seed, {Service.LEVELONE_EQUITIES: equities, Service.LEVELONE_OPTIONS: options}, busy
        )
        self._faults = Faults(seed)
        for kind, rate in (rates or {}).items():
            self._faults.arm(Fault(target=DATA, fault=kind, rate=rate))
        self._wall_s = 0.0
        self._session = StreamSession(lambda _token: DEMO, 0.0)
        self._troubles = FrameFaults(self._faults)

    @property
    def now_ms(self) -> int:
        """Market time, milliseconds since 1970."""
        return START_MS + round(self._wall_s * 1000)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return self._wall_s

    def connect(self) -> list[str]:
        """Begin a new connection, signed in; subscriptions and late frames of the last are gone."""
        self._session = StreamSession(lambda _token: DEMO, self._wall_s)
        self._troubles = FrameFaults(self._faults)
        return self._session.answer(_LOGIN, self._wall_s, self.now_ms)

    def ask(self, request: str) -> list[str]:
        """Return the responses to what a client sends, and the first items, which meet no fault."""
        frames = self._session.answer(request, self._wall_s, self.now_ms)
        return frames + self._session.batch(self._moment(), self.now_ms)

    def step(self) -> list[str]:
        """Let one batch's time pass and return what arrives, faults included."""
        self._wall_s += facts.BATCH_S
        self._walk.move(self.now_ms)
        frames = self._session.batch(self._moment(), self.now_ms)
        frames += self._session.pulse(self._wall_s, self.now_ms)
        return self._troubles.frames(frames)

    def state(self) -> dict[tuple[Service, str], dict[int, Any]]:
        """Return all fields of every subscribed key, as they are in truth."""
        return {slot: dict(item.values) for slot, item in self._moment().items.items()}

    def fired(self) -> dict[str, int]:
        """Return how often each fault happened."""
        return {report.fault.fault.value: report.fired for report in self._faults.reports()}

    def _moment(self) -> Moment:
        return self._walk.moment(self._session.wants())


class _Walk:
    """Prices, sizes and volumes that wander."""

    def __init__(self, seed: int, keys: Mapping[Service, Collection[str]], busy: float) -> None:
        self._draws = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self._busy = busy
        self._items: dict[tuple[Service, str], Item] = {}
        for service, symbols in keys.items():
            for symbol in symbols:
                values = self._first(service, symbol)
                self._items[service, symbol] = Item(symbol, values, _HEADS[service])

    def moment(self, wants: Mapping[Service, Collection[str]]) -> Moment:
        """Return what was asked for and exists."""
        slots = ((service, key) for service, keys in wants.items() for key in keys)
        return Moment({slot: self._items[slot] for slot in slots if slot in self._items})

    def move(self, at_ms: int) -> None:
        """Change some keys."""
        for slot, item in self._items.items():
            if self._draws.random() < self._busy:
                values = {**item.values, **dict(self._next(slot[0], item.values, at_ms))}
                self._items[slot] = Item(item.key, values, item.head)

    def _first(self, service: Service, symbol: str) -> dict[int, Any]:
        places = _PLACES[service]
        bid = self._draws.randrange(100, 100_000)
        values: dict[int, Any] = {
            number: (bid + step) / 100 for step, number in enumerate(places[_BID])
        }
        values |= dict.fromkeys(places[_SIZE], 1) | dict.fromkeys(places[_VOLUME], 0)
        values |= dict.fromkeys(places[_TIME], START_MS)
        values[1 if service is Service.LEVELONE_OPTIONS else 15] = f"Rehearsal of {symbol}"
        return values

    def _next(
        self, service: Service, values: Mapping[int, Any], at_ms: int
    ) -> Iterator[tuple[int, Any]]:
        """Yield the fields that change, some of them to what they were."""
        draws, places = self._draws, _PLACES[service]
        for number in places[_BID]:
            if draws.random() < 0.5:
                yield number, round(max(values[number] + draws.randrange(-5, 6) / 100, 0.01), 2)
        for number in places[_SIZE]:
            yield number, draws.randrange(1, 500)
        for number in places[_VOLUME]:
            yield number, values[number] + draws.randrange(0, 3)
        for number in places[_TIME]:
            yield number, at_ms
