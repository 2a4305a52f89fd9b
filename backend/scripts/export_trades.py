"""Export what an account closed in a year as a CSV file like Form 1099-B, from its trading journal.

Each row is one lot: proceeds, cost, gain, term, the loss that a wash sale disallows, and the 60/40
split of options on indices (section 1256). Trades that were not ours (by hand, at another broker) are
not in the journal and not in the file. It is no tax advice: compare it with the broker's own form.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from app import cli


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = cli.Parser(
        prog="export_trades.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=cli.EXIT_STATUS,
    )
    add = made.add_argument
    add("--account", required=True, help="name of a paper account; of a live one its hash's begin")
    add("--year", type=_year, required=True, help="calendar year of closing, New York time")
    add("--out", type=Path, required=True, metavar="FILE", help="ends in .csv or .parquet")
    add("--method", choices=("fifo", "lifo", "hifo"), default="fifo", help="default: fifo")
    add(
        "--lots",
        type=Path,
        metavar="FILE",
        help="JSON of specific lots: closing execution -> list of opening executions",
    )
    add(
        "--wash",
        choices=("wide", "same", "none"),
        default="wide",
        help="substantially identical: wide (calls for shares, options of one right; default), the "
        "same instrument alone as brokers report it, or look for none",
    )
    return made


def _year(text: str) -> int:
    if not text.isdigit() or not 1990 <= int(text) <= 2100:
        raise argparse.ArgumentTypeError(f"{text!r} is no year: give four digits, as 2026")
    return int(text)


def command(arguments: argparse.Namespace) -> int:
    """Write the file, say what is in it; return the exit status."""
    from app.tax_export import ExportAsked, export  # noqa: PLC0415 - `--help` answers at once
    from utils.portfolio_tracker import LotMethod  # noqa: PLC0415 - the same
    from utils.wash_sales import WashRule  # noqa: PLC0415 - the same

    done = export(
        ExportAsked(
            arguments.account,
            arguments.year,
            arguments.out,
            LotMethod(arguments.method),
            arguments.lots,
            None if arguments.wash == "none" else WashRule(arguments.wash),
        )
    )
    sums = done.sums
    print(
        f"{arguments.out}: {sums.rows} closings of {done.account[:24]} in {arguments.year}; "
        f"short-term {sums.short_term:+,.2f}, long-term {sums.long_term:+,.2f}, section 1256 "
        f"{sums.section_1256:+,.2f} USD; wash sales disallow {sums.disallowed:,.2f}"
    )
    if done.open_1256:
        print(
            "section 1256 marks what is open at the end of the year to market, which is not in the "
            f"file: {', '.join(done.open_1256)}",
            file=sys.stderr,
        )
    return cli.OK


if __name__ == "__main__":
    sys.exit(cli.run(parser(), command))
