"""Instruments and their fundamentals as Schwab sends them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from simulator.wire_errors import bad_request, not_found
from simulator.wire_quotes import percent
from simulator.wire_symbols import find, spelled
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime

    from simulator.world import Instrument, UnderlyingQuote, World

PROJECTIONS = frozenset(
    {"symbol-search", "symbol-regex", "desc-search", "desc-regex", "search", "fundamental"}
)

_UNKNOWN = 0.0
"""What Schwab sends for a figure that it has not: the world models no company's accounts."""


def instruments_reply(world: World, symbol: str, projection: str, now: datetime) -> dict[str, Any]:
    """Return the body of a reply to `/instruments`.

    Args:
        world: What is known.
        symbol: Symbols with commas between them, or a pattern or a text, as `projection` says.
        projection: One of `PROJECTIONS`.
        now: Market time.

    Raises:
        Refusal: The pattern is not a regular expression.
    """
    found = list(_found(world, symbol, projection))
    if projection != "fundamental":
        return {"instruments": [_instrument(instrument) for instrument in found]}
    return {
        "instruments": [
            {"fundamental": _fundamental(instrument, quote, now)} | _instrument(instrument)
            for instrument in found
            if (quote := world.quote(instrument.symbol, now)) is not None
        ]
    }


def cusip_reply(world: World, cusip: str) -> dict[str, Any]:
    """Return the body of a reply to `/instruments/{cusip_id}`.

    Raises:
        Refusal: Nobody has this number.
    """
    for instrument in _known(world):
        if cusip and instrument.cusip == cusip:
            return {"instruments": [_instrument(instrument)]}
    raise not_found()


def _known(world: World) -> Iterable[Instrument]:
    for ticker in world.tickers():
        instrument = world.instrument(ticker)
        if instrument is not None:
            yield instrument


def _found(world: World, text: str, projection: str) -> Iterable[Instrument]:
    if projection in {"symbol-search", "fundamental"}:
        named = (find(world, symbol.strip()) for symbol in text.split(","))
        return (instrument for instrument in named if instrument is not None)
    try:
        pattern = re.compile(
            text if projection.endswith("regex") else re.escape(text), re.IGNORECASE
        )
    except re.error:
        raise bad_request("symbol must be a regular expression", "symbol") from None
    if projection == "symbol-regex":
        return (known for known in _known(world) if pattern.fullmatch(spelled(known)))
    by_symbol = projection == "search"
    return (
        known
        for known in _known(world)
        if pattern.search(known.description) or (by_symbol and pattern.search(spelled(known)))
    )


def _instrument(instrument: Instrument) -> dict[str, Any]:
    return {
        "cusip": instrument.cusip,
        "symbol": spelled(instrument),
        "description": instrument.description,
        "exchange": instrument.exchange_name,
        "assetType": instrument.asset_type,
    }


def _fundamental(instrument: Instrument, quote: UnderlyingQuote, now: datetime) -> dict[str, Any]:
    """Return the node `fundamental`, whose keys differ from those of a quote's."""
    day = now.astimezone(NEW_YORK).date()
    paid, due = instrument.last_dividend(day), instrument.next_dividend(day)
    each = paid.amount if paid else 0.0
    yearly = round(each * instrument.dividends_a_year, 6)
    unknown = dict.fromkeys
    node: dict[str, Any] = {
        "symbol": spelled(instrument),
        "high52": quote.high_52_week,
        "low52": quote.low_52_week,
        "dividendAmount": yearly,
        "dividendYield": percent(yearly, quote.close, 5),
        "dividendDate": _day_text(paid.ex_date) if paid else None,
        **unknown(_RATIOS, _UNKNOWN),
        "dividendPayAmount": each,
        "dividendPayDate": _day_text(paid.pay_date) if paid else None,
        **unknown(("beta", "vol1DayAvg", "vol10DayAvg", "vol3MonthAvg"), _UNKNOWN),
        "avg10DaysVolume": round(quote.average_volume_10_days),
        "avg1DayVolume": round(quote.average_volume_1_year),
        "avg3MonthVolume": round(quote.average_volume_1_year),
        "declarationDate": None,
        "dividendFreq": instrument.dividends_a_year,
        "eps": _UNKNOWN,
        "dtnVolume": quote.volume,
        "nextDividendPayDate": _day_text(due.pay_date) if due else None,
        "nextDividendDate": _day_text(due.ex_date) if due else None,
        "fundLeverageFactor": _UNKNOWN,
    }
    return {name: value for name, value in node.items() if value is not None}


_RATIOS = (
    "peRatio",
    "pegRatio",
    "pbRatio",
    "prRatio",
    "pcfRatio",
    "grossMarginTTM",
    "grossMarginMRQ",
    "netProfitMarginTTM",
    "netProfitMarginMRQ",
    "operatingMarginTTM",
    "operatingMarginMRQ",
    "returnOnEquity",
    "returnOnAssets",
    "returnOnInvestment",
    "quickRatio",
    "currentRatio",
    "interestCoverage",
    "totalDebtToCapital",
    "ltDebtToEquity",
    "totalDebtToEquity",
    "epsTTM",
    "epsChangePercentTTM",
    "epsChangeYear",
    "epsChange",
    "revChangeYear",
    "revChangeTTM",
    "revChangeIn",
    "sharesOutstanding",
    "marketCapFloat",
    "marketCap",
    "bookValuePerShare",
    "shortIntToFloat",
    "shortIntDayToCover",
    "divGrowthRate3Year",
)


def _day_text(day: date) -> str:
    return f"{day.isoformat()} 00:00:00.0"
