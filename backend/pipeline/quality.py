"""Named quality rules, each one Polars expression; all of a table are evaluated in one pass.

A rule either keeps a row out (it goes to `quarantine`, with the rule's name) or flags it: the row
is stored, and the report counts it. What the source did not send is a finding too (`gap`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from models.tables import QUARANTINE, Frame, Table, frame_schema

if TYPE_CHECKING:
    from collections.abc import Sequence

Verdict = Literal["quarantine", "flag"]
Severity = Literal["info", "warning", "error"]

SAMPLES = 5
"""Rows of each finding that are kept to be looked at."""

_SAMPLED = (
    "session",
    "ts",
    "occ_symbol",
    "bid",
    "ask",
    "underlying_price",
    "forward",
    "implied_volatility",
    "open",
    "high",
    "low",
    "close",
    "price",
    "size",
    "volume",
    "open_interest",
    "quotes",
    "bars",
)
"""Columns of a sample, with those of its context, which begin with `_`."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        name: Its name in reports, in `quarantine.rule` and in `option_quotes.flags`.
        broken: True in each row that breaks it; null counts as not broken.
        reason: What is wrong with such a row, for people.
        verdict: What happens to it.
        severity: How bad it is: info is usual in sound data, an error is data that lies.
    """

    name: str
    broken: pl.Expr
    reason: str
    verdict: Verdict = "flag"
    severity: Severity = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """How often one rule was broken.

    Attributes:
        rule: Its name.
        verdict: What became of the rows; a gap is a row that did not come.
        count: Times.
        reason: What is wrong, for people.
        severity: How bad it is.
        rows: Rows that were looked at.
        samples: The first few that broke it: column -> value.
        by_minute: Moment -> times, where rows have one.
    """

    rule: str
    verdict: Literal["quarantine", "flag", "gap"]
    count: int
    reason: str
    severity: Severity = "warning"
    rows: int = 0
    samples: tuple[dict[str, Any], ...] = field(default=(), compare=False)
    by_minute: dict[datetime, int] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Checked:
    """Rows after the check.

    Attributes:
        accepted: Rows to store; chain rows carry their flags.
        rejected: Rows of `QUARANTINE`.
        findings: Every rule that was broken, the most frequent first.
    """

    accepted: Frame
    rejected: Frame
    findings: tuple[Finding, ...] = field(default=())

    @property
    def flagged(self) -> int:
        """Times that a stored row broke a rule."""
        return sum(each.count for each in self.findings if each.verdict == "flag")

    @property
    def missing(self) -> int:
        """Rows that the calendar expects and the source did not send."""
        return sum(each.count for each in self.findings if each.verdict == "gap")


def _duplicate(table: Table) -> Rule:
    key = pl.struct(table.key)
    return Rule(
        "duplicate",
        ~key.is_first_distinct(),
        "a row with the same key came before it",
        "quarantine",
        severity="error",
    )


def bar_rules(table: Table, *, start: pl.Expr, end: pl.Expr, step: timedelta) -> list[Rule]:
    """Return the rules for bars, which must be sorted by time.

    Args:
        table: `EQUITY_BARS`; names the key.
        start: First moment of a row's session, pre-market included.
        end: End of a row's session, post-market included.
        step: Length of a bar.
    """
    return [
        *_price_rules(table),
        _off_hours(start, end),
        Rule(
            "off_grid",
            (pl.col("ts") - start).dt.total_microseconds() % (step // timedelta(microseconds=1))
            != 0,
            "the bar does not start on its interval's grid",
        ),
        Rule("no_volume", pl.col("volume") == 0, "nothing was traded in the bar", severity="info"),
        Rule("outlier", _spike(), "the price jumps away from its neighbours and comes back"),
    ]


def option_bar_rules(table: Table, *, start: datetime, end: datetime) -> list[Rule]:
    """Return the rules for bars of option contracts.

    Args:
        table: `OPTION_BARS`; names the key.
        start: Open of the session.
        end: When the last contract stops trading.
    """
    return [*_price_rules(table), _off_hours(pl.lit(start), pl.lit(end))]


def trade_rules(table: Table) -> list[Rule]:
    """Return the rules for trades of option contracts, `OPTION_TRADES`."""
    return [
        _duplicate(table),
        Rule(
            "no_price",
            pl.col("price").is_null() | pl.col("price").is_nan() | (pl.col("price") <= 0),
            "the price is missing, zero or negative",
            "quarantine",
            severity="error",
        ),
        Rule(
            "no_size",
            pl.col("size") <= 0,
            "the size is zero or negative",
            "quarantine",
            severity="error",
        ),
    ]


def _off_hours(start: pl.Expr, end: pl.Expr) -> Rule:
    return Rule(
        "off_hours",
        (pl.col("ts") < start) | (pl.col("ts") >= end),
        "the bar starts outside the session and its extended hours",
        "quarantine",
        "error",
    )


def _price_rules(table: Table) -> list[Rule]:
    """Return the rules for what every bar says."""
    prices = [pl.col(name) for name in ("open", "high", "low", "close")]
    body_high = pl.max_horizontal("open", "close")
    body_low = pl.min_horizontal("open", "close")
    return [
        _duplicate(table),
        Rule(
            "no_price",
            pl.any_horizontal(price.is_null() | price.is_nan() | (price <= 0) for price in prices),
            "a price is missing, zero or negative",
            "quarantine",
        ),
        Rule(
            "ohlc",
            (pl.col("high") < body_high)
            | (pl.col("low") > body_low)
            | (pl.col("high") < pl.col("low")),
            "open, high, low and close contradict each other",
            "quarantine",
            severity="error",
        ),
        Rule(
            "negative_volume",
            pl.col("volume") < 0,
            "the volume is negative",
            "quarantine",
            severity="error",
        ),
    ]


def _spike() -> pl.Expr:
    """Return where a bar's range leaves the median of its neighbours by far more than is usual.

    Far is 3 % and twenty times the median move of a minute: a real jump moves the median along
    within some bars, a bad print does not.
    """
    neighbours = pl.col("close").rolling_median(11, center=True, min_samples=5)
    usual = (pl.col("close") / pl.col("close").shift(1)).log().abs().median()
    limit = pl.max_horizontal(pl.lit(0.03), 20 * usual)
    up = (pl.col("high") / neighbours).log()
    down = (neighbours / pl.col("low")).log()
    return pl.max_horizontal(up, down) > limit


_OCC_PATTERN = r"^[A-Z]{1,5}[0-9]? *[0-9]{6}[CP][0-9]{8}$"


def chain_rules(table: Table, *, open_session: bool, rate: float = 0.0) -> list[Rule]:
    """Return the rules for the quotes of chain snapshots.

    Args:
        table: `OPTION_QUOTES`; names the key.
        open_session: Whether the market is open at the snapshot: only then can a quote be stale.
        rate: Continuous, a year, for the bound on European puts.
    """
    bid, ask = pl.col("bid"), pl.col("ask")
    mid, spread = (bid + ask) / 2, ask - bid
    return [
        _duplicate(table),
        Rule(
            "bad_symbol",
            ~pl.col("occ_symbol").str.contains(_OCC_PATTERN)
            | (pl.col("occ_symbol").str.len_chars() != 21)
            | (pl.col("occ_symbol").str.slice(12, 1) != pl.col("right"))
            | (
                pl.col("occ_symbol").str.slice(13, 8).cast(pl.Int64, strict=False)
                != (pl.col("strike") * 1000).round(0).cast(pl.Int64)
            ),
            "the symbol is malformed or names another strike or right",
            "quarantine",
            severity="error",
        ),
        Rule(
            "bad_price",
            (bid < 0) | (ask <= 0) | bid.is_nan() | ask.is_nan(),
            "a bid or ask is negative or no number",
            "quarantine",
            severity="error",
        ),
        Rule(
            "expired",
            pl.col("expiration") < pl.col("session"),
            "the contract expired before this session",
            "quarantine",
            severity="error",
        ),
        Rule("no_bid", bid.is_null() | (bid == 0), "nobody bids", severity="info"),
        Rule("no_ask", ask.is_null(), "nobody offers", severity="info"),
        Rule("crossed", bid > ask, "the bid is above the ask"),
        Rule("locked", (bid == ask) & (bid > 0), "bid and ask are equal", severity="info"),
        Rule(
            "wide",
            (bid > 0) & (spread > 0.10) & (spread > 0.5 * mid),
            "the spread is above half of the mid",
            severity="info",
        ),
        Rule(
            "below_intrinsic",
            # The spot and the quotes are not of exactly the same moment.
            ask < _lower_bound(rate) - 0.0005 * pl.col("underlying_price") - 0.01,
            "the ask is below what exercise is worth",
        ),
        Rule(
            "strike_order",
            _strike_order(),
            "its bid is above the ask of a strike that must be worth more",
        ),
        Rule(
            "stale",
            pl.lit(open_session) & (pl.col("ts") - pl.col("quote_at") > timedelta(minutes=15)),
            "the quote is older than 15 minutes in an open session",
        ),
    ]


def _lower_bound(rate: float) -> pl.Expr:
    """Return what an option is worth at least, American or European, without dividends."""
    spot, strike = pl.col("underlying_price"), pl.col("strike")
    days = (pl.col("expiration") - pl.col("session")).dt.total_days() + 1
    discounted = strike * (-max(rate, 0.0) * days / 365).exp()
    put = discounted - spot
    return pl.when(pl.col("right") == "C").then(spot - strike).otherwise(put)


def _strike_order() -> pl.Expr:
    """Return where a quote breaks the order of strikes by more than both spreads.

    A call is worth less the higher its strike, a put more: the bid of the one that is worth less
    can not be above the ask of its neighbour.
    """
    root = pl.col("occ_symbol").str.slice(0, 6)
    group = [pl.col("ts"), root, pl.col("expiration"), pl.col("right")]
    lower = pl.col("ask").shift(1).over(group, order_by="strike")
    higher = pl.col("ask").shift(-1).over(group, order_by="strike")
    dearer = pl.when(pl.col("right") == "C").then(lower).otherwise(higher)
    return pl.col("bid") > dearer


def check(
    table: Table,
    rows: Frame,
    rules: Sequence[Rule],
    *,
    ticker: str,
    expected: pl.Series | None = None,
) -> Checked:
    """Judge rows by rules, in one pass.

    Args:
        table: Where the rows are to go; its `flags` column, if it has one, is filled.
        rows: Columns of the table.
        rules: In the order in which the first broken one names the reason of a quarantine.
        ticker: Underlying.
        expected: Values of `ts` that the calendar expects; those that did not come are gaps.
    """
    judged = _marked(rows, rules)
    barring = [rule for rule in rules if rule.verdict == "quarantine"]
    barred = pl.any_horizontal(pl.lit(value=False), *(pl.col(f"_{rule.name}") for rule in barring))
    rejected = judged.filter(barred)
    accepted = judged.filter(~barred)
    findings = _counted(rules, judged)
    if expected is not None:
        missing = expected.filter(~expected.is_in(accepted["ts"].implode()))
        reason = "the source has no bar for a regular minute"
        gaps = dict.fromkeys(missing, 1)
        findings.append(
            Finding("gap", "gap", len(gaps), reason, rows=expected.len(), by_minute=gaps)
        )
    if "flags" in table.column_names:
        accepted = accepted.with_columns(_flags(rules))
    kept = [name for name in table.column_names if name in accepted.columns]
    return Checked(
        accepted=accepted.select(kept),
        rejected=_quarantined(table, rejected, barring, ticker),
        findings=tuple(
            sorted((each for each in findings if each.count), key=lambda each: -each.count)
        ),
    )


def findings_of(rules: Sequence[Rule], rows: Frame) -> list[Finding]:
    """Return what rules that keep nothing out find in rows, the most frequent first.

    Args:
        rules: Of one table of rules.
        rows: With the columns that they read.
    """
    found = [each for each in _counted(rules, _marked(rows, rules)) if each.count]
    return sorted(found, key=lambda each: -each.count)


def _marked(rows: Frame, rules: Sequence[Rule]) -> Frame:
    """Return rows with a column for each rule, true where it is broken."""
    return rows.with_columns(
        rule.broken.fill_null(value=False).alias(f"_{rule.name}") for rule in rules
    )


def _counted(rules: Sequence[Rule], judged: Frame) -> list[Finding]:
    """Return a finding for each rule, with samples where it was broken."""
    counts = judged.select(pl.col(f"_{rule.name}").sum() for rule in rules)
    marks = {f"_{rule.name}" for rule in rules}
    shown = [
        name
        for name in judged.columns
        if name in _SAMPLED or (name.startswith("_") and name not in marks)
    ]
    found = []
    for rule in rules:
        count = int(counts[f"_{rule.name}"].item() or 0)
        broken = judged.lazy().filter(f"_{rule.name}")
        seen = broken.select(shown).head(SAMPLES).with_columns(pl.selectors.float().fill_nan(None))
        samples = seen.collect().to_dicts() if count else []
        by_minute = (
            dict(broken.group_by("ts").len().sort("ts").collect().iter_rows())
            if count and "ts" in judged.columns
            else {}
        )
        found.append(
            Finding(
                rule.name,
                rule.verdict,
                count,
                rule.reason,
                rule.severity,
                judged.height,
                tuple(samples),
                by_minute,
            )
        )
    return found


def _flags(rules: Sequence[Rule]) -> pl.Expr:
    """Return the names of a row's flags, comma separated; null where there is none."""
    names = [
        pl.when(pl.col(f"_{rule.name}")).then(pl.lit(rule.name))
        for rule in rules
        if rule.verdict == "flag"
    ]
    text = pl.concat_str(names, separator=",", ignore_nulls=True)
    return pl.when(text != "").then(text).alias("flags")


def _quarantined(table: Table, rows: Frame, rules: Sequence[Rule], ticker: str) -> Frame:
    """Return rows of `QUARANTINE`: each named by the first rule that it breaks."""
    schema = frame_schema(QUARANTINE)
    if rows.is_empty():
        return pl.DataFrame(schema=schema)
    columns = [name for name in table.column_names if name in rows.columns]
    rule = pl.coalesce(pl.when(pl.col(f"_{each.name}")).then(pl.lit(each.name)) for each in rules)
    found = rows.select(
        "session",
        "source",
        "origin",
        row=pl.struct(columns).struct.json_encode(),
        rule=rule,
        ticker=pl.lit(ticker),
        table_name=pl.lit(table.name),
    )
    hashes = [hashlib.sha256(text.encode()).hexdigest() for text in found["row"]]
    unique = found.with_columns(row_hash=pl.Series(hashes, dtype=pl.String))
    return unique.select(list(schema)).unique(QUARANTINE.key, maintain_order=True)
