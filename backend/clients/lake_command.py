"""`python -m clients.lake`: what the lake holds, and SQL over it."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import defaultdict
from typing import TYPE_CHECKING

from models.errors import TradingError
from models.tables import ORIGINS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clients.lake import Lake, LakeFile

_SHOWN_ROWS = 200


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status: 0 done, 2 wrong usage or input."""
    parser = _parser()
    parsed = parser.parse_args(arguments)
    from clients.lake import Lake  # noqa: PLC0415 - `--help` answers before it

    try:
        lake = Lake.open(parsed.lake)
        if parsed.verb == "sql":
            return _sql(lake, parsed)
        return _ls(lake, parsed)
    except TradingError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command prints
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m clients.lake", description=__doc__)
    parser.add_argument("--lake", help="folder, or s3://bucket/prefix (default: LAKE, or ours)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    listing = verbs.add_parser("ls", help="tables, underlyings and sessions")
    listing.add_argument("table", nargs="?", help="one table, file by file")
    query = verbs.add_parser("sql", help="ask by SQL")
    query.add_argument("query", help='as "select count(*) from option_bars_1m"')
    query.add_argument("--origin", choices=ORIGINS, help="where the lake has several")
    query.add_argument("--format", choices=("table", "csv", "json"), default="table")
    return parser


def _ls(lake: Lake, parsed: argparse.Namespace) -> int:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - as above
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.table import Table  # noqa: PLC0415 - as above

    from clients.lake_writer import SHARED  # noqa: PLC0415 - as above

    files = lake.files(parsed.table)
    table = Table(box=SIMPLE_HEAD, header_style="dim", padding=0)
    if parsed.table:
        for name in ("underlying", "session", "source", "origin", "made from"):
            table.add_column(name, no_wrap=name != "made from")
        for file in files:
            shown = file.underlying
            if shown == SHARED:
                shown = f"({len(lake.shared_by(file)):,} share it)"
            said = lake.place.metadata(file.key)
            made = ", ".join(said[name] for name in ("made_from", "detail") if name in said)
            table.add_row(shown, str(file.session), file.source, file.origin, made)
    else:
        for name in ("table", "origin", "underlyings", "sessions", "first", "last", "files"):
            table.add_column(name, no_wrap=True)
        grouped: dict[tuple[str, str], list[LakeFile]] = defaultdict(list)
        for file in files:
            grouped[file.table, file.origin].append(file)
        for (name, origin), own in grouped.items():
            days = sorted({file.session for file in own})
            underlyings = len(set[str]().union(*(lake.shared_by(file) for file in own)))
            table.add_row(
                name,
                origin,
                *map(str, (underlyings, len(days), days[0], days[-1], len(own))),
            )
    console = Console()
    console.print(f"lake at {lake.place.shown}" + ("" if files else " is empty"), soft_wrap=True)
    if files:
        console.print(table)
    return 0


def _sql(lake: Lake, parsed: argparse.Namespace) -> int:
    names, rows = lake.sql(parsed.query, parsed.origin)
    if parsed.format == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(names)
        writer.writerows(rows)
        return 0
    if parsed.format == "json":
        found = [dict(zip(names, row, strict=True)) for row in rows]
        print(json.dumps(found, default=str))  # noqa: T201 - a command prints
        return 0
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.table import Table  # noqa: PLC0415 - as above

    table = Table(*names)
    for row in rows[:_SHOWN_ROWS]:
        table.add_row(*("" if value is None else str(value) for value in row))
    Console().print(table)
    if len(rows) > _SHOWN_ROWS:
        print(f"... {len(rows) - _SHOWN_ROWS} more rows: --format csv prints all")  # noqa: T201
    return 0
