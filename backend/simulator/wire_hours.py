"""Market hours as Schwab sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator import schwab_facts as facts
from utils.market_calendar import NEW_YORK, extended_hours, is_session, option_close, session

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from utils.market_calendar import Session

MARKETS = frozenset({"equity", "option", "bond", "future", "forex"})


def hours_reply(markets: Sequence[str], day: date) -> dict[str, Any]:
    """Return the body of a reply to `/markets` and `/markets/{id}`.

    Args:
        markets: Names of markets, in the order of the request.
        day: Day asked for, New York.
    """
    return {market: _market(market, day) for market in markets}


def _market(market: str, day: date) -> dict[str, Any]:
    if market in facts.CLOSED_MARKETS or not is_session(day):
        return {
            market: {
                "date": day.isoformat(),
                "marketType": market.upper(),
                "product": market,
                "isOpen": False,
            }
        }
    today = session(day)
    if market == "equity":
        return {"EQ": _open(day, "EQUITY", "EQ", "equity", _equity_hours(today))}
    stock_options = {"regularMarket": [_span(today.open, option_close("AAPL", day))]}
    index_options = {"regularMarket": [_span(today.open, option_close("SPX", day))]}
    return {
        "EQO": _open(day, "OPTION", "EQO", "equity option", stock_options),
        "IND": _open(day, "OPTION", "IND", "index option", index_options),
    }


def _open(
    day: date, market_type: str, product: str, name: str, hours: dict[str, Any]
) -> dict[str, Any]:
    return {
        "date": day.isoformat(),
        "marketType": market_type,
        "product": product,
        "productName": name,
        "isOpen": True,
        "sessionHours": hours,
    }


def _equity_hours(today: Session) -> dict[str, Any]:
    before, after = extended_hours(today)
    return {
        "preMarket": [_span(before, today.open)],
        "regularMarket": [_span(today.open, today.close)],
        "postMarket": [_span(today.close, after)],
    }


def _span(start: datetime, end: datetime) -> dict[str, str]:
    return {
        "start": start.astimezone(NEW_YORK).isoformat(),
        "end": end.astimezone(NEW_YORK).isoformat(),
    }
