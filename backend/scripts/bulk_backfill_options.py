"""Store years of Polygon's flat files in the lake: day files in parallel, killed and resumed anywhere."""

import argparse
import sys

from app import cli, request

_EPILOG = f"""\
Without POLYGON_S3_ACCESS_KEY the files are the simulator's. Run it again after whatever broke it: what
is stored is not asked for again, a half-fetched file goes on where it ended, a file that the vendor
has replaced is stored anew. --audit asks nobody: it compares stored minutes with stored days.

{cli.EXIT_STATUS}
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = cli.Parser(
        prog="bulk_backfill_options.py",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--start", type=request.day, help="first day (default: five sessions back)")
    add("--end", type=request.day, help="last day (default: the last one that is published)")
    add(
        "--underlyings",
        default="QQQ,SPY",
        help="comma separated, or all (default: QQQ,SPY)",
    )
    add(
        "--dataset",
        default="minute_aggs",
        help="minute_aggs (default), day_aggs, trades or quotes; of stocks stock_minute_aggs, ...",
    )
    add("--lake", help="folder, or s3://bucket/prefix (default: LAKE, or ours)")
    add("--executor", default="local", help="local (default), or dask://HOST:PORT")
    add("--workers", type=_count, help="processes (default: one a core, four at most)")
    add(
        "--greeks",
        action="store_true",
        help="price the minutes too: volatility and greeks in option_greeks_1m of the lake, by the "
        "underlying's own minutes (stock_minute_aggs), which are stored as well",
    )
    add("--audit", action="store_true", help="tell minutes without trade from missing ones")
    add("--quiet", action="store_true", help="no progress bar")
    return made


def command(arguments: argparse.Namespace) -> int:
    """Store what the arguments say; return the exit status."""
    from app import bulk_command  # noqa: PLC0415 - `--help` and wrong usage answer at once

    everything = arguments.underlyings.lower() == "all"
    names = [] if everything else [name.strip() for name in arguments.underlyings.split(",")]
    asked = bulk_command.Asked(
        dataset=arguments.dataset,
        start=arguments.start,
        end=arguments.end,
        underlyings=tuple(dict.fromkeys(request.ticker(name) for name in names)),
        lake=arguments.lake,
        executor=arguments.executor,
        workers=arguments.workers,
        audit=arguments.audit,
        quiet=arguments.quiet,
        greeks=arguments.greeks,
    )
    return bulk_command.run_bulk(asked)


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"{count} is too few")
    return count


if __name__ == "__main__":
    sys.exit(cli.run(parser(), command))
