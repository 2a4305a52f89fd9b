"""Download bars of one ticker into one file, Parquet or CSV; no database is needed."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from app import cli, request

_INTERVALS = ("1m", "5m", "10m", "15m", "30m", "1d", "1w")
_EPILOG = f"""\
The source is Schwab where somebody is signed in, else Polygon where POLYGON_API_KEY (or
MASSIVE_API_KEY) is set, else the simulator; each row says so (source, origin). The file appears whole
or not at all. Columns: ts (start of the bar, UTC), session, open, high, low, close, volume, vwap, ...

{cli.EXIT_STATUS}
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = cli.Parser(
        prog="standalone_qqq_download.py",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--ticker", type=request.ticker, default="QQQ", help="default: QQQ")
    add("--days", type=request.days, help="sessions back from now or from --end (default: 5)")
    add("--start", type=request.day, help="first day, as 2015-12-23")
    add("--end", type=request.day, help="last day (default: today)")
    add("--interval", choices=_INTERVALS, default="1m", help="of the bars (default: 1m)")
    add("--out", type=Path, help="file, .parquet or .csv (default: as qqq_1m_2026-11-20.parquet)")
    add("--source", choices=("auto", "schwab", "polygon", "simulator"), default="auto")
    add("--clock", type=request.moment, help="the simulator's market time; it stands still")
    add("--seed", type=int, help="of the simulator's generated world")
    return made


def command(arguments: argparse.Namespace) -> int:
    """Write the file that the arguments name; return the exit status."""
    asked = request.Asked(
        tickers=(arguments.ticker,),
        days=arguments.days,
        start=arguments.start,
        end=arguments.end,
        interval=arguments.interval,
        expirations=None,
        source=arguments.source,
        clock=arguments.clock,
        seed=arguments.seed,
    )
    from app import standalone_command  # noqa: PLC0415 - `--help` and wrong usage answer at once

    source = standalone_command.source_of(asked.source)
    return standalone_command.run_standalone(replace(asked, source=source), arguments.out)


if __name__ == "__main__":
    sys.exit(cli.run(parser(), command))
