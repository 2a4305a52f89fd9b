"""Find the gaps in what is stored, and fill them: every session between the first and the last one."""

import argparse
import shlex
import sys

from app import cli, etl_arguments, request

_EPILOG = f"""\
Without arguments: every ticker and dataset that is stored, over the sessions that are stored of it.
It may run beside a pipeline: they share the work.

{cli.EXIT_STATUS}
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = cli.Parser(
        prog="auto_backfill.py",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--dry-run", action="store_true", help="show the plan and what it costs, ask nothing")
    add("--tickers", help="comma separated (default: all that are stored)")
    add("--start", type=request.day, help="first day (default: the first that is stored)")
    add("--end", type=request.day, help="last day (default: the last that is stored)")
    add("--datasets", help="comma separated (default: all that are stored)")
    etl_arguments.add_work(made)
    return made


def command(arguments: argparse.Namespace) -> int:
    """Fill the gaps that the arguments name; return the exit status."""
    from app import etl_backfill, etl_command  # noqa: PLC0415 - `--help` answers at once

    line = shlex.join(["auto_backfill.py", *sys.argv[1:]])
    return etl_backfill.run_backfill(
        etl_command.asked_of(arguments, line, all_stored=True),
        as_json=arguments.json,
        dry_run=arguments.dry_run,
    )


if __name__ == "__main__":
    sys.exit(cli.run(parser(), command))
