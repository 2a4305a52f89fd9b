"""Values of the level-one services, by field number, from what the REST replies say.

Both ways to a quote tell the same: the streamer's fields are read out of the objects that
`simulator.wire_quotes` makes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.schwab_fields import FIELDS, Service
from simulator import stream_facts as facts
from simulator.wire_quotes import in_regular_hours, option_quote, underlying_quote
from simulator.wire_symbols import spelled

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from simulator.world import Instrument, UnderlyingQuote

_EQUITY = {
    "bid": ("quote", "bidPrice"),
    "ask": ("quote", "askPrice"),
    "last": ("quote", "lastPrice"),
    "bid_size": ("quote", "bidSize"),
    "ask_size": ("quote", "askSize"),
    "volume": ("quote", "totalVolume"),
    "last_size": ("quote", "lastSize"),
    "high": ("quote", "highPrice"),
    "low": ("quote", "lowPrice"),
    "close": ("quote", "closePrice"),
    "exchange_id": ("reference", "exchange"),
    "description": ("reference", "description"),
    "open": ("quote", "openPrice"),
    "net_change": ("quote", "netChange"),
    "high_52_week": ("quote", "52WeekHigh"),
    "low_52_week": ("quote", "52WeekLow"),
    "pe_ratio": ("fundamental", "peRatio"),
    "annual_dividend": ("fundamental", "divAmount"),
    "dividend_yield": ("fundamental", "divYield"),
    "exchange_name": ("reference", "exchangeName"),
    "dividend_date": ("fundamental", "divExDate"),
    "regular_last": ("regular", "regularMarketLastPrice"),
    "regular_last_size": ("regular", "regularMarketLastSize"),
    "regular_net_change": ("regular", "regularMarketNetChange"),
    "security_status": ("quote", "securityStatus"),
    "mark": ("quote", "mark"),
    "quote_time": ("quote", "quoteTime"),
    "trade_time": ("quote", "tradeTime"),
    "regular_trade_time": ("regular", "regularMarketTradeTime"),
    "bid_time": ("quote", "bidTime"),
    "ask_time": ("quote", "askTime"),
    "ask_mic": ("quote", "askMICId"),
    "bid_mic": ("quote", "bidMICId"),
    "last_mic": ("quote", "lastMICId"),
    "net_percent_change": ("quote", "netPercentChange"),
    "regular_percent_change": ("regular", "regularMarketPercentChange"),
    "mark_change": ("quote", "markChange"),
    "mark_percent_change": ("quote", "markPercentChange"),
    "htb_quantity": ("reference", "htbQuantity"),
    "htb_rate": ("reference", "htbRate"),
    "post_market_net_change": ("quote", "postMarketChange"),
    "post_market_percent_change": ("quote", "postMarketPercentChange"),
}
"""House name of a field: node and name in the REST reply."""

_OPTION = {
    "bid": ("quote", "bidPrice"),
    "ask": ("quote", "askPrice"),
    "last": ("quote", "lastPrice"),
    "high": ("quote", "highPrice"),
    "low": ("quote", "lowPrice"),
    "close": ("quote", "closePrice"),
    "volume": ("quote", "totalVolume"),
    "open_interest": ("quote", "openInterest"),
    "volatility": ("quote", "volatility"),
    "intrinsic_value": ("quote", "moneyIntrinsicValue"),
    "expiration_year": ("reference", "expirationYear"),
    "multiplier": ("reference", "multiplier"),
    "open": ("quote", "openPrice"),
    "bid_size": ("quote", "bidSize"),
    "ask_size": ("quote", "askSize"),
    "last_size": ("quote", "lastSize"),
    "net_change": ("quote", "netChange"),
    "strike": ("reference", "strikePrice"),
    "contract_type": ("reference", "contractType"),
    "expiration_month": ("reference", "expirationMonth"),
    "deliverables": ("reference", "deliverables"),
    "time_value": ("quote", "timeValue"),
    "expiration_day": ("reference", "expirationDay"),
    "days_to_expiration": ("reference", "daysToExpiration"),
    "delta": ("quote", "delta"),
    "gamma": ("quote", "gamma"),
    "theta": ("quote", "theta"),
    "vega": ("quote", "vega"),
    "rho": ("quote", "rho"),
    "security_status": ("quote", "securityStatus"),
    "theoretical_value": ("quote", "theoreticalOptionValue"),
    "underlying_price": ("quote", "underlyingPrice"),
    "expiration_type": ("reference", "expirationType"),
    "mark": ("quote", "mark"),
    "quote_time": ("quote", "quoteTime"),
    "trade_time": ("quote", "tradeTime"),
    "exchange_name": ("reference", "exchangeName"),
    "last_trading_day": ("reference", "lastTradingDay"),
    "settlement_type": ("reference", "settlementType"),
    "net_percent_change": ("quote", "netPercentChange"),
    "mark_change": ("quote", "markChange"),
    "mark_percent_change": ("quote", "markPercentChange"),
    "implied_yield": ("quote", "impliedYield"),
    "penny_pilot": ("reference", "isPennyPilot"),
    "high_52_week": ("quote", "52WeekHigh"),
    "low_52_week": ("quote", "52WeekLow"),
    "indicative_ask": ("quote", "indAskPrice"),
    "indicative_bid": ("quote", "indBidPrice"),
    "indicative_quote_time": ("quote", "indQuoteTime"),
    "exercise_type": ("reference", "exerciseType"),
}


def _numbered(
    service: Service, names: Mapping[str, tuple[str, str]]
) -> tuple[tuple[int, str, str], ...]:
    return tuple((each.number, *names[each.name]) for each in FIELDS[service] if each.name in names)


_EQUITY_PLACES = _numbered(Service.LEVELONE_EQUITIES, _EQUITY)
_OPTION_PLACES = _numbered(Service.LEVELONE_OPTIONS, _OPTION)
_EQUITY_NUMBER = {each.name: each.number for each in FIELDS[Service.LEVELONE_EQUITIES]}
_OPTION_NUMBER = {each.name: each.number for each in FIELDS[Service.LEVELONE_OPTIONS]}


def equity_values(instrument: Instrument, quote: UnderlyingQuote, now: datetime) -> dict[int, Any]:
    """Return the fields of LEVELONE_EQUITIES that an equity, fund or index has."""
    told = underlying_quote(instrument, quote, now)
    values = _read(told, _EQUITY_PLACES)
    if instrument.asset_type == "INDEX":
        return values
    regular = in_regular_hours(now)
    own = {
        "ask_id": instrument.exchange,
        "bid_id": instrument.exchange,
        "last_id": instrument.exchange,
        "marginable": True,
        "nav": 0.0,
        "regular_quote": regular,
        "regular_trade": regular,
        "hard_to_borrow": 0,
        "shortable": 1,
    }
    return values | {_EQUITY_NUMBER[name]: value for name, value in own.items()}


def equity_head(instrument: Instrument) -> dict[str, Any]:
    """Return what the first item of an equity, fund or index carries beside its fields."""
    if instrument.asset_type == "INDEX":
        return {"delayed": False, "assetMainType": "INDEX"}
    return {
        "delayed": False,
        "assetMainType": "EQUITY",
        "assetSubType": "ETF" if instrument.asset_type == "ETF" else "COE",
        "cusip": instrument.cusip,
    }


OPTION_HEAD: Mapping[str, Any] = {"delayed": False, "assetMainType": "OPTION"}
"""What the first item of an option carries beside its fields."""


def option_values(
    contract: Mapping[str, Any], instrument: Instrument, underlying_price: float, now: datetime
) -> dict[int, Any]:
    """Return the fields of LEVELONE_OPTIONS of one contract.

    Args:
        contract: A row of the world's chain.
        instrument: Its underlying.
        underlying_price: USD.
        now: Market time.
    """
    told = option_quote(contract, instrument, underlying_price, now)
    own = {
        "description": told["reference"]["description"],
        "digits": facts.OPTION_DIGITS,
        "exchange_id": facts.OPTION_EXCHANGE,
        "option_root": contract["root"].strip(),
        "underlying": spelled(instrument),
    }
    values = _read(told, _OPTION_PLACES)
    return values | {_OPTION_NUMBER[name]: value for name, value in own.items()}


def _read(told: Mapping[str, Any], places: tuple[tuple[int, str, str], ...]) -> dict[int, Any]:
    values = {}
    for number, node, name in places:
        value = told.get(node, {}).get(name)
        if value is not None:
            values[number] = value
    return values
