"""The streamer: WebSocket connections over one tape, one batch about every second.

What is said stands in `simulator.stream_session`; here are sockets, time, and the armed faults:

- `schwab.streamer.connect`: status (the handshake is refused), latency
- `schwab.streamer.login`: status (the sign-in is denied)
- `schwab.streamer.data`: duplicate, gap, reorder and latency of frames
- `schwab.streamer.activity`: the same of account events (latency of their frames), and
  duplicate_fill, missing_fill
- `schwab.streamer`: silent, reset, half_frame, clock_skew of a connection
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import anyio
import anyio.to_thread
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from models.schwab_fields import Code, Service
from simulator import stream_facts as facts
from simulator.faults import FaultKind
from simulator.stream_faults import FrameFaults
from simulator.stream_link import Link
from simulator.stream_session import StreamSession
from simulator.transports import transport_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from simulator.faults import Faults
    from simulator.order_records import AccountEvent
    from simulator.stream_session import ActivityEvent
    from simulator.stream_tape import Moment, Tape
    from simulator.users import User
    from utils.clock import Clock

PATH = "/ws"

_log = logging.getLogger(__name__)


class ActivityFeed(Protocol):
    """Account events of one user, since the feed was opened."""

    def taken(self) -> Sequence[AccountEvent]:
        """Return what happened since the last call, in its order."""
        ...

    def told(self, events: Sequence[AccountEvent]) -> list[ActivityEvent]:
        """Return the messages of some events; asks the world, so one thread at a time."""
        ...

    def close(self) -> None:
        """Take no more."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the streamer asks of the rest of the simulator.

    Attributes:
        clock: Market time: of the data and of every time told.
        listened: Called when somebody has asked for data of the market.
        monotonic: Wall time in seconds from any origin.
        user_of: Returns whose an access token is; None for no living one.
        activity_of: Opens the feed of a user's account events.
        one_at_a_time: Admits one thread to the world.
    """

    clock: Clock
    listened: Callable[[], None]
    monotonic: Callable[[], float]
    user_of: Callable[[str], User | None]
    activity_of: Callable[[User], ActivityFeed]
    one_at_a_time: anyio.CapacityLimiter


class Streamer:
    """All connections of the streamer.

    Args:
        tape: What there is to tell.
        around: Time, users and their accounts.
        faults: What shall go wrong.
    """

    def __init__(self, tape: Tape, around: Surroundings, faults: Faults) -> None:
        self._tape = tape
        self._around = around
        self._faults = faults
        self._links: dict[Link, ActivityFeed | None] = {}
        self._fresh: set[Link] = set()
        self._woken = asyncio.Event()

    def routes(self) -> list[WebSocketRoute]:
        """Return the route, absolute."""
        return [WebSocketRoute(PATH, self.serve)]

    def wake(self) -> None:
        """Deliver to everybody now: the market has moved."""
        self._fresh |= set(self._links)
        self._woken.set()

    async def run(self) -> None:
        """Deliver batches for ever."""
        due_s = self._around.monotonic() + facts.BATCH_S
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), max(due_s - self._around.monotonic(), 0))
            self._woken.clear()
            whom, self._fresh = self._fresh, set()
            if self._around.monotonic() >= due_s:
                due_s = max(due_s + facts.BATCH_S, self._around.monotonic())
                whom = set(self._links)
            try:
                await self._deliver(whom)
            except Exception:  # noqa: BLE001 - the outermost edge of a batch
                # As one HTTP request that fails: the streamer outlives it, and somebody is told.
                _log.exception("the streamer lost a batch")

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one connection to its end."""
        if await self._refused(websocket):
            return
        await websocket.accept()
        session = StreamSession(self._signing_in, self._around.monotonic())
        troubles = FrameFaults(self._faults)
        link = Link(session, websocket, transport_of(websocket.scope), troubles)
        self._links[link] = None
        writing = asyncio.create_task(link.write())
        try:
            await self._read(link, websocket)
        finally:
            feed = self._links.pop(link, None)
            if feed is not None:
                feed.close()
            self._fresh.discard(link)
            if not session.closing:
                writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _read(self, link: Link, websocket: WebSocket) -> None:
        session = link.session
        while not session.closing:
            try:
                message = await websocket.receive()
            except (WebSocketDisconnect, RuntimeError):
                return
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text") or message.get("bytes") or b""
            link.post(session.answer(text, self._around.monotonic(), self._now_ms()))
            self._settle(link)

    def _settle(self, link: Link) -> None:
        """Do what follows from what a client has asked."""
        session = link.session
        if session.user is None:
            return
        for other in self._links:
            known = other.session.user
            if other is not link and known and known.login == session.user.login:
                self._evict(other)
        wants = session.wants()
        feed = self._links.get(link)
        if Service.ACCT_ACTIVITY in wants and feed is None:
            self._links[link] = self._around.activity_of(session.user)
        elif Service.ACCT_ACTIVITY not in wants and feed is not None:
            feed.close()
            self._links[link] = None
        if wants.keys() - {Service.ACCT_ACTIVITY}:
            self._around.listened()
        self._fresh.add(link)
        self._woken.set()

    def _evict(self, link: Link) -> None:
        if not link.session.closing:
            notice = link.session.stop(
                Code.CLOSE_CONNECTION, facts.EVICTED, self._now_ms(), facts.EVICTED_SERVICE
            )
            link.post(notice)

    async def _deliver(self, whom: set[Link]) -> None:
        wants: dict[Service, set[str]] = {}
        for link in self._links:
            for service, keys in link.session.wants().items():
                wants.setdefault(service, set()).update(keys)
        taken = {link: feed.taken() for link, feed in self._links.items() if feed and link in whom}
        feeds = dict(self._links)
        now, wall_s = self._clock_s()

        def happened() -> dict[Link, list[ActivityEvent]]:
            return {
                link: feed.told(events) for link, events in taken.items() if (feed := feeds[link])
            }

        alone = self._around.one_at_a_time
        events = await anyio.to_thread.run_sync(happened, limiter=alone)
        moment: Moment | None = None
        try:
            moment = await anyio.to_thread.run_sync(
                lambda: self._tape.moment(wants, now, wall_s), limiter=alone
            )
        finally:  # what happened to orders is told once: no failure of the market takes it along
            for link in whom & set(self._links):
                if not link.session.closing:
                    self._tell(link, moment, events.get(link, []), int(now.timestamp() * 1000))

    def _tell(
        self, link: Link, moment: Moment | None, events: Sequence[ActivityEvent], at_ms: int
    ) -> None:
        session = link.session
        link.meet(self._faults)
        told_ms = at_ms + link.skew_ms
        if moment is not None:
            link.post(session.batch(moment, told_ms))
        link.post(session.activity(link.troubles.events(events), told_ms))
        link.post(session.pulse(self._around.monotonic(), told_ms))
        if link.overflown:
            link.drop(session.stop(Code.STOP_STREAMING, facts.SLOW, told_ms))

    def _clock_s(self) -> tuple[datetime, float]:
        return self._around.clock(), self._around.monotonic()

    async def _refused(self, websocket: WebSocket) -> bool:
        if slow := self._faults.take("schwab.streamer.connect", {FaultKind.LATENCY}):
            await asyncio.sleep(slow.delay_s or 0.0)
        fault = self._faults.take("schwab.streamer.connect", {FaultKind.STATUS})
        if fault is None:
            return False
        await websocket.receive()
        await websocket.send(
            {"type": "websocket.http.response.start", "status": fault.status, "headers": []}
        )
        await websocket.send({"type": "websocket.http.response.body", "body": b""})
        return True

    def _signing_in(self, token: str) -> User | None:
        if self._faults.take("schwab.streamer.login", {FaultKind.STATUS}):
            return None
        return self._around.user_of(token)

    def _now_ms(self) -> int:
        return int(self._around.clock().timestamp() * 1000)
