"""When an order may work and when it expires, from the market's calendar."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from models.options import OptionContract
from models.order_terms import TimeInForce, TradingHours
from models.symbols import OCC_LENGTH
from utils.clock import to_ns, to_time
from utils.market_calendar import (
    NEW_YORK,
    Session,
    expiry_moment,
    extended_hours,
    is_session,
    last_trading_session,
    new_york,
    next_session,
    option_close,
    session,
    session_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GOOD_TILL_DAYS = 180
"""Days that a good-till-cancel order stands: Schwab's captured orders show about six months."""

SECOND_NS = 1_000_000_000
_HOUR_NS = 3_600 * SECOND_NS


class Window(NamedTuple):
    """A part of a day in which an order works, ns since 1970, UTC.

    Attributes:
        day: The session.
        open_ns: First moment.
        close_ns: End.
    """

    day: date
    open_ns: int
    close_ns: int


def day_of(time_ns: int) -> date:
    """Return the day in New York of a time."""
    return _day_of_hour(time_ns // _HOUR_NS)


@lru_cache(maxsize=4_096)
def _day_of_hour(hour: int) -> date:
    """Return the day in New York of an hour since 1970: a day begins with a whole hour of UTC."""
    return to_time(hour * _HOUR_NS).astimezone(NEW_YORK).date()


def day_end_ns(day: date) -> int:
    """Return when a day ends in New York."""
    return to_ns(new_york(day + timedelta(days=1), time(0)))


def expiry_ns(contract: OptionContract) -> int:
    """Return when a contract expires: 16:00 New York, the early close, or the opening (AM)."""
    return to_ns(expiry_moment(contract.expiration, root=contract.root))


def last_trade_ns(contract: OptionContract) -> int:
    """Return when a contract stops trading for good."""
    last = last_trading_session(contract.root, contract.expiration)
    return to_ns(option_close(contract.root, last.day, expiring=True))


class OrderHours:
    """Windows and expirations of orders; remembers the newest window of each kind."""

    def __init__(self) -> None:
        self._newest: dict[tuple[tuple[str, ...], TradingHours], tuple[int, Window]] = {}

    def window(self, symbols: Sequence[str], hours: TradingHours, now_ns: int) -> Window:
        """Return the window in which an order works now, or the next one.

        Of several legs it is the time in which all of them trade. Options trade in the regular
        session alone, or until 15 minutes later, whatever the order asks for.

        Raises:
            DataError: The time is outside the years that the calendar knows.
        """
        key = (tuple(symbols), hours)
        known = self._newest.get(key)
        if known is not None and known[0] <= now_ns < known[1].close_ns:
            return known[1]
        day = day_of(now_ns)
        current = session(day) if is_session(day) else next_session(day)
        window = self._of(symbols, hours, current)
        while window.close_ns <= now_ns:
            current = next_session(current.day)
            window = self._of(symbols, hours, current)
        if len(self._newest) > 50_000:
            self._newest.clear()
        self._newest[key] = (now_ns, window)
        return window

    @staticmethod
    def _of(symbols: Sequence[str], hours: TradingHours, current: Session) -> Window:
        first, last = extended_hours(current)
        parts = []
        for symbol in symbols:
            if len(symbol) == OCC_LENGTH:
                contract = OptionContract.from_occ(symbol)
                final = last_trading_session(contract.root, contract.expiration)
                close = option_close(contract.root, current.day, expiring=final.day == current.day)
                parts.append((current.open, close))
            else:
                parts.append(
                    {
                        TradingHours.REGULAR: (current.open, current.close),
                        TradingHours.PRE_MARKET: (first, current.open),
                        TradingHours.POST_MARKET: (current.close, last),
                        TradingHours.EXTENDED: (first, last),
                    }[hours]
                )
        opens = max(part[0] for part in parts)
        closes = min(part[1] for part in parts)
        return Window(current.day, to_ns(opens), to_ns(closes))

    def expires_ns(
        self, symbols: Sequence[str], hours: TradingHours, term: TimeInForce, window: Window
    ) -> int:
        """Return when an order expires: at the end of a window, that of its last day.

        An order on an option ends with the contract's trading.
        """
        last_day = _LAST_DAY.get(term)
        day = window.day if last_day is None else last_day(window.day)
        if day <= window.day:
            ends = window.close_ns
        else:
            ends = self._of(symbols, hours, session_until(day)).close_ns
        for symbol in symbols:
            if len(symbol) == OCC_LENGTH:
                ends = min(ends, last_trade_ns(OptionContract.from_occ(symbol)))
        return ends

    @staticmethod
    def next_session_ns(day: date) -> int:
        """Return when cash of a trade settles: the opening of the next session (T+1)."""
        return to_ns(next_session(day).open)


def _month_end(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, monthrange(year, month + 1)[1])


_LAST_DAY: dict[TimeInForce, Callable[[date], date]] = {
    TimeInForce.GOOD_TILL_CANCEL: lambda day: day + timedelta(days=GOOD_TILL_DAYS),
    TimeInForce.END_OF_WEEK: lambda day: day + timedelta(days=4 - day.weekday()),
    TimeInForce.END_OF_MONTH: lambda day: _month_end(day, 0),
    TimeInForce.NEXT_END_OF_MONTH: lambda day: _month_end(day, 1),
}
"""The last day of orders that stand longer than theirs."""
