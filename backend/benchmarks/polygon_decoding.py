"""Bytes of Polygon's replies and frames to what a program works with: ours beside the vendor's client.

    python benchmarks/polygon_decoding.py [--rows 50000] [--runs 5]

massive is run as it comes: `RESTClient` asks its own list methods over a pool that hands it the
bytes, and yields an object a row; `massive.websocket.models.parse` makes an object an event. Ours
ends in typed columns with the house's names and units, of the stream in one event each. "to columns" makes
a frame of the vendor's objects as well, for the same end. All ways must end in the same figures, or the
run fails. Counted are seconds of the processor; the ways take turns and medians are printed.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import random
import statistics
import sys
import time
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl
from massive import RESTClient
from massive.websocket.models import Market
from massive.websocket.models import parse as massive_parse

from models.events import Quote
from polygon_integration import parse
from polygon_integration.stream_decode import StreamReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RATIO = 3.0
"""Times as many rows a second as massive's objects, at least: what is promised of every kind."""

START_MS = 1_795_185_000_000
CALL = "O:QQQ261127C00774000"
EVENTS_A_FRAME = 100

OBJECTS, COLUMNS, OURS = "massive, objects", "massive, to columns", "ours"

Figures: TypeAlias = list[tuple[float | None, ...]]
Ways: TypeAlias = "dict[str, tuple[Callable[[], Any], Callable[[Any], Figures]]]"
"""What is timed, and what is compared of its outcome."""


class Handed:
    """A connection pool whose every reply is the same bytes."""

    status = 200

    def __init__(self, body: bytes) -> None:
        self.data = body

    def request(self, *_where: Any, **_how: Any) -> Handed:
        """Answer."""
        return self


def vendor(body: bytes) -> RESTClient:
    """Return the vendor's client, which is told this body whatever it asks."""
    client = RESTClient("key", pagination=False)
    client.client = Handed(body)
    return client


def reply(rows: list[dict[str, Any]]) -> bytes:
    """Return a page in the wire's spelling."""
    whole = {"results": rows, "status": "OK", "request_id": "0" * 32}
    return json.dumps(whole, separators=(",", ":")).encode()


def bars(count: int, rng: random.Random) -> bytes:
    """Return a page of minute bars."""
    rows = []
    for number in range(count):
        low, high = sorted(round(rng.uniform(1, 9), 2) for _ in range(2))
        prices = {"o": low, "c": high, "h": high, "l": low}
        extra = {"v": rng.randrange(999), "vw": round((low + high) / 2, 4), "n": rng.randrange(50)}
        rows.append({**prices, **extra, "t": START_MS + 60_000 * number})
    return reply(rows)


def quotes(count: int, rng: random.Random) -> bytes:
    """Return a page of a contract's quotes."""
    rows = []
    for number in range(count):
        bid = round(rng.uniform(1, 9), 2)
        row = {"ask_exchange": 312, "ask_price": round(bid + 0.05, 2), "ask_size": 1 + number % 90}
        row |= {"bid_exchange": 302, "bid_price": bid, "bid_size": 1 + number % 70}
        stamp = (START_MS + number) * 1_000_000 + rng.randrange(999_999)
        rows.append(row | {"sequence_number": number + 1, "sip_timestamp": stamp})
    return reply(rows)


def chain(count: int, rng: random.Random) -> bytes:
    """Return a page of a chain (the wire's pages have 250)."""
    rows = []
    for number in range(count):
        right, strike = "CP"[number % 2], 400 + number // 2 % 600
        bid = round(rng.uniform(1, 90), 2)
        stamp = START_MS * 1_000_000 + rng.randrange(10**9)
        details = {
            "contract_type": "call" if right == "C" else "put",
            "exercise_style": "american",
            "expiration_date": "2026-11-27",
            "shares_per_contract": 100,
            "strike_price": strike,
            "ticker": f"O:QQQ261127{right}{strike * 1000:08d}",
        }
        quote: dict[str, Any] = {
            "ask": round(bid + 0.1, 2),
            "ask_size": 9,
            "bid": bid,
            "bid_size": 7,
        }
        quote |= {"midpoint": bid + 0.05, "last_updated": stamp, "timeframe": "REAL-TIME"}
        day = dict.fromkeys(("open", "high", "low", "close", "previous_close", "vwap"), bid)
        day |= {"change": 0.1, "change_percent": 1.5, "volume": number, "last_updated": stamp}
        greeks = {name: round(rng.random(), 6) for name in ("delta", "gamma", "theta", "vega")}
        trade = {"price": bid, "size": 3, "sip_timestamp": stamp, "timeframe": "REAL-TIME"}
        asset = {"ticker": "QQQ", "price": 774.5, "last_updated": stamp, "timeframe": "REAL-TIME"}
        rows.append(
            {"break_even_price": strike + bid, "day": day, "details": details, "greeks": greeks}
            | {"implied_volatility": rng.random(), "last_quote": quote, "last_trade": trade}
            | {"open_interest": number, "underlying_asset": asset}
        )
    return reply(rows)


def frames(count: int, rng: random.Random) -> list[bytes]:
    """Return frames of quotes, some trades and bars among them."""
    events: list[dict[str, Any]] = []
    for number in range(count):
        at, price = START_MS + number, round(rng.uniform(1, 9), 2)
        ticker = f"O:QQQ261127C{400 + number % 500:05d}000"
        if number % 10 == 0:
            event = {"ev": "T", "sym": ticker, "x": 312, "p": price, "s": 3, "c": [209], "t": at}
            events.append(event | {"q": number})
        elif number % 10 == 1:
            prices = {"o": price, "h": price, "l": price, "c": price, "vw": price, "v": 9, "av": 99}
            events.append({"ev": "AM", "sym": ticker, **prices, "s": at, "e": at + 60_000, "z": 3})
        else:
            sides = {"bx": 302, "ax": 312, "bp": price, "ap": price + 0.05, "bs": 4, "as": 5}
            events.append({"ev": "Q", "sym": ticker, **sides, "t": at, "q": number})
    cuts = range(0, count, EVENTS_A_FRAME)
    return [json.dumps(events[n : n + EVENTS_A_FRAME]).encode() for n in cuts]


def columns(objects: Iterable[Any], names: tuple[str, ...]) -> pl.DataFrame:
    """Return the vendor's objects as a frame, one attribute a column."""
    held = list(objects)
    return pl.DataFrame({name: [getattr(one, name) for one in held] for name in names})


def snapshot_columns(body: bytes) -> pl.DataFrame:
    """Return the vendor's chain as a frame."""
    held = list(vendor(body).list_snapshot_options_chain("QQQ"))
    wanted = {
        "ticker": [one.details.ticker for one in held],
        "expiration": [one.details.expiration_date for one in held],
        "strike": [one.details.strike_price for one in held],
        "bid": [one.last_quote.bid for one in held],
        "ask": [one.last_quote.ask for one in held],
        "quote_at": [one.last_quote.last_updated for one in held],
        "last": [one.last_trade.price for one in held],
        "volume": [one.day.volume for one in held],
        "open_interest": [one.open_interest for one in held],
        "iv": [one.implied_volatility for one in held],
        "delta": [one.greeks.delta for one in held],
    }
    return pl.DataFrame(wanted)


BAR = ("timestamp", "open", "high", "low", "close", "volume", "vwap", "transactions")
QUOTE = ("sip_timestamp", "bid_price", "ask_price", "bid_size", "ask_size", "sequence_number")


def pairs(first: str, second: str) -> Callable[[Any], Figures]:
    """Return what reads two figures of each row, of objects or of a frame, to compare by."""

    def read(made: Any) -> Figures:
        if isinstance(made, pl.DataFrame):
            return made.select(first, second).rows()
        return list(map(attrgetter(first, second), made))

    return read


def rest_ways(kind: str, body: bytes) -> Ways:
    """Return what each makes of a page, and how two figures of every row are read from that."""
    listing: parse.Listing[Any] = {
        "bars": parse.AGGREGATES,
        "quotes": parse.QUOTES,
        "chain": parse.CHAIN,
    }[kind]  # type: ignore[assignment]

    def ours() -> pl.DataFrame:
        return parse.parse_page(body, listing, kind).frame

    if kind == "bars":

        def objects() -> list[Any]:
            return list(vendor(body).list_aggs(CALL, 1, "minute", "1", "2"))

        return {
            OBJECTS: (objects, pairs("open", "close")),
            COLUMNS: (lambda: columns(objects(), BAR), pairs("open", "close")),
            OURS: (ours, pairs("open", "close")),
        }
    if kind == "quotes":

        def ticks() -> list[Any]:
            return list(vendor(body).list_quotes(CALL))

        return {
            OBJECTS: (ticks, pairs("bid_price", "ask_price")),
            COLUMNS: (lambda: columns(ticks(), QUOTE), pairs("bid_price", "ask_price")),
            OURS: (ours, pairs("bid", "ask")),
        }
    return {
        OBJECTS: (
            lambda: list(vendor(body).list_snapshot_options_chain("QQQ")),
            pairs("last_quote.bid", "greeks.delta"),
        ),
        COLUMNS: (lambda: snapshot_columns(body), pairs("bid", "delta")),
        OURS: (ours, pairs("bid", "source_delta")),
    }


def stream_ways(bodies: list[bytes]) -> Ways:
    """Return what each makes of the frames, and how the quotes in that are read."""
    log = logging.getLogger("quiet")

    def with_massive() -> list[Any]:
        events = (massive_parse(json.loads(body), log, Market.Options) for body in bodies)
        return [event for frame in events for event in frame]

    def with_ours() -> list[Any]:
        reader = StreamReader()
        return [event for body in bodies for event in reader.read(body)]

    return {
        OBJECTS: (
            with_massive,
            lambda made: [(one.bid_price, one.ask_price) for one in made if one.event_type == "Q"],
        ),
        OURS: (
            with_ours,
            lambda made: [(one.bid, one.ask) for one in made if isinstance(one, Quote)],
        ),
    }


def rates(ways: Ways, rows: int, runs: int) -> dict[str, float] | None:
    """Return rows a second of each way, medians; None where they end in different figures."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for run in range(runs):
        ends = []
        for name, (make, figures) in ways.items():
            gc.collect()
            begun = time.process_time()
            made = make()
            seconds[name].append(time.process_time() - begun)
            if run == 0:
                ends.append(figures(made))
            del made
        if ends != ends[:1] * len(ends):
            return None
    return {name: rows / statistics.median(taken) for name, taken in seconds.items()}


def main() -> int:
    """Print rows a second of each way and the ratios; return 1 when one is too low."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    rng = random.Random(1)
    contracts = max(given.rows // 10, 250)
    pages = {
        "bars": (given.rows, bars(given.rows, rng)),
        "quotes": (given.rows, quotes(given.rows, rng)),
        "chain": (contracts, chain(contracts, rng)),
    }
    works = {kind: (rows, rest_ways(kind, body)) for kind, (rows, body) in pages.items()}
    works["stream"] = given.rows, stream_ways(frames(given.rows, rng))
    kept = True
    for kind, (rows, ways) in works.items():
        found = rates(ways, rows, given.runs)
        if found is None:
            print(f"FAILED: the ways end in different figures of {kind}")
            return 1
        print(f"{kind}: {rows:,} rows, median of {given.runs}, processor time")
        peer = found[OBJECTS]
        for name, rate in found.items():
            print(f"  {name:20} {rate:12,.0f} rows/s   {rate / peer:5.1f} x massive's objects")
        kept = kept and found[OURS] >= RATIO * peer
    print(f"promise: {RATIO:g} x massive's objects of each kind: {'kept' if kept else 'BROKEN'}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
