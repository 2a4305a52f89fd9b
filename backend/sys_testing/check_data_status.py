"""Show what is stored: coverage by ticker and session, as a table and as a heat map (HTML)."""

import argparse
import sys
from pathlib import Path

from app import cli, request


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = cli.Parser(
        prog="check_data_status.py",
        description=__doc__,
        epilog=f"{cli.EXIT_STATUS}; 0 only when everything stored is complete",
    )
    add = made.add_argument
    add("--ticker", nargs="+", type=request.ticker, default=[], help="default: all")
    add("--sessions", type=request.days, default=20, help="in the table (default: 20)")
    add("--html", type=Path, metavar="FILE", help="the heat map (default: in the state folder)")
    add("--json", action="store_true", help="one JSON object instead of tables")
    return made


def command(arguments: argparse.Namespace) -> int:
    """Show the status; return the exit status."""
    from app import status_command  # noqa: PLC0415 - `--help` answers at once

    return status_command.show_status(
        arguments.ticker,
        sessions=arguments.sessions,
        as_json=arguments.json,
        html=arguments.html,
    )


if __name__ == "__main__":
    sys.exit(cli.run(parser(), command))
