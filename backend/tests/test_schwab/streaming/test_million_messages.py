"""A long stream with duplicates, gaps, reordering and a reconnect every 30 s of market time.

The simulator's own session decides what is sent (first whole, then changes alone); between it and
the wire stands a saboteur. Over a real socket, a million messages when PROVE is set. At the end our
state must be the simulator's, field by field, and every fill and bar must have come exactly once or
in its newest version. Gaps hit quotes alone: a lost order event can only be found by asking Schwab. With
gaps the end is a reconnect, since changes alone cannot tell that one is missing; without, it is not.
"""

import asyncio
import itertools
import json
import logging
import os
import random
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from models.events import Bar, OrderUpdate
from models.order_terms import OrderStatus
from models.schwab_fields import FIELDS, Kind, Service
from schwab_integration.stream_connection import StreamConnection
from schwab_integration.stream_hub import Hub
from schwab_integration.stream_requests import Subscription
from schwab_integration.trader_replies import StreamerTerms
from simulator.stream_session import ActivityEvent, StreamSession
from simulator.stream_tape import Moment
from simulator.stream_wire import Item
from utils.sockets import SocketPatience

MESSAGES = 1_000_000 if os.environ.get("PROVE") else 6_000
RECONNECT_S = 30
T = 1_795_201_200_000
EQUITIES = ("QQQ", "$SPX", "BRK/B")
OPTIONS = tuple(f"QQQ   261218{right}{strike:08d}" for right in "CP" for strike in (500000, 505000))


class Market:
    """The truth: values of every key, bars, and orders; it walks on by seconds of market time."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.second = 0
        self.items = {
            (service, key): Item(key, self._values(service, {}), {"assetMainType": "X"})
            for service, keys in (
                (Service.LEVELONE_EQUITIES, EQUITIES),
                (Service.LEVELONE_OPTIONS, OPTIONS),
            )
            for key in keys
        }
        self.bars: list[dict[int, Any]] = []
        self.fills: dict[str, Decimal] = {}
        self._order = itertools.count(1_000_000_000_001)

    @property
    def at_ms(self) -> int:
        return T + 1000 * self.second

    def step(self) -> list[ActivityEvent]:
        self.second += 1
        for slot, item in self.items.items():
            if self.rng.random() < 0.7:
                values = self._values(slot[0], dict(item.values))
                self.items[slot] = Item(item.key, values, item.head)
        if self.second % 60 == 0:
            price = self.rng.randrange(1000) / 10
            bar = {1: self.second // 60, 2: price, 3: price, 4: price, 5: price, 6: 1.0}
            self.bars.append(bar | {7: T + 1000 * (self.second - 60), 8: 1})
        return self._order_events() if self.rng.random() < 0.2 else []

    def moment(self) -> Moment:
        return Moment(items=dict(self.items), bars={"QQQ": self.bars[-3:]})

    def _values(self, service: Service, values: dict[int, Any]) -> dict[int, Any]:
        """Change a few fields, or make all of them."""
        for field in FIELDS[service][1:]:
            if not values or field.number not in values or self.rng.random() < 0.1:
                values[field.number] = self._value(field.kind)
        return values

    def _value(self, kind: Kind) -> Any:
        number = self.rng.randrange(1, 100_000)
        return {
            Kind.TEXT: f"text {number}",
            Kind.FLOAT: number / 100,
            Kind.INT: number,
            Kind.BOOL: number % 2 == 0,
            Kind.TIME_MS: self.at_ms + number,
        }[kind]

    def _order_events(self) -> list[ActivityEvent]:
        order = str(next(self._order))
        self.fills[f"execution-{order}"] = Decimal(self.rng.randrange(100, 1000)) / 100
        made = {"Order": {"OrderLegs": [{"LegID": order, "Quantity": {"lo": "1"}}]}}
        filled = {
            "LegId": order,
            "LegStatus": "LegClosed",
            "QuantityInfo": {"LeavesQuantity": {"signScale": 12}},
            "ExecutionInfo": {
                "ExecutionId": f"execution-{order}",
                "ExecutionTransType": "Fill",
                "ExecutionQuantity": {"lo": "1000000", "signScale": 12},
                "ExecutionPrice": {
                    "lo": str(int(self.fills[f"execution-{order}"] * 10**6)),
                    "signScale": 12,
                },
            },
            "OrderInfoForTransactionPosting": {"Symbol": OPTIONS[0], "BuySellCode": "Buy"},
        }
        bodies = {"OrderCreated": made, "OrderAccepted": {}, "OrderFillCompleted": filled}
        return [
            ActivityEvent("12345678", kind, _envelope(order, kind, body))
            for kind, body in bodies.items()
        ]


def _envelope(order: str, kind: str, body: dict[str, Any]) -> str:
    base = {"EventType": kind, f"{kind}Event": {"EventType": kind, **body}}
    return json.dumps({"SchwabOrderID": order, "AccountNumber": "12345678", "BaseEvent": base})


class Saboteur:
    """Duplicates, drops and reorders what is sent."""

    def __init__(self, rng: random.Random, *, gaps: bool) -> None:
        self.rng = rng
        self.gaps = gaps
        self.held: list[str] = []
        self.sent: list[str] = []
        self.did: Counter[str] = Counter()

    def pass_on(self, frames: list[str]) -> list[str]:
        for frame in frames:
            if self.gaps and "LEVELONE" in frame and self.rng.random() < 0.03:
                self.did["gap"] += 1
                continue
            self.held.append(frame)
            if self.rng.random() < 0.05:
                self.did["duplicate"] += 1
                self.held.append(self.rng.choice([frame, *self.sent[-12:]]))
        # Held at most so long that every frame can still be placed (stream_decode.LATE_FRAMES).
        return [] if self.rng.random() < 0.3 and len(self.held) < 16 else self.flush()

    def flush(self) -> list[str]:
        frames, self.held = self.held, []
        if len(frames) > 1:
            self.did["reorder"] += 1
            self.rng.shuffle(frames)
        self.sent = [*self.sent, *frames][-12:]
        return frames


class Server:
    """Serves the market, and closes every connection after 30 s of market time."""

    def __init__(self, market: Market, messages: int, *, gaps: bool) -> None:
        self.market = market
        self.left = messages
        self.saboteur = Saboteur(market.rng, gaps=gaps)
        self.done = False
        self.connections = 0

    async def serve(self, connection: ServerConnection) -> None:
        self.connections += 1
        self.done = False
        session = StreamSession(lambda token: object() if token else None, 0.0)  # type: ignore[return-value]
        self.saboteur.held, self.saboteur.sent = [], []
        try:
            for _ in range(5):  # LOGIN, and SUBS of four services
                for frame in session.answer(await connection.recv(), 0.0, self.market.at_ms):
                    await connection.send(frame)
            await self._second(connection, session, [])
            last = self.left <= 0
            for _ in range(RECONNECT_S):
                if self.left > 0:
                    await self._second(connection, session, self.market.step())
            await self._send(connection, self.saboteur.flush())
            if not last and (self.left > 0 or self.saboteur.gaps):
                await connection.close()  # after gaps only a new connection tells the whole state
            self.done = True
            await connection.wait_closed()
        except ConnectionClosed:
            return

    async def _second(
        self, connection: ServerConnection, session: StreamSession, events: list[ActivityEvent]
    ) -> None:
        at_ms = self.market.at_ms
        frames = [*session.batch(self.market.moment(), at_ms), *session.activity(events, at_ms)]
        await self._send(connection, self.saboteur.pass_on(frames) if self.left > 0 else frames)

    async def _send(self, connection: ServerConnection, frames: list[str]) -> None:
        for frame in frames:
            await connection.send(frame)
        self.left -= len(frames)


class Heard:
    """What a listener booked."""

    def __init__(self) -> None:
        self.bars: dict[int, Bar] = {}
        self.fills: dict[str, Decimal] = {}
        self.status: dict[str, set[OrderStatus]] = {}
        self.repeated = 0

    def book(self, event: Any) -> None:
        if isinstance(event, Bar):
            self.bars[event.time_ns // 10**6] = event
        elif isinstance(event, OrderUpdate):
            self.status.setdefault(str(event.order_id), set()).add(event.status)
            for fill in event.fills:
                self.repeated += fill.execution_id in self.fills
                self.fills[fill.execution_id] = fill.price


def state(hub: Hub, slot: tuple[Service, str]) -> dict[int, Any]:
    known = hub.connection.decoder.state(*slot)
    fields = known.fields.items() if known else ()
    return {int(name): value for name, value in fields if name.isdigit()}


@pytest.mark.parametrize("gaps", [True, False], ids=["gaps", "no gaps"])
def test_it_ends_in_exactly_the_simulators_state(
    tokens: Any, caplog: pytest.LogCaptureFixture, gaps: bool
) -> None:
    market = Market(random.Random(5))
    server = Server(market, MESSAGES, gaps=gaps)
    heard = Heard()

    async def run() -> Hub:
        async with serve(server.serve, "127.0.0.1", 0, ping_interval=None) as listening:
            port = listening.sockets[0].getsockname()[1]
            terms = StreamerTerms(
                streamer_socket_url=f"ws://127.0.0.1:{port}",
                schwab_client_customer_id="C",
                schwab_client_correl_id="",
                schwab_client_channel="",
                schwab_client_function_id="",
            )
            patience = SocketPatience(first_wait_s=0.0, longest_wait_s=0.0)
            hub = Hub(lambda sink: StreamConnection(lambda: terms, tokens, sink, patience=patience))
            wanted = Subscription(
                symbols=("QQQ", "SPX", "BRK.B", *OPTIONS), bars=("QQQ",), activity=True
            )
            listener = hub.join(wanted)
            running = asyncio.create_task(hub.run())
            async with asyncio.timeout(3000):
                while not server.done or any(
                    state(hub, slot) != item.values for slot, item in market.items.items()
                ):
                    heard.book(await listener.hear())
            while len(listener.feed):
                heard.book(await listener.hear())
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            return hub

    with caplog.at_level(logging.ERROR, logger="utils.sockets"):
        hub = asyncio.run(run())
    for slot, item in market.items.items():
        assert state(hub, slot) == item.values
    assert heard.fills == market.fills
    assert heard.repeated == 0
    assert all(OrderStatus.FILLED in seen for seen in heard.status.values())
    assert {ms: bar.open for ms, bar in heard.bars.items()} == {
        bar[7]: bar[2] for bar in market.bars
    }
    assert hub.connection.sign_ins == server.connections > MESSAGES / 200
    did = server.saboteur.did
    assert min(did["duplicate"], did["reorder"]) > 20
    assert (did["gap"] > 20) is gaps
    assert hub.connection.decoder.misfits.total() == 0
