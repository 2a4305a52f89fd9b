"""When options trade, by a dated table.

Equity options close with the stock market. Options on indices and on a list of exchange-traded
funds trade 15 minutes longer, also after an early close; a PM-settled contract stops with the stock
market on its last day. Where sources disagree the earlier time stands here.

Import from `utils.market_calendar`.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from models.symbols import settlement_of
from utils.market_sessions import FIRST_DAY, Session, is_session, session, session_until

LATE_MINUTES = timedelta(minutes=15)
"""How much longer the late classes trade."""

# fmt: off
_LATE_INDICES = frozenset({
    "SPX", "SPXW", "XSP", "NDX", "NDXP", "RUT", "RUTW", "MRUT", "DJX", "OEX", "XEO", "VIX", "VIXW",
})
_LATE_FUNDS = frozenset({
    "DBA", "DBB", "DBC", "DBO", "DIA", "EEM", "EFA", "IWM", "IWN", "IWO", "IWV", "KBE", "KRE",
    "MDY", "MOO", "OEF", "QQQ", "SLX", "SPY", "SVXY", "UNG", "UUP", "UVXY", "VIXM", "VIXY", "VXX",
    "VXZ", "XHB", "XLB", "XLE", "XLF", "XLI", "XLK", "XLP", "XLU", "XLV", "XLY", "XME", "XRT",
})
# fmt: on

LATE_CLOSES: tuple[tuple[date, frozenset[str]], ...] = (
    (FIRST_DAY, _LATE_INDICES),
    (FIRST_DAY, _LATE_FUNDS),
)
"""Option roots that trade 15 minutes longer, each set with the first day of the rule. Funds that
some brokers list and others do not (FXI, IYR, LQD, TLT) are left out: 16:00."""


def option_close(root: str, day: date, *, expiring: bool = False) -> datetime:
    """Return when options of this root stop trading on a session, UTC.

    Args:
        root: Option root, as SPXW or QQQ.
        day: A session.
        expiring: Ask for contracts whose last trading day this is.

    Raises:
        DataError: The day is no session.
    """
    close = session(day).close
    late = any(day >= since and root in roots for since, roots in LATE_CLOSES)
    if not late or (expiring and settlement_of(root) == "PM"):
        return close
    return close + LATE_MINUTES


def last_trading_session(root: str, expiration: date) -> Session:
    """Return the last session in which contracts of this expiration trade.

    AM-settled contracts stop on the session before their expiration day; an expiration on a day
    without session (standard ones were dated Saturday until 2015) means the session before it.

    Raises:
        DataError: The date is outside the years that the calendar knows.
    """
    if settlement_of(root) == "AM" and is_session(expiration):
        return session_until(expiration - timedelta(days=1))
    return session_until(expiration)
