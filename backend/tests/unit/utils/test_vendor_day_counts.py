"""Which day count vendors use, measured on real chains: calendar time to 16:00, as ours.

The volatility that a vendor prints and the quote beside it say how much time the vendor counted:
with another time our inversion of the same quote misses the vendor's figure.
"""

import csv
import gzip
import json
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from black_scholes.implied_vol import implied_volatility
from black_scholes.parity import forward_from_parity
from utils.market_calendar import (
    NEW_YORK,
    dte,
    option_close,
    trading_year_fraction,
    year_fraction,
    year_fractions,
)

DATA = Path(__file__).parents[2] / "data"
FRIDAY_CBOE, FRIDAY_SCHWAB = date(2025, 5, 16), date(2025, 5, 9)


def cboe_rows() -> dict[date, NDArray[np.float64]]:
    """Rows by expiration: strike, call bid, ask, volatility, put bid, ask, volatility."""
    with gzip.open(DATA / "chains" / "spy_cboe_quotedata_2025-05-16.csv.gz", "rt") as file:
        lines = [line for line in csv.reader(file) if len(line) == 22][1:]
    found: dict[date, list[list[float]]] = {}
    for line in lines:
        day = datetime.strptime(line[0], "%a %b %d %Y").replace(tzinfo=UTC).date()
        found.setdefault(day, []).append([float(line[n]) for n in (11, 4, 5, 7, 15, 16, 18)])
    return {day: np.array(rows) for day, rows in found.items() if day > FRIDAY_CBOE}


def cboe_miss(rows: NDArray[np.float64], years: float) -> float:
    """Median difference from the vendor, volatility points, out of the money near the money."""
    strike, call_bid, call_ask, call_iv, put_bid, put_ask, put_iv = rows.T
    found = forward_from_parity(strike, call_bid, call_ask, put_bid, put_ask, years)
    is_call = strike >= found.forward
    bid = np.where(is_call, call_bid, put_bid)
    mid = (bid + np.where(is_call, call_ask, put_ask)) / 2
    vendor = np.where(is_call, call_iv, put_iv)
    ours = implied_volatility(
        mid, found.forward, strike, years, found.rate, found.rate, is_call=is_call
    ).vol
    counted = (np.abs(np.log(strike / found.forward)) < 0.25) & (bid > 0) & (vendor > 0)
    return float(np.nanmedian(np.abs(ours - vendor)[counted])) * 100


def test_cboe_counts_calendar_time_from_the_last_quote() -> None:
    last_quote = option_close("SPY", FRIDAY_CBOE)
    next_day = datetime(2025, 5, 17, 16, 15, tzinfo=NEW_YORK)
    found = cboe_rows()
    assert len(found) >= 9
    for day, rows in found.items():
        ours = cboe_miss(rows, year_fraction(last_quote, day, root="SPY"))
        assert ours < 0.1, day
        if dte(last_quote, day) <= 7:
            assert ours < cboe_miss(rows, year_fraction(next_day, day)) / 5, day
            assert ours < cboe_miss(rows, trading_year_fraction(last_quote, day)) / 3, day
    median = np.median(
        [cboe_miss(rows, year_fraction(last_quote, day)) for day, rows in found.items()]
    )
    assert median < 0.05


def test_schwab_counts_calendar_time_from_the_close_and_prints_other_days() -> None:
    text = gzip.decompress(
        (DATA / "schwab_captured" / "option_chain_spx_2025-05-09.json.gz").read_bytes()
    )
    reply = json.loads(text)
    contracts = [
        contract
        for side in ("callExpDateMap", "putExpDateMap")
        for strikes in reply[side].values()
        for listed in strikes.values()
        for contract in listed
        if contract["bid"] > 0.2
    ]
    assert {each["daysToExpiration"] for each in contracts} == {9}  # asked on Sunday
    strike, mark, vendor = (
        np.array([float(each[name]) for each in contracts])
        for name in ("strikePrice", "mark", "volatility")
    )
    is_call = np.array([each["putCall"] == "CALL" for each in contracts])
    rate = np.log1p(reply["interestRate"] / 100)

    def miss(days: float) -> float:
        """Median difference at the best forward: the chain has no strike with both sides."""
        forward = np.arange(5640.0, 5690.0)[:, None]
        ours = implied_volatility(
            mark, forward, strike, days / 365, rate, rate, is_call=is_call
        ).vol
        return float(np.nanmedian(np.abs(ours * 100 - vendor), axis=1).min())

    close = datetime(2025, 5, 9, 16, 0, tzinfo=NEW_YORK)
    ours = year_fraction(close, date(2025, 5, 20), root="SPXW") * 365
    assert ours == pytest.approx(11)
    assert miss(ours) < 0.1
    for other in (9.0, 10.0, 12.0):
        assert miss(ours) < miss(other) / 4


def test_many_at_once_count_the_same() -> None:
    last_quote = option_close("SPY", FRIDAY_CBOE)
    days = sorted(cboe_rows())
    ns = np.array([int(last_quote.timestamp()) * 1_000_000_000])
    found = year_fractions(ns, np.array(days, "datetime64[D]"))
    one_by_one = [year_fraction(last_quote, day, root="SPY") for day in days]
    assert found.tolist() == pytest.approx(one_by_one, rel=1e-13)
