"""Show what the quality rules found in a stored session: as a table and as a page (HTML, JSON)."""

import argparse
import sys
from pathlib import Path

from app import cli, request


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = cli.Parser(
        prog="check_data_quality.py",
        description=__doc__,
        epilog=f"{cli.EXIT_STATUS}; 0 only when no rule of severity error was broken",
    )
    add = made.add_argument
    add("--ticker", type=request.ticker, default="QQQ", help="default: QQQ")
    add("--session", type=request.day, help="as 2026-11-20 (default: the newest with options)")
    add("--again", action="store_true", help="judge what is stored, whatever was found before")
    add("--html", type=Path, metavar="FILE", help="the page (default: in the state folder)")
    add("--json", action="store_true", help="one JSON object instead of a table")
    return made


def command(arguments: argparse.Namespace) -> int:
    """Show the findings; return the exit status."""
    from app import quality_command  # noqa: PLC0415 - `--help` answers at once

    return quality_command.show_quality(
        arguments.ticker,
        arguments.session,
        again=arguments.again,
        as_json=arguments.json,
        html=arguments.html,
    )


if __name__ == "__main__":
    sys.exit(cli.run(parser(), command))
