"""A day of QQQ minute chains enriched and judged: every listed option quoted in every minute.

    python benchmarks/enrich.py [--interval 1]

The quotes are generated (24 expirations, some 9,700 contracts, 3.8 million quotes), American, on the
tick, without any figure. Ours: forwards by parity in every minute, American volatilities and greeks of
every quote, smiles and surface at 13 moments, exposure, ratios, max pain, moves; then all rules.

Nobody publishes the same whole. The peer does that part which others have, and does it simpler: one
forward an expiration and minute from the pair nearest to the money (pandas groupby), European
volatilities and greeks by fast-vollib; and row by row with vollib. Both run on some of the rows, and
the time for all of them follows by the number of rows, which flatters neither: their work is a row's.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import date
from typing import TYPE_CHECKING, Any

import fast_vollib
import numpy as np
import polars as pl
from pricing_timing import promise
from vollib.black_scholes_merton.greeks import analytical
from vollib.black_scholes_merton.implied_volatility import implied_volatility as vollib_iv

from black_scholes.synthetic_generator import Request, generate, synthetic_market
from models.options import OptionChain
from pipeline.enrich import FIGURES
from pipeline.session_enrich import enrich_session
from pipeline.session_figures import session_figures
from pipeline.session_rules import Beside, judge_session
from utils import market_calendar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.session_enrich import Enriched
    from pipeline.session_figures import SessionFigures

    Array = NDArray[np.float64]

DAY = date(2026, 11, 20)
FARTHEST = 1100  # days: all that is listed
PEER_ROWS = 400_000
SCALAR_ROWS = 3_000
LIMIT = 30.0  # seconds for 3.9 million quotes
FULL = 3_900_000
RATE, YIELD = 0.04, 0.007


def session_quotes(interval: int) -> pl.DataFrame:
    """Return the generated quotes of the session, with the truth that they are made of."""
    request = Request(DAY, DAY, 0, FARTHEST, interval)
    parts = generate(synthetic_market("QQQ"), request)
    return pl.concat(part.rows for part in parts if part.table == "option_quotes")


def ours(bare: pl.DataFrame) -> tuple[Enriched, SessionFigures, dict[str, float]]:
    """Enrich and judge; return the results and the CPU seconds of each part."""
    session = market_calendar.session(DAY)
    chain = OptionChain("QQQ", session.close, 0.0, None, None, bare, bare.head(0))
    marks = [time.process_time()]
    enriched = enrich_session(chain, bare)
    marks.append(time.process_time())
    figures = session_figures(session, enriched)
    marks.append(time.process_time())
    beside = Beside(smile_volatility=figures.smile_volatility)
    judge_session("QQQ", session, enriched.quotes, beside)
    marks.append(time.process_time())
    names = "forwards, volatilities, greeks", "smiles and figures", "rules"
    return enriched, figures, dict(zip(names, np.diff(marks).tolist(), strict=True))


def pandas_fast_vollib(quotes: pl.DataFrame) -> tuple[float, float]:
    """Return the CPU seconds of the peer for these rows, and how far its volatilities are off."""
    frame = quotes.select(
        "ts", "expiration", "strike", "right", "bid", "ask", "year_fraction", "implied_volatility",
        "delta",
    ).to_pandas()  # fmt: skip
    start = time.process_time()
    frame["mid"] = (frame["bid"] + frame["ask"]) / 2
    calls = frame[frame["right"] == "C"]
    puts = frame[frame["right"] == "P"]
    pairs = calls.merge(puts, on=["ts", "expiration", "strike"], suffixes=("", "_put"))
    pairs["gap"] = (pairs["mid"] - pairs["mid_put"]).abs()
    pairs = pairs[pairs["gap"].notna()]
    nearest = pairs.loc[pairs.groupby(["ts", "expiration"])["gap"].idxmin()]
    discount = np.exp(-RATE * nearest["year_fraction"])
    nearest = nearest.assign(
        forward=nearest["strike"] + (nearest["mid"] - nearest["mid_put"]) / discount
    )
    keys = ["ts", "expiration"]
    frame = frame.merge(nearest[[*keys, "forward"]], on=keys, how="left")
    frame = frame[(frame["mid"] > 0) & (frame["year_fraction"] > 0) & frame["forward"].notna()]
    years = frame["year_fraction"].to_numpy()
    spot = frame["forward"].to_numpy() * np.exp((YIELD - RATE) * years)
    flag: Any = np.where(frame["right"] == "C", "c", "p")
    size = np.full(years.size, 1.0)
    merton: Any = {"q": YIELD * size, "model": "black_scholes_merton", "backend": "numba"}
    market = spot, frame["strike"].to_numpy(), years, RATE * size
    invert: Any = fast_vollib.fast_implied_volatility
    vol = invert(
        frame["mid"].to_numpy(), *market, flag, on_error="ignore", return_as="numpy", **merton
    )
    truth = frame["implied_volatility"].to_numpy()
    near = frame["delta"].abs().between(0.1, 0.9).to_numpy() & np.isfinite(vol)
    off = float(np.quantile(np.abs(vol - truth)[near], 0.99))
    vol = np.where(np.isfinite(vol), vol, 0.2)
    greeks: Any = fast_vollib.get_all_greeks
    greeks(flag, *market, vol, return_as="dict", **merton)
    return time.process_time() - start, off


def row_by_row(quotes: pl.DataFrame) -> float:
    """Return the CPU seconds of vollib, volatility and four greeks of each row; forwards are given."""
    columns = ("strike", "year_fraction", "forward", "right", "bid", "ask")
    rows = quotes.filter(pl.col("bid") > 0, pl.col("year_fraction") > 0).select(columns).rows()
    start = time.process_time()
    for strike, years, forward, right, bid, ask in rows:
        spot = forward * np.exp((YIELD - RATE) * years)
        flag = right.lower()
        try:
            vol = vollib_iv((bid + ask) / 2, spot, strike, years, RATE, YIELD, flag)
        except Exception:  # noqa: BLE001 - its errors for prices below intrinsic value are of many kinds
            continue
        terms = flag, spot, strike, years, RATE, vol, YIELD
        for greek in (analytical.delta, analytical.gamma, analytical.theta, analytical.vega):
            greek(*terms)
    return time.process_time() - start


def closeness(found: pl.DataFrame, truth: pl.DataFrame) -> tuple[float, float, float]:
    """Return errors: the forward's median in cents, the volatility's in half-spreads, its 99 %."""
    both = found.select(
        "delta",
        forward=(pl.col("forward") - truth["forward"]).abs() * 100,
        vol=(pl.col("implied_volatility") - truth["implied_volatility"]).abs()
        * 200
        * truth["vega_per_point"]
        / (pl.col("ask") - pl.col("bid")),
        off=(pl.col("implied_volatility") - truth["implied_volatility"]).abs(),
    ).filter(pl.col("delta").abs().is_between(0.1, 0.9), pl.col("vol").is_finite())
    middle = (both[name].quantile(0.5) or 0.0 for name in ("forward", "vol"))
    return *middle, both["off"].quantile(0.99) or 0.0


def main() -> int:
    """Print the figures; return 1 if a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--interval", type=int, default=1, help="minutes from chain to chain")
    truth = session_quotes(parser.parse_args().interval)
    bare = truth.drop(*FIGURES, "implied_volatility_status", "flags")
    count = bare.height
    ours(bare.filter(pl.col("ts") >= bare["ts"].max(), pl.col("expiration") < date(2026, 12, 5)))
    enriched, figures, seconds = ours(bare)
    print(f"QQQ {DAY}: {count:,} quotes, {len(figures.smiles)} smiles; CPU seconds of one core:")
    for name, spent in seconds.items():
        print(f"  {name:40s} {spent:6.2f} s  {spent / count * 1e6:6.2f} us a quote")
    enriching = sum(list(seconds.values())[:2])
    forward, vol, off = closeness(enriched.quotes, truth)
    print(f"  forwards off by {forward:.2f} cents, volatilities by {vol:.2f} half-spreads (median)")
    share = max(1, count // PEER_ROWS)
    times = truth["ts"].unique().sort()
    some = truth.filter(pl.col("ts").is_in(times.gather_every(share).implode()))
    pandas_fast_vollib(some.head(20_000))
    spent, peer_off = pandas_fast_vollib(some)
    peer = spent / some.height * count
    sample = truth.sample(min(SCALAR_ROWS, count), seed=1)
    scalar = row_by_row(sample) / sample.height * count
    part = seconds["forwards, volatilities, greeks"]
    print("the same quotes, forwards, volatilities and greeks alone:")
    print(f"  ours, American                           {part:8.1f} s")
    print(f"  pandas and fast-vollib, European         {peer:8.1f} s  {peer / part:6.1f}x"
          f"  (measured on {some.height:,} rows)")  # fmt: skip
    print(f"  vollib row by row, European, no forwards {scalar:8.1f} s  {scalar / part:6.1f}x"
          f"  (measured on {sample.height:,} rows)")  # fmt: skip
    print(f"  volatilities off, 99 % of |delta| 0.1 to 0.9: ours {100 * off:.2f} points, "
          f"the peer's {100 * peer_off:.2f}")  # fmt: skip
    if count < 0.9 * FULL:
        print("  (the promises are for every minute: --interval 1)")
        return 0
    kept = [
        promise(
            f"whole enrichment of 3.9 M quotes in {LIMIT:.0f} s of one core: "
            f"{enriching / count * FULL:.1f} s",
            kept=enriching <= LIMIT * count / FULL,
        ),
        promise(f"rules in no more than the enrichment: {seconds['rules']:.1f} s",
                kept=seconds["rules"] <= enriching),
        promise(f"forwards within 10 cents in the median: {forward:.2f}", kept=forward <= 10.0),
        promise(f"volatilities within the spread in the median: {vol:.2f}", kept=vol <= 1.0),
        promise(f"row by row at least 10x as long: {scalar / part:.0f}x", kept=scalar >= 10 * part),
    ]  # fmt: skip
    return int(not all(kept))


if __name__ == "__main__":
    sys.exit(main())
