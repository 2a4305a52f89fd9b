"""Hold a recorded session's fills beside those of the paper model over the same quotes.

Each order of the session is put into a paper account at the moment at which it left, and cancelled when
it was cancelled. "kinder" is what a unit cost less on paper than live, in USD a share: above 0 the paper
model flatters. `python trading_main.py ... --record FILE` records a session; its decisions come from the
account's journal.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from app import cli


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = cli.Parser(
        prog="paper_drift.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=cli.EXIT_STATUS,
    )
    add = made.add_argument
    add("recording", type=Path, help="what --record wrote")
    add("--package-fills", choices=("natural", "between"), default="natural", help="of packages")
    add("--latency-ms", type=int, default=250, help="of the paper model (250)")
    add("--out", type=Path, metavar="FILE", help="the rows, ends in .csv or .parquet")
    add("--json", action="store_true", help="one JSON object of the sums instead of tables")
    return made


def command(arguments: argparse.Namespace) -> int:
    """Compare, and show it; return the exit status."""
    from rich.console import Console  # noqa: PLC0415 - `--help` answers at once

    from app.paper_drift import drift_table, paper_drift, write_drift  # noqa: PLC0415 - the same
    from engine.matching import BETWEEN, TOUCH  # noqa: PLC0415 - the same

    rules = BETWEEN if arguments.package_fills == "between" else TOUCH
    latency_ns = max(arguments.latency_ms, 0) * 1_000_000
    found = paper_drift(arguments.recording, rules._replace(latency_ns=latency_ns))
    if arguments.out:
        write_drift(arguments.out, found.rows)
    sums = found.sums
    if arguments.json:
        json.dump(sums._asdict(), sys.stdout)
        print()
        return cli.OK
    console = Console()
    console.print(drift_table(found.rows))
    said = f"{sums.orders} orders: {sums.both} filled both ways, {sums.live_only} live alone, "
    said += f"{sums.paper_only} on paper alone, {sums.neither} nowhere"
    if sums.mean_kinder is not None and sums.median_kinder is not None:
        said += f"; paper kinder by {sums.mean_kinder:+.4f} USD a share on the average, median "
        said += f"{sums.median_kinder:+.4f}, worst {sums.worst_kinder:+.4f}"
    if sums.mean_delay_s is not None:
        said += f"; it filled {sums.mean_delay_s:+.2f} s later"
    console.print(said, soft_wrap=True)
    return cli.OK


if __name__ == "__main__":
    sys.exit(cli.run(parser(), command))
