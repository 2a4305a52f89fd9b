"""Small flat files for tests, in the vendor's form."""

import gzip
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import polars as pl

from polygon_integration.flat_datasets import dataset
from polygon_integration.flat_files import DayFile, Reading, Unsorted

AGGS = "ticker,volume,open,close,high,low,window_start,transactions"
START = 1_760_967_000_000_000_000  # 2025-10-20 13:30 UTC


def minute_lines(roots: Sequence[str], contracts: int, minutes: int) -> list[str]:
    """Lines of every contract and minute, sorted as the vendor sorts them."""
    tickers = sorted(
        f"O:{root}25{month:02}19{'CP'[n % 2]}{100_000 + 500 * n:08}"
        for root in roots
        for month in (10, 12)
        for n in range(contracts)
    )
    return [
        f"{ticker},{1 + at % 7},{1.5 + place % 9},{1.25 + place % 9},{2 + place % 9},{1 + place % 9},"
        f"{START + at * 60_000_000_000},{1 + at % 3}"
        for place, ticker in enumerate(tickers)
        for at in range(minutes)
    ]


def packed(lines: Iterable[str], header: str = AGGS) -> bytes:
    return gzip.compress(("\n".join([header, *lines]) + "\n").encode(), 1, mtime=0)


@dataclass
class Read:
    """What came of a file."""

    rows: pl.DataFrame
    reading: Reading
    underlyings: list[str] = field(default_factory=list)
    restarts: int = 0


def read(
    content: bytes | Callable[[], io.RawIOBase], name: str = "minute_aggs", *underlyings: str
) -> Read:
    file = DayFile("day.csv.gz", dataset(name), underlyings=underlyings)
    reading = Reading()
    restarts = 0
    while True:
        runs = []
        try:
            opened = content if callable(content) else lambda: io.BytesIO(content)
            runs = list(file.runs(opened, reading))
        except Unsorted:
            restarts += 1
            continue
        rows = pl.concat(run.rows for run in runs) if runs else pl.DataFrame()
        return Read(rows, reading, [run.underlying for run in runs], restarts)
