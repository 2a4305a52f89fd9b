"""Programs of one user share one connection: real processes, one scripted streamer."""

import asyncio
import contextlib
import json
import os
import signal
import stat
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from models.errors import ConfigError, Disconnected, StreamError
from schwab_integration.stream_requests import Subscription
from schwab_integration.streaming import LINES, place_of
from schwab_integration.trader_replies import StreamerTerms
from utils import stream_sharing
from utils.stream_sharing import Attachment, Failed, Hello, Place

PROGRAM = Path(__file__).with_name("program.py")
T = 1_795_201_200_000


class Child:
    """A listening program."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        assert self.process.stdout
        async with asyncio.timeout(30):
            return (await self.process.stdout.readline()).decode().rstrip("\n")

    async def bid(self, at_least: float) -> dict[str, Any]:
        """Return the first quote whose bid is high enough."""
        while True:
            quote: dict[str, Any] = json.loads(await self.line())
            if quote["bid"] >= at_least:
                return quote


@contextlib.asynccontextmanager
async def children(url: str, folder: Path) -> Any:
    started: list[Child] = []

    async def start(*symbols: str) -> Child:
        process = await asyncio.create_subprocess_exec(
            sys.executable, PROGRAM, url, folder, *symbols, stdout=asyncio.subprocess.PIPE
        )
        started.append(Child(process))
        return started[-1]

    try:
        yield start
    finally:
        for child in started:
            with contextlib.suppress(ProcessLookupError):
                child.process.kill()
            await child.process.communicate()


def script(wire: Any) -> Any:
    """Answer each SUBS and ADD with a quote of every key; the bid is the connection's number."""

    def told(request: dict[str, Any], number: int) -> Any:
        if request["command"] not in {"SUBS", "ADD"}:
            return None
        items = [
            {"key": key, "assetMainType": "EQUITY", "1": float(number), "4": 1, "34": T}
            for key in request["parameters"]["keys"].split(",")
        ]
        return [wire.response(request), wire.data("LEVELONE_EQUITIES", T, *items)]

    return told


def modes(folder: Path) -> dict[str, int]:
    return {path.suffix: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def holder(folder: Path) -> int:
    (lock,) = folder.glob("*.lock")
    return int(lock.read_text(encoding="ascii"))


def test_three_programs_one_connection_each_its_own(
    streamer: Any, wire: Any, meeting: Path
) -> None:
    async def run() -> None:
        async with streamer(script(wire)) as fake, children(fake.url, meeting) as start:
            one = await start("QQQ", "SPY")
            assert {json.loads(await one.line())["symbol"] for _ in range(2)} == {"QQQ", "SPY"}
            two, three = await start("SPY"), await start("IWM")
            assert json.loads(await two.line())["symbol"] == "SPY"
            assert json.loads(await three.line())["symbol"] == "IWM"
            item = {"key": "SPY", "1": 9.0}
            await fake.tell(wire.data("LEVELONE_EQUITIES", T + 1, item, {"key": "IWM", "1": 8.0}))
            assert (await one.bid(8.0))["symbol"] == "SPY"
            assert (await two.bid(8.0))["symbol"] == "SPY"
            assert (await three.bid(8.0))["symbol"] == "IWM"
            assert len(fake.connections) == 1
            three.process.kill()
            (unsubs,) = await fake.asked(1, "UNSUBS")
            assert unsubs["parameters"]["keys"] == "IWM"
            assert len(fake.connections) == 1

    asyncio.run(run())


def test_an_attached_program_takes_over_from_a_killed_owner(
    streamer: Any, wire: Any, meeting: Path
) -> None:
    async def run() -> None:
        async with streamer(script(wire)) as fake, children(fake.url, meeting) as start:
            one = await start("QQQ")
            await one.bid(1.0)
            others = [await start("SPY"), await start("IWM")]
            for child in others:
                await child.bid(1.0)
            assert holder(meeting) == one.process.pid
            os.kill(one.process.pid, signal.SIGKILL)
            for child in others:
                await child.bid(2.0)  # of the second connection
            assert holder(meeting) in {child.process.pid for child in others}
            assert len(fake.connections) == 2
            subscribed = {
                key
                for request in fake.requests
                if request["connection"] == 2 and request["command"] in {"SUBS", "ADD"}
                for key in request["parameters"]["keys"].split(",")
            }
            assert subscribed == {"SPY", "IWM"}

    asyncio.run(run())


def test_when_another_session_takes_over_everybody_is_told_and_nobody_fights(
    streamer: Any, wire: Any, meeting: Path
) -> None:
    async def run() -> None:
        async with streamer(script(wire)) as fake, children(fake.url, meeting) as start:
            programs = [await start("QQQ")]
            await programs[0].bid(1.0)
            programs.append(await start("SPY"))
            await programs[1].bid(1.0)
            await fake.tell(wire.notice(12, "another connection"))
            for child in programs:
                assert "StreamError: another program has signed in" in await child.line()
                await child.process.wait()
            assert len(fake.connections) == 1

    asyncio.run(run())


def test_lock_and_socket_are_the_users_alone(streamer: Any, wire: Any, meeting: Path) -> None:
    async def run() -> None:
        async with streamer(script(wire)) as fake, children(fake.url, meeting) as start:
            await (await start("QQQ")).bid(1.0)
            assert modes(meeting) == {".lock": 0o600, ".sock": 0o600}

    asyncio.run(run())


@pytest.fixture
def place(meeting: Path) -> Place:
    terms = StreamerTerms(
        streamer_socket_url="ws://127.0.0.1:1",
        schwab_client_customer_id="C",
        schwab_client_correl_id="",
        schwab_client_channel="",
        schwab_client_function_id="",
    )
    return place_of(terms, meeting)


async def heard(place: Place) -> list[Any]:
    async with (
        asyncio.timeout(20),
        aclosing(Attachment(place, LINES, Subscription(symbols=("QQQ",))).hear()) as told,
    ):
        return [event async for event in told]


def test_an_owner_without_a_socket_is_one_sentence(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_sharing, "ATTACH_S", 0.2)
    with place.owned() as ours:
        assert ours
        with pytest.raises(Disconnected, match=f"process {os.getpid()} of ours"):
            asyncio.run(heard(place))


def test_an_owner_that_hangs_is_one_sentence(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_sharing, "SILENCE_S", 0.2)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()

    async def run() -> None:
        server = await asyncio.start_unix_server(silent, place.socket)
        with pytest.raises(Disconnected, match="does not answer"):
            await heard(place)
        server.close()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})

    with place.owned():
        asyncio.run(run())


@pytest.mark.parametrize("line", [b"rubbish\n", b"{}\n", b"\n", None])
def test_a_strange_greeting_is_answered_and_harms_nobody(place: Place, line: bytes | None) -> None:
    joined: list[Any] = []

    class Room:
        def join(self, *given: Any) -> None:
            joined.append(given)

        change = leave = join

    async def run() -> bytes:
        async with stream_sharing.serving(place, LINES, Room()):
            reader, writer = await asyncio.open_unix_connection(place.socket)
            greeting = stream_sharing.msgspec.json.encode(Hello(Subscription(), version=99)) + b"\n"
            writer.write(line or greeting)
            answer = await reader.readline()
            writer.close()
            await writer.wait_closed()
            return answer

    told = stream_sharing.msgspec.json.decode(asyncio.run(run()), type=Failed)
    assert told.kind in {"StreamError", "ConfigError"}
    assert not joined


def test_an_error_of_the_owner_arrives_as_the_same_class(place: Place) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        failed = Failed("StreamError", "another program has signed in")
        writer.write(stream_sharing.msgspec.json.encode(failed) + b"\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def run() -> None:
        server = await asyncio.start_unix_server(refuse, place.socket)
        with pytest.raises(StreamError, match="another program"):
            await heard(place)
        server.close()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})

    with place.owned():
        asyncio.run(run())


def test_a_path_too_long_for_a_socket_is_said(tmp_path: Path) -> None:
    terms = StreamerTerms(
        streamer_socket_url="ws://x",
        schwab_client_customer_id="C",
        schwab_client_correl_id="",
        schwab_client_channel="",
        schwab_client_function_id="",
    )
    with pytest.raises(ConfigError, match="shorter one"):
        place_of(terms, tmp_path / ("x" * 100))
