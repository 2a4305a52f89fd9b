"""Make option markets with known truth: chains, quotes, trades, from a seed, bars or a real chain."""

import argparse
import shlex
import sys
from pathlib import Path

from app import cli, request

_INTERVALS = {"1m": 1, "5m": 5, "10m": 10, "15m": 15, "30m": 30}
_EPILOG = f"""\
Every row says source=synthetic, origin=simulator; generator version and seed stand in the run's
record (download_runs) or in the file's metadata. The same seed gives the same rows, in any order.

{cli.EXIT_STATUS}
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = cli.Parser(
        prog="generate_synthetic_options.py",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--ticker", type=request.ticker, default="QQQ", help="default: QQQ")
    add("--start", type=request.day, help="first day (default: the last one)")
    add("--end", type=request.day, help="last day (default: the last complete session)")
    add(
        "--dte",
        type=request.expirations,
        default=(0, 60),
        metavar="FIRST-LAST",
        help="expirations, in days ahead (default: 0-60)",
    )
    add("--interval", choices=_INTERVALS, default="5m", help="between snapshots (default: 5m)")
    add("--seed", type=_seed, help="of all that is drawn (default: 7)")
    add("--out", default="db", help="db (default), lake, or a file as quotes.parquet")
    add("--calibrate", metavar="CHAIN", help="file of a real chain, or a stored QQQ/2026-07-14")
    add("--bars", help="file of 1m bars (ts, open, high, low, close, volume), or stored")
    add("--trades", action="store_true", help="every trade too (a million in a session of QQQ)")
    add(
        "--report",
        nargs="?",
        const="synthetic-quality.html",
        metavar="FILE",
        help="write the quality page beside the chain of --calibrate",
    )
    return made


def command(arguments: argparse.Namespace) -> int:
    """Make what the arguments say; return the exit status."""
    from app import synthetic_command  # noqa: PLC0415 - `--help` and wrong usage answer at once

    asked = synthetic_command.Asked(
        ticker=arguments.ticker,
        start=arguments.start,
        end=arguments.end,
        dte=arguments.dte,
        interval=_INTERVALS[arguments.interval],
        seed=arguments.seed,
        out=arguments.out,
        calibrate=arguments.calibrate,
        bars=arguments.bars,
        trades=arguments.trades,
        report=arguments.report,
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    )
    return synthetic_command.run_synthetic(asked)


def _seed(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        message = f"{text!r} is no whole number, which a seed must be"
        raise argparse.ArgumentTypeError(message) from None


if __name__ == "__main__":
    sys.exit(cli.run(parser(), command))
