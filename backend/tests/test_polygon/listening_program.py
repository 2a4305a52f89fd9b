"""A program of ours that listens: `listening_program.py URL FOLDER CHANNEL...`; an event a line.

A line on its standard input replaces its channels. What it missed while the connection changed hands
comes as a trade of 99 USD.
"""

import asyncio
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
from pydantic import SecretStr

from models.errors import TradingError
from models.events import MarketEvent, TradeTick
from polygon_integration.channels import Channel
from polygon_integration.config import PolygonSettings
from polygon_integration.options_stream import Gap
from polygon_integration.shared_stream import SharedStream
from utils.sockets import SocketPatience


def read(texts: Sequence[str]) -> list[Channel]:
    pairs = (text.split(".", 1) for text in texts)
    return [Channel(kind, symbol) for kind, symbol in pairs]  # type: ignore[arg-type]


async def heal(gap: Gap) -> Sequence[MarketEvent]:
    symbols = {channel.symbol for channel in gap.channels}
    return [
        TradeTick(symbol=symbol, time_ns=gap.start_ns, price=99.0, size=1.0)
        for symbol in sorted(symbols)
    ]


async def _listen(url: str, folder: Path, texts: list[str]) -> None:
    settings = PolygonSettings(_env_file=None, api_key=SecretStr("key"), stream_url=url)
    patience = SocketPatience(first_wait_s=0.01, longest_wait_s=0.05)
    stream = SharedStream(settings, patience=patience, heal=heal, folder=folder)

    loop = asyncio.get_running_loop()

    def obey() -> None:
        for line in sys.stdin:
            wish = stream.watch(read(line.split()))
            asyncio.run_coroutine_threadsafe(wish, loop).result()

    threading.Thread(target=obey, daemon=True).start()
    async for event in stream.listen(read(texts)):
        print(msgspec.json.encode(event).decode(), flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(_listen(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))
    except TradingError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
