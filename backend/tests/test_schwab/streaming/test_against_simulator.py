"""The stream and the command against `python -m simulator`, a process of its own, with its faults."""

import asyncio
import itertools
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from app.simulated_market import (
    SimulatorOptions,
    SimulatorStatus,
    running_simulator,
    signed_in_settings,
)
from models.errors import StreamError
from models.events import Bar, Book, Quote, Screen
from models.options import OptionContract
from schwab_integration.client import SchwabClient
from schwab_integration.config import SchwabSettings
from schwab_integration.stream_requests import Subscription, sign_in
from schwab_integration.streaming import SchwabStream, streamer_terms
from schwab_integration.token_store import TokenStore
from schwab_integration.trader import SchwabTrader
from utils.sockets import SocketPatience

BACKEND = Path(__file__).resolve().parents[3]
START = datetime(2026, 11, 20, 19, 0, tzinfo=UTC)
QUICK = SocketPatience(first_wait_s=0.05, longest_wait_s=0.2, silence_s=30)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[SimulatorStatus, SchwabSettings]]:
    with ExitStack() as stack:
        options = SimulatorOptions("generated", START, 0.0)
        status = stack.enter_context(running_simulator(options))
        yield status, stack.enter_context(signed_in_settings(status))


@pytest.fixture
def stream(running: tuple[SimulatorStatus, SchwabSettings], meeting: Path) -> SchwabStream:
    return SchwabStream(running[1], patience=QUICK, folder=meeting)


def ask(
    status: SimulatorStatus, path: str, body: dict[str, Any] | None, method: str = "POST"
) -> None:
    request = urllib.request.Request(
        f"{status.schwab}/simulator/{path}",
        data=json.dumps(body).encode() if body else None,
        headers={"X-Simulator-Admin": status.admin_token, "Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=20) as reply:
        assert reply.status < 300


@pytest.fixture(scope="module")
def clock(running: tuple[SimulatorStatus, SchwabSettings]) -> Any:
    """Move the market's clock on by some seconds, whichever test asks."""
    now = itertools.accumulate(itertools.repeat(timedelta(seconds=7)), initial=START)
    next(now)

    def move() -> None:
        ask(running[0], "clock", {"now": next(now).isoformat()})

    return move


def contract(settings: SchwabSettings) -> str:
    """Return an option that is quoted: near the money, some weeks ahead."""
    with SchwabClient(settings) as client:
        price = client.quote("QQQ").quote.last_price
    assert price
    strike = round(price / 5) * 5
    return f"QQQ   261218C{strike:05d}000"


def test_every_service_comes(
    running: tuple[SimulatorStatus, SchwabSettings], stream: SchwabStream
) -> None:
    option = contract(running[1])
    assert OptionContract.from_occ(option).underlying == "QQQ"
    wanted = Subscription(
        symbols=("QQQ", "SPX", option),
        bars=("QQQ",),
        nasdaq_books=("QQQ",),
        option_books=(option,),
        screens=("NASDAQ_VOLUME_0",),
        activity=True,
    )

    async def run() -> set[Any]:
        found: set[Any] = set()
        async with asyncio.timeout(60), aclosing(stream.hear(wanted)) as events:
            async for event in events:
                symbol = event.key if isinstance(event, Screen) else getattr(event, "symbol", None)
                found.add((type(event), symbol))
                if len(found) == 7:
                    break
        return found

    assert asyncio.run(run()) == {
        (Quote, "QQQ"),
        (Quote, "SPX"),
        (Quote, option),
        (Bar, "QQQ"),
        (Book, "QQQ"),
        (Book, option),
        (Screen, "NASDAQ_VOLUME_0"),
    }


def test_with_faults_of_all_kinds_it_ends_in_what_the_quotes_endpoint_says(
    running: tuple[SimulatorStatus, SchwabSettings], stream: SchwabStream, clock: Any
) -> None:
    status, settings = running
    faults = [
        {"target": "schwab.streamer.data", "fault": "duplicate", "rate": 0.3},
        {"target": "schwab.streamer.data", "fault": "reorder", "rate": 0.3},
        {"target": "schwab.streamer.data", "fault": "gap", "rate": 0.1},
        {"target": "schwab.streamer.connect", "fault": "status", "status": 503, "count": 1},
        {"target": "schwab.streamer", "fault": "half_frame", "rate": 0.2, "count": 1},
        {"target": "schwab.streamer", "fault": "reset", "rate": 0.2, "count": 1},
    ]
    newest: dict[str, Quote] = {}

    def told() -> dict[str, tuple[Any, ...]]:
        with SchwabClient(settings) as client:
            quotes = {symbol: client.quote(symbol).quote for symbol in ("QQQ", "SPY")}
        return {
            symbol: (quote.bid_price, quote.ask_price, quote.last_price)
            for symbol, quote in quotes.items()
        }

    async def run() -> None:
        async with asyncio.timeout(90), aclosing(stream.listen(["QQQ", "SPY"])) as events:
            for number in range(8):
                await asyncio.to_thread(clock)
                event = await anext(events)
                assert isinstance(event, Quote)
                newest[event.symbol] = event
                if number == 2:
                    for fault in faults:
                        await asyncio.to_thread(ask, status, "faults", fault)
            # The market stands still: one reset, and a new connection tells the whole state.
            await asyncio.to_thread(ask, status, "faults", None, "DELETE")
            reset = {"target": "schwab.streamer", "fault": "reset", "count": 1}
            await asyncio.to_thread(ask, status, "faults", reset)
            await asyncio.to_thread(clock)
            truth = await asyncio.to_thread(told)
            while {s: (q.bid, q.ask, q.last) for s, q in newest.items()} != truth:
                event = await anext(events)
                assert isinstance(event, Quote)
                newest[event.symbol] = event

    try:
        asyncio.run(run())
    finally:
        ask(status, "faults", None, "DELETE")


def test_a_foreign_sign_in_ends_the_stream_with_a_sentence(
    running: tuple[SimulatorStatus, SchwabSettings], stream: SchwabStream
) -> None:
    settings = running[1]
    with SchwabTrader(settings) as trader:
        terms = streamer_terms(trader)
    token = TokenStore(settings.token_path()).read().access_token
    login = {
        "requestid": "0",
        "service": "ADMIN",
        "command": "LOGIN",
        "parameters": sign_in(terms, token),
    }

    async def run() -> None:
        async with asyncio.timeout(60), aclosing(stream.listen(["QQQ"])) as events:
            await anext(events)
            async with connect(terms.streamer_socket_url) as foreign:
                await foreign.send(json.dumps(login))
                await foreign.recv()
                with pytest.raises(StreamError, match="another program has signed in"):
                    async for _ in events:
                        pass

    asyncio.run(run())


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("QQQ", "--seconds", "6", "--json"), 0, '"symbol":"QQQ"'),
        (("QQQ", "ZZZZZ", "--seconds", "6"), 4, "no quote came of ZZZZZ"),
        (("Q!",), 2, "is no ticker"),
        (("QQQ", "--seconds", "0"), 2, "no number of seconds"),
    ],
)
def test_the_command(
    running: tuple[SimulatorStatus, SchwabSettings],
    monkeypatch: pytest.MonkeyPatch,
    meeting: Path,
    arguments: tuple[str, ...],
    status: int,
    said: str,
) -> None:
    monkeypatch.setenv("SIMULATOR_URL", running[0].schwab)
    monkeypatch.setenv("OPTIONS_HOME", str(meeting))
    command = [sys.executable, "scripts/stream_quotes.py", "--source", "simulator", *arguments]
    if status == 2:
        command.remove("--source")
        command.remove("simulator")
    done = subprocess.run(
        command, cwd=BACKEND, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, said in done.stdout + done.stderr) == (status, True), done
