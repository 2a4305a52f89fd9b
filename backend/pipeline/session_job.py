"""A session of minute quotes from priced to judged, with every row that is to be stored beside them.

Figures come before the rules, for one of these compares quotes with the smiles; what is stored beside
the quotes (bars, splits, snapshots with open interest) is read here, and nothing else is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from models.tables import (
    EQUITY_BARS,
    EXPIRATION_FIGURES,
    QUALITY_FINDINGS,
    SESSION_FIGURES,
    SPLITS,
    STRIKE_FIGURES,
    Range,
    frame_schema,
)
from pipeline import plan, session_rules
from pipeline.activity import Activity, read_activity
from pipeline.quality import Finding, Rule, findings_of
from pipeline.session_context import contract_context
from pipeline.splits import in_shares_of
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from models.tables import Frame, Scalar
    from pipeline.coverage import Part
    from pipeline.quality import Checked
    from pipeline.session_enrich import Enriched
    from ports.store import Store
    from utils.market_calendar import Session

_DAILY = timedelta(days=45)  # calendar days that hold more than twenty sessions
_NO_INTEREST = Rule(
    "no_open_interest",
    pl.col("open_interest").is_null(),
    "its open interest is not known, since no snapshot of this session's chain is stored: gamma "
    "exposure, max pain and put/call ratios leave it out, and are null where none is known",
    severity="info",
)
"""On contracts, in the columns of `session_context.contract_context`."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is stored beside a session's quotes; None where it is not.

    Attributes:
        bars: Minute bars of the underlying, extended hours included.
        daily: Its daily bars of the weeks before and of the session, as they were traded.
        splits: Rows of `SPLITS`; without them no day is judged, for a jump may be one.
        activity: Of its contracts.
    """

    bars: Frame | None = None
    daily: Frame | None = None
    splits: Frame | None = None
    activity: Activity = field(default_factory=Activity)


@dataclass(frozen=True, slots=True)
class WorkedSession:
    """A session ready to be stored.

    Attributes:
        checked: Its quotes with figures and flags, those kept out, and what the rules found.
        tables: Table -> rows that stand beside them: figures and findings.
    """

    checked: Checked
    tables: dict[str, Frame]


def read_surroundings(store: Store, part: Part) -> Surroundings:
    """Return what is stored beside a session's quotes.

    Args:
        store: Where.
        part: The session of minute quotes.

    Raises:
        StoreError: The database failed.
    """
    stamp: dict[str, Scalar] = {
        "underlying": part.ticker,
        "source": part.source,
        "origin": part.origin,
    }
    days: Range[Scalar] = Range(part.session - _DAILY, part.session + timedelta(days=1))
    bars = store.read(EQUITY_BARS.name, stamp | {"interval": "1m", "session": part.session})
    daily = store.read(EQUITY_BARS.name, {**stamp, "interval": "1d", "session": days})
    return Surroundings(
        bars if bars.height else None,
        daily.sort("session") if daily.height else None,
        store.read(SPLITS.name, stamp),
        read_activity(store, part),
    )


def work_session(
    part: Part, session: Session, enriched: Enriched, around: Surroundings | None = None
) -> WorkedSession:
    """Return a session's quotes judged, with figures and findings as rows of their tables.

    Args:
        part: What the quotes belong to.
        session: Which.
        enriched: Its quotes with figures, by ts.
        around: What is stored beside them.
    """
    from pipeline import session_figures  # noqa: PLC0415 - numba: 0.6 s that many runs need not pay

    around = around or Surroundings()
    figures = session_figures.session_figures(
        session,
        enriched,
        session_figures.Beside(around.bars, _daily(part.session, around), around.activity.now),
    )
    beside = session_rules.Beside(
        bars=around.bars,
        daily=around.daily if around.splits is not None else None,
        splits=around.splits,
        activity=around.activity,
        smile_volatility=figures.smile_volatility,
        snapshot=part.dataset == plan.CHAIN_DATASET,
    )
    checked = session_rules.judge_session(part.ticker, session, enriched.quotes, beside)
    rules = [*session_rules.rules_of(beside, session), _NO_INTEREST]
    checked = replace(
        checked, findings=(*checked.findings, *_unknown_interest(checked.accepted, around.activity))
    )
    return WorkedSession(
        checked,
        {
            EXPIRATION_FIGURES.name: figures.expirations,
            STRIKE_FIGURES.name: figures.strikes,
            SESSION_FIGURES.name: figures.session,
            QUALITY_FINDINGS.name: finding_rows(part, rules, checked.findings),
        },
    )


def _daily(session: date, around: Surroundings) -> Frame | None:
    """Return the daily bars in the shares of the session, as a volatility needs them."""
    if around.daily is None or around.splits is None:
        return around.daily
    return in_shares_of(session, around.daily, around.splits)


def _unknown_interest(quotes: Frame, activity: Activity) -> list[Finding]:
    """Return why figures of strikes are null, where the open interest of contracts is not known."""
    held = contract_context(quotes, activity).select("occ_symbol", "open_interest")
    return findings_of((_NO_INTEREST,), held)


def finding_rows(part: Part, rules: Sequence[Rule], findings: Sequence[Finding]) -> Frame:
    """Return rows of `QUALITY_FINDINGS`: one for each rule, also where it found nothing.

    So a judgement takes the place of an older one, whatever that found.

    Args:
        part: What was judged.
        rules: By which it was.
        findings: What they found.
    """
    found = {each.rule: each for each in findings}
    silent = [
        Finding(rule.name, rule.verdict, 0, rule.reason, rule.severity)
        for rule in rules
        if rule.name not in found
    ]
    rows = [
        {
            "ticker": part.ticker,
            "dataset": part.dataset,
            "session": part.session,
            "rule": each.rule,
            "severity": each.severity,
            "verdict": each.verdict,
            "count": each.count,
            "rows": each.rows,
            "reason": each.reason,
            "samples": json.dumps(each.samples, default=_plain),
            "by_minute": json.dumps(
                {f"{ts.astimezone(NEW_YORK):%H:%M}": count for ts, count in each.by_minute.items()}
            ),
            "source": part.source,
            "origin": part.origin,
        }
        for each in (*found.values(), *silent)
    ]
    return pl.DataFrame(rows, schema=frame_schema(QUALITY_FINDINGS))


def _plain(value: date) -> str:
    """Return a date or a time of a sample as text."""
    return value.isoformat()
