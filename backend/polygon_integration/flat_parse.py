"""Lines of a flat file to typed columns (pure): numbers, times, and the option symbol taken apart.

A line that does not fit is kept out with its number and the reason, and never spoils its
neighbours: what the fast parser refuses is halved until the bad lines stand alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from models.errors import DataError
from models.option_columns import parse_occ, polygon_to_occ
from models.symbols import roots_of_underlying
from polygon_integration.flat_datasets import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from models.tables import Frame
    from polygon_integration.flat_datasets import FlatDataset

TICKER: Final = "ticker"
_SHOWN = 200
_REFUSALS = (
    pl.exceptions.ComputeError,
    pl.exceptions.NoDataError,
    pl.exceptions.SchemaError,
    pl.exceptions.ShapeError,
)
"""What the parser raises where a line does not fit."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that was kept out.

    Attributes:
        number: Of the line in the file; the header is line 1.
        reason: Why.
        text: Its beginning.
    """

    number: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Run:
    """Rows of one underlying that stand together in a file, in the file's order.

    Attributes:
        underlying: Whose they are.
        rows: Columns as `FlatDataset.columns` names them.
        is_last: Whether, if the file is sorted, no more of its root follow: they can be written.
    """

    underlying: str
    rows: Frame
    is_last: bool = False


@dataclass(slots=True)
class Parser:
    """Turns pieces of one file into rows.

    Attributes:
        dataset: What the file holds.
        source: Who made the rows.
        origin: Where they come from.
        bad: The lines that were kept out so far.
        schema: Types of the file's columns, in its order.
    """

    dataset: FlatDataset
    source: str
    origin: str
    bad: list[BadLine] = field(default_factory=list)
    schema: dict[str, pl.DataType] = field(default_factory=dict)
    _places: list[int] = field(default_factory=list)

    def read_header(self, line: bytes, name: str) -> None:
        """Learn the order of the columns.

        Raises:
            DataError: One that is needed is missing; the sentence names it.
        """
        columns = line.decode("utf-8", "replace").strip().split(",")
        needed = {TICKER, *(key for key, own in self.dataset.fields.items() if own.required)}
        lacking = sorted(needed - set(columns))
        if lacking or len(set(columns)) < len(columns):
            what = f"lacks {', '.join(lacking)}" if lacking else "names a column twice"
            raise DataError(
                f"the header of {name} has changed: it {what} (it reads {','.join(columns)[:_SHOWN]!r})"
            )
        own = self.dataset.fields
        self.schema = {
            column: own[column].dtype if column in own else pl.String() for column in columns
        }
        self._places = [
            place for place, column in enumerate(columns) if column == TICKER or column in own
        ]

    def runs(self, text: bytes, first_line: int, lines: int) -> Iterator[Run]:
        """Yield the rows of a piece, one run after the other.

        Args:
            text: Whole lines.
            first_line: Number of the first of them.
            lines: How many they are.

        Raises:
            DataError: The parser lost or made up a line.
        """
        known = len(self.bad)
        frame = self._frame(text, first_line)
        if frame.height + len(self.bad) - known != lines:
            raise DataError(
                f"{lines} lines from line {first_line} gave {frame.height} rows and "
                f"{len(self.bad) - known} bad lines"
            )
        if frame.height:
            yield from self._split(frame)

    def _frame(self, text: bytes, first_line: int) -> Frame:
        """Parse lines; the bad ones are noted and left out. The line's number is `__line`."""
        try:
            frame = pl.read_csv(
                text,
                has_header=False,
                schema=self.schema,
                columns=self._places,
                null_values="",
                row_index_name="__line",
                row_index_offset=first_line,
            )
        except _REFUSALS as error:
            return self._halves(text, first_line, str(error))
        if frame.height != _line_count(text):
            return self._halves(text, first_line, "its quotes do not close")
        return self._without_nulls(frame, text, first_line)

    def _halves(self, text: bytes, first_line: int, reason: str) -> Frame:
        middle = text.rfind(b"\n", 0, len(text) // 2) + 1 or text.find(b"\n") + 1
        if middle >= len(text):
            self._note(first_line, _first_sentence(reason), text)
            return self._frame_of_none()
        first, rest = text[:middle], text[middle:]
        return pl.concat(
            [
                self._frame(first, first_line),
                self._frame(rest, first_line + _line_count(first)),
            ]
        )

    def _frame_of_none(self) -> Frame:
        names = list(self.schema)
        kept = {names[place]: self.schema[names[place]] for place in self._places}
        return pl.DataFrame(schema={"__line": pl.UInt32(), **kept})

    def _without_nulls(self, frame: Frame, text: bytes, first_line: int) -> Frame:
        needed = [TICKER, *(key for key, own in self.dataset.fields.items() if own.required)]
        if not any(frame[name].null_count() for name in needed):
            return frame
        is_bad = pl.any_horizontal(pl.col(name).is_null() for name in needed)
        lines = text.split(b"\n")
        for row in frame.filter(is_bad).iter_rows(named=True):
            lacking = ", ".join(name for name in needed if row[name] is None)
            self._note(row["__line"], f"no {lacking}", lines[row["__line"] - first_line])
        return frame.filter(~is_bad)

    def _note(self, number: int, reason: str, text: bytes) -> None:
        shown = text.rstrip(b"\r\n")[:_SHOWN].decode("utf-8", "replace")
        self.bad.append(BadLine(number, reason, shown))

    def _split(self, frame: Frame) -> Iterator[Run]:
        """Take symbols apart, once a contract, and cut where the underlying changes."""
        same = frame[TICKER].rle()
        tickers, lengths = same.struct.field("value"), same.struct.field("len").to_numpy()
        symbols = self._symbols(tickers)
        frame = self._typed(frame)
        under = symbols["underlying"]
        changes = np.flatnonzero((under != under.shift(1)).fill_null(value=True).to_numpy())
        starts = np.concatenate([[0], np.cumsum(lengths)])
        ends = np.append(changes[1:], len(under))
        rows = self._with_symbols(frame, symbols, lengths)
        for begin, end in zip(changes.tolist(), ends.tolist(), strict=True):
            name = under[begin]
            part = rows.slice(int(starts[begin]), int(starts[end] - starts[begin]))
            if name is None:
                self._note_symbols(frame, int(starts[begin]), int(starts[end]))
                continue
            yield Run(name, part)

    def _symbols(self, tickers: pl.Series) -> Frame:
        if not self.dataset.options:
            return pl.DataFrame({"underlying": tickers})
        occ = polygon_to_occ(tickers)
        return parse_occ(occ).with_columns(occ)

    def _with_symbols(self, frame: Frame, symbols: Frame, lengths: np.ndarray) -> Frame:
        if self.dataset.options:
            place = pl.Series(np.repeat(np.arange(len(lengths), dtype=np.uint32), lengths))
            named = symbols.drop("underlying").select(pl.all().gather(place))
            frame = pl.concat([frame, named], how="horizontal")
        return frame.select(name for name in self.dataset.columns if name in frame.columns)

    def _typed(self, frame: Frame) -> Frame:
        columns = [
            (pl.col(key).cast(NANOSECONDS).cast(own.last) if own.last else pl.col(key)).alias(
                own.name
            )
            for key, own in self.dataset.fields.items()
            if key in frame.columns
        ]
        missing = [
            pl.lit(None, own.last or own.dtype).alias(own.name)
            for key, own in self.dataset.fields.items()
            if key not in frame.columns
        ]
        stamps = [pl.lit(self.source).alias("source"), pl.lit(self.origin).alias("origin")]
        return frame.select(pl.col(TICKER).alias("__ticker"), "__line", *columns, *missing, *stamps)

    def _note_symbols(self, frame: Frame, begin: int, end: int) -> None:
        for row in frame.slice(begin, end - begin).select("__line", "__ticker").iter_rows():
            self._note(row[0], "its ticker is no option symbol", str(row[1]).encode())


def _line_count(text: bytes) -> int:
    return text.count(b"\n")


def _first_sentence(reason: str) -> str:
    return reason.strip().partition("\n")[0][:_SHOWN]


def wanted_roots(underlyings: Sequence[str], dataset: FlatDataset) -> tuple[str, ...]:
    """Return how tickers of these underlyings begin in a file: O:SPX and O:SPXW of SPX."""
    if not dataset.options:
        return tuple(underlyings)
    return tuple(f"O:{root}" for name in underlyings for root in roots_of_underlying(name))
