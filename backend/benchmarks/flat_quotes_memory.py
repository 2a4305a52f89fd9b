"""A large flat file of quotes through bounded memory: its curve while the rows go into the lake.

    python benchmarks/flat_quotes_memory.py [--rows 1000000] [--underlying QQQ] [--plot FILE.svg]

The file is made first, an underlying after the other (their rows differ in the ticker alone), and
goes away with its folder. The proof of the issue is `--rows 100000000`; `make bench` runs a small one.
"""

import argparse
import multiprocessing
import shutil
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from isal import igzip

from clients.lake import Lake, Partition
from polygon_integration.flat_datasets import dataset
from polygon_integration.flat_files import DayFile, Reading

HEADER = (
    b"ticker,ask_exchange,ask_price,ask_size,bid_exchange,bid_price,bid_size,sequence_number,"
    b"sip_timestamp\n"
)
OTHERS = 200
SHARE = 0.08
"""Of all rows, those of the underlying that is wanted: more than any real one has."""

LIMIT_MIB = 2048
_DAY = date(2026, 11, 20)
_SAMPLE_S = 0.1
_MIB = 1 << 20


def template(rows: int, contracts: int, seed: int = 3) -> bytes:
    """Return lines of quotes of some contracts of the root AAAA, sorted."""
    rng = np.random.default_rng(seed)
    number = np.sort(rng.integers(0, contracts, rows))
    bid = np.round(rng.lognormal(1, 1, contracts)[number] * (1 + rng.normal(0, 0.01, rows)), 2)
    frame = pl.DataFrame(
        {
            "ticker": [f"O:AAAA261218C{100_000 + 500 * n:08}" for n in range(contracts)],
        }
    )[number]
    start = 1_795_012_200_000_000_000
    frame = frame.with_columns(
        pl.Series("ask_exchange", 300 + rng.integers(0, 21, rows)),
        pl.Series("ask_price", np.round(bid + 0.05, 2)),
        pl.Series("ask_size", rng.integers(1, 200, rows)),
        pl.Series("bid_exchange", 300 + rng.integers(0, 21, rows)),
        pl.Series("bid_price", bid),
        pl.Series("bid_size", rng.integers(1, 200, rows)),
        pl.Series("sequence_number", np.arange(rows) * 7 + 1_000_000),
        pl.Series("sip_timestamp", start + np.arange(rows) * 23_400_000_000_000 // rows),
    )
    return frame.sort("ticker", "sip_timestamp").write_csv(include_header=False).encode()


def make(path: Path, rows: int, underlying: str) -> int:
    """Write a file of about so many rows; return how many it has."""
    each = round(rows * (1 - SHARE) / OTHERS)
    some = template(each, max(each // 2000, 1))
    own_rows = round(rows * SHARE)
    names = sorted({f"{chr(65 + n // 8)}{chr(65 + n % 8 * 3)}ZZ" for n in range(OTHERS)})
    with path.open("wb") as raw, igzip.IGzipFile(fileobj=raw, mode="wb", compresslevel=1) as file:
        file.write(HEADER)
        is_written = False
        for name in [*names, "ZZZZ"]:
            if not is_written and name > underlying:
                own = template(own_rows, max(own_rows // 2000, 1))
                file.write(own.replace(b"O:AAAA", f"O:{underlying}".encode()))
                is_written = True
            if name != "ZZZZ":
                file.write(some.replace(b"O:AAAA", f"O:{name}".encode()))
    return each * len(names) + own_rows


class Watch:
    """Samples this process's memory while a block runs."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, float]] = []
        self._stopped = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        page = 4096
        while not self._stopped.wait(_SAMPLE_S):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.samples.append((time.monotonic() - self._began, pages * page / _MIB))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        self._thread.join()


def through(path: Path, lake: Lake, underlying: str) -> Reading:
    """Store an underlying's quotes of the file, or those of all."""
    what = dataset("quotes")
    wanted = () if underlying == "all" else (underlying,)
    file = DayFile(path.name, what, origin="simulator", underlyings=wanted)
    partition = Partition(what.table, _DAY, "polygon", "simulator", "flat_file", what.sort_key)
    reading = Reading()
    with lake.replacing(partition, sharing=not wanted) as writer:
        for run in file.runs(lambda: path.open("rb"), reading):
            writer.add(run.underlying, run.rows, is_last=run.is_last)
        writer.publish()
    return reading


def plot(samples: list[tuple[float, float]], title: str, path: Path) -> None:
    """Write the curve as SVG."""
    width, height, left, top = 720, 260, 56, 40
    last, most = samples[-1][0], max(mib for _, mib in samples) * 1.25
    points = " ".join(
        f"{left + at / last * (width - left - 16):.1f},{height - 30 - mib / most * (height - top - 30):.1f}"
        for at, mib in samples
    )
    ticks = [most * share / 4 for share in range(5)]
    lines = "".join(
        f'<text x="{left - 6}" y="{height - 26 - tick / most * (height - top - 30):.0f}" '
        f'text-anchor="end">{tick:.0f}</text>'
        for tick in ticks
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="11">'
        f'<rect width="{width}" height="{height}" fill="white"/>'
        f'<text x="{left}" y="20" font-size="13">{title}</text>{lines}'
        f'<text x="{left}" y="{height - 10}">0 s</text>'
        f'<text x="{width - 16}" y="{height - 10}" text-anchor="end">{last:.0f} s</text>'
        f'<text x="10" y="{top - 4}">MiB</text>'
        f'<polyline points="{points}" fill="none" stroke="#1f6feb" stroke-width="1.5"/></svg>\n',
        encoding="utf-8",
    )


def main() -> int:
    """Run it; return 1 where memory was not bounded."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--underlying", default="QQQ", help="or all")
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="options-bench-"))
    try:
        path = folder / "2026-11-20.csv.gz"
        name = "QQQ" if given.underlying == "all" else given.underlying
        # In a process of its own, whose memory is not ours.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            count = pool.submit(make, path, given.rows, name).result()
        size = path.stat().st_size
        lake = Lake.open(folder / "lake")
        with Watch() as watch:
            began, cpu = time.monotonic(), time.process_time()
            reading = through(path, lake, given.underlying)
            seconds, used = time.monotonic() - began, time.process_time() - cpu
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if reading.lines != count:
        raise SystemExit(f"{reading.lines} lines were read, {count} written")
    memory = [mib for _, mib in watch.samples]
    half = len(memory) // 2
    first, second = max(memory[:half], default=0), max(memory[half:], default=0)
    print(
        f"{reading.lines:,} quotes, {size / 1e9:.2f} GB gzipped, {given.underlying}: {reading.rows:,} rows"
        f" stored in {seconds:.1f} s ({used:.1f} s of processor)"
    )
    print(
        f"memory: most {max(memory):.0f} MiB (limit {LIMIT_MIB}), first half {first:.0f}, second half "
        f"{second:.0f}"
    )
    if given.plot:
        title = (
            f"{reading.lines:,} quotes into the lake ({given.underlying}): memory of the process"
        )
        plot(watch.samples, title, given.plot)
    return int(max(memory) > LIMIT_MIB)


if __name__ == "__main__":
    raise SystemExit(main())
