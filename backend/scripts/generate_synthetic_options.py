"""Make option markets with known truth: chains, quotes, trades, from a seed, bars or a real chain."""

import argparse
import shlex
import sys
from pathlib import Path

from app import cli, request
from models.errors import ConfigError

_INTERVALS = {"1m": 1, "5m": 5, "10m": 10, "15m": 15, "30m": 30}
_EPILOG = f"""\
With --fill every session whose minute bars are stored and whose options are not, of the whole period
or of the days that --start and --end name, is made from these bars, priced, judged, covered, and stored
in database and lake, as etl_pipeline.py --synthetic does (minute quotes; expirations: 0-0). Real rows
take the place of made ones when they come.

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
        metavar="FIRST-LAST",
        help="expirations, in days ahead (default: 0-60)",
    )
    add("--interval", choices=_INTERVALS, help="between snapshots (default: 5m)")
    add("--seed", type=_seed, help="of all that is drawn (default: 7)")
    add("--out", help="db (default), or a file as quotes.parquet")
    add("--fill", action="store_true", help="fill the sessions that have bars and no options")
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
    from app import synthetic_command, synthetic_fill  # noqa: PLC0415 - `--help` answers at once

    line = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    if arguments.fill:
        _only_of_snapshots(arguments)
        days = arguments.start, arguments.end
        window = arguments.dte or (0, 0)
        return synthetic_fill.run_fill(
            synthetic_fill.Period(arguments.ticker, *days, window, arguments.trades, line)
        )
    asked = synthetic_command.Asked(
        ticker=arguments.ticker,
        start=arguments.start,
        end=arguments.end,
        dte=arguments.dte or (0, 60),
        interval=_INTERVALS[arguments.interval or "5m"],
        seed=arguments.seed,
        out=arguments.out or "db",
        calibrate=arguments.calibrate,
        bars=arguments.bars,
        trades=arguments.trades,
        report=arguments.report,
        command=line,
    )
    return synthetic_command.run_synthetic(asked)


def _only_of_snapshots(arguments: argparse.Namespace) -> None:
    """Refuse what does not go with --fill: what is filled can be made again, the same, by anyone."""
    for name in ("interval", "seed", "out", "calibrate", "bars", "report"):
        if getattr(arguments, name) is not None:
            raise ConfigError(
                f"--{name} does not go with --fill, which makes every minute from the stored bars, "
                "with one seed"
            )


def _seed(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        message = f"{text!r} is no whole number, which a seed must be"
        raise argparse.ArgumentTypeError(message) from None


if __name__ == "__main__":
    sys.exit(cli.run(parser(), command))
