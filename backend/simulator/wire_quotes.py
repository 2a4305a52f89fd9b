"""Quotes as Schwab sends them: key order, types and roundings of the captured replies."""

from __future__ import annotations

import zlib
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any

from simulator import schwab_facts as facts
from simulator.wire_symbols import spelled
from utils.market_calendar import NEW_YORK, dte, is_session, session

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from simulator.world import Instrument, UnderlyingQuote

FIELDS = frozenset({"all", "quote", "fundamental", "extended", "reference", "regular"})

ASSET_SUB_TYPE = {"EQUITY": "COE", "ETF": "ETF", "INDEX": ""}


def milliseconds(moment: datetime | None) -> int:
    """Return epoch milliseconds; 0 for never."""
    return int(moment.timestamp() * 1000) if moment else 0


def percent(change: float, base: float, digits: int = 8) -> float:
    """Return a change in percent of its base; 0 where there is no base."""
    return round(change / base * 100, digits) if base else 0.0


def in_regular_hours(now: datetime) -> bool:
    """Tell whether the regular session is open."""
    day = now.astimezone(NEW_YORK).date()
    return is_session(day) and session(day).open <= now < session(day).close


def wire_mark(quote: UnderlyingQuote, now: datetime) -> float:
    """Return the mark: the mid in regular hours, the ask outside them, the last without sides."""
    outside = facts.MARK_OUTSIDE_HOURS_IS_ASK and not in_regular_hours(now)
    if outside and quote.ask is not None:
        return quote.ask
    return round(quote.mark, 4)


def underlying_quote(
    instrument: Instrument, quote: UnderlyingQuote, now: datetime, fields: Collection[str] = ()
) -> dict[str, Any]:
    """Return the object of one equity, fund or index.

    Args:
        instrument: What it is.
        quote: How it stands.
        now: Market time.
        fields: Nodes that are wanted; none or `all` for all of them.
    """
    is_index = instrument.asset_type == "INDEX"
    head: dict[str, Any] = {
        "assetMainType": "INDEX" if is_index else "EQUITY",
        "assetSubType": ASSET_SUB_TYPE[instrument.asset_type],
        "quoteType": "NBBO",
        "realtime": True,
        "ssid": _ssid(spelled(instrument)),
        "symbol": spelled(instrument),
    }
    nodes = {
        "extended": _extended(quote),
        "fundamental": fundamental(instrument, quote, now),
        "quote": _equity_node(instrument, quote, now),
        "reference": _equity_reference(instrument),
        "regular": _regular(quote),
    }
    if is_index:
        del head["assetSubType"], head["quoteType"], nodes["extended"], nodes["regular"]
        nodes["quote"] = _index_node(quote, now)
        nodes["reference"] = _index_reference(instrument)
    return head | _wanted(nodes, fields)


def fundamental(instrument: Instrument, quote: UnderlyingQuote, now: datetime) -> dict[str, Any]:
    """Return the node `fundamental`; keys of which nothing is known are absent, as on the wire."""
    day = now.astimezone(NEW_YORK).date()
    paid, due = instrument.last_dividend(day), instrument.next_dividend(day)
    each = paid.amount if paid else 0.0
    yearly = round(each * instrument.dividends_a_year, 6)
    node: dict[str, Any] = {
        "avg10DaysVolume": float(round(quote.average_volume_10_days)),
        "avg1YearVolume": float(round(quote.average_volume_1_year)),
        "divAmount": yearly,
        "divExDate": midnight(paid.ex_date) if paid else None,
        "divFreq": instrument.dividends_a_year,
        "divPayAmount": each,
        "divPayDate": midnight(paid.pay_date) if paid else None,
        "divYield": percent(yearly, quote.close, 5),
        "eps": 0.0,
        "fundLeverageFactor": 0.0,
        "fundStrategy": facts.FUND_STRATEGY if instrument.asset_type == "ETF" else None,
        "nextDivExDate": midnight(due.ex_date) if due else None,
        "nextDivPayDate": midnight(due.pay_date) if due else None,
        "peRatio": 0.0,
    }
    return {name: value for name, value in node.items() if value is not None}


def midnight(day: date) -> str:
    """Return a day as Schwab writes it: its midnight in New York, in UTC."""
    moment = datetime.combine(day, time(), NEW_YORK).astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def chain_underlying(
    instrument: Instrument, quote: UnderlyingQuote, now: datetime
) -> dict[str, Any]:
    """Return the node `underlying` of an option chain."""
    mark = wire_mark(quote, now)
    return {
        "symbol": spelled(instrument),
        "description": instrument.description,
        "change": round(quote.last - quote.close, 4),
        "percentChange": percent(quote.last - quote.close, quote.close, 2),
        "close": quote.close,
        "quoteTime": milliseconds(quote.quote_at),
        "tradeTime": milliseconds(quote.trade_at),
        "bid": quote.bid or 0.0,
        "ask": quote.ask or 0.0,
        "last": quote.last,
        "mark": mark,
        "markChange": round(mark - quote.close, 4),
        "markPercentChange": percent(mark - quote.close, quote.close, 2),
        "bidSize": _size(quote.bid, quote.bid_size),
        "askSize": _size(quote.ask, quote.ask_size),
        "highPrice": quote.high or 0.0,
        "lowPrice": quote.low or 0.0,
        "openPrice": quote.open or 0.0,
        "totalVolume": quote.volume,
        "exchangeName": instrument.exchange_name,
        "fiftyTwoWeekHigh": quote.high_52_week,
        "fiftyTwoWeekLow": quote.low_52_week,
        "delayed": False,
    }


def option_quote(
    contract: Mapping[str, Any],
    instrument: Instrument,
    underlying_price: float,
    now: datetime,
    fields: Collection[str] = (),
) -> dict[str, Any]:
    """Return the object of one option contract.

    Args:
        contract: A row of the world's chain.
        instrument: Its underlying.
        underlying_price: USD.
        now: Market time.
        fields: Nodes that are wanted; none or `all` for all of them.
    """
    head = {
        "assetMainType": "OPTION",
        "realtime": True,
        "ssid": _ssid(contract["occ_symbol"]),
        "symbol": contract["occ_symbol"],
    }
    nodes = {
        "quote": _option_node(contract, underlying_price),
        "reference": _option_reference(contract, instrument, now),
    }
    return head | _wanted(nodes, fields)


def last_trading_day(expiration: date) -> int:
    """Return `lastTradingDay` of an expiration, epoch milliseconds."""
    evening = time(facts.LAST_TRADING_HOUR)
    return milliseconds(datetime.combine(expiration, evening, NEW_YORK))


def contract_description(root: str, expiration: date, strike: float, right: str) -> str:
    """Return Schwab's name of a contract, as `AAPL 10/18/2024 5.00 C`."""
    return f"{root} {expiration:%m/%d/%Y} {strike:.2f} {right}"


def _wanted(nodes: dict[str, Any], fields: Collection[str]) -> dict[str, Any]:
    if not fields or "all" in fields:
        return nodes
    return {name: node for name, node in nodes.items() if name in fields}


def _ssid(symbol: str) -> int:
    """Return a number that stands for the symbol, as Schwab's security ids do."""
    return zlib.crc32(symbol.encode()) & 0x7FFFFFFF


def _size(price: float | None, size: int) -> int:
    return size if price is not None else 0


def _equity_node(instrument: Instrument, quote: UnderlyingQuote, now: datetime) -> dict[str, Any]:
    mic = facts.MIC_OF_EXCHANGE.get(instrument.exchange, facts.DEFAULT_MIC)
    mark = wire_mark(quote, now)
    after = quote.last - quote.regular_last if not in_regular_hours(now) else 0.0
    quoted = milliseconds(quote.quote_at)
    return {
        "52WeekHigh": quote.high_52_week,
        "52WeekLow": quote.low_52_week,
        "askMICId": mic,
        "askPrice": quote.ask or 0.0,
        "askSize": _size(quote.ask, quote.ask_size),
        "askTime": quoted,
        "bidMICId": mic,
        "bidPrice": quote.bid or 0.0,
        "bidSize": _size(quote.bid, quote.bid_size),
        "bidTime": quoted,
        "closePrice": quote.close,
        "highPrice": quote.high or 0.0,
        "lastMICId": mic,
        "lastPrice": quote.last,
        "lastSize": quote.last_size,
        "lowPrice": quote.low or 0.0,
        "mark": mark,
        "markChange": round(mark - quote.close, 4),
        "markPercentChange": percent(mark - quote.close, quote.close),
        "netChange": round(quote.last - quote.close, 4),
        "netPercentChange": percent(quote.last - quote.close, quote.close),
        "openPrice": quote.open or 0.0,
        "postMarketChange": round(after, 4),
        "postMarketPercentChange": percent(after, quote.regular_last),
        "quoteTime": quoted,
        "securityStatus": "Normal",
        "totalVolume": quote.volume,
        "tradeTime": milliseconds(quote.trade_at),
    }


def _extended(quote: UnderlyingQuote) -> dict[str, Any]:
    """Return the overnight session's quote: the world has none, so that only the trade is told."""
    return {
        "askPrice": 0.0,
        "askSize": 0,
        "bidPrice": 0.0,
        "bidSize": 0,
        "lastPrice": quote.last,
        "lastSize": quote.last_size,
        "mark": 0.0,
        "quoteTime": 0,
        "totalVolume": 0,
        "tradeTime": milliseconds(quote.trade_at),
    }


def _regular(quote: UnderlyingQuote) -> dict[str, Any]:
    return {
        "regularMarketLastPrice": quote.regular_last,
        "regularMarketLastSize": quote.regular_last_size,
        "regularMarketNetChange": round(quote.regular_last - quote.close, 4),
        "regularMarketPercentChange": percent(quote.regular_last - quote.close, quote.close),
        "regularMarketTradeTime": milliseconds(quote.regular_trade_at),
    }


def _equity_reference(instrument: Instrument) -> dict[str, Any]:
    return {
        "cusip": instrument.cusip,
        "description": instrument.description,
        "exchange": instrument.exchange,
        "exchangeName": instrument.exchange_name,
        "isHardToBorrow": False,
        "isShortable": True,
        "htbQuantity": facts.HTB_QUANTITY,
        "htbRate": 0.0,
    }


def _index_node(quote: UnderlyingQuote, now: datetime) -> dict[str, Any]:
    return {
        "52WeekHigh": quote.high_52_week,
        "52WeekLow": quote.low_52_week,
        "closePrice": quote.close,
        "highPrice": quote.high or 0.0,
        "lastPrice": quote.last,
        "lowPrice": quote.low or 0.0,
        "netChange": round(quote.last - quote.close, 4),
        "netPercentChange": percent(quote.last - quote.close, quote.close),
        "openPrice": quote.open or 0.0,
        "securityStatus": "Normal" if in_regular_hours(now) else "Closed",
        "totalVolume": quote.volume,
        "tradeTime": milliseconds(quote.trade_at),
    }


def _index_reference(instrument: Instrument) -> dict[str, Any]:
    return {
        "description": instrument.description,
        "exchange": instrument.exchange,
        "exchangeName": instrument.exchange_name,
    }


def _option_node(contract: Mapping[str, Any], underlying_price: float) -> dict[str, Any]:
    sign = 1 if contract["right"] == "C" else -1
    intrinsic = round(sign * (underlying_price - contract["strike"]), 8)
    last, close, mark = (contract[name] or 0.0 for name in ("last", "close", "mark"))
    value = last or mark
    computed = {
        name: facts.NOT_COMPUTABLE if contract[name] is None else round(contract[name], 8)
        for name in ("delta", "gamma", "theta", "vega", "rho")
    }
    iv = contract["iv"]
    change = last - close if last else 0.0
    return {
        "52WeekHigh": contract["high"] or last,
        "52WeekLow": contract["low"] or last,
        "askPrice": contract["ask"] or 0.0,
        "askSize": _size(contract["ask"], contract["ask_size"] or 0),
        "bidPrice": contract["bid"] or 0.0,
        "bidSize": _size(contract["bid"], contract["bid_size"] or 0),
        "closePrice": close,
        "delta": computed["delta"],
        "gamma": computed["gamma"],
        "highPrice": contract["high"] or 0.0,
        "indAskPrice": 0.0,
        "indBidPrice": 0.0,
        "indQuoteTime": 0,
        "impliedYield": 0.0,
        "lastPrice": last,
        "lastSize": contract["last_size"] or 0,
        "lowPrice": contract["low"] or 0.0,
        "mark": mark,
        "markChange": round(mark - close, 4),
        "markPercentChange": percent(mark - close, close),
        "moneyIntrinsicValue": intrinsic,
        "netChange": round(change, 4),
        "netPercentChange": percent(change, close),
        "openInterest": contract["open_interest"] or 0,
        "openPrice": contract["open"] or 0.0,
        "quoteTime": milliseconds(contract["quote_at"]),
        "rho": computed["rho"],
        "securityStatus": "Normal",
        "theoreticalOptionValue": round(mark, 8),
        "theta": computed["theta"],
        "timeValue": round(value - max(intrinsic, 0.0), 8),
        "totalVolume": contract["volume"] or 0,
        "tradeTime": milliseconds(contract["trade_at"]),
        "underlyingPrice": underlying_price,
        "vega": computed["vega"],
        "volatility": facts.NOT_COMPUTABLE if iv is None else round(iv * 100, 8),
    }


def _option_reference(
    contract: Mapping[str, Any], instrument: Instrument, now: datetime
) -> dict[str, Any]:
    expiration: date = contract["expiration"]
    symbol = spelled(instrument)
    is_index = instrument.asset_type == "INDEX"
    return {
        "contractType": contract["right"],
        "daysToExpiration": dte(now, expiration),
        "deliverables": deliverable_note(symbol, is_index=is_index),
        "description": contract_description(
            contract["root"], expiration, contract["strike"], contract["right"]
        ),
        "exchange": "O",
        "exchangeName": "OPR",
        "exerciseType": contract["exercise_style"],
        "expirationDay": expiration.day,
        "expirationMonth": expiration.month,
        "expirationType": contract["expiration_type"],
        "expirationYear": expiration.year,
        "isPennyPilot": not is_index,
        "lastTradingDay": last_trading_day(expiration),
        "multiplier": contract["multiplier"],
        "settlementType": contract["settlement"][0],
        "strikePrice": contract["strike"],
        "underlying": symbol,
        "underlyingAssetType": "INDEX" if is_index else "EQUITY",
    }


def deliverable_note(symbol: str, *, is_index: bool) -> str:
    """Return what one contract delivers, in Schwab's words."""
    return f"100 {symbol}(Cash)" if is_index else f"100 {symbol}"
