"""Programs of one user share one connection a market: real processes, one scripted server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket

from models.errors import DataError
from models.events import Bar, Quote, TradeTick
from polygon_integration.channels import EVERY, Channel
from polygon_integration.stream_hub import PolygonHub, Wanted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

PROGRAM = Path(__file__).with_name("listening_program.py")


class Server:
    """Answers as the service does: a quote of each contract, at the number of the connection."""

    def __init__(self) -> None:
        self.connections: list[ServerConnection] = []
        self.asked: list[tuple[int, str, str]] = []
        self._news = asyncio.Event()

    async def serve(self, socket: ServerConnection) -> None:
        self.connections.append(socket)
        number = len(self.connections)
        await self.say({"ev": "status", "status": "connected", "message": ""}, at=number)
        async for text in socket:
            request = json.loads(text)
            self.asked.append((number, request["action"], request["params"]))
            self._news.set()
            if request["action"] == "auth":
                await self.say({"ev": "status", "status": "auth_success", "message": ""}, at=number)
            elif request["action"] == "subscribe":
                for ticker in request["params"].split(","):
                    await self.say(trade(ticker.split(".", 1)[1], float(number)), at=number)

    async def say(self, *messages: dict[str, Any], at: int = 0) -> None:
        await self.connections[at - 1].send(json.dumps(messages))

    async def until_asked(self, number: int, action: str, params: str = "") -> str:
        """Return the newest parameters of such a request, once there is one."""
        async with asyncio.timeout(30):
            while True:
                found = [each for each in self.asked if each[:2] == (number, action)]
                if found and params in {"", found[-1][2]}:
                    return found[-1][2]
                self._news.clear()
                await self._news.wait()


def trade(ticker: str, price: float) -> dict[str, Any]:
    return {"ev": "T", "sym": ticker, "p": price, "s": 1, "t": 1_761_000_000_000}


class Child:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        assert self.process.stdout
        async with asyncio.timeout(30):
            return (await self.process.stdout.readline()).decode().rstrip("\n")

    async def price(self, at_least: float) -> dict[str, Any]:
        while True:
            event: dict[str, Any] = json.loads(await self.line())
            if event["price"] >= at_least:
                return event

    async def want(self, *channels: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{' '.join(channels)}\n".encode())
        await self.process.stdin.drain()


@contextlib.asynccontextmanager
async def programs(folder: Path) -> AsyncIterator[tuple[Server, Any]]:
    server = Server()
    started: list[Child] = []
    async with serve_websocket(server.serve, "127.0.0.1", 0) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]

        async def start(*channels: str) -> Child:
            process = await asyncio.create_subprocess_exec(
                sys.executable, PROGRAM, f"ws://127.0.0.1:{port}", folder, *channels,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            started.append(Child(process))
            return started[-1]

        try:
            yield server, start
        finally:
            for child in started:
                with contextlib.suppress(ProcessLookupError):
                    child.process.kill()
                await child.process.communicate()


@pytest.fixture
def meeting() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="m-") as folder:  # short: sockets have short paths
        yield Path(folder)


def test_one_connection_and_each_its_own(meeting: Path) -> None:
    async def run() -> None:
        async with programs(meeting) as (server, start):
            one = await start("T.SPY", "T.QQQ")
            assert {json.loads(await one.line())["symbol"] for _ in range(2)} == {"QQQ", "SPY"}
            two = await start("T.IWM")
            assert (await two.price(1.0))["symbol"] == "IWM"
            await server.say(trade("SPY", 8.0), trade("IWM", 9.0))
            assert (await one.price(8.0))["symbol"] == "SPY"
            assert (await two.price(8.0))["symbol"] == "IWM"
            assert len(server.connections) == 1
            await two.want("T.DIA")
            assert (await two.price(1.0))["symbol"] == "DIA"
            assert await server.until_asked(1, "unsubscribe") == "T.IWM"
            two.process.kill()
            assert await server.until_asked(1, "unsubscribe", "T.DIA") == "T.DIA"
            assert len(server.connections) == 1

    asyncio.run(run())


def test_an_attached_program_takes_over_from_a_killed_owner_and_asks_for_what_it_missed(
    meeting: Path,
) -> None:
    async def run() -> None:
        async with programs(meeting) as (server, start):
            one = await start("T.QQQ")
            await one.price(1.0)
            others = [await start("T.SPY"), await start("T.IWM")]
            for child in others:
                await child.price(1.0)
            os.kill(one.process.pid, signal.SIGKILL)
            for child, symbol in zip(others, ("SPY", "IWM"), strict=True):
                assert (await child.price(2.0))["symbol"] == symbol
                assert (await child.price(99.0))["symbol"] == symbol
            assert len(server.connections) == 2

    asyncio.run(run())


def test_an_eviction_is_told_to_everybody_and_nobody_fights(meeting: Path) -> None:
    async def run() -> None:
        async with programs(meeting) as (server, start):
            children = [await start("T.QQQ")]
            await children[0].price(1.0)
            children.append(await start("T.SPY"))
            await children[1].price(1.0)
            await server.say({"ev": "status", "status": "max_connections", "message": "Maximum"})
            for child in children:
                assert "StreamError: another program with the same key" in await child.line()
                await child.process.wait()
            assert len(server.connections) == 1

    asyncio.run(run())


class Recorder:
    """Takes the place of the connection."""

    def __init__(self) -> None:
        self.watched: list[Channel] = []

    async def watch(self, channels: list[Channel]) -> None:
        self.watched = channels


def hub() -> PolygonHub:
    stream: Any = Recorder()
    return PolygonHub(stream)


def wanted(kind: Any, *symbols: str) -> Wanted:
    return Wanted.of([Channel(kind, symbol) for symbol in symbols])


def test_quotes_are_conflated_and_bars_and_trades_are_not() -> None:
    room = hub()
    listener = room.join(Wanted.of([Channel(kind, "QQQ") for kind in ("T", "Q", "A", "AM", "FMV")]))
    bar = {"open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0}
    for n in range(100):
        room._tell(Quote(symbol="QQQ", time_ns=n, bid=1.0, ask=2.0))
        room._tell(TradeTick(symbol="QQQ", time_ns=n, price=1.0, size=1.0))
        room._tell(Bar(symbol="QQQ", time_ns=n, interval_s=60, **bar))
        room._tell(Bar(symbol="QQQ", time_ns=n, interval_s=1, **bar))
    assert len(listener.feed) == 301
    assert listener.feed.replaced == 99


def test_each_gets_the_kinds_it_asked_for_once() -> None:
    room = hub()
    everything = room.join(wanted("T", EVERY, "QQQ"))
    fair = room.join(wanted("FMV", "QQQ"))
    room._tell(TradeTick(symbol="QQQ", time_ns=1, price=1.0, size=1.0))
    room._tell(TradeTick(symbol="SPY", time_ns=1, price=1.0, size=1.0))
    room._tell(Quote(symbol="QQQ", time_ns=1, bid=1.0, ask=2.0))
    room._tell(Quote(symbol="QQQ", time_ns=1, mark=1.5))
    assert (len(everything.feed), len(fair.feed)) == (2, 1)


def test_a_thousand_quotes_are_shared_and_the_next_one_is_refused_alone() -> None:
    room = hub()
    contracts = [f"QQQ   251219C{strike:08d}" for strike in range(1_000, 1_001_000, 1_000)]
    first = room.join(wanted("Q", *contracts[:600]))
    second = room.join(wanted("Q", *contracts[500:1000]))
    with pytest.raises(DataError, match="1001 contracts of Q are too many"):
        room.join(wanted("Q", "QQQ   251219P00500000"))
    with pytest.raises(DataError, match="too many"):
        room.change(first, wanted("Q", *contracts[:500], "QQQ   251219P00500000"))
    assert len(first.channels) == 600
    room.leave(second)
    room.change(first, wanted("Q", *contracts))
    assert len(first.channels) == 1000
