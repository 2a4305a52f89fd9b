"""What a whole book of shares and options is worth more or less where its underlyings move at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from black_scholes._shocks import shock_block

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARES, CALL, PUT = 0.0, 1.0, 2.0
"""Kinds of instruments."""

MOVES = np.array(
    [[-3.0, 0.0], [-2.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [0, -0.1], [0, 0.1]]
)
"""The shocks: 1, 2 and 3 sigma of a day and 10 %, up and down."""


class BookShocks(NamedTuple):
    """Greeks and shocks of several sets of holdings.

    Attributes:
        vol: A year, by instrument; 0 of shares, and where neither it nor its underlying tells one.
        sigma: Of a day, by number of the underlying.
        totals: One row for each set: USD that it moves like (delta), change of that by 1 % (gamma),
            USD a point of volatility (vega), USD a calendar day (theta), then USD by shock, as
            `MOVES` has them.
    """

    vol: NDArray[np.float64]
    sigma: NDArray[np.float64]
    totals: NDArray[np.float64]


def book_shocks(  # noqa: PLR0913 - what a book is made of
    book: NDArray[np.float64],
    prices: NDArray[np.float64],
    units: NDArray[np.float64],
    *,
    now_ns: int,
    least_sigma: float,
    underlyings: int,
) -> BookShocks:
    """Return greeks and shocks of holdings, by Black-Scholes without rates and dividends.

    Each option has the volatility of its own price. One whose price has none (below its intrinsic
    value, or missing) has that of the option on its underlying nearest to the money; without any it
    moves like its intrinsic value. A sigma is that volatility over the root of 252. Volatilities and
    time stay while the underlyings move, all of them together.

    Args:
        book: Kind (`SHARES`, `CALL`, `PUT`), strike (USD; 1 of shares), expiry (ns since 1970 UTC),
            shares a unit, number of the underlying (from 0): five rows, a column an instrument.
        prices: The instrument's and the underlying's price, two rows, USD; NaN where there is none.
        units: Units held, short negative, one row for each set of holdings.
        now_ns: The time, UTC.
        least_sigma: Of a day, where options tell less or nothing.
        underlyings: How many there are.
    """
    vol = np.empty(book.shape[1])
    sigma = np.empty(underlyings)
    totals = np.empty((len(units), 4 + len(MOVES)))
    shock_block(book, prices, units, MOVES, float(now_ns), least_sigma, vol, sigma, totals)
    return BookShocks(vol, sigma, totals)
