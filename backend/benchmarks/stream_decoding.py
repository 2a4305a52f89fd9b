"""Frames of Schwab's streamer to merged quotes: ours beside schwab-py's handlers, on the same frames.

    python benchmarks/stream_decoding.py [--contracts 200] [--frames 200] [--runs 7]

The frames are made like the wire's: a whole first message a contract, then batches of changes
(bid, ask, sizes, mark, quote time; half of them with greeks and volatility). schwab-py is run as it
comes: `handle_message` of its `StreamClient` on a socket that hands it the frames, with its relabelling,
and a handler that merges by `dict.update`, which it leaves to its users. Ours ends in the merged state
by itself; the third way also makes the `Quote` event of every single update, which a listener gets
only for the newest state. Counted are seconds of the processor, so that other programs do not matter much.
All ways must end in the same bids and asks, or the run fails.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

from models.schwab_fields import Service
from schwab_integration.stream_decode import StreamDecoder

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it imports parts of its libraries that are going away
    from schwab.streaming import StreamClient

if TYPE_CHECKING:
    from collections.abc import Callable

RATIO = 5.0
"""Times as many updates a second as schwab-py's handlers: what was promised."""

RATE = 500_000
"""Option updates a second on one core: what was promised."""

START_MS = 1_795_530_600_000


def option_frames(contracts: int, frames: int, items: int = 100, seed: int = 1) -> list[bytes]:
    """Return one whole message and then changes, all of options, in the wire's spelling."""
    rng = random.Random(seed)
    keys = [f"QQQ   261218C{400 + n:05d}000" for n in range(contracts)]
    batches = [[_whole(key, rng) for key in keys]]
    for number in range(1, frames):
        now = START_MS + 1000 * number
        batches.append([_change(key, now, rng) for key in rng.sample(keys, min(items, contracts))])
    return [_frame(START_MS + 1000 * number, batch) for number, batch in enumerate(batches)]


def _frame(timestamp: int, content: list[dict[str, Any]]) -> bytes:
    batch = {
        "service": "LEVELONE_OPTIONS",
        "timestamp": timestamp,
        "command": "SUBS",
        "content": content,
    }
    return json.dumps({"data": [batch]}, separators=(",", ":")).encode()


def _whole(key: str, rng: random.Random) -> dict[str, Any]:
    item = {"key": key, "delayed": False, "assetMainType": "OPTION"}
    item |= {
        "1": f"{key[:3]} 12/18/2026 {key[13:18]} C",
        "4": 4.2,
        "8": 1200,
        "9": 3300,
        "22": "QQQ",
    }
    return item | _change(key, START_MS, rng) | _greeks(rng)


def _change(key: str, now: int, rng: random.Random) -> dict[str, Any]:
    bid = rng.randrange(100, 2000) / 100
    ask = round(bid + 0.05, 2)
    item = {"key": key, "2": bid, "3": ask, "16": rng.randrange(300), "17": rng.randrange(300)}
    item |= {"37": round((bid + ask) / 2, 3), "38": now + rng.randrange(1000)}
    return item | (_greeks(rng) if rng.random() < 0.5 else {})


def _greeks(rng: random.Random) -> dict[str, Any]:
    fields = {"10": 100 * rng.random(), "28": rng.random(), "29": rng.random() / 10}
    fields |= {"30": -rng.random(), "31": rng.random(), "35": 500 + rng.random()}
    return {name: round(value, 8) for name, value in fields.items()}


class Replay:
    """A socket that hands out the same frames again; text, as schwab-py's library does."""

    def __init__(self, frames: list[bytes]) -> None:
        self._frames = iter([frame.decode() for frame in frames])

    async def recv(self) -> str:
        """Return the next frame."""
        return next(self._frames)


def with_schwab_py(frames: list[bytes]) -> dict[str, tuple[float, float]]:
    """Return bid and ask of each contract by schwab-py's handlers."""
    client = StreamClient(None)
    client._socket = Replay(frames)  # noqa: SLF001 - it offers no way to hand it a socket
    states: dict[str, dict[str, Any]] = {}

    def merge(message: dict[str, Any]) -> None:
        for item in message["content"]:
            states.setdefault(item["key"], {}).update(item)

    client.add_level_one_option_handler(merge)

    async def run() -> None:
        for _ in frames:
            await client.handle_message()

    asyncio.run(run())
    return {key: (state["BID_PRICE"], state["ASK_PRICE"]) for key, state in states.items()}


def with_ours(frames: list[bytes]) -> dict[str, tuple[float, float]]:
    """Return bid and ask of each contract by our decoder."""
    decoder = StreamDecoder()
    for frame in frames:
        decoder.decode(frame)
    states = decoder.states(Service.LEVELONE_OPTIONS)
    return {key: (state.fields["2"], state.fields["3"]) for key, state in states.items()}


def with_every_quote(frames: list[bytes]) -> dict[str, tuple[float, float]]:
    """Return bid and ask of each contract, making the event of every update on the way."""
    decoder = StreamDecoder()
    newest = {}
    for frame in frames:
        for state in decoder.decode(frame).quotes:
            newest[state.symbol] = state.quote()
    return {symbol: (quote.bid or 0.0, quote.ask or 0.0) for symbol, quote in newest.items()}


WAYS: dict[str, Callable[[list[bytes]], dict[str, tuple[float, float]]]] = {
    "schwab-py handlers": with_schwab_py,
    "ours, merged": with_ours,
    "ours, every Quote": with_every_quote,
}


def main() -> int:
    """Print updates a second of each way and the ratios; return 1 when the ratio is too low."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contracts", type=int, default=200)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--runs", type=int, default=7)
    given = parser.parse_args()
    frames = option_frames(given.contracts, given.frames)
    updates = given.contracts + (given.frames - 1) * min(100, given.contracts)
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(given.runs):
        ends = []
        for name, way in WAYS.items():
            begun = time.process_time()
            ends.append(way(frames))
            seconds[name].append(time.process_time() - begun)
        if ends.count(ends[0]) != len(ends):
            print("FAILED: the ways end in different quotes")
            return 1
    rates = {name: updates / statistics.median(taken) for name, taken in seconds.items()}
    size = sum(map(len, frames)) / updates
    print(
        f"{updates} option updates, {size:.0f} bytes each, median of {given.runs}, processor time"
    )
    peer = rates["schwab-py handlers"]
    for name, rate in rates.items():
        print(f"{name:20} {rate:12,.0f} updates/s   {rate / peer:5.1f} x schwab-py")
    ours = rates["ours, merged"]
    print(f"promise: {RATIO:g} x schwab-py: {'kept' if ours >= RATIO * peer else 'BROKEN'}")
    print(f"promise: {RATE:,} updates/s on one core: {'kept' if ours >= RATE else 'BROKEN'}")
    return 0 if ours >= RATIO * peer else 1


if __name__ == "__main__":
    sys.exit(main())
