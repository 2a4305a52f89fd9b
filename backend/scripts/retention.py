"""Keep the database small: move old sessions to the lake, whole or thinned, and bring them back."""

import argparse
import sys

from app import cli, request

_EPILOG = f"""\
The newest --whole sessions stay in the database as they are; of older ones, minute quotes and minute
bars of options stay at every --every minutes, until they are older than --thinned sessions; then the
lake alone has them. Daily bars stay. A part is taken out of the database only after the lake was read
back and has all its rows; what is not complete yet is left alone. `etl_pipeline.py` knows where
everything lies and does not ask for it again.

{cli.EXIT_STATUS}
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = cli.Parser(
        prog="retention.py",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--ticker", nargs="+", type=request.ticker, default=[], help="default: all")
    add("--start", type=request.day, help="first session (default: the oldest)")
    add("--end", type=request.day, help="last session (default: the newest)")
    add("--whole", type=int, default=60, metavar="SESSIONS", help="default: 60")
    add("--thinned", type=int, default=250, metavar="SESSIONS", help="default: 250")
    add("--every", type=int, default=15, metavar="MINUTES", help="of thinned ones (default: 15)")
    add("--lake", help="folder, or s3://bucket/prefix (default: LAKE, or ours)")
    add("--dry-run", action="store_true", help="tell what would be moved, and move nothing")
    add("--restore", action="store_true", help="bring what was moved back into the database")
    add("--json", action="store_true", help="one JSON object instead of tables")
    return made


def command(arguments: argparse.Namespace) -> int:
    """Move what the arguments name; return the exit status."""
    from app import retention_command  # noqa: PLC0415 - `--help` answers at once
    from pipeline.retention import Policy  # noqa: PLC0415 - the same

    asked = retention_command.Asked(
        tickers=tuple(dict.fromkeys(arguments.ticker)),
        start=arguments.start,
        end=arguments.end,
        policy=Policy(arguments.whole, arguments.thinned, arguments.every),
        lake=arguments.lake,
        dry_run=arguments.dry_run,
        restore=arguments.restore,
    )
    return retention_command.run_retention(asked, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(cli.run(parser(), command))
