"""What a lost stream missed, by REST over real sockets: from where on, of what, each once."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr
from websockets.asyncio.server import serve as serve_websocket

from models.events import Bar, TradeTick
from polygon_integration.channels import EVERY, Channel, channels
from polygon_integration.config import PolygonSettings
from polygon_integration.options_stream import Gap, PolygonStream
from polygon_integration.stream_gaps import MOST_HEALED, heal_by_rest
from utils.sockets import SocketPatience

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import pytest
    from websockets.asyncio.server import ServerConnection

    from models.events import MarketEvent
    from polygon_integration.client import PolygonClient

    MakeClient = Callable[[str], PolygonClient]

CALL, PUT = "QQQ   251219C00500000", "QQQ   251219P00500000"
OPEN_MS = int(datetime(2025, 10, 20, 13, 30, tzinfo=UTC).timestamp() * 1000)
NS = 1_000_000
NOW_NS = (OPEN_MS + 300_000) * NS
QUICK = SocketPatience(first_wait_s=0.001, longest_wait_s=0.01, silence_s=20)


def rest(answer: Any) -> Callable[[Any], Any]:
    """A service that has a trade every 500 µs from the third second on, and a bar a minute."""

    def reply(came: Any) -> Any:
        if came.path.startswith("/v3/trades/"):
            first, end = int(came.query["timestamp.gte"]), int(came.query["timestamp.lt"])
            times = [(OPEN_MS + 3_000) * NS + n * 500_000 for n in range(6)]
            results = [
                {"sip_timestamp": ns, "price": 1.5, "size": 1, "exchange": 302, "conditions": [209]}
                for ns in times
                if first <= ns < end
            ]
        else:
            first, end = (int(part) for part in came.path.split("/")[-2:])
            bar = {"o": 1, "h": 2, "l": 1, "c": 2, "v": 7, "n": 3}
            starts = [OPEN_MS + 60_000 * n for n in range(5)]
            results = [bar | {"t": ms} for ms in starts if first <= ms <= end]
        body = json.dumps({"status": "OK", "results": results}).encode()
        return answer(200, body, {"content-type": "application/json"})

    return reply


def healed(client: PolygonClient, gap: Gap) -> list[MarketEvent]:
    return list(asyncio.run(heal_by_rest(client, now_ns=lambda: NOW_NS)(gap)))  # type: ignore[arg-type]


def test_trades_after_the_last_millisecond_and_the_bar_that_was_forming(
    serve: Any, answer: Any, make_client: MakeClient
) -> None:
    client = make_client(serve(rest(answer)).url)
    lost = (OPEN_MS + 3_001) * NS  # the trades of this millisecond came, or some of them
    found = healed(client, Gap(lost, tuple(channels(["T", "AM", "Q"], [CALL]))))
    trades = [event for event in found if isinstance(event, TradeTick)]
    assert [event.time_ns for event in trades] == [
        (OPEN_MS + 3_000) * NS + n * 500_000 for n in (4, 5)
    ]
    assert {(event.symbol, event.price, event.conditions) for event in trades} == {
        (CALL, 1.5, (209,))
    }
    bars = [event for event in found if isinstance(event, Bar)]
    assert [event.time_ns for event in bars] == [(OPEN_MS + 60_000 * n) * NS for n in range(5)], (
        "the minute that was forming comes again, whole"
    )
    assert {(event.interval_s, event.volume) for event in bars} == {(60, 7.0)}
    assert found == sorted(found, key=lambda event: event.time_ns)


def test_wildcards_and_what_is_too_much_are_left_to_flat_files(
    serve: Any, answer: Any, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(rest(answer))
    symbols = [f"QQQ   251219C{strike:08d}" for strike in range(1000, 1000 * MOST_HEALED, 1000)]
    wanted = (Channel("AM", EVERY), *channels(["AM"], [*symbols, CALL, PUT]))
    with caplog.at_level(logging.WARNING):
        healed(make_client(server.url), Gap(NOW_NS, wanted))
    assert len(server.received) == MOST_HEALED
    assert not any("*" in came.path for came in server.received)
    assert f"healed for {MOST_HEALED} channels only" in caplog.text


def test_a_stream_that_was_cut_tells_each_trade_once(
    serve: Any, answer: Any, make_client: MakeClient
) -> None:
    heal = heal_by_rest(make_client(serve(rest(answer)).url), now_ns=lambda: NOW_NS)
    first = {"ev": "T", "sym": "O:QQQ251219C00500000", "p": 1.5, "s": 1, "c": [209], "q": 7}

    async def script(socket: ServerConnection, number: int) -> None:
        for said in ("connected", "auth_success"):
            await socket.send(json.dumps([{"ev": "status", "status": said}]))
            await socket.recv()
        if number == 1:  # the first two trades of REST have this millisecond; then the line is cut
            await socket.send(json.dumps([first | {"t": OPEN_MS + 3_000}] * 2))
            await socket.close(1011)
            return
        await socket.send(json.dumps([first | {"t": OPEN_MS + 299_000, "q": 99}]))
        await socket.wait_closed()

    async def run() -> list[MarketEvent]:
        found: list[MarketEvent] = []
        async with polygon(script) as url, asyncio.timeout(20):
            settings = PolygonSettings(api_key=SecretStr("key"), stream_url=url)
            stream = PolygonStream(settings, patience=QUICK, heal=heal)
            async for event in stream.listen(channels(["T"], [CALL])):
                found.append(event)
                if len(found) == 7:
                    break
        return found

    found = asyncio.run(run())
    milliseconds = Counter(event.time_ns // NS - OPEN_MS for event in found)
    assert milliseconds == {3_000: 2, 3_001: 2, 3_002: 2, 299_000: 1}


@asynccontextmanager
async def polygon(script: Any) -> AsyncIterator[str]:
    count = 0

    async def each(socket: ServerConnection) -> None:
        nonlocal count
        count += 1
        await script(socket, count)

    async with serve_websocket(each, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}"
