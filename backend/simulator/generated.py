"""The generated world: any ticker, any session, by a seeded process.

The same (seed, ticker, instant) has the same answer in whatever order and from whatever process it
is asked: every random number is drawn by name (`black_scholes.synthetic.draws`), and the caches only save time.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from black_scholes.synthetic.chains import chain
from black_scholes.synthetic.clock import all_sessions, session_numbers
from black_scholes.synthetic.market import interest_rate, market_of
from black_scholes.synthetic.names import EXCHANGE_NAMES, NOT_OPTIONABLE, is_known, name_of
from black_scholes.synthetic.profiles import KNOWN, dividends_of, profile_of
from black_scholes.synthetic.schema import CHAIN_SCHEMA
from models.symbols import INDICES
from simulator.clock import NOW, parse_start
from simulator.generated_bars import daily_frame, minute_frame
from simulator.generated_quote import quote_at
from simulator.option_tape import generated_tape
from simulator.periods import DAILY_EVERY, empty_bars, periods
from simulator.world import Instrument, UnderlyingQuote
from utils.market_calendar import NEW_YORK, extended_hours, is_session, last_session, session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulator.option_tape import OptionTape

_FIRST_EXPIRATION = date(2000, 1, 1)
"""OCC symbols have no earlier year."""

_LONGEST_PERIOD = {"1d": 0, "1w": 7, "1mo": 31}


class GeneratedWorld:
    """Markets made from a seed; implements `simulator.world.World`.

    Args:
        seed: Another one gives other prices, volumes and chains.
    """

    name = "generated"
    origin = "simulator"

    def __init__(self, seed: int = 7) -> None:
        self._seed = seed

    def tickers(self) -> Sequence[str]:
        """Return the tickers that are known by name, sorted; any plausible other works too."""
        return KNOWN

    def instrument(self, ticker: str) -> Instrument | None:
        """Return a ticker's listing; of one that is not known by name a made-up one."""
        if not is_known(ticker):
            return None
        name, profile = name_of(ticker), profile_of(ticker)
        return Instrument(
            symbol=ticker,
            description=name.description,
            cusip=name.cusip,
            exchange=name.exchange,
            exchange_name=EXCHANGE_NAMES[name.exchange],
            asset_type=name.asset_type,
            optionable=ticker not in NOT_OPTIONABLE,
            dividends_a_year=len(profile.dividend_months),
            dividends=dividends_of(ticker),
        )

    def default_start(self, now: datetime) -> datetime:
        """Return the present while a session is open, else the open of the last complete one."""
        return parse_start(NOW, now)

    def bars(self, ticker: str, start: datetime, end: datetime, interval: str) -> pl.DataFrame:
        """Return the bars that start in [start, end); one that is forming shows what has been."""
        if not is_known(ticker) or start >= end:
            return empty_bars()
        start, end = start.astimezone(UTC), end.astimezone(UTC)
        if interval not in DAILY_EVERY:
            return minute_frame(self._seed, ticker, start, end)
        first = start.astimezone(NEW_YORK).date() - timedelta(days=_LONGEST_PERIOD[interval])
        daily = daily_frame(self._seed, ticker, first, end)
        return periods(daily, start, end, interval)

    def quote(self, ticker: str, now: datetime) -> UnderlyingQuote | None:
        """Return the quote at `now`; outside trading hours the last one."""
        now = now.astimezone(UTC)
        if not is_known(ticker) or now <= all_sessions()[1].open:
            return None
        return quote_at(self._seed, ticker, _trading_session(ticker, now), now)

    def chain(
        self, ticker: str, now: datetime, first_expiration: date, last_expiration: date
    ) -> pl.DataFrame:
        """Return the chain as it stands at `now`; before a session's open, as the last one ended."""
        now = now.astimezone(UTC)
        known = is_known(ticker) and ticker not in NOT_OPTIONABLE
        if not known or now <= all_sessions()[1].open:
            return pl.DataFrame(schema=CHAIN_SCHEMA)
        first = max(first_expiration, now.astimezone(NEW_YORK).date(), _FIRST_EXPIRATION)
        number = session_numbers()[last_session(now).day]
        return chain(market_of(self._seed, ticker), number, now, (first, last_expiration))

    def tape(self, ticker: str, day: date) -> OptionTape | None:
        """Return the options tape of a session."""
        known = is_known(ticker) and ticker not in NOT_OPTIONABLE and is_session(day)
        return generated_tape(self._seed, ticker, day) if known else None

    def interest_rate(self, now: datetime) -> float:
        """Return the short rate of the day, near 4 %."""
        return interest_rate(now.astimezone(NEW_YORK).date())


def _trading_session(ticker: str, now: datetime) -> int:
    """Return the number of the session that `now` belongs to: today's from its pre-market on."""
    today = now.astimezone(NEW_YORK).date()
    if ticker not in INDICES and is_session(today) and now > extended_hours(session(today))[0]:
        return session_numbers()[today]
    return session_numbers()[last_session(now).day]
