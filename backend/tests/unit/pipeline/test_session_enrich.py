"""A session's quotes priced at once: against known truth, and against snapshot by snapshot."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from black_scholes import calculator
from black_scholes.synthetic_generator import Request, generate, synthetic_market
from models.options import OptionChain
from models.tables import EXPIRATION_FIGURES, SESSION_FIGURES, STRIKE_FIGURES, frame_schema
from pipeline.enrich import FIGURES, enrich
from pipeline.session_enrich import Enriched, enrich_session
from pipeline.session_figures import Beside, SessionFigures, session_figures
from pipeline.session_smiles import smile_moments
from utils import market_calendar

FRIDAY = market_calendar.session(date(2026, 11, 20))


@pytest.fixture(scope="module")
def truth() -> pl.DataFrame:
    """Quotes of a generated session, hour by hour, expirations of a week, with what they are made of."""
    parts = generate(synthetic_market("QQQ"), Request(FRIDAY.day, FRIDAY.day, 0, 7, 60))
    return pl.concat(part.rows for part in parts if part.table == "option_quotes")


def chain_of(quotes: pl.DataFrame, underlying: str = "QQQ") -> OptionChain:
    return OptionChain(underlying, FRIDAY.close, 0.0, None, None, quotes, quotes.head(0))


@pytest.fixture(scope="module")
def enriched(truth: pl.DataFrame) -> Enriched:
    bare = truth.drop(*FIGURES, "implied_volatility_status", "flags")
    return enrich_session(chain_of(bare), bare)


@pytest.fixture(scope="module")
def figures(enriched: Enriched) -> SessionFigures:
    return session_figures(FRIDAY, enriched)


def test_forwards_and_volatilities_are_those_the_quotes_were_made_of(
    truth: pl.DataFrame, enriched: Enriched
) -> None:
    found = enriched.quotes
    assert found.select(truth.columns[:5]).equals(truth.select(truth.columns[:5]))
    both = found.select(
        "delta", "forward", "implied_volatility", "ask", "bid",
        true_forward=truth["forward"],
        true_vol=truth["implied_volatility"],
        true_delta=truth["delta"],
        true_vega=truth["vega_per_point"],
    ).filter(pl.col("true_delta").abs().is_between(0.1, 0.9), found["year_fraction"] > 0.001)  # fmt: skip
    assert both.height > 1000
    assert (both["forward"] - both["true_forward"]).abs().max() < 0.03  # dollars, of 770  # type: ignore[operator]
    gap = (both["implied_volatility"] - both["true_vol"]).abs() * 100 * both["true_vega"]
    half_spreads = gap / (0.5 * (both["ask"] - both["bid"]))
    assert half_spreads.quantile(0.9) < 1.0  # type: ignore[operator]
    assert (both["delta"] - both["true_delta"]).abs().quantile(0.99) < 0.02  # type: ignore[operator]


def test_it_agrees_with_the_figures_of_single_snapshots(
    truth: pl.DataFrame, enriched: Enriched
) -> None:
    ts = truth["ts"].unique().sort()[3]
    one = truth.filter(ts=ts).drop(*FIGURES, "implied_volatility_status", "flags")
    spot = one["underlying_price"][0]
    single = enrich(OptionChain("QQQ", ts, spot, None, None, one, one.head(0)), one)
    whole = enriched.quotes.filter(ts=ts)
    assert (single["forward"] - whole["forward"]).abs().max() < 0.02  # type: ignore[operator]
    known = single["delta"].abs().is_between(0.02, 0.98) & whole["delta"].is_not_null()
    for name, limit in (("implied_volatility", 0.002), ("delta", 0.002), ("gamma", 0.002)):
        gap = (single[name] - whole[name]).abs().filter(known)
        assert gap.quantile(0.98) < limit, name  # type: ignore[operator]
    same = single["implied_volatility_status"] == whole["implied_volatility_status"]
    assert same.mean() > 0.99  # type: ignore[operator]


def european_session(drop: frozenset[tuple[int, float]] = frozenset()) -> pl.DataFrame:
    """SPXW, two expirations, flat 20 %, a spot that moves; some pairs may be left out."""
    rows = []
    for minute in range(1, 6):
        ts = FRIDAY.open + timedelta(minutes=minute)
        spot = 6000.0 + minute
        for number, expiration in enumerate((date(2026, 12, 4), date(2026, 12, 18))):
            years = market_calendar.year_fraction(ts, expiration, root="SPXW")
            for strike in np.arange(5800.0, 6201.0, 25.0):
                if (minute, strike) in drop or (number, minute) in drop:
                    continue
                for right in "CP":
                    worth = float(
                        calculator.price(
                            spot, strike, years, 0.043, 0.2, 0.012, is_call=right == "C"
                        )
                    )
                    rows.append(
                        {
                            "ts": ts,
                            "occ_symbol": f"SPXW  {expiration:%y%m%d}{right}{int(strike * 1000):08d}",
                            "underlying": "SPX",
                            "session": FRIDAY.day,
                            "expiration": expiration,
                            "strike": strike,
                            "right": right,
                            "bid": worth - 0.05,
                            "ask": worth + 0.05,
                            "underlying_price": spot,
                            "source": "synthetic",
                            "origin": "simulator",
                        }
                    )
    return pl.DataFrame(rows).with_columns(pl.col("ts").dt.cast_time_unit("us"))


def test_european_options_need_no_table_and_a_minute_without_pairs_takes_the_others_spot() -> None:
    # In minute 3 the first expiration has calls alone at one strike: no pair.
    whole = european_session()
    lone = (pl.col("ts") == FRIDAY.open + timedelta(minutes=3)) & (
        pl.col("expiration") == date(2026, 12, 4)
    )
    quotes = whole.filter(~lone | ((pl.col("strike") == 6000) & (pl.col("right") == "C")))
    found = enrich_session(chain_of(quotes, "SPX"), quotes).quotes
    assert found["implied_volatility_status"].unique().to_list() == ["ok"]
    assert found["implied_volatility"].to_numpy() == pytest.approx(0.2, abs=1e-3)
    single = found.filter(lone)
    assert single.height == 1
    years = single["year_fraction"][0]
    assert single["forward"][0] == pytest.approx(6003 * np.exp(0.031 * years), abs=0.5)


def test_what_cannot_be_priced_says_why() -> None:
    quotes = european_session().with_row_index("n")
    changes = {0: {"bid": None}, 1: {"ask": None}, 2: {"bid": 900.0}, 3: {"bid": 0.0}}
    for number, change in changes.items():
        ((name, value),) = change.items()
        quotes = quotes.with_columns(
            pl.when(pl.col("n") == number)
            .then(pl.lit(value, pl.Float64))
            .otherwise(name)
            .alias(name)
        )
    quotes = quotes.with_columns(
        expiration=pl.when(pl.col("n") == 4).then(date(2026, 11, 19)).otherwise("expiration")
    ).drop("n")
    quotes = quotes.with_columns(
        occ_symbol=pl.when(pl.col("expiration") == date(2026, 11, 19))
        .then(pl.lit("SPXW  261119C05850000"))
        .otherwise("occ_symbol")
    )
    found = enrich_session(chain_of(quotes, "SPX"), quotes).quotes
    words = found["implied_volatility_status"].head(5).to_list()
    assert words == ["no_bid", "no_ask", "crossed", "no_bid", "expired"]
    assert found.head(5)["implied_volatility"].null_count() == 5


def test_a_session_without_quotes_has_no_figures() -> None:
    empty = european_session().head(0)
    enriched = enrich_session(chain_of(empty, "SPX"), empty)
    assert enriched.quotes.height == 0
    assert set(FIGURES) <= set(enriched.quotes.columns)
    assert session_figures(FRIDAY, enriched).session.is_empty()


def test_without_a_price_of_the_underlying_the_pairs_alone_tell_the_spot() -> None:
    quotes = european_session().with_columns(underlying_price=pl.lit(None, pl.Float64))
    found = enrich_session(chain_of(quotes, "SPX"), quotes).quotes
    first = found.filter(expiration=date(2026, 12, 18))
    years, minute = (
        first["year_fraction"].to_numpy(),
        first["ts"].dt.minute().cast(pl.Float64).to_numpy() - 30,
    )
    assert first["forward"].to_numpy() == pytest.approx(
        (6000 + minute) * np.exp(0.031 * years), rel=2e-4
    )


def test_smiles_stand_at_the_half_hours_and_at_the_close(truth: pl.DataFrame) -> None:
    times = pl.DataFrame({"ts": pl.datetime_range(
        FRIDAY.open + timedelta(minutes=1), FRIDAY.close + timedelta(minutes=15), "1m", eager=True
    )})  # fmt: skip
    moments = smile_moments(FRIDAY, times)
    assert moments[0] == FRIDAY.open + timedelta(minutes=30)
    assert moments[-1] == FRIDAY.close
    assert len(moments) == 13
    late = times.filter(pl.col("ts") == FRIDAY.open + timedelta(minutes=47))
    assert smile_moments(FRIDAY, late) == [FRIDAY.open + timedelta(minutes=47)]


def test_the_rows_fit_their_tables(figures: SessionFigures) -> None:
    for rows, table in (
        (figures.expirations, EXPIRATION_FIGURES),
        (figures.strikes, STRIKE_FIGURES),
        (figures.session, SESSION_FIGURES),
    ):
        assert rows.schema == pl.Schema(frame_schema(table))
        assert rows.height
        assert not rows.select(table.key).is_duplicated().any()
        needed = [column.name for column in table.columns if not column.nullable]
        assert rows.select(needed).null_count().sum_horizontal().item() == 0


def test_smiles_pass_through_the_quotes(figures: SessionFigures, enriched: Enriched) -> None:
    quotes = enriched.quotes.with_columns(smile=figures.smile_volatility)
    at = quotes.filter(pl.col("smile").is_not_null(), pl.col("delta").abs().is_between(0.1, 0.9))
    at = at.filter(pl.col("year_fraction") > 0.002)
    assert at["ts"].n_unique() == figures.expirations["ts"].n_unique()
    gap = (at["smile"] - at["implied_volatility"]).abs()
    assert gap.quantile(0.9) < 0.01  # type: ignore[operator]
    assert figures.expirations.filter(pl.col("year_fraction") > 0.002)["smile_error"].max() < 0.02  # type: ignore[operator]


def test_the_straddle_and_the_smile_tell_about_the_same_move(figures: SessionFigures) -> None:
    rows = figures.expirations.filter(pl.col("year_fraction") > 0.002)
    ratio = rows["expected_move"] / rows["straddle"]
    assert 0.7 < ratio.min() < ratio.max() < 1.4  # type: ignore[operator]
    assert (rows["straddle_strike"] - rows["forward"]).abs().max() <= 1.0  # type: ignore[operator]


def test_volume_and_interest_add_up(figures: SessionFigures, truth: pl.DataFrame) -> None:
    last = truth.sort("ts").group_by("occ_symbol").last()
    whole = figures.session.row(0, named=True)
    for side, right in (("call", "C"), ("put", "P")):
        of_side = last.filter(right=right)
        assert whole[f"{side}_volume"] == of_side["volume"].sum()
        assert whole[f"{side}_open_interest"] == of_side["open_interest"].sum()
        assert figures.strikes[f"{side}_open_interest"].sum() == of_side["open_interest"].sum()
    assert whole["put_call_volume"] == whole["put_volume"] / whole["call_volume"]
    assert whole["gamma_exposure"] == pytest.approx(figures.strikes["gamma_exposure"].sum())
    calls = figures.strikes.sort("call_gamma_exposure")["strike"][-1]
    puts = figures.strikes.sort("put_gamma_exposure")["strike"][0]
    assert (whole["call_wall"], whole["put_wall"]) == (calls, puts)
    assert abs(whole["gamma_flip"] / whole["spot"] - 1) < 0.15
    assert whole["realized_volatility"] is None  # no bars were given


def test_interest_that_comes_beside_the_quotes_counts(enriched: Enriched) -> None:
    quotes = enriched.quotes.drop("volume", "open_interest")
    bare = Enriched(quotes, enriched.terms)
    assert session_figures(FRIDAY, bare).session["gamma_exposure"][0] is None
    activity = quotes.select("occ_symbol").unique().with_columns(volume=2, open_interest=3)
    beside = Beside(activity=activity)
    whole = session_figures(FRIDAY, bare, beside).session.row(0, named=True)
    assert whole["call_volume"] + whole["put_volume"] == 2 * activity.height
    assert whole["put_call_open_interest"] == pytest.approx(
        whole["put_open_interest"] / whole["call_open_interest"]
    )
