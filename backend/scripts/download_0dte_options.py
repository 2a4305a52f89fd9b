"""Download every option of a ticker that expires on a day, ready for a 0DTE study.

One folder of Parquet files: contracts (with open interest), underlying (minutes), bars, trades,
quotes (as each minute ended), with implied volatility and greeks. --follow goes on with the stream
until the close: bars and trades of all contracts, quotes of the 1,000 nearest to the money.
"""

import argparse
import sys
from pathlib import Path

from app import cli, request

_EPILOG = f"""\
Without POLYGON_API_KEY (or MASSIVE_API_KEY) the market is the simulator's, and each row says so
(origin). Run it again after whatever broke it, it goes on where it was. Ctrl-C ends --follow; what
came is kept. Open interest of a past day is only known where a snapshot of that session is in the
database (main.py stores one), and null otherwise.

{cli.EXIT_STATUS}
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = cli.Parser(
        prog="download_0dte_options.py",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--ticker", type=request.ticker, default="QQQ", help="default: QQQ")
    add("--date", type=request.day, help="default: the newest session with expirations")
    add("--out", type=Path, help="folder (default: as 0dte_qqq_2026-11-20)")
    add("--store", action="store_true", help="into the database too")
    add(
        "--lake",
        nargs="?",
        const="",
        metavar="PLACE",
        help="into the lake too (default: LAKE, or ours), until flat files replace it",
    )
    add("--follow", action="store_true", help="go on with the stream until the close")
    add("--seconds", type=_seconds, help="end --follow after so long")
    add("--clock", type=request.moment, help="the simulator's market time, as 2026-11-20T10:00")
    add("--seed", type=int, help="of the simulator's generated world")
    return made


def command(arguments: argparse.Namespace) -> int:
    """Download what the arguments say; return the exit status."""
    from app import zero_dte  # noqa: PLC0415 - `--help` and wrong usage answer at once

    asked = zero_dte.Asked(
        ticker=arguments.ticker,
        day=arguments.date,
        out=arguments.out,
        store=arguments.store,
        lake=arguments.lake,
        follow=arguments.follow,
        seconds=arguments.seconds,
        clock=arguments.clock,
        seed=arguments.seed,
    )
    return zero_dte.run_zero_dte(asked)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 10**6:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds


if __name__ == "__main__":
    sys.exit(cli.run(parser(), command))
