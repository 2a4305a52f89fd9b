"""The stream against a small server on a real socket: sign-in, refusals, losses, slow listeners."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket

from app.polygon_stream_command import fair_apart
from models.errors import AuthError, DataError, StreamError, SubscriptionRefused
from models.events import Bar, MarketEvent, Quote, TradeTick
from polygon_integration.channels import EVERY, Channel, channels
from polygon_integration.config import PolygonSettings
from polygon_integration.options_stream import Gap, PolygonStream
from polygon_integration.roster import roster
from polygon_integration.stream_decode import Status, StreamReader
from utils.feed import conflation_key
from utils.sockets import SocketPatience

EXAMPLES = Path(__file__).parents[1] / "data" / "polygon_examples"
KEY = "a-key-that-nobody-may-see"
CALL = "QQQ   251219C00500000"
TICKER = "O:QQQ251219C00500000"
QUICK = SocketPatience(first_wait_s=0.001, longest_wait_s=0.01, silence_s=20)

Script = Callable[[ServerConnection, int], Awaitable[None]]


async def say(socket: ServerConnection, *messages: dict[str, Any]) -> None:
    await socket.send(json.dumps(messages))


async def greet(socket: ServerConnection) -> None:
    """Do what the real one does: greeting, key, subscriptions until the first is there."""
    await say(socket, {"ev": "status", "status": "connected", "message": "Connected"})
    asked = json.loads(await socket.recv())
    assert asked == {"action": "auth", "params": KEY}
    await say(socket, {"ev": "status", "status": "auth_success", "message": "authenticated"})


@asynccontextmanager
async def polygon(script: Script) -> AsyncIterator[str]:
    count = 0

    async def each(socket: ServerConnection) -> None:
        nonlocal count
        count += 1
        await script(socket, count)

    async with serve_websocket(each, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}"


def stream(url: str, **more: Any) -> PolygonStream:
    settings = PolygonSettings(api_key=SecretStr(KEY), stream_url=url)
    return PolygonStream(settings, patience=QUICK, **more)


async def heard(source: PolygonStream, wanted: list[Channel], count: int) -> list[MarketEvent]:
    found: list[MarketEvent] = []
    async with asyncio.timeout(20):
        async for event in source.listen(wanted):
            found.append(event)
            if len(found) == count:
                break
    return found


def bar(minute: int, close: float = 1.0) -> dict[str, Any]:
    start = 1_761_000_000_000 // 60_000 * 60_000 + minute * 60_000
    prices = dict.fromkeys("ohlc", close)
    return {"ev": "AM", "sym": TICKER, "v": 3, "s": start, "e": start + 60_000, **prices}


def test_it_signs_in_subscribes_and_hears() -> None:
    asked: list[str] = []

    async def script(socket: ServerConnection, _: int) -> None:
        await greet(socket)
        asked.append(json.loads(await socket.recv())["params"])
        trade = {"ev": "T", "sym": TICKER, "x": 1, "p": 1.5, "s": 2, "c": [209], "t": 5, "q": 1}
        quote = {"ev": "Q", "sym": TICKER, "bp": 0, "bs": 0, "ap": 2.5, "as": 3, "t": 6, "q": 2}
        await say(socket, trade, quote, bar(0))
        await socket.wait_closed()

    async def run() -> list[MarketEvent]:
        async with polygon(script) as url:
            return await heard(stream(url), channels(["T", "Q", "AM"], [CALL]), 3)

    trade, quote, minute = asyncio.run(run())
    assert trade == TradeTick(
        symbol=CALL, time_ns=5_000_000, price=1.5, size=2.0, conditions=(209,)
    )
    assert quote == Quote(symbol=CALL, time_ns=6_000_000, ask=2.5, ask_size=3)
    assert isinstance(minute, Bar)
    assert minute.interval_s == 60
    assert asked == [f"T.{TICKER},Q.{TICKER},AM.{TICKER}"]


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ({"status": "auth_failed", "message": "authentication failed"}, AuthError, "API_KEY"),
        ({"status": "max_connections", "message": "Maximum ..."}, StreamError, "another program"),
    ],
)
def test_a_refused_sign_in_is_named_and_not_fought(
    answer: dict[str, str], kind: type[Exception], words: str
) -> None:
    connections: list[int] = []

    async def script(socket: ServerConnection, number: int) -> None:
        connections.append(number)
        await say(socket, {"ev": "status", "status": "connected", "message": "Connected"})
        await socket.recv()
        await say(socket, {"ev": "status", **answer})
        await socket.close(1008)

    async def run() -> None:
        async with polygon(script) as url:
            await heard(stream(url), channels(["AM"], [EVERY]), 1)

    with pytest.raises(kind, match=words) as caught:
        asyncio.run(run())
    assert KEY not in str(caught.value)
    assert connections == [1]


def test_what_the_plan_lacks_ends_the_stream_in_a_sentence() -> None:
    async def script(socket: ServerConnection, _: int) -> None:
        await greet(socket)
        await socket.recv()
        await say(socket, {"ev": "status", "status": "error", "message": "not authorized: Q.*"})
        await socket.wait_closed()

    async def run() -> None:
        async with polygon(script) as url:
            await heard(stream(url), channels(["Q"], [CALL]), 1)

    with pytest.raises(SubscriptionRefused, match="plan does not include"):
        asyncio.run(run())


def test_an_eviction_while_listening_is_named_and_not_fought() -> None:
    connections: list[int] = []

    async def script(socket: ServerConnection, number: int) -> None:
        connections.append(number)
        await greet(socket)
        await socket.recv()
        await say(socket, bar(0))
        await say(socket, {"ev": "status", "status": "max_connections", "message": "Maximum"})
        await socket.close(1008)

    async def run() -> None:
        async with polygon(script) as url:
            await heard(stream(url), channels(["AM"], [CALL]), 2)

    with pytest.raises(StreamError, match="another program"):
        asyncio.run(run())
    assert connections == [1]


def test_a_lost_connection_is_made_again_and_its_gap_healed() -> None:
    gaps: list[Gap] = []
    asked: list[str] = []

    async def script(socket: ServerConnection, number: int) -> None:
        await greet(socket)
        asked.append(json.loads(await socket.recv())["params"])
        await say(socket, bar(number * 10))
        if number == 3:
            await socket.wait_closed()
        else:
            socket.transport.abort()

    async def heal(gap: Gap) -> list[MarketEvent]:
        gaps.append(gap)
        return [TradeTick(symbol=CALL, time_ns=len(gaps), price=1.0, size=1.0)]

    async def run() -> tuple[list[MarketEvent], int]:
        async with polygon(script) as url:
            source = stream(url, heal=heal)
            return await heard(source, channels(["AM", "T"], [CALL]), 5), source.losses

    found, losses = asyncio.run(run())
    assert losses == 2
    assert sum(isinstance(event, Bar) for event in found) == 3
    assert sum(isinstance(event, TradeTick) for event in found) == 2
    assert asked == [f"AM.{TICKER},T.{TICKER}"] * 3
    assert all(one.start_ns < two.start_ns for one, two in pairwise(gaps))


def test_a_slow_listener_gets_every_bar_and_the_newest_quote() -> None:
    sent = asyncio.Event

    async def run() -> list[MarketEvent]:
        done = sent()

        async def script(socket: ServerConnection, _: int) -> None:
            await greet(socket)
            await socket.recv()
            for n in range(200):
                await say(socket, {"ev": "Q", "sym": TICKER, "bp": n + 1, "bs": 1, "t": n}, bar(n))
            await say(socket, {"ev": "T", "sym": TICKER, "p": 1, "s": 1, "t": 1})
            done.set()
            await socket.wait_closed()

        async with polygon(script) as url:
            source = stream(url)
            found: list[MarketEvent] = []
            async with asyncio.timeout(20):
                async for event in source.listen(channels(["Q", "AM", "T"], [CALL])):
                    await done.wait()
                    found.append(event)
                    if isinstance(event, TradeTick):
                        break
            return found

    found = asyncio.run(run())
    bars = [event for event in found if isinstance(event, Bar)]
    quotes = [event for event in found if isinstance(event, Quote)]
    assert len(bars) == 200
    assert len(quotes) < 10
    assert quotes[-1].bid == 200.0


def test_the_roster_moves_without_touching_what_stays() -> None:
    other = "QQQ   251219C00510000"

    async def run() -> list[Any]:
        asked: list[Any] = []
        moved = asyncio.Event()

        async def script(socket: ServerConnection, _: int) -> None:
            await greet(socket)
            asked.append(json.loads(await socket.recv()))
            await say(socket, bar(0))
            asked.append(json.loads(await socket.recv()))
            asked.append(json.loads(await socket.recv()))
            moved.set()
            await socket.wait_closed()

        async with polygon(script) as url:
            source = stream(url)
            async with asyncio.timeout(20):
                async for _ in source.listen(channels(["Q"], [CALL, "QQQ   251219C00490000"])):
                    await source.watch(channels(["Q"], [CALL, other]))
                    await moved.wait()
                    break
        return asked

    _, gone, new = asyncio.run(run())
    assert gone == {"action": "unsubscribe", "params": "Q.O:QQQ251219C00490000"}
    assert new == {"action": "subscribe", "params": "Q.O:QQQ251219C00510000"}


def test_quotes_have_no_wildcard_and_a_limit() -> None:
    with pytest.raises(DataError, match="not to be had"):
        channels(["Q"], [EVERY])
    many = [f"QQQ   251219C{strike:08d}" for strike in range(1000, 3000)]
    with pytest.raises(DataError, match="1000 at most"):
        channels(["Q"], many)
    assert len(channels(["AM"], many)) == 2000


def test_every_published_event_is_read() -> None:
    examples = json.loads((EXAMPLES / "websocket_openapi_examples.json").read_bytes())
    reader = StreamReader()
    unused = {"/stocks/LULD", "/stocks/NOI", "/launchpad/stocks/LV", "/launchpad/options/LV"}
    for channel, event in examples.items():
        found = reader.read(json.dumps([event]).encode())
        assert len(found) == (0 if channel in unused else 1), channel
    assert reader.unusable == {"LULD": 1, "NOI": 1, "LV": 2}


def test_one_bad_message_does_not_spoil_its_frame() -> None:
    reader = StreamReader()
    frame = json.dumps([bar(0), {"ev": "XX"}, {"ev": "T", "sym": 5}, {"a": 1}, 7, bar(1)])
    assert len(reader.read(frame.encode())) == 2
    assert reader.unusable == {"XX": 1, "T": 1, "no kind": 2}
    assert reader.read(b"{}") == []
    assert reader.read(json.dumps([bar(0) | {"sym": "O:QQQ99"}]).encode()) == []
    assert reader.unusable["symbol"] == 1


@given(st.binary(max_size=200), st.integers(0, 150))
def test_any_bytes_are_read_or_counted(spoilt: bytes, place: int) -> None:
    whole = json.dumps([bar(0), {"ev": "status", "status": "x", "message": "y"}]).encode()
    for event in StreamReader().read(whole[:place] + spoilt + whole[place:]):
        assert isinstance(event, Bar | Status | Quote | TradeTick)


def test_the_roster_takes_today_and_the_money_first_and_is_steady() -> None:
    today = date(2025, 10, 20)
    rows = [
        (f"QQQ   {day:%y%m%d}C{strike * 1000:08d}", day, float(strike))
        for day in (date(2025, 10, 17), today, date(2025, 10, 24), date(2025, 12, 19))
        for strike in range(400, 701)
    ]
    listed = pl.DataFrame(rows, schema=["occ_symbol", "expiration", "strike"], orient="row")
    first = roster(listed, 600.0, today, most=100)
    assert first[0] == "QQQ   251020C00600000"
    assert len(first) == len(set(first)) == 100
    assert not any(symbol.startswith("QQQ   251017") for symbol in first)
    assert sum(symbol.startswith("QQQ   251020") for symbol in first) >= 10
    nudged = roster(listed, 600.6, today, most=100, watched=first)
    assert len(set(first) - set(nudged)) <= 2
    assert set(roster(listed, 650.0, today, most=100, watched=first)) != set(first)


def test_fair_values_go_to_a_socket_of_their_own_and_replace_no_quote() -> None:
    wanted = channels(["Q", "FMV", "T"], [CALL])
    common, fair = fair_apart(wanted)
    assert [channel.kind for channel in common] == ["Q", "T"]
    assert [channel.text for channel in fair] == [f"FMV.{TICKER}"]
    frame = [
        {"ev": "Q", "sym": TICKER, "bp": 1, "bs": 1, "ap": 2, "as": 1, "t": 5},
        {"ev": "FMV", "sym": TICKER, "fmv": 1.5, "t": 5_000_000},
    ]
    quote, value = StreamReader().read(json.dumps(frame).encode())
    assert isinstance(value, Quote)
    assert value.is_fair_value
    assert value.mark == 1.5
    assert conflation_key(quote) != conflation_key(value)
