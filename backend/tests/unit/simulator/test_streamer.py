"""The streamer in one process, without sockets: what it tells though something fails."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import anyio

from models.schwab_fields import Service
from simulator.faults import Faults
from simulator.stream_faults import FrameFaults
from simulator.stream_session import ActivityEvent, StreamSession
from simulator.streamer import Streamer, Surroundings
from simulator.users import DEMO

NOW = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)


class Wire:
    """A connection that keeps what is posted."""

    def __init__(self) -> None:
        self.session = StreamSession(lambda _token: DEMO, 0.0)
        self.troubles = FrameFaults(Faults(0))
        self.skew_ms = 0
        self.overflown = False
        self.frames: list[str] = []
        self.told = asyncio.Event()
        for request in (
            {"service": "ADMIN", "command": "LOGIN", "parameters": {"Authorization": "t"}},
            {
                "service": "ACCT_ACTIVITY",
                "command": "SUBS",
                "parameters": {"keys": "k", "fields": "0,1,2,3"},
            },
        ):
            self.session.answer(json.dumps({"requestid": 1, **request}), 0.0, 0)

    def post(self, frames: Sequence[str]) -> None:
        self.frames += frames
        if any("OrderAccepted" in frame for frame in frames):
            self.told.set()

    def meet(self, _faults: Faults) -> None:
        """Nothing goes wrong."""


class Feed:
    """One event, told once."""

    def __init__(self) -> None:
        self.waiting: list[Any] = ["something"]

    def taken(self) -> list[Any]:
        taken, self.waiting = self.waiting, []
        return taken

    def told(self, events: Sequence[Any]) -> list[ActivityEvent]:
        return [ActivityEvent("12345678", "OrderAccepted", "{}") for _ in events]

    def close(self) -> None:
        """Nothing is open."""


class BrokenTape:
    """A market that cannot be read."""

    def moment(self, *_: Any) -> Any:
        raise ZeroDivisionError


def test_a_market_that_fails_takes_no_news_of_orders_along() -> None:
    async def run() -> list[str]:
        wire, feed = Wire(), Feed()
        assert Service.ACCT_ACTIVITY in wire.session.wants()
        around = Surroundings(
            clock=lambda: NOW,
            listened=lambda: None,
            monotonic=lambda: 0.0,
            user_of=lambda _token: DEMO,
            activity_of=lambda _user: feed,
            one_at_a_time=anyio.CapacityLimiter(1),
        )
        tape: Any = BrokenTape()
        streamer = Streamer(tape, around, Faults(0))
        link: Any = wire
        streamer._links[link] = feed
        streamer.wake()
        running = asyncio.create_task(streamer.run())
        async with asyncio.timeout(20):
            await wire.told.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return wire.frames

    frames = asyncio.run(run())
    assert sum(frame.count("OrderAccepted") for frame in frames) == 1
