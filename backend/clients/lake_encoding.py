"""Rows in the lake's order, and as Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from models.tables import Frame

ROW_GROUP: Final = 65_536
"""Rows; a minute of a large chain is in one of them, or two."""

ZSTD_LEVEL: Final = 1
_PAGE_BYTES = 1 << 20  # a column of a row group is one page, or two
_WRITE_BYTES = 1 << 18


def encode(rows: Frame, path: Path, metadata: Mapping[str, str]) -> None:
    """Write rows as one Parquet file.

    Args:
        rows: In the lake's order.
        path: Of the file.
        metadata: Of the file.

    Raises:
        OSError: The disk does not take it.
    """
    rows.write_parquet(
        path,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        row_group_size=ROW_GROUP,
        data_page_size=_PAGE_BYTES,
        metadata=dict(metadata),
    )


class RowGroups:
    """A Parquet file that is written group by group, by pyarrow: Polars writes a file at once.

    Args:
        path: Of the file.
        rows: Some, for their columns.
        metadata: Of the file.

    Raises:
        OSError: The disk does not take it.
    """

    def __init__(self, path: Path, rows: Frame, metadata: Mapping[str, str]) -> None:
        import pyarrow as pa  # noqa: PLC0415 - 40 MB that a few underlyings do not need
        import pyarrow.parquet as pq  # noqa: PLC0415 - as above

        # A buffer, or every page is a call of the system.
        self._file = pa.output_stream(str(path), buffer_size=_WRITE_BYTES)
        self._metadata = metadata
        self._writer = pq.ParquetWriter(
            self._file,
            rows.head(0).to_arrow(compat_level=pl.CompatLevel.newest()).schema,
            compression="zstd",
            compression_level=ZSTD_LEVEL,
            store_schema=False,
        )

    def write(self, rows: Frame) -> None:
        """Write rows, in groups of at most `ROW_GROUP`."""
        table = rows.to_arrow(compat_level=pl.CompatLevel.newest())
        self._writer.write_table(table, row_group_size=ROW_GROUP)

    def close(self, metadata: Mapping[str, str]) -> None:
        """Finish the file.

        Args:
            metadata: Further ones, known at the end.
        """
        try:
            self._writer.add_key_value_metadata({**self._metadata, **metadata})
            self._writer.close()
        finally:
            self._file.close()


def ordered(rows: Frame, sort_key: Sequence[str]) -> Frame:
    """Return rows in the lake's order, with the number of those of one contract and time.

    Rows of one contract and time keep their order: it is all that tells two trades apart, and
    `occurrence` (from 0) says it.

    Args:
        rows: As they came.
        sort_key: Names of columns, `ts` among them; those that stand in the path are passed over.
    """
    keys = [name for name in sort_key if name in rows.columns]
    if "occurrence" in rows.columns or "price" in rows.columns:
        rows = rows.drop("occurrence", strict=False).sort(keys, maintain_order=True)
        count = pl.int_range(pl.len(), dtype=pl.Int32).over(keys).alias("occurrence")
        return rows.with_columns(count)
    if keys[-1] == "ts":
        return rows if _is_sorted(rows, keys) else rows.sort(keys, maintain_order=True)
    # By contract already, as the source sends them: one stable sort by time is enough.
    symbols = [name for name in keys if name != "ts"]
    most = keys[: keys.index("ts") + 1] if _is_sorted(rows, symbols) else keys
    return rows.sort(most, maintain_order=True, multithreaded=False)


def _is_sorted(rows: Frame, names: Sequence[str]) -> bool:
    if len(names) == 1:
        return rows[names[0]].is_sorted()
    is_later, is_same = pl.lit(value=False), pl.lit(value=True)
    for name in names:
        before = pl.col(name).shift(1)
        is_later |= is_same & (pl.col(name) > before)
        is_same &= pl.col(name) == before
    return bool(rows.select((is_later | is_same).fill_null(value=True).all()).item())
