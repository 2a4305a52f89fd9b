import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from models.errors import ConfigError
from simulator.listening import bound_ports, bound_proxy
from simulator.server import Options, Simulator


@pytest.mark.parametrize("part", ["market", "streamer"])
def test_a_market_that_fails_ends_the_simulator(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its accounts would stand still, and nobody would know."""
    monkeypatch.setenv("OPTIONS_HOME", str(tmp_path))

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    async def run() -> None:
        simulator = Simulator(Options(port=0, clock="2026-11-20T12:00", speed=0))
        if part == "market":
            simulator.exchange.advance = broken  # type: ignore[method-assign]
        else:
            simulator.streamer.run = broken_task  # type: ignore[method-assign]
        async with simulator.running() as stopped:
            await asyncio.wait_for(stopped.wait(), 20)

    async def broken_task() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(run())


def test_a_proxy_port_that_is_taken_leaves_none_bound() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = bound_ports(0, None)
        numbers = [held.getsockname()[1] for held in ports]
        with pytest.raises(ConfigError, match="is in use: choose another with --proxy-port"):
            bound_proxy(taken.getsockname()[1], ports)
        for number in numbers:
            socket.create_server(("127.0.0.1", number)).close()
