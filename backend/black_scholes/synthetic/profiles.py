"""How each underlying of the generated markets behaves: level, volatility, turnover, dividends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from black_scholes.synthetic.draws import digest
from black_scholes.synthetic.schema import Dividend
from utils.market_calendar import next_session, third_friday

ANCHOR = date(2025, 11, 21)
"""The session at whose close every underlying stands at its profile's level."""

_FIRST_YEAR, _LAST_YEAR = 1999, 2044
_DIVIDEND_GROWTH = 0.07
_PAYMENT_DELAY = timedelta(days=28)


@dataclass(frozen=True, slots=True)
class Profile:
    """One underlying.

    Attributes:
        level: Close on `ANCHOR`, USD.
        vol: Long-run volatility, a year.
        market: Correlation of its moves with the market's.
        shares: Shares traded in a usual session.
        contracts: Option contracts traded in a usual session in the nearest expiration, calls.
        drift: Of the logarithm, a year.
        dividend_yield: A year.
        dividend_months: Months of the ex-dates.
        driver: Ticker whose moves it copies, if any (an index and the fund on it).
    """

    level: float
    vol: float
    market: float
    shares: float
    contracts: float
    drift: float = 0.07
    dividend_yield: float = 0.0
    dividend_months: tuple[int, ...] = ()
    driver: str | None = None


_QUARTER_ENDS = (3, 6, 9, 12)

_PROFILES = {
    "AAPL": Profile(271, 0.27, 0.65, 45e6, 330e3, 0.12, 0.004, (2, 5, 8, 11)),
    "AMD": Profile(205, 0.50, 0.60, 45e6, 90e3, 0.10),
    "AMZN": Profile(221, 0.31, 0.65, 40e6, 90e3, 0.12),
    "BRK.B": Profile(504, 0.18, 0.60, 4e6, 4e3, 0.09),
    "COMPX": Profile(22_270, 0.20, 0.95, 0, 0, 0.10, driver="QQQ"),
    "DJI": Profile(46_240, 0.15, 0.93, 0, 0, 0.07, driver="DIA"),
    "DIA": Profile(463, 0.15, 0.93, 4e6, 8e3, 0.07, 0.015, (1, 4, 7, 10)),
    "GOOG": Profile(299, 0.29, 0.62, 22e6, 30e3, 0.12, 0.003, _QUARTER_ENDS),
    "GOOGL": Profile(299, 0.29, 0.62, 32e6, 80e3, 0.12, 0.003, _QUARTER_ENDS),
    "IWM": Profile(236, 0.21, 0.85, 35e6, 350e3, 0.06, 0.011, _QUARTER_ENDS),
    "JPM": Profile(298, 0.23, 0.65, 9e6, 12e3, 0.09, 0.019, (1, 4, 7, 10)),
    "META": Profile(594, 0.34, 0.60, 15e6, 70e3, 0.12, 0.0035, _QUARTER_ENDS),
    "MSFT": Profile(472, 0.24, 0.68, 22e6, 60e3, 0.11, 0.007, (2, 5, 8, 11)),
    "NDX": Profile(24_240, 0.20, 0.95, 0, 3e3, 0.10, 0.007, driver="QQQ"),
    "NVDA": Profile(179, 0.45, 0.62, 190e6, 700e3, 0.20, 0.0002, _QUARTER_ENDS),
    "QQQ": Profile(600, 0.20, 0.95, 55e6, 1.8e6, 0.10, 0.0055, _QUARTER_ENDS),
    "RUT": Profile(2_370, 0.21, 0.85, 0, 4e3, 0.06, 0.011, driver="IWM"),
    "SPX": Profile(6_600, 0.165, 0.99, 0, 700e3, 0.08, 0.012, driver="SPY"),
    "SPY": Profile(659, 0.165, 0.99, 75e6, 2.6e6, 0.08, 0.012, _QUARTER_ENDS),
    "TSLA": Profile(391, 0.55, 0.50, 85e6, 700e3, 0.15),
    "TWX": Profile(70, 0.25, 0.50, 5e6, 3e3, 0.06, 0.018, (2, 5, 8, 11)),
    "XSP": Profile(660, 0.165, 0.99, 0, 25e3, 0.08, 0.012, driver="SPY"),
}

KNOWN = tuple(sorted(_PROFILES))
"""Tickers with a profile of their own; all others get one from their letters."""


@lru_cache(maxsize=1024)
def profile_of(ticker: str) -> Profile:
    """Return the profile of any plausible ticker."""
    if ticker in _PROFILES:
        return _PROFILES[ticker]
    bits = digest("profile", ticker)
    level, vol, market, turnover = ((bits >> 16 * place & 0xFFFF) / 0x10000 for place in range(4))
    shares = 10 ** (5.3 + 1.9 * turnover)
    return Profile(
        level=round(12 * 30**level, 2),
        vol=0.22 + 0.4 * vol,
        market=0.3 + 0.35 * market,
        shares=shares,
        contracts=shares / 2_000,
        drift=0.05,
    )


@lru_cache(maxsize=64)
def dividends_of(ticker: str) -> tuple[Dividend, ...]:
    """Return all cash dividends: ex-date on the Monday after the third Friday of its months.

    Amounts grow steadily and do not follow the price path, so that a known future dividend tells
    nothing of future prices.
    """
    profile = profile_of(ticker)
    found = []
    for year in range(_FIRST_YEAR, _LAST_YEAR):
        for month in profile.dividend_months:
            ex_date = next_session(third_friday(year, month)).day
            growth = math.exp(_DIVIDEND_GROWTH * (ex_date - ANCHOR).days / 365)
            amount = profile.level * profile.dividend_yield / len(profile.dividend_months) * growth
            found.append(Dividend(ex_date, ex_date + _PAYMENT_DELAY, round(amount, 4)))
    return tuple(found)
