"""Where each quote of a session stands: its moment, and the expiration it belongs to, as numbers.

Millions of rows name a few hundred moments and a few thousand contracts; with their numbers in hand
everything else is a look-up in a small table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from models.symbols import settlement_of
from pipeline.enrich import roots_of, valuation_time
from utils import market_calendar

if TYPE_CHECKING:
    from datetime import date, datetime

    from numpy.typing import NDArray

    from models.tables import Frame


class TermKey(NamedTuple):
    """One expiration of one option root."""

    root: str
    expiration: date


@dataclass(frozen=True, slots=True)
class SessionBoard:
    """The numbers of a session's rows.

    Attributes:
        times: Of the moments, rising.
        terms: Expirations, by root and date.
        row_moment: Place in `times`, one a row.
        row_term: Place in `terms`, one a row.
        row_years: To expiration, one a row.
    """

    times: list[datetime]
    terms: list[TermKey]
    row_moment: NDArray[np.intp]
    row_term: NDArray[np.intp]
    row_years: NDArray[np.float64]

    @classmethod
    def of(cls, underlying: str, quotes: Frame) -> SessionBoard:
        """Number the rows of a session.

        Args:
            underlying: Its symbol; some options trade 15 minutes longer than others.
            quotes: ts, occ_symbol and expiration, one row at least.
        """
        times = quotes["ts"].unique().sort()
        moment = np.searchsorted(times.to_physical().to_numpy(), quotes["ts"].to_physical())
        contracts = (
            quotes.select("occ_symbol", "expiration").unique("occ_symbol").sort("occ_symbol")
        )
        contracts = contracts.with_columns(root=roots_of(contracts))
        symbols = pl.Enum(contracts["occ_symbol"])
        contract = quotes["occ_symbol"].cast(symbols).to_physical().to_numpy()
        listed = contracts.select("root", "expiration").unique().sort("root", "expiration")
        place = contracts.join(
            listed.with_row_index("place"), on=["root", "expiration"], maintain_order="left"
        )["place"]
        term = place.to_numpy().astype(np.int16)[contract]
        at = [valuation_time(underlying, ts) for ts in times]
        years = market_calendar.year_fractions(
            np.repeat(pl.Series(at).dt.epoch("ns").to_numpy(), listed.height),
            np.tile(listed["expiration"].to_numpy().astype("datetime64[D]"), len(at)),
            am_settled=np.tile([settlement_of(root) == "AM" for root in listed["root"]], len(at)),
        ).reshape(len(at), listed.height)
        return cls(
            times=times.to_list(),
            terms=[TermKey(*row) for row in listed.iter_rows()],
            row_moment=moment,
            row_term=term,
            row_years=years[moment, term],
        )
