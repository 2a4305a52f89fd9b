"""Keep market data complete: find what is missing, get it, check it, price it, store it, say so."""

import argparse
import shlex
import sys

from app import cli, etl_arguments, request

_EPILOG = f"""\
Without arguments: two tickers (QQQ, SPY), the last ten sessions that are over, from Schwab and
Polygon where they are configured, else from the simulator; into the database and the lake. What is
whole is left alone, a killed run is continued, and two runs share the work.

datasets: equity_bars_1m, equity_bars_1d, option_quotes (the chain as it stands), option_quotes_1m
(the quotes that end the minutes of each session), option_bars_1m, option_trades. Of each session's
options those that expire the same day are taken; --expirations 0-7 asks for more.

With --schedule and --serve it goes on by itself: what a run gave up, or why one failed, is told to
the addresses of PIPELINE_NOTIFY_URLS.

The ledger needs SQL: SUPABASE_DB_URL, or the embedded PostgreSQL where nothing is set.

{cli.EXIT_STATUS}
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = cli.Parser(
        prog="etl_pipeline.py",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--tickers", default="QQQ,SPY", help="comma separated (default: QQQ,SPY)")
    add("--start", type=request.day, help="first day (default: ten sessions back)")
    add("--end", type=request.day, help="last day (default: the last session that is over)")
    add("--datasets", help="comma separated (default: all but option_bars_1m and option_trades)")
    add(
        "--expirations",
        type=request.expirations,
        default=(0, 0),
        metavar="FIRST-LAST",
        help="of the options of each session, in days ahead (default: 0-0)",
    )
    etl_arguments.add_work(made)
    add(
        "--schedule",
        metavar="'HH:MM ZONE'",
        help="run at this time of each session's day, as '18:30 America/New_York', until Ctrl-C",
    )
    add(
        "--serve",
        type=request.port,
        nargs="?",
        const=8790,
        metavar="PORT",
        help="page, /metrics and /health on this machine, until Ctrl-C (default port: 8790)",
    )
    add("--log-json", action="store_true", help="what happens, as JSON lines, to standard error")
    return made


def command(arguments: argparse.Namespace) -> int:
    """Run the pipeline that the arguments name; return the exit status."""
    from app import etl_command, etl_operation, etl_schedule  # noqa: PLC0415 - `--help` answers at once

    asked = etl_command.asked_of(arguments, shlex.join(["etl_pipeline.py", *sys.argv[1:]]))
    if arguments.log_json:
        cli.log_as_json()
    return etl_operation.operate(
        lambda see: etl_command.run_pipeline(asked, as_json=arguments.json, see=see),
        schedule=etl_schedule.Schedule.parse(arguments.schedule) if arguments.schedule else None,
        port=arguments.serve,
    )


if __name__ == "__main__":
    sys.exit(cli.run(parser(), command))
