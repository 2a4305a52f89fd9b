"""Keys and what their plans include: recency, history, kinds of data, calls a minute."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from simulator.polygon import facts
from utils.market_calendar import NEW_YORK, last_session


class Recency(StrEnum):
    """How fresh prices are."""

    END_OF_DAY = "END_OF_DAY"
    DELAYED = "DELAYED"
    REAL_TIME = "REAL-TIME"


class Data(StrEnum):
    """Kinds of data that plans are told apart by."""

    AGGREGATES = "aggregates"
    SECONDS = "seconds"
    SNAPSHOTS = "snapshots"
    TRADES = "trades"
    QUOTES = "quotes"
    STREAM = "stream"


@dataclass(frozen=True, slots=True)
class Plan:
    """One plan for options; underlyings come with it in the simulator.

    Attributes:
        name: Basic, Starter, Developer or Advanced.
        recency: How fresh prices are.
        years: How far back, in years.
        data: What it includes.
        calls_a_minute: 0 for no limit.
    """

    name: str
    recency: Recency
    years: int
    data: frozenset[Data]
    calls_a_minute: int = 0

    def knows(self, now: datetime) -> datetime:
        """Return the newest moment whose prices it may see."""
        if self.recency is Recency.REAL_TIME:
            return now
        if self.recency is Recency.DELAYED:
            return now - timedelta(minutes=facts.DELAY_MINUTES)
        return last_session(now, complete=True).close + timedelta(hours=4)

    def first_day(self, now: datetime) -> date:
        """Return the oldest day that it may see."""
        today = now.astimezone(NEW_YORK).date()
        return today - timedelta(days=round(365.25 * self.years))


_BASIC = frozenset({Data.AGGREGATES})
_STARTER = _BASIC | {Data.SECONDS, Data.SNAPSHOTS, Data.STREAM}
_DEVELOPER = _STARTER | {Data.TRADES}
_ADVANCED = _DEVELOPER | {Data.QUOTES}

PLANS = {
    plan.name: plan
    for plan in (
        Plan("Basic", Recency.END_OF_DAY, 2, _BASIC, 5),
        Plan("Starter", Recency.DELAYED, 2, _STARTER),
        Plan("Developer", Recency.DELAYED, 4, _DEVELOPER),
        Plan("Advanced", Recency.REAL_TIME, 20, _ADVANCED),
    )
}
"""By name; the years of Advanced reach all recordings that come with the product."""

DEMO_KEY = "SimulatorPolygonKeyAdvanced00000"

KEYS = {
    DEMO_KEY: PLANS["Advanced"],
    **{f"SimulatorPolygonKey{name}": plan for name, plan in PLANS.items() if name != "Advanced"},
}
"""API keys that the simulator knows; they guard nothing."""
