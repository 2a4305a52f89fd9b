"""What a session comes to in figures: by expiration, by strike, and as a whole.

Volume and open interest are those of the session's last moment that has them; where a source does
not send them with the quotes they come beside, one row a contract. What does not exist is null.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from black_scholes import realized
from black_scholes.exposure import HeldOptions, gamma_exposure, gamma_flip, max_pain
from models.tables import (
    EXPIRATION_FIGURES,
    SESSION_FIGURES,
    STRIKE_FIGURES,
    frame_schema,
)
from pipeline.enrich import roots_of
from pipeline.session_smiles import fit_session, smile_figures, smile_moments, smile_volatility

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.tables import Frame, Scalar, Table
    from pipeline.session_enrich import Enriched
    from pipeline.session_smiles import FittedSmile
    from utils.market_calendar import Session

    Floats = NDArray[np.float64]

REALIZED_DAYS = 20
"""Sessions over which volatility is taken from daily bars."""

_HELD = (
    "ts",
    "occ_symbol",
    "expiration",
    "strike",
    "right",
    "year_fraction",
    "forward",
    "implied_volatility",
    "gamma",
)

_MONTH = 30.0 / 365.0
_USUAL_MULTIPLIER = 100.0


@dataclass(frozen=True, slots=True)
class Beside:
    """What a session's figures need beside its quotes; every part may be empty.

    Attributes:
        minutes: Minute bars of the underlying in this session: ts, close.
        daily: Daily bars of the underlying, adjusted for splits, this session's the last one:
            session, open, high, low, close.
        activity: One row a contract: occ_symbol, volume, open_interest, as far as the quotes do
            not have them.
        multipliers: One row a contract that has another one than 100: occ_symbol, multiplier.
    """

    minutes: Frame | None = None
    daily: Frame | None = None
    activity: Frame | None = None
    multipliers: Frame | None = None


@dataclass(frozen=True, slots=True)
class SessionFigures:
    """The rows of three tables, and the smiles that they come from.

    Attributes:
        expirations: Rows of `EXPIRATION_FIGURES`.
        strikes: Rows of `STRIKE_FIGURES`.
        session: One row of `SESSION_FIGURES`; none where the session has no quotes.
        smiles: The fits.
        smile_volatility: Of each quote, null away from the moments of the fits.
    """

    expirations: Frame
    strikes: Frame
    session: Frame
    smiles: tuple[FittedSmile, ...]
    smile_volatility: pl.Series


def session_figures(
    session: Session, enriched: Enriched, beside: Beside | None = None
) -> SessionFigures:
    """Return the figures of a session.

    Args:
        session: Which.
        enriched: Its quotes, of one underlying, source and origin, from `enrich_session`.
        beside: Bars, and volume and open interest, as far as they are known.
    """
    beside = beside or Beside()
    quotes = enriched.quotes
    if quotes.is_empty():
        return SessionFigures(
            pl.DataFrame(schema=frame_schema(EXPIRATION_FIGURES)),
            pl.DataFrame(schema=frame_schema(STRIKE_FIGURES)),
            pl.DataFrame(schema=frame_schema(SESSION_FIGURES)),
            (),
            pl.Series("smile_volatility", [], pl.Float64),
        )
    if not quotes["ts"].is_sorted():
        quotes = quotes.sort("ts", maintain_order=True)
    fits = fit_session(enriched, smile_moments(session, quotes))
    held = _held(quotes, beside)
    key: dict[str, Scalar] = {
        "underlying": quotes["underlying"][0],
        "session": session.day,
        "source": quotes["source"][0],
        "origin": quotes["origin"][0],
    }
    spot = _spot(quotes, held)
    return SessionFigures(
        _shaped(_by_expiration(quotes, fits, held), key, EXPIRATION_FIGURES),
        _shaped(_by_strike(held, spot), key, STRIKE_FIGURES),
        _shaped(_whole(session, fits, held, spot, beside), key, SESSION_FIGURES),
        tuple(fits),
        smile_volatility(enriched.quotes, fits),
    )


def _shaped(rows: Frame, key: dict[str, Scalar], table: Table) -> Frame:
    """Return rows with the key's columns, in the types of a table."""
    schema = frame_schema(table)
    whole = rows.with_columns(pl.lit(value).alias(name) for name, value in key.items())
    return whole.select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def _held(quotes: Frame, beside: Beside) -> Frame:
    """Return each contract at its last moment, with volume, open interest and multiplier."""
    last = quotes.select(name for name in _HELD if name in quotes.columns)
    last = last.unique("occ_symbol", keep="last", maintain_order=True)
    for name in ("volume", "open_interest"):
        told = [
            each for each in (quotes, beside.activity) if each is not None and name in each.columns
        ]
        known = pl.DataFrame(schema={"occ_symbol": pl.String(), name: pl.Int64()})
        for each in told:
            some = each.select("occ_symbol", pl.col(name).cast(pl.Int64)).drop_nulls()
            known = pl.concat([known, some.unique("occ_symbol", keep="last")])
        # What came with the quotes stands first.
        known = known.unique("occ_symbol", keep="first", maintain_order=True)
        last = last.drop(name, strict=False).join(known, on="occ_symbol", how="left")
    last = last.sort("occ_symbol")
    multipliers = beside.multipliers
    if multipliers is None:
        return last.with_columns(multiplier=pl.lit(_USUAL_MULTIPLIER), root=roots_of(last))
    stated = multipliers.select("occ_symbol", "multiplier").unique("occ_symbol")
    last = last.join(stated, on="occ_symbol", how="left", maintain_order="left")
    return last.with_columns(pl.col("multiplier").fill_null(_USUAL_MULTIPLIER), root=roots_of(last))


def _spot(quotes: Frame, held: Frame) -> float:
    """Return the underlying's last price, or else the nearest forward at the last moment."""
    prices = quotes["underlying_price"].drop_nulls()
    if prices.len():
        return float(prices[-1])
    nearest = held.filter(pl.col("ts") == quotes["ts"].max(), pl.col("forward").is_not_null())
    forward = nearest.sort("expiration")["forward"]
    return float(forward[0]) if forward.len() else math.nan


def _by_expiration(quotes: Frame, fits: Sequence[FittedSmile], held: Frame) -> Frame:
    """Return the figures of each smile with its straddle, and interest at the last moment's."""
    figures = smile_figures(fits).join(
        _straddles(quotes, fits), on=["ts", "root", "expiration"], how="left", maintain_order="left"
    )
    pain = [
        {
            "root": root,
            "expiration": day,
            "max_pain": max_pain(
                rows["strike"].to_numpy(),
                (rows["right"] == "C").to_numpy(),
                _numbers(rows["open_interest"].fill_null(0)),
            ),
        }
        for (root, day), rows in held.group_by("root", "expiration")
    ]
    schema = {"root": pl.String(), "expiration": pl.Date(), "max_pain": pl.Float64()}
    interest = (
        held.group_by("root", "expiration")
        .agg(*_sides())
        .with_columns(_ratios())
        .join(
            pl.DataFrame(pain, schema=schema).with_columns(pl.col("max_pain").fill_nan(None)),
            on=["root", "expiration"],
        )
    )
    last = figures.group_by("root", "expiration").agg(pl.col("ts").max())
    return figures.join(
        last.join(interest, on=["root", "expiration"]),
        on=["ts", "root", "expiration"],
        how="left",
        maintain_order="left",
    )


def _sides() -> list[pl.Expr]:
    """Return volume and open interest of calls and puts, null where none is known."""
    return [
        pl.when(pl.col(name).is_not_null().any())
        .then(pl.col(name).filter(pl.col("right") == right).sum())
        .alias(f"{side}_{name}")
        for name in ("volume", "open_interest")
        for side, right in (("call", "C"), ("put", "P"))
    ]


def _ratios() -> list[pl.Expr]:
    """Return puts over calls, null where there is no call."""
    return [
        pl.when(pl.col(f"call_{name}") > 0)
        .then(pl.col(f"put_{name}") / pl.col(f"call_{name}"))
        .alias(f"put_call_{name}")
        for name in ("volume", "open_interest")
    ]


def _straddles(quotes: Frame, fits: Sequence[FittedSmile]) -> Frame:
    """Return the straddle at the strike nearest to the forward, both options with both sides."""
    moments = pl.DataFrame(
        [(fit.ts, *fit.key) for fit in fits],
        schema={"ts": pl.Datetime("us", "UTC"), "root": pl.String(), "expiration": pl.Date()},
        orient="row",
    )
    priced = quotes.filter(
        pl.col("ts").is_in(moments["ts"].unique().implode()),
        pl.col("bid") > 0,
        pl.col("ask") >= pl.col("bid"),
    )
    keys = ["ts", "root", "expiration"]
    both = (
        priced.with_columns(root=roots_of(priced))
        .group_by(*keys, "strike")
        .agg(
            straddle=((pl.col("bid") + pl.col("ask")) / 2).sum(),
            sides=pl.col("right").n_unique(),
            off=(pl.col("strike").first() - pl.col("forward").first()).abs(),
        )
        .filter(pl.col("sides") == 2)
        .sort("off", "strike")
        .group_by(keys, maintain_order=True)
        .first()
    )
    return both.select(*keys, "straddle", straddle_strike="strike")


def _options(held: Frame) -> HeldOptions:
    return HeldOptions(
        held["strike"].to_numpy(),
        _numbers(held["year_fraction"]),
        (held["right"] == "C").to_numpy(),
        _numbers(held["implied_volatility"]),
        _numbers(held["gamma"]),
        _numbers(held["open_interest"].fill_null(0)),
        held["multiplier"].to_numpy(),
    )


def _by_strike(held: Frame, spot: float) -> Frame:
    """Return open interest, volume and exposure of each strike that has any."""
    exposure = gamma_exposure(_options(held), spot)
    known = held.with_columns(
        _gex=pl.Series(exposure, nan_to_null=True),
        _known=pl.col("open_interest").is_not_null(),
    )
    rows = (
        known.group_by("strike")
        .agg(
            pl.col("ts").max(),
            *_sides(),
            *(
                pl.when(pl.col("_known").any())
                .then(pl.col("_gex").filter(pl.col("right") == right).sum().round(2))
                .alias(f"{side}_gamma_exposure")
                for side, right in (("call", "C"), ("put", "P"))
            ),
        )
        .with_columns(gamma_exposure=pl.col("call_gamma_exposure") + pl.col("put_gamma_exposure"))
        .sort("strike")
    )
    some = [
        pl.col(f"{s}_{n}").fill_null(0) > 0
        for s in ("call", "put")
        for n in ("volume", "open_interest")
    ]
    return rows.filter(pl.any_horizontal(some))


def _whole(
    session: Session,
    fits: Sequence[FittedSmile],
    held: Frame,
    spot: float,
    beside: Beside,
) -> Frame:
    """Return the one row of a session."""
    options = _options(held)
    exposure = gamma_exposure(options, spot)
    total = held.select(*_sides()).with_columns(_ratios()).row(0, named=True)
    by_strike = (
        pl.DataFrame({"strike": options.strike, "call": options.is_call, "gex": exposure})
        .group_by("strike", "call", maintain_order=True)
        .agg(pl.col("gex").sum())
    )
    known = held["open_interest"].is_not_null().any()
    calls, puts = (by_strike.filter(pl.col("call") == side) for side in (True, False))
    row = {
        "ts": held["ts"].max(),
        "spot": spot,
        **total,
        "gamma_exposure": float(exposure.sum()) if known else None,
        "gamma_flip": gamma_flip(options, spot) if known else None,
        "call_wall": _greatest(calls, "gex"),
        "put_wall": _greatest(puts.with_columns(-pl.col("gex")), "gex"),
        "month_volatility": _month_volatility(fits),
        **_realized(session, beside),
    }
    return pl.DataFrame([row], infer_schema_length=None, strict=False).with_columns(
        pl.selectors.float().fill_nan(None)
    )


def _greatest(rows: Frame, name: str) -> float | None:
    """Return the strike with the greatest exposure, None where there is none."""
    some = rows.filter(pl.col(name) > 0).sort(name, "strike", descending=[True, False])
    return float(some["strike"][0]) if some.height else None


def _month_volatility(fits: Sequence[FittedSmile]) -> float | None:
    """Return the volatility at the forward for 30 days, by total variance, at the last moment."""
    last = [fit for fit in fits if fit.ts == fits[-1].ts]
    if not last:
        return None
    points = sorted((fit.smile.years, float(fit.smile.total_variance(0.0))) for fit in last)
    years, variance = (np.array(x) for x in zip(*points, strict=True))
    if not years[0] <= _MONTH <= years[-1]:
        return None
    return float(np.sqrt(np.interp(_MONTH, years, variance) / _MONTH))


def _realized(session: Session, beside: Beside) -> dict[str, float]:
    """Return the volatilities that the underlying has realised."""
    found = {
        "close_to_close_20": math.nan,
        "parkinson_20": math.nan,
        "yang_zhang_20": math.nan,
        "realized_volatility": math.nan,
    }
    if beside.daily is not None:
        daily = beside.daily.filter(pl.col("session") <= session.day).sort("session")
        if daily.height > REALIZED_DAYS and daily["session"][-1] == session.day:
            prices = daily.tail(REALIZED_DAYS + 1)
            open_, high, low, close = (
                prices[name].to_numpy() for name in ("open", "high", "low", "close")
            )
            found["close_to_close_20"] = realized.close_to_close(close)
            found["parkinson_20"] = realized.parkinson(high[1:], low[1:])
            found["yang_zhang_20"] = realized.yang_zhang(open_, high, low, close)
    if beside.minutes is not None:
        regular = pl.col("ts").is_between(session.open, session.close, closed="left")
        closes = beside.minutes.filter(regular).sort("ts")["close"].to_numpy()
        found["realized_volatility"] = realized.intraday(closes, float(closes.size))
    return found


def _numbers(series: pl.Series) -> Floats:
    return series.cast(pl.Float64).fill_null(math.nan).to_numpy()
