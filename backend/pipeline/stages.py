"""The pure stages of a partition: transform, enrich, judge. What was sent goes in, rows come out.

Every function depends on its arguments alone, so that the same answer of a source gives the same
rows on whatever machine and whenever it is asked.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from models.options import OptionChain
from models.tables import frame_schema
from pipeline import plan, quality
from pipeline.activity import Activity
from pipeline.coverage import Part
from pipeline.datasets import BARS, CHAIN, DAILY, MINUTE_QUOTES, OPTION_MINUTES, TRADES, dataset
from pipeline.day_rules import DAY_RULES, SPLIT_DAY, day_context
from pipeline.download import bars_of_slot
from pipeline.plan import AFTER_CLOSE
from utils import market_calendar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date, datetime

    from models.tables import Frame
    from pipeline.datasets import Dataset
    from pipeline.dividends import CashDividend
    from pipeline.partition import Partition
    from pipeline.quality import Checked
    from pipeline.session_enrich import Enriched
    from utils.market_calendar import Session

_TOLD: Final = ("occ_symbol", "ts", "price", "size", "exchange", "conditions")
_FEWEST_TRADES: Final = 20

LONE_GAPS: Final = 0.05
"""Share of the regular minutes that one source may lack before another is asked, or it is asked again.

A thinly traded share has minutes without a trade; where two sources lack the same ones, that is so."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """What a source sent of one partition.

    Attributes:
        source: As in `models.tables.SOURCES`.
        made_from: As `clients.lake_writer.MADE_FROM`.
        asked_at: Market time.
        rows: Columns of the dataset's table, as they came; perhaps of other sessions too.
        contracts: Of options: rows of `OPTION_CONTRACTS`.
        bars: Of options of the past: minute bars of the underlying.
        daily: Of options of the past: daily bars of the weeks before and of the session.
        splits: Rows of `SPLITS` up to the session; None where nobody tells them.
        dividends: Of options: those to come.
        chain: Of a snapshot: what else came with it.
        origin: Of the rows, where it is not the run's: that of synthetic ones.
        activity: Of options: what is stored of their contracts.
    """

    source: str
    made_from: str
    asked_at: datetime
    rows: Frame
    contracts: Frame | None = None
    bars: Frame | None = None
    daily: Frame | None = None
    splits: Frame | None = None
    dividends: tuple[CashDividend, ...] = ()
    chain: OptionChain | None = None
    origin: str | None = None
    activity: Activity = field(default_factory=Activity)


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows after the quality stage, and what they lack.

    Attributes:
        checked: Accepted and rejected rows, findings.
        expected: Rows that the calendar expects; None where it expects no number.
        missing: Regular minutes that no accepted row is of, in order, UTC.
        lack: Why the partition is not whole; None where it is.
        rules: By which it was judged, where their findings are not among the tables.
        tables: Table -> rows that stand beside the partition's: figures and findings.
    """

    checked: Checked
    expected: int | None = None
    missing: tuple[datetime, ...] = field(default=())
    lack: str | None = None
    rules: tuple[quality.Rule, ...] = ()
    tables: Mapping[str, Frame] = field(default_factory=dict)


def checks_of(findings: Sequence[quality.Finding]) -> str:
    """Return rule -> count, as coverage keeps it: JSON, by rule."""
    found = {each.rule: each.count for each in findings}
    return json.dumps(dict(sorted(found.items())), separators=(",", ":"))


def slot_of(what: Dataset, session: date) -> plan.Slot:
    """Return the slot of a bars dataset's session."""
    interval = what.name.rpartition("_")[2]
    return plan.slots([market_calendar.session(session)], interval)[0]


def transform(partition: Partition, sent: Extracted) -> Frame:
    """Return the rows of a partition alone, in the columns and the order of its table."""
    what = dataset(partition.dataset)
    rows = _TRANSFORMS[what.kind](partition, sent)
    return conformed(what, rows) if rows.is_empty() else rows


def _bars(partition: Partition, sent: Extracted) -> Frame:
    slot = slot_of(dataset(partition.dataset), partition.session)
    return bars_of_slot(slot, sent.rows, slot.until(sent.asked_at))


def _chain(partition: Partition, sent: Extracted) -> Frame:
    return sent.rows.with_columns(session=pl.lit(partition.session)).sort("occ_symbol")


def _minute_quotes(partition: Partition, sent: Extracted) -> Frame:
    session = market_calendar.session(partition.session)
    last = session.close + AFTER_CLOSE
    inside = pl.col("ts").is_between(session.open, last, closed="right")
    rows = _with_terms(sent, sent.rows.filter(inside)).sort("ts", "occ_symbol")
    return rows.join_asof(_spot(sent), on="ts", strategy="backward")


def _option_minutes(partition: Partition, sent: Extracted) -> Frame:
    return sent.rows.filter(pl.col("session") == partition.session).sort("ts", "occ_symbol")


def _trades(partition: Partition, sent: Extracted) -> Frame:
    """Return a session's trades, each as often as it was made, numbered within its contract."""
    if sent.rows.is_empty():
        return sent.rows
    # The day is that of the trades' own time: who asks stamps the session that was asked for.
    day = pl.col("ts").dt.convert_time_zone("America/New_York").dt.date()
    rows = sent.rows.filter(day == partition.session).sort(
        "occ_symbol", "ts", "sequence", maintain_order=True
    )
    times = _times_told(rows)
    if times > 1:
        place = pl.int_range(pl.len()).over(_TOLD)
        rows = rows.filter(place % times == 0)
        number = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("occ_symbol")
        rows = rows.with_columns(sequence=number)
    return rows


def _times_told(trades: Frame) -> int:
    """Return how often an answer tells every trade: 1, unless whole pages came more than once.

    Trades of options have no number of their own, and equal ones do happen; that each and every one
    is told the same number of times does not.
    """
    if trades.is_empty():
        return 1
    counts = trades.group_by(_TOLD).len()["len"]
    if counts.len() < _FEWEST_TRADES:
        return 1
    return math.gcd(*counts.unique().to_list())


def _with_terms(sent: Extracted, rows: Frame) -> Frame:
    if sent.contracts is None:
        return rows
    terms = ["occ_symbol", "expiration", "strike", "right"]
    return rows.join(sent.contracts.select(terms), on="occ_symbol")


def _spot(sent: Extracted) -> Frame:
    """Return the underlying's price at the end of each minute: ts, underlying_price."""
    if sent.bars is None:
        kinds = {"ts": pl.Datetime("us", "UTC"), "underlying_price": pl.Float64()}
        return pl.DataFrame(schema=kinds)
    ended = (pl.col("ts") + pl.duration(minutes=1)).alias("ts")
    prices = sent.bars.select(ended, underlying_price="close")
    return prices.sort("ts").unique("ts", keep="first", maintain_order=True)


_TRANSFORMS: Final[dict[str, Callable[[Partition, Extracted], Frame]]] = {
    BARS: _bars,
    DAILY: _bars,
    CHAIN: _chain,
    MINUTE_QUOTES: _minute_quotes,
    OPTION_MINUTES: _option_minutes,
    TRADES: _trades,
}


@dataclass(frozen=True, slots=True)
class Enrichment:
    """Rows with what is computed from them.

    Attributes:
        rows: The same, in the same order; options with volatilities and greeks.
        session: Of minute quotes: with what each expiration was priced, for the session's figures.
    """

    rows: Frame
    session: Enriched | None = None


def enrich(partition: Partition, sent: Extracted, rows: Frame) -> Enrichment:
    """Return rows with what is computed from them."""
    kind = dataset(partition.dataset).kind
    if rows.is_empty() or kind not in {CHAIN, MINUTE_QUOTES, OPTION_MINUTES}:
        return Enrichment(rows)
    contracts = sent.contracts if sent.contracts is not None else pl.DataFrame()
    if kind == CHAIN and sent.chain is not None:
        from pipeline.enrich import enrich as enrich_chain  # noqa: PLC0415 - numba: 0.6 s

        return Enrichment(enrich_chain(sent.chain, rows, sent.dividends))
    if kind == MINUTE_QUOTES:
        from pipeline.session_enrich import enrich_session  # noqa: PLC0415 - as above

        close = market_calendar.session(partition.session).close
        chain = OptionChain(partition.ticker, close, 0.0, None, None, rows, contracts)
        found = enrich_session(chain, rows, sent.dividends)
        return Enrichment(found.quotes, found)
    from pipeline.enrich_bars import enrich_bars  # noqa: PLC0415 - as above

    return Enrichment(enrich_bars(rows, contracts, _spot(sent), sent.dividends))


def judge(partition: Partition, sent: Extracted, enriched: Enrichment) -> Judged:
    """Return rows judged by their dataset's rules, and what they lack."""
    if dataset(partition.dataset).kind in {BARS, DAILY}:
        return _judged_bars(partition, sent, enriched.rows)
    if enriched.session is not None:
        return _judged_session(partition, sent, enriched.session)
    rules = tuple(_option_rules(partition, sent))
    table = dataset(partition.dataset).table
    checked = quality.check(table, enriched.rows, rules, ticker=partition.ticker)
    lack = _nothing(partition, sent, checked) if checked.accepted.is_empty() else None
    times = _times_told(sent.rows) if dataset(partition.dataset).kind == TRADES else 1
    if times > 1:
        reason = f"the answer told every trade {times} times: each was kept once"
        twice = quality.Finding("told_twice", "flag", enriched.rows.height, reason)
        checked = replace(checked, findings=(*checked.findings, twice))
    contracts = _contracts(partition, sent, checked.accepted)
    if contracts is not None:
        from pipeline.session_rules import CONTRACT_RULES  # noqa: PLC0415 - numba: 0.6 s

        found = quality.findings_of(CONTRACT_RULES, contracts)
        checked = replace(checked, findings=(*checked.findings, *found))
        rules = (*rules, *CONTRACT_RULES)
    return Judged(checked, lack=lack, rules=rules)


def _contracts(partition: Partition, sent: Extracted, rows: Frame) -> Frame | None:
    """Return the contracts of a snapshot or of trades beside what is stored of them, if anything."""
    kind, activity = dataset(partition.dataset).kind, sent.activity
    if kind == TRADES and activity.now is not None:
        traded = activity.now.join(rows, on="occ_symbol", how="semi")
        beside = Activity(before=activity.before, trades=rows)
    elif kind == CHAIN and (activity.before is not None or activity.trades is not None):
        traded, beside = rows, replace(activity, now=None)
    else:
        return None
    from pipeline.session_context import contract_context  # noqa: PLC0415 - as above

    return contract_context(traded, beside)


def _judged_session(partition: Partition, sent: Extracted, enriched: Enriched) -> Judged:
    """Judge a session of minute quotes as a whole, with its figures."""
    from pipeline.session_job import Surroundings, work_session  # noqa: PLC0415 - numba: 0.6 s

    session = market_calendar.session(partition.session)
    part = Part(
        dataset(partition.dataset).table,
        partition.ticker,
        partition.dataset,
        partition.session,
        sent.source,
        str(enriched.quotes["origin"].item(0)),
    )
    around = Surroundings(
        bars=sent.bars, daily=sent.daily, splits=sent.splits, activity=sent.activity
    )
    worked = work_session(part, session, enriched, around)
    judged = Judged(worked.checked, tables=worked.tables)
    if worked.checked.accepted.is_empty():
        return replace(judged, lack=_nothing(partition, sent, worked.checked))
    missing = _unquoted(session, worked.checked.accepted)
    lack = _lack(missing, session.regular_minutes)
    return replace(judged, missing=tuple(missing.to_list()), lack=lack)


def _judged_bars(partition: Partition, sent: Extracted, rows: Frame) -> Judged:
    what = dataset(partition.dataset)
    slot = slot_of(what, partition.session)
    rules = quality.bar_rules(
        what.table, start=pl.lit(slot.start), end=pl.lit(slot.end), step=slot.step
    )
    expected = slot.expected(slot.until(sent.asked_at))
    checked = quality.check(what.table, rows, rules, ticker=partition.ticker, expected=expected)
    if what.kind == DAILY and sent.splits is not None:
        days = _with_the_day_before(partition, sent.rows, sent.splits)
        found = quality.findings_of((*DAY_RULES, SPLIT_DAY), days)
        checked = replace(checked, findings=(*checked.findings, *found))
        rules = [*rules, *DAY_RULES, SPLIT_DAY]
    judged = Judged(checked, expected.len(), rules=tuple(rules))
    if checked.accepted.is_empty():
        return replace(judged, lack=_nothing(partition, sent, checked))
    missing = expected.filter(~expected.is_in(checked.accepted["ts"].implode()))
    lack = _lack(missing, expected.len())
    return replace(judged, missing=tuple(missing.to_list()), lack=lack)


def _with_the_day_before(partition: Partition, sent: Frame, splits: Frame) -> Frame:
    """Return a session's daily bar with what happened over the night before it."""
    until = sent.filter(pl.col("session") <= partition.session).sort("session").tail(2)
    return day_context(until, splits).filter(pl.col("session") == partition.session)


def _unquoted(session: Session, quotes: Frame) -> pl.Series:
    """Return the ends of the regular minutes in which not one contract was quoted."""
    starts = market_calendar.minutes(session)
    ends = pl.Series("ts", starts.astype("datetime64[us]")).dt.replace_time_zone("UTC")
    ends = (ends + timedelta(minutes=1)).alias("ts")
    return ends.filter(~ends.is_in(quotes["ts"].unique().implode()))


def _lack(missing: pl.Series, whole: int) -> str | None:
    """Return what is wrong where more minutes are missing than may be."""
    if missing.len() <= LONE_GAPS * whole:
        return None
    times = missing.dt.convert_time_zone(str(market_calendar.NEW_YORK)).dt.strftime("%H:%M")
    return f"{missing.len()} of {whole} regular minutes are missing, the first at {times[0]}"


def _nothing(partition: Partition, sent: Extracted, checked: Checked) -> str:
    """Return why no row of a partition is left."""
    if not checked.rejected.is_empty():
        worst = checked.findings[0]
        return f"all {checked.rejected.height:,} rows were kept out: {worst.reason}"
    if sent.rows.is_empty():
        return f"the answer has no row of {partition.session}"
    days = "another day"
    if "ts" in sent.rows.columns:
        days = str(sent.rows["ts"].max())[:10]
    return f"the answer's {sent.rows.height:,} rows are of {days}, not of {partition.session}"


def _option_rules(partition: Partition, sent: Extracted) -> Sequence[quality.Rule]:
    what = dataset(partition.dataset)
    session = market_calendar.session(partition.session)
    if what.kind == OPTION_MINUTES:
        return quality.option_bar_rules(
            what.table, start=session.open, end=session.close + AFTER_CLOSE
        )
    if what.kind == TRADES:
        return quality.trade_rules(what.table)
    is_open = what.kind == CHAIN and session.open <= sent.asked_at < session.close
    rate = (sent.chain.risk_free_rate if sent.chain else None) or 0.0
    return quality.chain_rules(what.table, open_session=is_open, rate=rate)


def conformed(what: Dataset, rows: Frame) -> Frame:
    """Return rows with all columns of their table, in order and type; what is not there is null."""
    schema = frame_schema(what.table)
    return rows.select(
        pl.col(name).cast(kind) if name in rows.columns else pl.lit(None, kind).alias(name)
        for name, kind in schema.items()
    )
