"""Watch quotes as they stream, from Schwab, Polygon or a simulator: a live table, or JSON lines.

Symbols are tickers (QQQ, SPX, BRK.B), options (QQQ261218C00500000) and, at Schwab, futures (/ESZ26).
All programs of a user on this machine share one connection to Schwab, and one a market to Polygon.
"""

import argparse
import re
import sys

from app import cli, request

_OPTION = re.compile(r"([A-Z]{1,5}[A-Z0-9]?) *(\d{6}[CP]\d{8})")
_FUTURE = re.compile(r"\.?/[A-Z0-9]{2,20}")


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = cli.Parser(
        prog="stream_quotes.py",
        description=__doc__,
        epilog=cli.EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("symbols", nargs="+", type=symbol, metavar="SYMBOL", help="as QQQ or QQQ261218C00500000")
    add("--seconds", type=_seconds, help="how long (default: until Ctrl-C)")
    add("--bars", action="store_true", help="one-minute bars of the tickers too")
    add("--activity", action="store_true", help="updates of your own orders too")
    add(
        "--source",
        choices=("auto", "schwab", "polygon", "simulator"),
        default="auto",
        help="auto (default): Schwab where somebody is signed in, else the simulator",
    )
    add("--trades", action="store_true", help="trades too; of Polygon")
    add(
        "--chain",
        type=_days,
        metavar="DAYS",
        help="quotes of the contracts nearest to the money too, that expire within so many days; "
        "of Polygon, up to 1,000, which move with the market",
    )
    add("--fmv", action="store_true", help="fair values of the options too; of a business plan")
    add(
        "--lake",
        nargs="?",
        const="",
        metavar="PLACE",
        help="into the lake too (default: LAKE, or ours), until flat files replace it; of Polygon",
    )
    add("--json", action="store_true", help="every event as a line of JSON")
    return made


def symbol(text: str) -> str:
    """Read a symbol; of an option the root is padded to 6."""
    upper = text.strip().upper()
    option = _OPTION.fullmatch(upper)
    if option:
        return f"{option[1]:6}{option[2]}"
    return upper if _FUTURE.fullmatch(upper) else request.ticker(text)


def command(arguments: argparse.Namespace) -> int:
    """Stream what the arguments say; return the exit status."""
    from app import stream_command  # noqa: PLC0415 - `--help` and wrong usage answer at once

    asked = stream_command.Asked(
        symbols=tuple(dict.fromkeys(arguments.symbols)),
        seconds=arguments.seconds,
        bars=arguments.bars,
        activity=arguments.activity,
        source=arguments.source,
        json=arguments.json,
        trades=arguments.trades,
        chain_days=arguments.chain,
        fmv=arguments.fmv,
        lake=arguments.lake,
    )
    try:
        return stream_command.run_stream(asked)
    except KeyboardInterrupt:
        return cli.INTERRUPTED  # nothing is stored: there is nothing to say


def _days(text: str) -> int:
    if not re.fullmatch(r"\d{1,4}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days: give 0 for today's")
    return int(text)


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
