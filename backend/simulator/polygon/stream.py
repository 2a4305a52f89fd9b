"""Polygon's WebSockets: one for each market, one connection a key, evictions and slow clients.

What goes wrong on demand stands in `stream_troubles`.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import msgspec
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from simulator.polygon import facts
from simulator.polygon.plans import KEYS, Data, Plan, Recency
from simulator.polygon.stream_events import StreamTape, Wanted
from simulator.polygon.stream_troubles import Troubles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from simulator.faults import Faults
    from simulator.world import World
    from utils.clock import Clock

MARKETS = ("options", "stocks", "indices")

_NEEDS = {"T": Data.TRADES, "Q": Data.QUOTES, "FMV": Data.QUOTES}


class _Asked(msgspec.Struct):
    """What a client sends."""

    action: str = ""
    params: str = ""


@dataclass(eq=False, slots=True)
class Connection:
    """One client's socket.

    Attributes:
        websocket: Accepted.
        tape: Its view of the market.
        troubles: What may go wrong with it.
        plan: Of its key, once it has said one.
        key: The same.
        channels: What it has subscribed to.
        since: Market time until which it has been told everything.
        waiting: Frames that it has not taken yet.
        closing: The code with which it ends once they are sent.
    """

    websocket: WebSocket
    tape: StreamTape
    troubles: Troubles
    plan: Plan | None = None
    key: str = ""
    channels: dict[Wanted, None] = field(default_factory=dict)
    since: datetime | None = None
    waiting: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    closing: int = 1000

    def say(self, *messages: dict[str, Any]) -> None:
        """Let one frame be sent."""
        self.waiting.put_nowait(msgspec.json.encode(messages))

    def status(self, status: str, message: str) -> None:
        """Let a status message be sent."""
        self.say({"ev": "status", "status": status, "message": message})

    def end(self, code: int) -> None:
        """End the connection once everything is sent."""
        self.closing = code
        self.waiting.put_nowait(None)


class PolygonStreams:
    """All WebSockets of Polygon over one world.

    Args:
        world: Whose market.
        clock: Market time.
        faults: What shall go wrong.
        one_at_a_time: Admits one thread to the world.
    """

    def __init__(
        self, world: World, clock: Clock, faults: Faults, one_at_a_time: anyio.CapacityLimiter
    ) -> None:
        self._world = world
        self._clock = clock
        self._faults = faults
        self._one_at_a_time = one_at_a_time
        self._holders: dict[tuple[str, str], Connection] = {}

    def routes(self) -> list[WebSocketRoute]:
        """Return the routes, absolute."""
        return [WebSocketRoute(f"/{market}", self.serve, name=market) for market in MARKETS]

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one connection to its end."""
        market = websocket.url.path.strip("/")
        troubles = Troubles(self._faults, websocket, market)
        if await troubles.refused():
            await websocket.close()
            return
        await websocket.accept()
        connection = Connection(websocket, StreamTape(self._world, market), troubles)
        tasks = [
            asyncio.create_task(self._write(connection)),
            asyncio.create_task(self._tell(connection)),
        ]
        try:
            await self._read(connection, market)
        finally:
            if self._holders.get((connection.key, market)) is connection:
                del self._holders[connection.key, market]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, connection: Connection, market: str) -> None:
        connection.status("connected", "Connected Successfully")
        loop = asyncio.get_running_loop()
        late = loop.call_later(facts.AUTH_TIMEOUT_S, self._too_late, connection)
        try:
            while True:
                text = await connection.websocket.receive_text()
                self._act(connection, market, text)
        except (WebSocketDisconnect, RuntimeError, KeyError):
            return
        finally:
            late.cancel()

    @staticmethod
    def _too_late(connection: Connection) -> None:
        if connection.plan is None:
            connection.status("auth_timeout", facts.AUTH_TIMEOUT_WORDS)
            connection.end(facts.REFUSED_CODE)

    def _act(self, connection: Connection, market: str, text: str) -> None:
        try:
            asked = msgspec.json.decode(text, type=_Asked)
        except msgspec.MsgspecError:
            connection.status("error", facts.UNREADABLE_WORDS)
            return
        if asked.action == "auth":
            self._sign_in(connection, market, asked.params)
        elif connection.plan is None:
            connection.status("error", facts.NOT_AUTHENTICATED_WORDS)
        elif asked.action == "subscribe":
            self._subscribe(connection, connection.plan, asked.params.split(","))
        elif asked.action == "unsubscribe":
            for text_of_one in asked.params.split(","):
                connection.channels.pop(Wanted.of(text_of_one.strip()), None)
                connection.status("success", f"unsubscribed to: {text_of_one.strip()}")
        else:
            connection.status("error", f"{facts.UNKNOWN_ACTION_WORDS}: {asked.action}")

    def _sign_in(self, connection: Connection, market: str, key: str) -> None:
        plan = KEYS.get(key)
        if plan is None or connection.troubles.no_key_fits():
            connection.status("auth_failed", "authentication failed")
            connection.end(facts.REFUSED_CODE)
            return
        connection.plan, connection.key = plan, key
        connection.status("auth_success", "authenticated")
        holder = self._holders.get((key, market))
        if holder is not None:
            holder.status("max_connections", facts.EVICTED_WORDS)
            holder.end(facts.REFUSED_CODE)
        self._holders[key, market] = connection

    def _subscribe(self, connection: Connection, plan: Plan, texts: Sequence[str]) -> None:
        for text in texts:
            wanted = Wanted.of(text.strip())
            if wanted in connection.channels:
                continue  # what is held already is not answered again
            if not _allowed(plan, wanted):
                connection.status("error", f"{facts.NOT_AUTHORIZED_WORDS}: {text.strip()}")
            elif not connection.tape.knows(wanted) or _full(connection, wanted):
                connection.status("error", f"{facts.NOT_SUBSCRIBED_WORDS}: {text.strip()}")
            else:
                connection.channels[wanted] = None
                connection.status("success", f"subscribed to: {text.strip()}")

    async def _tell(self, connection: Connection) -> None:
        """Tell what happens, a few times a second."""
        while True:
            await asyncio.sleep(facts.BATCH_S)
            plan = connection.plan
            if plan is None:
                continue
            until = plan.knows(self._clock())
            since, connection.since = connection.since or until, until
            if connection.troubles.meet() or not connection.channels:
                continue
            events = await anyio.to_thread.run_sync(
                connection.tape.events,
                tuple(connection.channels),
                since,
                until,
                limiter=self._one_at_a_time,
            )
            frames = _frames(connection.troubles.events(events))
            for frame in connection.troubles.frames(frames):
                connection.waiting.put_nowait(frame)
            if connection.waiting.qsize() > facts.SLOW_AFTER_FRAMES:
                connection.status("slow_consumer", facts.SLOW_WORDS)
                connection.end(facts.REFUSED_CODE)
                return

    @staticmethod
    async def _write(connection: Connection) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while (frame := await connection.waiting.get()) is not None:
                if await connection.troubles.cut(frame):
                    return
                await connection.websocket.send_text(frame.decode())
            await connection.websocket.close(connection.closing)


def _allowed(plan: Plan, wanted: Wanted) -> bool:
    if Data.STREAM not in plan.data:
        return False
    if wanted.kind in {"Q", "FMV"} and plan.recency is not Recency.REAL_TIME:
        return False
    return _NEEDS.get(wanted.kind, Data.STREAM) in plan.data


def _full(connection: Connection, wanted: Wanted) -> bool:
    if wanted.kind not in {"Q", "FMV"}:
        return False
    held = sum(channel.kind == wanted.kind for channel in connection.channels)
    return held >= facts.SYMBOLS_A_SOCKET


def _frames(events: Sequence[dict[str, Any]]) -> list[bytes]:
    """Return events as JSON arrays, none of them too large for the vendor's own client."""
    whole = msgspec.json.encode(events)
    if len(whole) <= facts.MOST_FRAME_BYTES or len(events) < 2:
        return [whole] if events else []
    middle = len(events) // 2
    return [*_frames(events[:middle]), *_frames(events[middle:])]
