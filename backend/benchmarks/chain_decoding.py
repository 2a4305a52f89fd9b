"""Bytes of an option chain to columns: ours beside orjson and beside json with pandas.

    python benchmarks/chain_decoding.py [--contracts 4000] [--runs 9]

The chain is a real reply of Schwab ($SPX, one expiration, 162 contracts) spread over more
expirations and strikes, with varied prices, in the spelling of the wire (doubles with a decimal
point, no white space). All three ways give the same 21 cleaned columns (a test compares them); they
take turns, and the medians are printed with their ratios.
"""

import argparse
import gzip
import json
import random
import statistics
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import polars as pl

from schwab_integration.parse_chain import clean, parse_chain

CAPTURED = (
    Path(__file__).parents[1] / "tests/data/schwab_captured/option_chain_spx_2025-05-09.json.gz"
)
LIMIT = 0.55
"""Of the time of orjson to columns: what was promised."""

WIRE_NAMES = {
    "occ_symbol": "symbol",
    "expiration_type": "expirationType",
    "settlement": "settlementType",
    "exercise_style": "exerciseType",
    "strike": "strikePrice",
    "bid": "bid",
    "ask": "ask",
    "last": "last",
    "mark": "mark",
    "bid_size": "bidSize",
    "ask_size": "askSize",
    "volume": "totalVolume",
    "open_interest": "openInterest",
    "quote_at": "quoteTimeInLong",
    "trade_at": "tradeTimeInLong",
    "source_implied_volatility": "volatility",
    "source_delta": "delta",
    "multiplier": "multiplier",
}
TEXTS = ("occ_symbol", "expiration_type", "settlement", "exercise_style")
WHOLE = frozenset(
    {
        "bidSize",
        "askSize",
        "lastSize",
        "totalVolume",
        "tradeTimeInLong",
        "quoteTimeInLong",
        "openInterest",
        "daysToExpiration",
        "lastTradingDay",
    }
)


def large_chain(contracts: int, seed: int = 1) -> bytes:
    """Return the reply of a chain with this many contracts, made from the captured one."""
    reply = json.loads(gzip.decompress(CAPTURED.read_bytes()))
    maps = ("callExpDateMap", "putExpDateMap")
    models = {
        name: [c for by_strike in reply[name].values() for cs in by_strike.values() for c in cs]
        for name in maps
    }
    for name in maps:
        reply[name] = {}
    rng = random.Random(seed)
    strikes = 100
    for number in range(contracts // 2):
        days, rung = divmod(number, strikes)
        day = date(2025, 5, 12) + timedelta(days=days)
        strike = 5400.0 + 5 * rung
        for name, right in zip(maps, "CP", strict=True):
            contract = _varied(rng.choice(models[name]), rng, day, strike, right)
            by_strike = reply[name].setdefault(f"{day}:{days + 3}", {})
            by_strike[str(strike)] = [contract]
    reply["numberOfContracts"] = contracts
    return json.dumps(reply, separators=(",", ":")).encode()


def _varied(
    model: dict[str, Any], rng: random.Random, day: date, strike: float, right: str
) -> dict[str, Any]:
    """Return a contract at another strike and day, its figures changed by up to a fifth."""
    contract = {
        name: round(value * rng.uniform(0.8, 1.2), 3)
        if isinstance(value, int | float) and not isinstance(value, bool) and name not in WHOLE
        else value
        for name, value in model.items()
    }
    contract["multiplier"] = 100.0
    contract["strikePrice"] = strike
    contract["symbol"] = f"SPXW  {day:%y%m%d}{right}{round(strike * 1000):08d}"
    contract["description"] = f"SPXW {day:%m/%d/%Y} {strike:.2f} {right}"
    contract["expirationDate"] = f"{day}T20:00:00.000+00:00"
    contract["bidSize"] = rng.randrange(200)
    contract["totalVolume"] = rng.randrange(20_000)
    if rng.random() < 0.1:  # far from the money nobody bids, and there is no volatility
        contract |= {"bid": 0.0, "bidSize": 0, "volatility": -999.0, "delta": "NaN"}
    return contract


def with_orjson(body: bytes) -> pl.DataFrame:
    """Decode to dictionaries, then one list comprehension a column."""
    contracts, days, calls = _flat(orjson.loads(body))
    columns = {
        name: [contract.get(wire) for contract in contracts] for name, wire in WIRE_NAMES.items()
    }
    for name in set(WIRE_NAMES) - set(TEXTS):
        columns[name] = [None if v == "NaN" else v for v in columns[name]]
    kinds = {name: pl.String if name in TEXTS else pl.Float64 for name in WIRE_NAMES}
    frame = pl.DataFrame(columns, schema=kinds, strict=False)
    return clean(frame.with_columns(expiration=pl.Series(days), is_call=pl.Series(calls)))


def with_pandas(body: bytes) -> pd.DataFrame:
    """Decode with the standard library, then a pandas frame, cleaned in pandas."""
    contracts, days, calls = _flat(json.loads(body))
    wire = pd.DataFrame(contracts)
    frame = pd.DataFrame({name: wire[field] for name, field in WIRE_NAMES.items()})
    numbers = [name for name in WIRE_NAMES if name not in TEXTS]
    frame[numbers] = frame[numbers].apply(pd.to_numeric, errors="coerce")
    frame[numbers] = frame[numbers].mask(frame[numbers] == -999)
    for side in ("bid", "ask"):
        absent = ~((frame[side] > 0) | (frame[f"{side}_size"] > 0))
        frame.loc[absent, [side, f"{side}_size"]] = None
    for name in ("last", "source_implied_volatility", "quote_at", "trade_at"):
        frame[name] = frame[name].where(frame[name] > 0)
    frame["source_implied_volatility"] /= 100
    for name in ("quote_at", "trade_at"):
        frame[name] = pd.to_datetime(frame[name], unit="ms", utc=True)
    frame["root"] = frame["occ_symbol"].str[:6].str.rstrip()
    frame["settlement"] = frame["settlement"].map({"A": "AM", "P": "PM"})
    frame["expiration"] = days
    frame["right"] = pd.Series(calls).map({True: "C", False: "P"})
    return frame


def _flat(reply: dict[str, Any]) -> tuple[list[dict[str, Any]], list[date], list[bool]]:
    contracts: list[dict[str, Any]] = []
    days: list[date] = []
    calls: list[bool] = []
    for name, is_call in (("callExpDateMap", True), ("putExpDateMap", False)):
        for key, by_strike in reply[name].items():
            found = [contract for listed in by_strike.values() for contract in listed]
            contracts += found
            days += [date.fromisoformat(key.split(":")[0])] * len(found)
            calls += [is_call] * len(found)
    return contracts, days, calls


def medians(ways: dict[str, Callable[[bytes], object]], body: bytes, runs: int) -> dict[str, float]:
    """Return the median seconds of each way, taken in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs + 1):
        for name, way in ways.items():
            begun = time.perf_counter()
            way(body)
            seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(taken[1:]) for name, taken in seconds.items()}


def main() -> None:
    """Print the medians and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contracts", type=int, default=4000)
    parser.add_argument("--runs", type=int, default=9)
    given = parser.parse_args()
    body = large_chain(given.contracts)
    taken = medians(
        {
            "ours": lambda text: parse_chain(text).contracts,
            "orjson to columns": with_orjson,
            "json + pandas": with_pandas,
        },
        body,
        max(7, given.runs),
    )
    ours, peer = taken["ours"], taken["orjson to columns"]
    print(f"{given.contracts} contracts, {len(body) / 1e6:.2f} MB, median of {max(7, given.runs)}")
    for name, seconds in taken.items():
        print(f"{name:18} {seconds * 1e3:7.1f} ms   ours / it = {ours / seconds:.2f}")
    print(f"limit: {LIMIT} of orjson to columns: {'kept' if ours / peer <= LIMIT else 'BROKEN'}")


if __name__ == "__main__":
    main()
