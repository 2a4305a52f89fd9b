"""What a plan costs: requests by source, and minutes, from limits and from what earlier runs took."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline.datasets import BARS, CHAIN, DAILY, dataset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.tables import Frame
    from pipeline.partition import Partition
    from pipeline.plan import Window

CONTRACTS_AN_EXPIRATION: Final = 270
"""Calls and puts of a liquid fund's expiration, where none are stored to count."""

_EXPIRATIONS_A_DAY: Final = 5 / 7
_BESIDE_CONTRACTS: Final = 3  # the list of contracts, the underlying's bars, its dividends
_SECONDS: Final = {BARS: 0.3, DAILY: 0.05, CHAIN: 2.0}
_SECONDS_A_CONTRACT: Final = 0.06


@dataclass(frozen=True, slots=True)
class Cost:
    """What partitions of one dataset and ticker cost.

    Attributes:
        dataset: As coverage names it.
        ticker: Underlying.
        partitions: How many.
        calls: Source -> requests, about.
        minutes: By the slowest of limits and work, about.
    """

    dataset: str
    ticker: str
    partitions: int
    calls: dict[str, int]
    minutes: float


def seconds_a_partition(stages: Frame) -> dict[str, float]:
    """Return how long a partition took in earlier runs, by dataset.

    Args:
        stages: Rows of `LEDGER_STAGES`: dataset, ticker, session and seconds.
    """
    if stages.is_empty():
        return {}
    each = stages.group_by("dataset", "ticker", "session").agg(pl.col("seconds").sum())
    mean = each.group_by("dataset").agg(pl.col("seconds").mean())
    return dict(mean.select("dataset", "seconds").iter_rows())


def costs(  # noqa: PLR0913 - what is to be done, and what is known of its price
    todo: Sequence[Partition],
    *,
    sources: Sequence[str],
    per_minute: Mapping[str, int],
    window: Window,
    known: Mapping[str, float],
    workers: int,
) -> list[Cost]:
    """Return what partitions cost, by dataset and ticker.

    Args:
        todo: What is to be done.
        sources: Who can be asked, the best first; bars are asked of two of them.
        per_minute: Source -> requests that it allows a minute.
        window: Expirations of the past of options, in days ahead.
        known: Dataset -> seconds that a partition took in earlier runs.
        workers: Processes at work.
    """
    counted = Counter((each.dataset, each.ticker) for each in todo)
    found = []
    for (name, ticker), count in sorted(counted.items()):
        contracts = _contracts(window)
        calls = _calls(name, count, sources, contracts)
        allowed = max(calls[source] / max(per_minute[source], 1) for source in calls)
        kind = dataset(name).kind
        usual = _SECONDS.get(kind, _SECONDS_A_CONTRACT * contracts)
        work = known.get(name, usual) * count / workers / 60
        found.append(Cost(name, ticker, count, calls, max(allowed, work)))
    return found


def _calls(name: str, count: int, sources: Sequence[str], contracts: int) -> dict[str, int]:
    what = dataset(name)
    if what.kind in {BARS, DAILY}:
        return dict.fromkeys(sources[:2], ceil(count / what.a_request))
    if what.kind == CHAIN:
        return {sources[0]: 2 * count}
    return {sources[-1]: count * (contracts + _BESIDE_CONTRACTS)}


def _contracts(window: Window) -> int:
    expirations = 1 + (window.last - window.first) * _EXPIRATIONS_A_DAY
    return round(CONTRACTS_AN_EXPIRATION * expirations)
