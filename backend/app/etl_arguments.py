"""The arguments that the pipeline and the backfill share. Nothing heavy is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app import request

if TYPE_CHECKING:
    import argparse


def add_work(made: argparse.ArgumentParser) -> None:
    """Add what says how the work is done, and from whom."""
    add = made.add_argument
    add("--source", choices=("auto", "schwab", "polygon", "simulator"), default="auto")
    add("--executor", default="local", help="local (default), local:N or dask://HOST:PORT")
    add("--lake", help="folder, or s3://bucket/prefix (default: LAKE, or ours)")
    add("--retry-failed", action="store_true", help="try dead letters once more")
    add(
        "--synthetic",
        action="store_true",
        help="make options of the past that no source has from stored bars (source=synthetic)",
    )
    add("--no-crosscheck", action="store_true", help="do not compare sources")
    add(
        "--patience",
        type=request.minutes,
        default=2.0,
        metavar="MINUTES",
        help="how long a service may be away before the run ends without it (default: 2)",
    )
    add("--json", action="store_true", help="one JSON object instead of tables")
    add("--clock", type=request.moment, help="the simulator's market time (New York)")
    add("--seed", type=int, help="of the simulator's generated world")
