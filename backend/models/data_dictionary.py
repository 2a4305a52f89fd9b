"""The data dictionary: `models.tables` as a page for people."""

from models.tables import ORIGINS, SOURCES, TABLES, Column, Table

_HEAD = f"""# Data dictionary

Written by `python scripts/write_data_dictionary.py` from `backend/models/tables.py`; do not edit.

All tables stand in the schema `public`. Times are UTC, sessions are exchange days in New York,
implied volatilities and yields are fractions (0.20 = 20 %). Market data says who made it (`source`:
{", ".join(SOURCES)}) and where it came from (`origin`: {", ".join(ORIGINS)}); a reader never mixes
origins. Columns marked K form the primary key, in the order given above the table. Tables in monthly
partitions have one table a month, `<name>_YYYY_MM`, and `<name>_default` for what has no month yet.
Row-level security is on everywhere: the service role and the owner alone read and write.
"""


def data_dictionary() -> str:
    """Return the page, in Markdown."""
    contents = "\n".join(
        f"- [{table.name}](#{table.name}): {table.note}" for table in TABLES.values()
    )
    return "\n".join([_HEAD, contents, *(_section(table) for table in TABLES.values())]) + "\n"


def _section(table: Table) -> str:
    key = ", ".join(f"`{name}`" for name in table.key)
    cut = f" Monthly partitions by `{table.partition}`." if table.partition else ""
    return "\n".join(
        [
            f"\n## {table.name}\n",
            f"{table.note[0].upper()}{table.note[1:]}. Key: {key}.{cut}\n",
            "| column | type | | meaning |",
            "|---|---|---|---|",
            *(_row(column, table.key) for column in table.columns),
        ]
    )


def _row(column: Column, key: tuple[str, ...]) -> str:
    mark = "K" if column.name in key else "may be null" if column.nullable else ""
    note = column.note.replace("|", "\\|").replace("<", "&lt;")
    return f"| `{column.name}` | {column.kind.value} | {mark} | {note} |"
