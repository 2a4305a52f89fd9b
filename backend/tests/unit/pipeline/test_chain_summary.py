"""A chain in a few figures."""

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from black_scholes import calculator
from models.tables import OPTION_QUOTES, frame_schema
from pipeline.chain_summary import COLUMNS, summarise

AT = datetime(2026, 11, 20, 15, tzinfo=UTC)


def smile(expiration: date, *, level: float, slope: float, strikes: range) -> pl.DataFrame:
    """One expiration with vol = level + slope ln(K/F)."""
    years = max((expiration - AT.date()).days, 0.2) / 365
    keys = [(float(k), right) for k in strikes for right in "PC"]
    strike = np.array([k for k, _ in keys])
    right = [r for _, r in keys]
    vol = level + slope * np.log(strike / 500)
    delta = calculator.greeks(500.0, strike, years, 0.0, vol, is_call=np.array(right) == "C").delta
    columns = {
        "expiration": expiration,
        "strike": strike,
        "right": right,
        "implied_volatility": vol,
        "delta": delta,
        "ts": AT,
        "underlying_price": 500.0,
        "year_fraction": years,
        "forward": 500.0,
        "implied_volatility_status": "ok",
    }
    schema = frame_schema(OPTION_QUOTES)
    return pl.DataFrame(columns, schema_overrides={n: schema[n] for n in COLUMNS}).select(COLUMNS)


def test_terms_are_the_nearest_to_today_a_week_and_a_month() -> None:
    days = [date(2026, 11, 20), date(2026, 11, 24), date(2026, 11, 27), date(2026, 12, 18)]
    chain = pl.concat(
        smile(day, level=0.1 + 0.02 * n, slope=-0.3, strikes=range(400, 601, 5))
        for n, day in enumerate(days)
    )
    found = summarise("QQQ", chain)
    assert [(term.expiration, term.dte) for term in found.terms] == [
        (days[0], 0),
        (days[2], 7),
        (days[3], 28),
    ]
    assert [term.atm_volatility for term in found.terms] == pytest.approx([0.1, 0.14, 0.16])
    month = found.terms[2]
    assert month.skew_25_delta == pytest.approx(
        0.3 * 2 * 0.6745 * 0.16 * np.sqrt(28 / 365), rel=0.1
    )
    assert (found.spot, found.contracts, found.priced, found.unpriced) == (
        500.0,
        4 * 82,
        4 * 82,
        {},
    )


def test_what_has_no_volatility_is_counted_by_reason() -> None:
    chain = smile(date(2026, 11, 27), level=0.2, slope=0.0, strikes=range(490, 511, 5))
    status = ["ok"] * 4 + ["no_bid"] * 4 + ["expired", "below_intrinsic"]
    rows = chain.with_columns(implied_volatility_status=pl.Series(status)).with_columns(
        implied_volatility=pl.when(implied_volatility_status="ok").then("implied_volatility")
    )
    found = summarise("QQQ", rows)
    assert found.priced == 4
    assert list(found.unpriced.items()) == [("no_bid", 4), ("below_intrinsic", 1), ("expired", 1)]
    assert found.terms[0].atm_volatility is None
    assert found.terms[0].skew_25_delta is None


def test_quotes_that_do_not_reach_25_delta_give_no_skew() -> None:
    chain = smile(date(2026, 12, 18), level=0.2, slope=0.0, strikes=range(499, 503))
    term = summarise("QQQ", chain).terms[0]
    assert term.atm_volatility == pytest.approx(0.2)
    assert term.skew_25_delta is None


def test_an_expired_chain_has_no_terms() -> None:
    chain = smile(date(2026, 11, 20), level=0.2, slope=0.0, strikes=range(490, 511, 5))
    assert summarise("QQQ", chain.with_columns(year_fraction=0.0)).terms == ()
