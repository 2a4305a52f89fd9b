"""Download market data of some days, check it, price it, store it, and say what was stored."""

import argparse
import shlex
import sys

from app import cli, request

_EPILOG = f"""\
With --source polygon and --start, the quotes that end each minute of these sessions are stored too,
with volatility and greeks, as far as one run may ask for by REST (a million contract-minutes).

What is stored already is not downloaded again. Without a Schwab account the data comes from the
simulator; each row says so (origin: live, simulator or recorded), and readers never mix them.

The data lies in the database that SUPABASE_DB_URL, or SUPABASE_URL and SUPABASE_KEY, name, else in
an embedded PostgreSQL in the folder OPTIONS_HOME (default ~/.local/share/options-backend). It is
left running; `python main.py --stop-database` stops it.

{cli.EXIT_STATUS}
"""

_INTERVALS = ("1m", "5m", "10m", "15m", "30m", "1d", "1w")


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = cli.Parser(
        prog="main.py",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--ticker", nargs="+", type=request.ticker, default=["QQQ"], help="default: QQQ")
    add("--days", type=request.days, help="sessions back from now or from --end (default: 5)")
    add("--start", type=request.day, help="first day, as 2015-12-23")
    add("--end", type=request.day, help="last day (default: today)")
    add("--source", choices=("auto", "schwab", "polygon", "simulator"), default="auto")
    add("--interval", choices=_INTERVALS, default="1m", help="of the bars (default: 1m)")
    add(
        "--expirations",
        type=request.expirations,
        metavar="FIRST-LAST",
        help="of the options, in days ahead (default: 0-45; all of past sessions)",
    )
    add("--no-options", action="store_true", help="bars alone")
    add("--json", action="store_true", help="one JSON object instead of tables")
    add(
        "--clock",
        type=request.moment,
        help="the simulator's market time, as 2015-12-24T10:00 (New York); it stands still",
    )
    add("--seed", type=int, help="of the simulator's generated world")
    add("--stop-database", action="store_true", help="stop the embedded database")
    return made


def command(arguments: argparse.Namespace) -> int:
    """Run the job that the arguments name; return the exit status."""
    asked = _asked(arguments)
    from app import download_command  # noqa: PLC0415 - `--help` and wrong usage answer at once

    if arguments.stop_database:
        return download_command.stop_database()
    line = shlex.join(["main.py", *sys.argv[1:]])
    return download_command.run_download(asked, command=line, as_json=arguments.json)


def _asked(arguments: argparse.Namespace) -> request.Asked:
    # Polygon knows the past: a request for given days stores the quotes of their minutes, and a
    # chain of the present would not belong to it.
    past = arguments.source == "polygon" and arguments.start and not arguments.no_options
    snapshot = not (past or arguments.no_options)
    return request.Asked(
        tickers=tuple(dict.fromkeys(arguments.ticker)),
        days=arguments.days,
        start=arguments.start,
        end=arguments.end,
        interval=arguments.interval,
        expirations=(arguments.expirations or request.DEFAULT_EXPIRATIONS) if snapshot else None,
        source=arguments.source,
        clock=arguments.clock,
        seed=arguments.seed,
        history=(arguments.expirations or (0, request.MOST_DAYS_AHEAD)) if past else None,
    )


if __name__ == "__main__":
    sys.exit(cli.run(parser(), command))
