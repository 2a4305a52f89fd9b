"""Volatilities of CBOE's own table for SPY, quoted at the close of 16 May 2025."""

import csv
import datetime as dt
import gzip
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from black_scholes import american, calculator
from black_scholes.parity import forward_from_parity

FILE = Path(__file__).parents[2] / "data" / "chains" / "spy_cboe_quotedata_2025-05-16.csv.gz"
SESSION = dt.date(2025, 5, 16)
QUARTER_HOUR = 15 / (24 * 60)  # the quotes are of 16:15, expiration is at 16:00
RATE = 0.043  # dollars borrowed for days, May 2025
Floats = NDArray[np.float64]


def chain() -> dict[dt.date, Floats]:
    """Strike; bid, ask, volatility, delta of the call; the same of the put: by expiration."""
    rows: dict[dt.date, list[list[float]]] = defaultdict(list)
    with gzip.open(FILE, "rt") as file:
        for row in csv.reader(file):
            if len(row) > 20 and row[0] != "Expiration Date":
                day = dt.datetime.strptime(row[0], "%a %b %d %Y").date()  # noqa: DTZ007 - a date
                rows[day].append([float(row[i]) for i in (11, 4, 5, 7, 8, 15, 16, 18, 19)])
    return {day: np.array(columns).T for day, columns in sorted(rows.items()) if day > SESSION}


def compare(columns: Floats, days: float) -> tuple[Floats, Floats]:
    """Return what our volatilities and deltas of options out of the money differ by."""
    strike, call_bid, call_ask, call_vol, call_delta, put_bid, put_ask, put_vol, put_delta = columns
    years = days / 365
    premium = np.zeros_like(strike)
    for _ in range(2):
        # No dividend falls into these two weeks, so that parity gives the spot that quotes meant:
        # the table's own is of 19:23, after news.
        fit = forward_from_parity(
            strike,
            call_bid,
            call_ask,
            put_bid,
            put_ask,
            years,
            rate=RATE,
            rate_error=0.005,
            premium=premium,
        )
        spot = fit.forward * fit.discount
        is_call = strike > fit.forward
        bid, ask = np.where(is_call, call_bid, put_bid), np.where(is_call, call_ask, put_ask)
        market = spot, strike, years, fit.rate
        found = american.implied_volatility(0.5 * (bid + ask), *market, is_call=is_call)
        vol = np.where(np.isnan(found.vol), 0.2, found.vol)
        early = american.price(*market, vol, is_call=False)
        premium = calculator.price(*market, vol, is_call=False) - early
    theirs = np.where(is_call, call_vol, put_vol)
    near = (np.abs(np.log(strike / spot)) < 0.25) & (theirs > 0) & (bid > 0)
    delta = american.greeks(*market, vol, is_call=is_call).delta
    their_delta = np.where(is_call, call_delta, put_delta)
    return (found.vol - theirs)[near], (delta - their_delta)[near]


@pytest.mark.filterwarnings("error")
def test_volatilities_and_deltas_agree_with_the_exchange() -> None:
    pairs = [
        compare(columns, (day - SESSION).days - QUARTER_HOUR) for day, columns in chain().items()
    ]
    vols, deltas = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    assert vols.size > 900
    assert not np.isnan(vols).any()
    assert np.median(np.abs(vols)) < 0.0003
    assert np.median(np.abs(deltas)) < 0.002
    print(f"median difference {100 * np.median(np.abs(vols)):.4f} points")
