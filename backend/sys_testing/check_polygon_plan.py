"""Show what your Polygon (Massive) plan allows: each kind of data, flat file and stream channel."""

import argparse
import sys

from app import cli, request

_EPILOG = f"""\
Each kind of data is asked for once and at once: let no download run meanwhile. On the free plan (five
requests a minute) it waits for the next minute, and says so. --stream takes the one connection that
your key has: a program that listens is evicted. Without POLYGON_API_KEY it asks the simulator.

{cli.EXIT_STATUS}
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = cli.Parser(
        prog="check_polygon_plan.py",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--ticker", type=request.ticker, default="QQQ", help="underlying to ask for (default: QQQ)")
    add("--stream", action="store_true", help="try the channels of the stream too")
    add("--json", action="store_true", help="one JSON object instead of a table")
    return made


def command(arguments: argparse.Namespace) -> int:
    """Ask and show; return the exit status."""
    from app import polygon_plan_command  # noqa: PLC0415 - `--help` answers at once

    return polygon_plan_command.check_plan(
        arguments.ticker, stream=arguments.stream, as_json=arguments.json
    )


if __name__ == "__main__":
    sys.exit(cli.run(parser(), command))
