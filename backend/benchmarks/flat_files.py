"""A day of OPRA minute bars, .csv.gz to typed Parquet: ours beside Polars, DuckDB, pyarrow and pandas.

    python benchmarks/flat_files.py [--rows 5000000] [--rounds 5]

One file in the vendor's form (about 5 M rows, 116 thousand contracts, 4,500 underlyings, sorted), one process,
all ways in turn. Each keeps one underlying, QQQ or the late XSP, as typed Parquet. The first
round of each is the cold one (imports are done, caches and buffers are not); the medians are of
the others. Then the whole file: ours into a lake (sorted by time, a partition for each underlying of
many rows, one that the others share) beside Polars with a partition for each underlying; and both into
one file as it comes.
"""

import argparse
import gzip
import shutil
import statistics
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from isal import igzip

from clients.lake import Lake, Partition
from clients.lake_encoding import ROW_GROUP, RowGroups
from polygon_integration.flat_datasets import dataset
from polygon_integration.flat_files import DayFile, Reading

DAY = date(2025, 10, 20)
OPEN_NS = 1_760_967_000_000_000_000
HEADER = b"ticker,volume,open,close,high,low,window_start,transactions\n"
LARGE = {"SPY": 0.09, "SPXW": 0.08, "QQQ": 0.031, "XSP": 0.008, "IWM": 0.02, "TSLA": 0.05}
PEER_LIMIT, GUNZIP_LIMIT, MEMORY_LIMIT, CHAIN_LIMIT_MS, WHOLE_LIMIT = 0.40, 1.5, 200, 20, 1.2
_MIB = 1024


def make(path: Path, rows: int, underlyings: int, seed: int = 5) -> int:
    """Write a file, packed as the vendor's are (zlib, high level); return its rows."""
    rng = np.random.default_rng(seed)
    names = {*LARGE, "SPX", "QQQM", "NVDA"}
    while len(names) < underlyings:
        names.add("".join(rng.choice(list(string.ascii_uppercase), rng.integers(1, 5))))
    ordered = sorted(names)
    weight = np.minimum(rng.pareto(0.9, len(ordered)) + 0.02, 60)
    weight *= (1 - sum(LARGE.values())) / weight.sum()
    for place, name in enumerate(ordered):
        weight[place] = LARGE.get(name, weight[place])
    count = 0
    with gzip.open(path, "wb", compresslevel=6) as file:
        file.write(HEADER)
        for name, share in zip(ordered, weight / weight.sum(), strict=True):
            frame = _bars(rng, name, max(int(share * rows), 1))
            file.write(frame.write_csv(include_header=False).encode())
            count += frame.height
    return count


def _bars(rng: np.random.Generator, root: str, rows: int) -> pl.DataFrame:
    contracts = max(rows // 43, 1)
    days = rng.choice(["251020", "251021", "251024", "251121", "251219", "260116"], contracts)
    strikes, rights = rng.integers(1, 400, contracts) * 2500, rng.choice(["C", "P"], contracts)
    tickers = np.array(
        sorted({f"O:{root}{d}{r}{s:08d}" for d, r, s in zip(days, rights, strikes, strict=True)})
    )
    keys = np.unique(rng.integers(0, len(tickers), rows) * 1000 + rng.integers(0, 405, rows))
    contract, minute = keys // 1000, keys % 1000
    base = rng.lognormal(0.5, 1.2, len(tickers))[contract]
    prices = [
        np.maximum(0.01, np.round(base * (1 + rng.normal(0, 0.02, len(keys))), 2)) for _ in range(4)
    ]
    volume = np.ceil(rng.lognormal(1.2, 1.4, len(keys))).astype(int)
    return pl.DataFrame(
        {
            "ticker": tickers[contract],
            "volume": volume,
            "open": prices[0],
            "close": prices[1],
            "high": np.maximum.reduce(prices),
            "low": np.minimum.reduce(prices),
            "window_start": OPEN_NS + minute * 60_000_000_000,
            "transactions": np.minimum(
                volume, np.ceil(rng.lognormal(0.6, 0.8, len(keys))).astype(int)
            ),
        }
    )


def gunzip(path: Path) -> None:
    """Inflate the file and keep nothing: the floor."""
    with igzip.open(path) as file:
        while file.read(1 << 20):
            pass


class Ways:
    """Every way, over one file; each returns how many rows it kept."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path, self.out = path, folder / "peer.parquet"
        self.lake, self.folder = Lake.open(folder / "lake"), folder

    def ours_whole(self) -> int:
        """Every underlying, into a new lake."""
        shutil.rmtree(self.folder / "whole", ignore_errors=True)
        return Ways(self.path, self.folder / "whole").ours()

    def ours_one_file(self) -> int:
        """The whole file into one, in its own order, symbols taken apart."""
        file, reading = DayFile(self.path.name, dataset("minute_aggs")), Reading()
        groups, batch, count = None, [], 0
        for run in file.runs(lambda: self.path.open("rb"), reading):
            batch.append(run.rows)
            count += run.rows.height
            if count >= ROW_GROUP or groups is None:
                rows = pl.concat(batch)
                groups = groups or RowGroups(self.out, rows, {})
                groups.write(rows)
                batch, count = [], 0
        if groups is not None:
            if batch:
                groups.write(pl.concat(batch))
            groups.close({})
        return pq.read_metadata(self.out).num_rows

    def ours(self, *underlyings: str) -> int:
        """Into the lake: symbols taken apart, sorted, ledger aside."""
        what = dataset("minute_aggs")
        file = DayFile(self.path.name, what, origin="simulator", underlyings=underlyings)
        partition = Partition(what.table, DAY, "polygon", "simulator", "flat_file", what.sort_key)
        reading = Reading()
        with self.lake.replacing(partition, sharing=not underlyings) as writer:
            for run in file.runs(lambda: self.path.open("rb"), reading):
                writer.add(run.underlying, run.rows, is_last=run.is_last)
            writer.publish()
        return reading.rows

    def polars(self, root: str) -> int:
        """Scan, filter, sink: the fastest peer."""
        kept = pl.scan_csv(self.path).filter(pl.col("ticker").str.contains(pattern(root)))
        typed = kept.with_columns(pl.col("window_start").cast(pl.Datetime("ns", "UTC")))
        typed.sink_parquet(self.out, compression="zstd")
        return pl.scan_parquet(self.out).select(pl.len()).collect().item()

    def duckdb(self, root: str) -> int:
        """COPY from read_csv."""
        with duckdb.connect() as connection:
            connection.execute(
                f"copy (select * replace (make_timestamp_ns(window_start) as window_start) from "
                f"read_csv('{self.path}') where regexp_matches(ticker, '{pattern(root)}')) "
                f"to '{self.out}' (format parquet, compression zstd)"
            )
        return pq.read_metadata(self.out).num_rows

    def pyarrow(self, root: str) -> int:
        """read_csv, filter, write_table."""
        table = pa_csv.read_csv(self.path)
        kept = table.filter(pc.match_substring_regex(table["ticker"], pattern(root)))
        place = kept.schema.get_field_index("window_start")
        times = kept["window_start"].cast(pa.timestamp("ns", "UTC"))
        pq.write_table(kept.set_column(place, "window_start", times), self.out, compression="zstd")
        return kept.num_rows

    def pandas(self, root: str) -> int:
        """read_csv of the C engine."""
        frame = pd.read_csv(self.path)
        kept = frame[frame["ticker"].str.match(pattern(root))].copy()
        kept["window_start"] = pd.to_datetime(kept["window_start"], unit="ns", utc=True)
        kept.to_parquet(self.out, compression="zstd")
        return len(kept)

    def polars_partitioned(self) -> int:
        """Every underlying into a partition of its own, with what ours has besides."""
        goal = self.folder / "peer"
        shutil.rmtree(goal, ignore_errors=True)
        body = pl.col("ticker").str.slice(2)
        root = body.str.head(-15)
        whole = pl.scan_csv(self.path).select(
            pl.col("window_start").cast(pl.Datetime("ns", "UTC")).alias("ts"),
            (root.str.pad_end(6) + body.str.tail(15)).alias("occ_symbol"),
            root.alias("root"),
            ("20" + body.str.tail(15).str.slice(0, 6)).str.to_date("%Y%m%d").alias("expiration"),
            (body.str.tail(8).cast(pl.Float64) / 1000).alias("strike"),
            body.str.tail(9).str.head(1).alias("right"),
            *("volume", "open", "close", "high", "low", "transactions"),
            pl.lit("polygon").alias("source"),
            pl.lit("simulator").alias("origin"),
            root.alias("underlying"),
        )
        whole.sink_parquet(pl.PartitionBy(goal, key="underlying"), compression="zstd", mkdir=True)
        return sum(1 for _ in goal.rglob("*.parquet"))

    def polars_one_file(self) -> int:
        """The whole file into one, nothing taken apart."""
        pl.scan_csv(self.path).sink_parquet(self.out, compression="zstd")
        return pl.scan_parquet(self.out).select(pl.len()).collect().item()


def pattern(root: str) -> str:
    """Return what tells QQQ from QQQM."""
    return rf"^O:{root}\d{{6}}[CP]\d{{8}}$"


def timed(work: Callable[[], object]) -> tuple[float, object]:
    """Return seconds and result."""
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


def one_underlying(ways: Ways, root: str, rounds: int) -> list[str]:
    """Time every way of keeping one; print; return the promises that were broken."""
    named = {
        "ours": lambda: ways.ours(root),
        "polars scan_csv": lambda: ways.polars(root),
        "duckdb": lambda: ways.duckdb(root),
        "pyarrow": lambda: ways.pyarrow(root),
        "pandas": lambda: ways.pandas(root),
        "isal gunzip alone": lambda: gunzip(ways.path),
    }
    seconds: dict[str, list[float]] = {name: [] for name in named}
    kept: dict[str, object] = {}
    for number in range(rounds + 1):
        for name, work in named.items():
            if name in {"pandas", "pyarrow"} and number > 2:
                continue  # slow, and their ratios are far from any limit
            taken, kept[name] = timed(work)
            seconds[name].append(taken)
    if len({count for count in kept.values() if count is not None}) != 1:
        raise SystemExit(f"the ways keep different rows: {kept}")
    warm = {name: statistics.median(taken[1:]) for name, taken in seconds.items()}
    print(f"{root}: {kept['ours']:,} rows kept")
    for name, taken in seconds.items():
        print(
            f"  {name:20} cold {taken[0]:6.2f} s   warm {warm[name]:6.2f} s   "
            f"ours / it = {warm['ours'] / warm[name]:.2f}"
        )
    broken = []
    for peer, limit in (("polars scan_csv", PEER_LIMIT), ("isal gunzip alone", GUNZIP_LIMIT)):
        ratio = warm["ours"] / warm[peer]
        is_kept = ratio <= limit
        print(f"  limit {limit:.2f} of {peer}: {'kept' if is_kept else 'BROKEN'} ({ratio:.2f})")
        broken += [] if is_kept else [f"{root}: {ratio:.2f} of {peer}"]
    return broken


def whole_file(ways: Ways, rows: int) -> list[str]:
    """Time the whole file; print; return the promises that were broken."""
    best: dict[str, float] = {}
    for _ in range(2):
        for name, work in (
            ("ours, into the lake", ways.ours_whole),
            ("polars, a partition each", ways.polars_partitioned),
            ("ours, one file", ways.ours_one_file),
            ("polars, one file", ways.polars_one_file),
        ):
            taken, _found = timed(work)
            best[name] = min(taken, best.get(name, taken))
    print("all underlyings, the better of two")
    for name, taken in best.items():
        print(f"  {name:26}{taken:6.2f} s   {rows / taken / 1e6:5.2f} M rows/s")
    ratio = best["polars, a partition each"] / best["ours, into the lake"]
    other = best["polars, one file"] / best["ours, one file"]
    is_kept = ratio >= WHOLE_LIMIT
    print(
        f"  limit {WHOLE_LIMIT} times polars by underlying: {'kept' if is_kept else 'BROKEN'} "
        f"({ratio:.2f}); of one file, where polars leaves symbols as they are: {other:.2f}"
    )
    return [] if is_kept else [f"whole file: {ratio:.2f} times polars"]


def chain(lake: Lake) -> list[str]:
    """Time a chain at a minute; print; return the promise if it was broken."""
    minute = datetime(2025, 10, 20, 15, 0, tzinfo=UTC)
    taken = [
        timed(lambda at=minute + timedelta(minutes=n): lake.chain_at("QQQ", DAY, at))[0]  # type: ignore[misc]
        for n in range(21)
    ]
    median = statistics.median(taken) * 1e3
    is_kept = median < CHAIN_LIMIT_MS
    print(
        f"chain at a minute from the lake: median {median:.1f} ms of 21, first {taken[0] * 1e3:.1f} ms"
    )
    print(f"  limit {CHAIN_LIMIT_MS} ms: {'kept' if is_kept else 'BROKEN'}")
    return [] if is_kept else [f"chain: {median:.1f} ms"]


def memory(path: Path, folder: Path) -> list[str]:
    """Let a process of its own keep QQQ and XSP; print its most memory."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[3])\n"
        "from pathlib import Path\n"
        "from flat_memory import run\n"
        "run(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        # Not ru_maxrss: that begins with the parent's.
        "status = Path('/proc/self/status').read_text()\n"
        "print(status.partition('VmHWM:')[2].split()[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), str(folder), str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        check=True,
    )
    most = int(done.stdout.split()[-1]) / _MIB
    is_kept = most <= MEMORY_LIMIT
    print(f"memory of a process that keeps QQQ, then XSP: {most:.0f} MiB")
    print(f"  limit {MEMORY_LIMIT} MiB: {'kept' if is_kept else 'BROKEN'}")
    return [] if is_kept else [f"memory: {most:.0f} MiB"]


def main() -> int:
    """Run the benchmark; what was promised and not kept is said at the end."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--underlyings", type=int, default=4500)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="options-bench-"))
    try:
        path = folder / "2025-10-20.csv.gz"
        # The cube of rows that repeat a minute is thinned out: ask for a few more.
        rows = make(path, round(given.rows * 1.08), given.underlyings)
        size = path.stat().st_size / 1e6
        print(f"{rows:,} rows, {size:.1f} MB gzipped, {given.underlyings:,} underlyings")
        broken = memory(path, folder)
        ways = Ways(path, folder)
        for root in ("QQQ", "XSP"):
            broken += one_underlying(ways, root, given.rounds)
        broken += chain(ways.lake)
        broken += whole_file(ways, rows)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for each in broken:
        print(f"BROKEN: {each}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
