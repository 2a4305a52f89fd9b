"""Instruments as the Trader API shows them in orders, positions, previews and transactions."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any

from models.options import OptionContract
from models.symbols import OCC_LENGTH
from simulator import trader_facts as facts
from simulator.wire_symbols import spelled
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from simulator.market_prices import Prices
    from simulator.world import Instrument

_MONTHS = {"C": "ABCDEFGHIJKL", "P": "MNOPQRSTUVWX"}
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
_RIGHTS = {"C": "CALL", "P": "PUT"}


def is_option(symbol: str) -> bool:
    """Tell an OCC symbol from a ticker."""
    return len(symbol) == OCC_LENGTH


def instrument_id(symbol: str) -> int:
    """Return a number of nine digits at most, the same in each run."""
    return 100_000_000 + zlib.crc32(symbol.encode()) % 200_000_000


def option_cusip(contract: OptionContract) -> str:
    """Return Schwab's number of a contract, as 0META.MV50510000.

    Root, month and right as one letter, day in base 36, last digit of the year, strike in
    thousandths.
    """
    day = contract.expiration
    code = f"{_MONTHS[contract.right][day.month - 1]}{_DIGITS[day.day]}{day.year % 10}"
    return f"0{contract.root}.{code}{int(contract.strike * 1000):07d}"


def option_description(contract: OptionContract, instrument: Instrument | None) -> str:
    """Return a contract's name, as META PLATFORMS INC 01/31/2025 $510 Put."""
    name = instrument.description.upper() if instrument else contract.underlying
    strike = f"{contract.strike.normalize():f}"
    right = _RIGHTS[contract.right].title()
    return f"{name} {contract.expiration:%m/%d/%Y} ${strike} {right}"


def deliverable_symbol(contract: OptionContract, instrument: Instrument | None) -> str:
    """Return what a contract delivers, as META or $SPX."""
    return spelled(instrument) if instrument else contract.underlying


def ordered(symbol: str, prices: Prices, *, numbered: bool = True) -> dict[str, Any]:
    """Return the instrument of an order's leg.

    Args:
        symbol: OCC symbol or ticker.
        prices: Where its name is known.
        numbered: Whether cusip and instrumentId are told; a preview leaves them out.
    """
    instrument = prices.instrument(symbol)
    if is_option(symbol):
        contract = OptionContract.from_occ(symbol)
        return {
            "assetType": "OPTION",
            **({"cusip": option_cusip(contract)} if numbered else {}),
            "symbol": symbol,
            "description": option_description(contract, instrument),
            **({"instrumentId": instrument_id(symbol)} if numbered else {}),
            "type": "VANILLA",
            "putCall": _RIGHTS[contract.right],
            "underlyingSymbol": contract.root,
            "optionDeliverables": [
                {"symbol": deliverable_symbol(contract, instrument), "deliverableUnits": 100.0}
            ],
        }
    return {
        "assetType": facts.ORDERED_FUND_ASSET if _is_fund(instrument) else "EQUITY",
        **({"cusip": instrument.cusip} if numbered and instrument else {}),
        "symbol": spelled(instrument) if instrument else symbol,
        **({"instrumentId": instrument_id(symbol)} if numbered else {}),
    }


def held(symbol: str, prices: Prices, net_change: float) -> dict[str, Any]:
    """Return the instrument of a position.

    Args:
        symbol: OCC symbol or ticker.
        prices: Where its name is known.
        net_change: USD since the previous close.
    """
    instrument = prices.instrument(symbol)
    if is_option(symbol):
        contract = OptionContract.from_occ(symbol)
        return {
            "assetType": "OPTION",
            "cusip": option_cusip(contract),
            "symbol": symbol,
            "description": option_description(contract, instrument),
            "netChange": net_change,
            "type": "VANILLA",
            "putCall": _RIGHTS[contract.right],
            "underlyingSymbol": contract.root,
        }
    fund = _is_fund(instrument)
    return {
        "assetType": "COLLECTIVE_INVESTMENT" if fund else "EQUITY",
        "cusip": instrument.cusip if instrument else "",
        "symbol": spelled(instrument) if instrument else symbol,
        **({"description": instrument.description} if fund and instrument else {}),
        "netChange": net_change,
        **({"type": "EXCHANGE_TRADED_FUND"} if fund else {}),
    }


def traded(symbol: str, prices: Prices, closing_price: float) -> dict[str, Any]:
    """Return the instrument of a transaction.

    Args:
        symbol: OCC symbol or ticker.
        prices: Where its name is known.
        closing_price: USD, of the previous session.
    """
    instrument = prices.instrument(symbol)
    if is_option(symbol):
        contract = OptionContract.from_occ(symbol)
        midnight = datetime.combine(contract.expiration, time(), NEW_YORK).astimezone(UTC)
        return {
            "assetType": "OPTION",
            "status": "ACTIVE",
            "symbol": symbol,
            "description": option_description(contract, instrument),
            "instrumentId": instrument_id(symbol),
            "closingPrice": closing_price,
            "expirationDate": f"{midnight:%Y-%m-%dT%H:%M:%S}+0000",
            "optionDeliverables": [
                {
                    "rootSymbol": contract.root,
                    "strikePercent": 100,
                    "deliverableNumber": 1,
                    "deliverableUnits": 100,
                }
            ],
            "optionPremiumMultiplier": 100,
            "putCall": _RIGHTS[contract.right],
            "strikePrice": float(contract.strike),
            "type": "VANILLA",
            "underlyingSymbol": deliverable_symbol(contract, instrument),
        }
    fund = _is_fund(instrument)
    return {
        "assetType": "COLLECTIVE_INVESTMENT" if fund else "EQUITY",
        "status": "ACTIVE",
        "symbol": spelled(instrument) if instrument else symbol,
        "instrumentId": instrument_id(symbol),
        "closingPrice": closing_price,
        "type": "EXCHANGE_TRADED_FUND" if fund else "COMMON_STOCK",
    }


def _is_fund(instrument: Instrument | None) -> bool:
    return instrument is not None and instrument.asset_type == "ETF"
