"""Columns of quotes as runs of `Quote` objects, which the engine's loop takes at once."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

from models.errors import DataError
from models.events import Quote, QuoteRun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.tables import Frame

RUN = 2_048
"""Quotes of one run: few enough to stay in the processor's cache between making and use."""


def quote_runs(quotes: Frame, symbol: str | None = None) -> Iterator[QuoteRun]:
    """Yield quotes in the order of their rows.

    Args:
        quotes: Columns time_ns (UTC, never falling), bid, ask (USD), bid_size, ask_size; symbol, unless
            all are of one instrument; last, where trades are known.
        symbol: The instrument; None where the column tells it.

    Raises:
        DataError: The times fall somewhere: nothing is yielded.
    """
    if not quotes["time_ns"].is_sorted():
        raise DataError("quotes of a run must be in the order of their times: sort them by time_ns")
    names = ["time_ns", "bid", "ask", "bid_size", "ask_size"]
    names += ["last"] if "last" in quotes.columns else []
    for part in quotes.iter_slices(RUN):
        symbols = repeat(symbol) if symbol is not None else part["symbol"].to_list()
        yield QuoteRun(list(map(Quote, symbols, *(part[name].to_list() for name in names))))
