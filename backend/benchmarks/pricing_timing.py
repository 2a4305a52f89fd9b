"""Time by the CPU seconds of one core, and tables of the results."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


class Figure(NamedTuple):
    """One way of doing the work: its name, options per CPU second, and what its results are."""

    name: str
    rate: float
    remark: str


def rate(work: Callable[[], object], count: int, runs: int) -> float:
    """Return options per CPU second, the median of the runs; a first run warms up."""
    work()
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return count / statistics.median(seconds)


def bandwidth(runs: int) -> float:
    """Return the bytes per second that a copy of large arrays reads and writes."""
    source = np.ones(16_000_000)
    target = np.empty_like(source)
    return rate(lambda: np.copyto(target, source), 2 * source.nbytes, runs)


def table(title: str, figures: list[Figure], ours: int = 0) -> None:
    """Print the figures beside the rate of one of them."""
    print(f"\n{title}")
    base = figures[ours].rate
    for figure in figures:
        share = f"{base / figure.rate:9.1f}x" if figure.rate else "         -"
        print(f"  {figure.name:44s} {readable(figure.rate):>11s}/s {share}  {figure.remark}")


def readable(value: float) -> str:
    """Return a number with M or k."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.2f} {unit}"
    return f"{value:.0f}"


def promise(text: str, *, kept: bool) -> bool:
    """Print a promise with its outcome, and return the outcome."""
    print(f"  {'ok  ' if kept else 'FAIL'} {text}")
    return kept
