"""The rules that look at a session as a whole: one table of named Polars expressions.

`quality` judges rows by themselves, before or after they are priced. These rules compare a row with
its neighbours: strikes, expirations, minutes, the smile, the session before. What they compare it
with stands in columns that begin with `_`, which `session_context` makes.

Each rule is one line of a table: name, severity, what is wrong in a sentence, when.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from models.tables import OPTION_QUOTES, frame_schema
from pipeline import quality
from pipeline.activity import Activity
from pipeline.day_rules import DAY_RULES, day_context
from pipeline.quality import Checked, Rule, findings_of
from pipeline.session_context import (
    clock_context,
    contract_context,
    quote_context,
)

if TYPE_CHECKING:
    from models.tables import Frame
    from pipeline.quality import Finding
    from utils.market_calendar import Session

STILL_MINUTES = 15
"""A quote that stands so long while the underlying moves is stale."""

LATE = timedelta(minutes=15)
"""How long after the close options of indices and some funds trade on."""

_TICK = 0.01  # dollars
_SPOT_DOUBT = 5e-4  # of the spot: it and the quotes are not of exactly the same moment
_OFF_SMILE = 0.02  # volatility
_HALF_SPREADS = 3.0
_FAR_IN_THE_MONEY = 0.9  # delta: beyond, an early exercise or a cost of borrowing weighs more
_LEAST_JUMP = 100  # contracts: below, an open interest is corrected rather than wrong

_bid, _ask, _spread = pl.col("bid"), pl.col("ask"), pl.col("ask") - pl.col("bid")
_has_both = (_bid > 0) & (_ask >= _bid)
_doubt = _TICK + _SPOT_DOUBT * pl.col("forward")
_earlier_is_worth_less = (pl.col("right") == "C") | (pl.col("strike") <= pl.col("forward"))

QUOTE_RULES = (
    Rule(
        "negative_time_value",
        pl.col("implied_volatility_status") == "below_intrinsic",
        "the mid is below what exercise is worth: no volatility prices it",
        severity="info",
    ),
    Rule(
        "parity",
        (pl.col("_call_bid") - pl.col("_put_ask") > pl.col("_parity_high") + _doubt)
        | (pl.col("_call_ask") - pl.col("_put_bid") < pl.col("_parity_low") - _doubt),
        "call and put of this strike contradict each other beyond their spreads",
    ),
    Rule(
        "butterfly",
        _has_both & (_bid > pl.col("_wings_ask") + _TICK / 2),
        "its bid is above what the strikes on both sides cost that pay at least as much",
    ),
    Rule(
        "calendar",
        _has_both & _earlier_is_worth_less & (_bid > pl.col("_later_ask") + _TICK / 2),
        "its bid is above the ask of the same strike at the next expiration",
    ),
    Rule(
        "frozen",
        (pl.col("_still") >= STILL_MINUTES) & (pl.col("_moved") > 2 * _spread + 5 * _TICK),
        "the quote stood still for a quarter of an hour while the underlying moved past its spread",
    ),
    Rule(
        "off_surface",
        _has_both
        & (pl.col("delta").abs() <= _FAR_IN_THE_MONEY)
        & ((pl.col("implied_volatility") - pl.col("_smile_volatility")).abs() > _OFF_SMILE)
        & (
            (pl.col("implied_volatility") - pl.col("_smile_volatility")).abs()
            * 100
            * pl.col("vega_per_point")
            > _HALF_SPREADS * _spread / 2 + _TICK
        ),
        "its volatility is off the session's smile by more than three half-spreads",
    ),
)
"""On quotes with figures, in the columns of `session_context.quote_context`."""

MINUTE_RULES = (
    Rule("no_quotes", pl.col("quotes") == 0, "no contract was quoted in a regular minute"),
    Rule("no_bar", pl.col("bars") == 0, "the underlying has no bar in a regular minute"),
)
"""On the minutes of a session: how many quotes and bars each has; null where that is not asked."""

CONTRACT_RULES = (
    Rule(
        "open_interest_jump",
        pl.col("open_interest") - pl.col("_open_interest_before")
        > pl.max_horizontal(pl.col("_volume_before"), pl.lit(_LEAST_JUMP)),
        "open interest rose by more than was traded in the session before",
    ),
    Rule("volume_fell", pl.col("_volume_fell"), "the session's volume falls within the session"),
    Rule(
        "volume_against_trades",
        (pl.col("volume") > 0) & (pl.col("_traded") != pl.col("volume")),
        "the stated volume is not the sum of the trades",
    ),
)
"""On contracts, in the columns of `session_context.contract_context`."""

CLOCK_RULES = (
    Rule(
        "wrong_zone",
        pl.col("_best_share") > pl.col("_share") + 0.02,
        "more of the volume lies in regular hours if the clock is put by whole hours: a wrong zone",
        severity="error",
    ),
)
"""On the one row of `session_context.clock_context`."""

STRIKE_RULES = (
    Rule(
        "strikes_off",
        ~(pl.col("_strike") / pl.col("_spot")).is_between(0.4, 2.5),
        "the strikes lie around another price than the underlying's: one of both is split",
        severity="error",
    ),
)
"""On one row: the median strike of the nearest expiration, and the underlying's price."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What a session is judged against beside its quotes; None leaves its rules out.

    Attributes:
        bars: Minute bars of the underlying around the session: ts, volume.
        daily: Its daily bars as the source sends them: session, open, close.
        splits: Rows of `SPLITS`.
        activity: Volume, open interest and trades of the session's contracts.
        snapshot: The quotes are a chain of one moment, which may be taken after the close.
        smile_volatility: Of each quote, from `session_figures`.
    """

    bars: Frame | None = None
    daily: Frame | None = None
    splits: Frame | None = None
    activity: Activity = field(default_factory=Activity)
    smile_volatility: pl.Series | None = None
    snapshot: bool = False


def quote_rules(session: Session, *, snapshot: bool = False) -> list[Rule]:
    """Return every rule of quotes with figures: of a row by itself, then of its neighbours.

    Args:
        session: Whose.
        snapshot: Whether they are a chain of one moment, which may be taken after the close.
    """
    plain = quality.chain_rules(OPTION_QUOTES, open_session=False)
    return [*plain, *([] if snapshot else [_off_hours(session)]), *QUOTE_RULES]


def _off_hours(session: Session) -> Rule:
    return Rule(
        "off_hours",
        ~pl.col("ts").is_between(session.open, session.close + LATE),
        "the quote is of another hour than the session's",
        "quarantine",
        "error",
    )


def judge_session(
    ticker: str, session: Session, quotes: Frame, beside: Beside | None = None
) -> Checked:
    """Judge a session's quotes, and what stands beside them, by every rule there is.

    Args:
        ticker: Underlying.
        session: Which.
        quotes: Rows of `OPTION_QUOTES` with figures; by ts, as a store returns them.
        beside: What they are compared with.

    Returns:
        Accepted quotes with their flags, rejected ones, and every rule that found something.
    """
    beside = beside or Beside()
    with_context = quote_context(quotes, beside.smile_volatility)
    rules = quote_rules(session, snapshot=beside.snapshot)
    checked = quality.check(OPTION_QUOTES, with_context, rules, ticker=ticker)
    others = [
        finding
        for of_rules, rows in _others(session, quotes, beside)
        for finding in findings_of(of_rules, rows)
    ]
    return replace(checked, findings=(*checked.findings, *others))


def rules_of(beside: Beside, session: Session) -> list[Rule]:
    """Return the rules that `judge_session` applies with these things beside the quotes."""
    nothing = pl.DataFrame(schema=frame_schema(OPTION_QUOTES))
    others = _others(session, nothing, beside)
    return [
        *quote_rules(session, snapshot=beside.snapshot),
        *(rule for rules, _ in others for rule in rules),
    ]


def _others(
    session: Session, quotes: Frame, beside: Beside
) -> list[tuple[tuple[Rule, ...], Frame]]:
    """Return the tables of rules beside those of quotes, each with the rows that it judges."""
    found = [
        (MINUTE_RULES, _minutes(session, quotes, beside.bars)),
        (CONTRACT_RULES, contract_context(quotes, beside.activity)),
        (STRIKE_RULES, _strikes(quotes)),
    ]
    if beside.bars is not None:
        found.append((CLOCK_RULES, clock_context(session, beside.bars)))
    if beside.daily is not None:
        found.append((DAY_RULES, day_context(beside.daily, beside.splits)))
    return found


def _minutes(session: Session, quotes: Frame, bars: Frame | None) -> Frame:
    """Return the regular minutes by their end, with the number of quotes and bars of each.

    Snapshots now and then leave minutes out on purpose: with fewer than half of them quotes are not
    asked for.
    """
    ends = pl.datetime_range(
        session.open + timedelta(minutes=1), session.close, "1m", time_unit="us", eager=True
    )
    minutes = pl.DataFrame({"ts": ends})

    def count(rows: Frame, offset: timedelta) -> pl.Series:
        ends_at = pl.col("ts").dt.offset_by("59999999us").dt.truncate("1m") + offset
        each = rows.group_by(ts=ends_at).len()
        return minutes.join(each, on="ts", how="left", maintain_order="left")["len"].fill_null(0)

    of_quotes = count(quotes.select("ts"), timedelta())
    asked = 2 * (of_quotes > 0).sum() >= ends.len()
    nothing = pl.Series([None] * ends.len(), dtype=pl.UInt32)
    return minutes.with_columns(
        quotes=of_quotes if asked else nothing,
        bars=count(bars.select("ts"), timedelta(minutes=1)) if bars is not None else nothing,
    )


def missing_bars(session: Session, bars: Frame) -> list[Finding]:
    """Return the finding of regular minutes without a bar, none where each has one.

    Args:
        session: Which.
        bars: Minute bars: ts, their start.
    """
    rules = [rule for rule in MINUTE_RULES if rule.name == "no_bar"]
    return findings_of(rules, _minutes(session, bars.head(0), bars))


def _strikes(quotes: Frame) -> Frame:
    """Return the median strike of the nearest expiration and the underlying's price, in one row."""
    known = quotes.filter(pl.col("underlying_price").is_not_null())
    nearest = known.filter(pl.col("expiration") == pl.col("expiration").min())
    return nearest.select(
        _strike=pl.col("strike").unique().median(), _spot=pl.col("underlying_price").last()
    ).drop_nulls()
