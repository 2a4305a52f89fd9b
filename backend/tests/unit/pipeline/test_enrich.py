"""Implied volatility and greeks through the pipeline."""

import gzip
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from black_scholes import american, calculator
from models.options import OptionChain
from models.symbols import exercise_style_of
from models.tables import OPTION_QUOTES, frame_schema
from pipeline.dividends import CashDividend
from pipeline.enrich import enrich, valuation_time
from utils import market_calendar

SPY_FILE = Path(__file__).parents[2] / "data/chains/spy_cboe_quotedata_2025-05-16.csv.gz"
FRIDAY = market_calendar.session(date(2026, 11, 20))


def make_chain(  # one expiration, flat smile
    *,
    ts: datetime = FRIDAY.close - timedelta(hours=2),
    spot: float = 500.0,
    rate: float = 0.043,
    carry: float = 0.012,
    vol: float = 0.22,
    half_spread: float = 0.01,
    stated_rate: float | None = 0.043,
    expiration: date = date(2026, 12, 18),
    root: str = "QQQ",
) -> OptionChain:
    keys = [(float(k), r) for k in range(440, 561, 5) for r in "CP"]
    strike, right = (list(column) for column in zip(*keys, strict=True))
    years = market_calendar.year_fraction(ts, expiration, root=root)
    is_call = np.array(right) == "C"
    style = american if exercise_style_of(root) == "A" else calculator
    worth = style.price(spot, strike, years, rate, vol, carry, is_call=is_call)
    quotes = pl.DataFrame(
        {
            "occ_symbol": [f"{root:<6}{expiration:%y%m%d}{r}{int(k * 1000):08d}" for k, r in keys],
            "strike": strike,
            "right": right,
            "bid": worth - half_spread,
            "ask": worth + half_spread,
        }
    ).with_columns(expiration=pl.lit(expiration), underlying_price=pl.lit(spot))
    return OptionChain(root, ts, spot, stated_rate, carry, quotes, quotes.head(0))


@pytest.mark.parametrize("root", ["QQQ", "SPX"])
def test_known_volatility_forward_and_rate_come_back(root: str) -> None:
    chain = make_chain(root=root)
    rows = enrich(chain, chain.quotes)
    years = rows["year_fraction"][0]
    true_forward = 500.0 * np.exp((0.043 - 0.012) * years)
    assert rows["forward"].to_numpy() == pytest.approx(true_forward, abs=0.01)
    assert rows["risk_free_rate"].to_numpy() == pytest.approx(0.043, abs=1e-3)
    near = rows.filter((pl.col("strike") - 500).abs() <= 40)
    assert near["implied_volatility_status"].unique().to_list() == ["ok"]
    assert near["implied_volatility"].to_numpy() == pytest.approx(0.22, abs=5e-4)


@pytest.mark.parametrize(
    ("root", "style", "right"),
    [("QQQ", american, "P"), ("QQQ", american, "C"), ("SPX", calculator, "P")],
)
def test_greeks_come_in_the_units_of_the_table(root: str, style: Any, right: str) -> None:
    chain = make_chain(root=root)
    found = enrich(chain, chain.quotes).filter(pl.col("strike") == 510, pl.col("right") == right)
    rows = found.row(0, named=True)
    years, vol, carry = rows["year_fraction"], rows["implied_volatility"], 0.012

    def price(spot: float = 500.0, vol: float = vol, rate: float = 0.0, days: float = 0.0) -> float:
        r = rows["risk_free_rate"] + rate
        left = years - days / 365
        market = spot, 510.0, left, r, vol, carry
        return float(style.price(*market, is_call=right == "C"))

    assert rows["delta"] == pytest.approx((price(500.5) - price(499.5)), abs=2e-4)
    assert rows["vega_per_point"] == pytest.approx(price(vol=vol + 0.01) - price(), rel=1e-2)
    assert rows["rho_per_point"] == pytest.approx(price(rate=0.01) - price(), rel=3e-2)
    assert rows["theta_per_day"] == pytest.approx(price(days=1) - price(), rel=3e-2)
    assert rows["theta_per_day"] < 0 < rows["gamma"]


def test_exercise_follows_the_contracts_where_they_say_it() -> None:
    chain = make_chain(root="QQQ")
    contracts = chain.quotes.select("occ_symbol", exercise_style=pl.lit("E"))
    european = enrich(replace(chain, contracts=contracts), chain.quotes)
    put = (pl.col("strike") == 530) & (pl.col("right") == "P")
    vols = [
        rows.filter(put)["implied_volatility"][0]
        for rows in (european, enrich(chain, chain.quotes))
    ]
    assert vols[1] == pytest.approx(0.22, abs=5e-4)
    assert vols[0] > 0.225  # the early-exercise premium taken for volatility


def test_a_known_dividend_counts_from_its_ex_date_on() -> None:
    """Calls that expire before the ex-date are worth no more than European ones."""
    near, far = (
        make_chain(carry=0.0, expiration=day) for day in (date(2026, 12, 11), date(2026, 12, 31))
    )
    dividends = [CashDividend(date(2026, 12, 18), 2.0)]
    quotes = pl.concat([near.quotes, far.quotes])
    rows = enrich(
        near, quotes.filter(pl.col("right") == "C"), dividends
    )  # no pairs: the spot is carried
    forwards = rows.group_by("expiration", maintain_order=True).agg(
        pl.first("forward", "year_fraction")
    )
    for (_, forward, years), paid in zip(forwards.rows(), (0.0, 2.0), strict=True):
        discounted = paid * np.exp(-0.043 * 28 / 365)
        assert forward == pytest.approx((500 - discounted) * np.exp(0.043 * years), rel=1e-6)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"bid": None}, "no_bid"),
        ({"bid": 0.0}, "no_bid"),
        ({"ask": None}, "no_ask"),
        ({"bid": 99.0}, "crossed"),
        ({"bid": 0.001, "ask": 0.002}, "below_intrinsic"),
        ({"bid": 600.0, "ask": 601.0}, "above_bound"),
    ],
)
def test_a_row_without_volatility_says_why(change: dict[str, float], status: str) -> None:
    chain = make_chain()
    first = pl.int_range(pl.len()) == 0  # the call struck at 440
    changed = [
        pl.when(first).then(pl.lit(value, pl.Float64)).otherwise(name).alias(name)
        for name, value in change.items()
    ]
    rows = enrich(chain, chain.quotes.with_columns(changed))
    row = rows.row(0, named=True)
    assert row["implied_volatility_status"] == status
    assert [row[name] for name in ("implied_volatility", "delta", "gamma")] == [None] * 3
    others = rows.filter((pl.col("strike") - 500).abs() <= 40)
    assert others["implied_volatility"].null_count() == 0


def test_an_expired_contract_has_no_volatility() -> None:
    chain = make_chain(expiration=FRIDAY.day)
    late = OptionChain("QQQ", FRIDAY.close, 500.0, 0.04, 0.0, chain.quotes, chain.contracts)
    rows = enrich(late, chain.quotes)
    assert rows["implied_volatility_status"].unique().to_list() == ["expired"]
    assert rows["year_fraction"].unique().to_list() == [0.0]


def test_without_pairs_the_stated_rate_and_yield_carry_the_spot() -> None:
    chain = make_chain(carry=0.0)
    calls = chain.quotes.filter(pl.col("right") == "C")
    rows = enrich(chain, calls)
    years = rows["year_fraction"][0]
    assert rows["forward"][0] == pytest.approx(500.0 * np.exp(0.043 * years))
    assert rows["risk_free_rate"].unique().to_list() == [0.043]


def test_puts_of_an_unpaired_strike_use_the_forward_of_their_expiration() -> None:
    chain = make_chain()
    rows = enrich(chain, chain.quotes.slice(1))  # without the lowest call
    assert rows["implied_volatility"][0] == pytest.approx(0.22, abs=2e-3)


def test_puts_alone_are_priced_too() -> None:
    chain = make_chain(carry=0.0)
    rows = enrich(chain, chain.quotes.filter(pl.col("right") == "P"))
    assert rows.filter(pl.col("strike") <= 520)["implied_volatility"].null_count() == 0


def test_an_empty_chain_gets_its_columns() -> None:
    chain = make_chain()
    rows = enrich(chain, chain.quotes.head(0))
    computed = {"year_fraction", "forward", "implied_volatility", "implied_volatility_status"}
    assert rows.is_empty()
    assert computed <= set(rows.columns) <= set(frame_schema(OPTION_QUOTES))


def test_time_stops_with_the_quotes() -> None:
    close = FRIDAY.close
    hours = timedelta(hours=1)
    assert valuation_time("AAPL", close - hours) == close - hours
    assert valuation_time("AAPL", close + 30 * hours) == close
    assert valuation_time("SPY", close + 30 * hours) == close + timedelta(minutes=15)


def test_am_settled_contracts_end_at_the_opening() -> None:
    expiration = date(2026, 12, 18)
    morning = make_chain(root="SPX", expiration=expiration)
    evening = make_chain(root="SPXW", expiration=expiration)
    both = pl.concat([morning.quotes, evening.quotes])
    rows = enrich(morning, both)
    years = rows["year_fraction"].unique(maintain_order=True).to_list()
    assert years[1] - years[0] == pytest.approx(6.5 / 24 / 365)


def cboe_chain() -> OptionChain:
    """The SPY chain as CBOE's page gave it after the close, calls left and puts right."""
    rows = []
    for line in gzip.decompress(SPY_FILE.read_bytes()).decode().splitlines()[4:]:
        cell = line.split(",")
        expiration = datetime.strptime(cell[0], "%a %b %d %Y").replace(tzinfo=UTC).date()
        for right, at in (("C", 1), ("P", 12)):
            bid, ask = float(cell[at + 3]), float(cell[at + 4])
            rows.append(
                {
                    "occ_symbol": f"{cell[at][:3]:<6}{cell[at][3:]}",
                    "expiration": expiration,
                    "strike": float(cell[11]),
                    "right": right,
                    "bid": bid or None,
                    "ask": ask or None,
                    "source_implied_volatility": float(cell[at + 6]),
                    "source_delta": float(cell[at + 7]),
                }
            )
    quotes = pl.DataFrame(rows)
    ts = datetime(2025, 5, 16, 23, 23, tzinfo=UTC)  # 19:23 New York
    return OptionChain("SPY", ts, 589.25, None, None, quotes, quotes.head(0))


def test_volatility_and_delta_of_a_real_chain_agree_with_the_vendor() -> None:
    chain = cboe_chain()
    spot = chain.underlying_price
    out_of_the_money = (pl.col("right") == "C") == (pl.col("strike") >= pl.col("forward"))
    rows = enrich(chain, chain.quotes).filter(
        out_of_the_money
        & ((pl.col("strike") / spot).log().abs() < 0.25)
        & (pl.col("source_implied_volatility") > 0)
        & pl.col("implied_volatility").is_not_null()
    )
    points = 100 * (rows["implied_volatility"] - rows["source_implied_volatility"]).abs()
    delta = (rows["delta"] - rows["source_delta"]).abs()
    assert rows.height > 900
    assert points.median() <= 0.03
    assert delta.median() <= 0.002
