"""Volatility that has been realised, from bars; a year, 0.20 = 20 %.

Close to close is the plain one; Parkinson (1980) uses high and low, some five times as much
information a day, but misses the night; Yang and Zhang (2000) adds night, open to close and the
range of Rogers and Satchell, so that neither drift nor gaps mislead it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from black_scholes._jit import FloatArray

SESSIONS_A_YEAR = 252.0


def close_to_close(close: FloatArray) -> float:
    """Return the volatility of daily closes, about their mean.

    Args:
        close: Adjusted for splits, oldest first; n + 1 closes for n returns, n at least 2.

    Returns:
        NaN with fewer.
    """
    returns = np.diff(np.log(close))
    if returns.size < 2:
        return float("nan")
    return float(np.std(returns, ddof=1) * np.sqrt(SESSIONS_A_YEAR))


def parkinson(high: FloatArray, low: FloatArray) -> float:
    """Return the volatility of daily ranges, the night left out.

    Args:
        high: Of each session.
        low: Of each session, of the same length.

    Returns:
        NaN without a session.
    """
    if not high.size:
        return float("nan")
    squared = np.log(high / low) ** 2 / (4.0 * np.log(2.0))
    return float(np.sqrt(np.mean(squared) * SESSIONS_A_YEAR))


def yang_zhang(open_: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray) -> float:
    """Return the drift-free volatility of daily bars, nights included.

    Args:
        open_: Adjusted for splits, oldest first. The first bar gives its close alone.
        high: Of the same length.
        low: Of the same length.
        close: Of the same length.

    Returns:
        NaN with fewer than three bars.
    """
    count = close.size - 1
    if count < 2:
        return float("nan")
    night = np.log(open_[1:] / close[:-1])
    day = np.log(close[1:] / open_[1:])
    up, down = np.log(high[1:] / open_[1:]), np.log(low[1:] / open_[1:])
    range_ = float(np.mean(up * (up - day) + down * (down - day)))
    share = 0.34 / (1.34 + (count + 1) / (count - 1))
    variance = np.var(night, ddof=1) + share * np.var(day, ddof=1) + (1.0 - share) * range_
    return float(np.sqrt(variance * SESSIONS_A_YEAR))


def intraday(price: FloatArray, minutes: float) -> float:
    """Return the volatility of one session from prices within it (realised variance).

    Args:
        price: Oldest first, evenly spaced.
        minutes: Of the session that they cover, a whole session being 390.

    Returns:
        NaN with fewer than two returns.
    """
    returns = np.diff(np.log(price))
    if returns.size < 2 or minutes <= 0:
        return float("nan")
    return float(np.sqrt(np.sum(returns**2) * SESSIONS_A_YEAR * 390.0 / minutes))
