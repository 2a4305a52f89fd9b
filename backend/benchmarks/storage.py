"""Our upsert beside a raw COPY and psycopg's row COPY: one table, one server, one run.

`python benchmarks/storage.py --rows 1000000` starts a PostgreSQL of its own (fsync on), and loads
the same option bars, in key order, into `option_bars` with its key and its monthly partitions:

- raw COPY: binary data packed beforehand, so that only the server and the wire are timed;
- row COPY: `psycopg` binary, `write_row` for each row;
- ours: `SupabaseClient.upsert`, everything in it: checking, ordering, packing, loading, merging;
  into an empty range with and without the promise `expect_empty`, once more with the same rows, and
  among rows of another origin that lie all over the range (one for ten).

The ways take turns in each round, and the medians are compared with the raw COPY of the same rows.
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psycopg
from psycopg import sql
from pydantic import SecretStr

from clients import embedded_postgres
from clients.migrations import migrate
from clients.pgcopy import packed
from clients.postgres_sql import copy_in
from clients.supabase_client import SupabaseClient, SupabaseSettings
from models.tables import OPTION_BARS, frame_schema

_TABLE = sql.Identifier("public", OPTION_BARS.name)
_NULLABLE = [column.name for column in OPTION_BARS.columns if column.nullable]
_GOALS = {
    "ours, range proven empty": 0.8,
    "ours, first load": 0.55,
    "ours, first load among other rows": 0.55,
    "ours, same rows again": 0.6,
}


def option_bars(rows: int, null_share: float, *, origin: str = "simulator") -> pl.DataFrame:
    """Return one-minute bars of 200 contracts, as a pipeline hands them over: ordered by key."""
    rng = np.random.default_rng(7)
    n = np.arange(rows)
    day, minute, contract = n // 78_000, n % 78_000 // 200, n % 200
    ts = np.datetime64("2025-10-01T13:30", "us") + day.astype("m8[D]") + minute.astype("m8[m]")
    occ = [
        f"QQQ   251219{right}{strike:08d}"
        for right in "CP"
        for strike in range(400_000, 500_000, 1000)
    ]
    data: dict[str, Any] = {
        "ts": pl.Series(ts).dt.replace_time_zone("UTC"),
        "occ_symbol": pl.Series(occ).gather(contract),
        "interval": "1m",
        "underlying": "QQQ",
        "session": pl.Series(ts).dt.date(),
        "volume": rng.integers(0, 5000, rows),
        "trades": rng.integers(0, 100, rows),
        "source": "synthetic",
        "origin": origin,
    }
    for name in ("open", "high", "low", "close"):
        data[name] = np.round(rng.uniform(0.01, 20, rows), 2)
    for name in set(_NULLABLE) - {"trades"}:
        data[name] = rng.uniform(0, 1, rows)
    frame = pl.DataFrame(data)
    if null_share:
        lost = {name: pl.Series(rng.random(rows) < null_share) for name in _NULLABLE}
        frame = frame.with_columns(
            pl.when(gone).then(None).otherwise(pl.col(name)).alias(name)
            for name, gone in lost.items()
        )
    return frame.select(OPTION_BARS.column_names).cast(pl.Schema(frame_schema(OPTION_BARS)))


def raw_copy(connection: psycopg.Connection, blocks: Iterable[bytes]) -> None:
    """Copy packed rows, in one transaction."""
    with connection.transaction():
        copying = connection.cursor().copy(copy_in(_TABLE, OPTION_BARS.column_names))
        with copying as copy:
            for block in blocks:
                copy.write(block)


def row_copy(connection: psycopg.Connection, rows: pl.DataFrame) -> None:
    """Copy row by row, as psycopg's documentation shows it."""
    types = [
        column.kind.value.replace("double precision", "float8") for column in OPTION_BARS.columns
    ]
    with connection.transaction():
        copying = connection.cursor().copy(copy_in(_TABLE, OPTION_BARS.column_names))
        with copying as copy:
            copy.set_types(
                [name.replace("timestamp with time zone", "timestamptz") for name in types]
            )
            for row in rows.iter_rows():
                copy.write_row(row)


class Bench:
    """The ways, on one server.

    Args:
        dsn: Its database.
        rows: Rows to load.
        null_share: Share of nulls in the nullable columns.
    """

    def __init__(self, dsn: str, rows: int, null_share: float) -> None:
        self.rows = option_bars(rows, null_share)
        self.others = option_bars(rows, null_share, origin="recorded").gather_every(10)
        kinds = [column.kind for column in OPTION_BARS.columns]
        self.blocks = [bytes(block) for block in packed(self.rows, kinds)]
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.store = SupabaseClient.from_settings(SupabaseSettings(supabase_db_url=SecretStr(dsn)))
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def round(self) -> None:
        """Let each way load the table once."""
        self.timed("raw COPY", lambda: raw_copy(self.connection, self.blocks))
        self.timed("psycopg row COPY", lambda: row_copy(self.connection, self.rows))
        self.timed("ours, range proven empty", lambda: self.upsert(len(self.rows), sure=True))
        self.timed("ours, first load", lambda: self.upsert(len(self.rows)))
        self.timed("ours, same rows again", lambda: self.upsert(0), keep=True)
        self.empty()
        self.store.upsert(OPTION_BARS.name, self.others)
        self.timed(
            "ours, first load among other rows", lambda: self.upsert(len(self.rows)), keep=True
        )

    def timed(self, name: str, load: Callable[[], None], *, keep: bool = False) -> None:
        """Time one load, into the empty table unless `keep`."""
        if not keep:
            self.empty()
        self.connection.execute("checkpoint")
        begun = time.perf_counter()
        load()
        self.seconds[name].append(time.perf_counter() - begun)

    def empty(self) -> None:
        """Empty the table."""
        self.connection.execute(sql.SQL("truncate {}").format(_TABLE))

    def upsert(self, expected: int, *, sure: bool = False) -> None:
        """Load with ours, and check the count."""
        count = self.store.upsert(OPTION_BARS.name, self.rows, expect_empty=sure)
        if count != expected:
            raise SystemExit(f"{count} rows were new, not {expected}")

    def report(self) -> None:
        """Print the medians."""
        raw = statistics.median(self.seconds["raw COPY"])
        for name, seconds in self.seconds.items():
            median = statistics.median(seconds)
            goal = f"goal {_GOALS[name]:.2f}" if name in _GOALS else ""
            speed = len(self.rows) / median / 1000
            print(
                f"  {name:36}{median:7.2f} s{speed:8.0f} k rows/s   ratio {raw / median:5.2f}   {goal}"
            )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows to load")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; the medians count")
    parser.add_argument(
        "--nulls", type=float, nargs="*", default=[0.0, 0.3], help="shares of nulls"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="options-bench-") as folder:
        server = embedded_postgres.start(Path(folder) / "postgres")
        try:
            migrate(server.dsn)
            for share in arguments.nulls:
                bench = Bench(server.dsn, arguments.rows, share)
                for _ in range(arguments.rounds):
                    bench.round()
                print(
                    f"{arguments.rows} option bars, {share:.0%} nulls in {len(_NULLABLE)} columns,"
                    f" PostgreSQL {server.major}, medians of {arguments.rounds} rounds"
                )
                bench.report()
                bench.store.close()
                bench.connection.close()
        finally:
            embedded_postgres.stop(Path(folder) / "postgres")


if __name__ == "__main__":
    main()
