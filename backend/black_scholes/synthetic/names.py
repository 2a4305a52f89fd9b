"""Names: which underlyings are known, what they are called and where they are listed."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from models.symbols import INDICES

AssetType: TypeAlias = Literal["EQUITY", "ETF", "INDEX"]

EXCHANGE_NAMES = {"Q": "NASDAQ", "N": "NYSE", "P": "NYSE Arca", "0": "Index"}
"""Name of each listing exchange by its letter."""

NOT_OPTIONABLE = frozenset({"COMPX", "DJI"})
"""Indices without options here."""

RESERVED = frozenset({"ZZZZZ", "NOSUCH", "XXXXX"})
"""Tickers that nobody knows, so that an unknown ticker can be shown."""

NOT_MADE = INDICES - {"COMPX", "DJI", "NDX", "RUT", "SPX", "XSP"}
"""Indices that would have to follow others by rules of their own (VIX, OEX): not in this world."""

_PLAUSIBLE = re.compile(r"[A-Z]{1,5}(\.[A-Z])?")


@dataclass(frozen=True, slots=True)
class Name:
    """How an underlying is called and listed.

    Attributes:
        description: Its name.
        asset_type: EQUITY, ETF or INDEX.
        exchange: Letter of the listing exchange.
        cusip: Nine characters; empty for an index.
    """

    description: str
    asset_type: AssetType
    exchange: str
    cusip: str


NAMES = {
    "AAPL": Name("Apple Inc", "EQUITY", "Q", "037833100"),
    "AMD": Name("Advanced Micro Devices Inc", "EQUITY", "Q", "007903107"),
    "AMZN": Name("Amazon.com Inc", "EQUITY", "Q", "023135106"),
    "COMPX": Name("NASDAQ Composite Index", "INDEX", "0", ""),
    "DJI": Name("Dow Jones Industrial Average", "INDEX", "0", ""),
    "BRK.B": Name("Berkshire Hathaway Inc Class B", "EQUITY", "N", "084670702"),
    "DIA": Name("SPDR Dow Jones Industrial Average ETF Trust", "ETF", "P", "78467X109"),
    "GOOG": Name("Alphabet Inc Class C", "EQUITY", "Q", "02079K107"),
    "GOOGL": Name("Alphabet Inc Class A", "EQUITY", "Q", "02079K305"),
    "IWM": Name("iShares Russell 2000 ETF", "ETF", "P", "464287655"),
    "JPM": Name("JPMorgan Chase & Co", "EQUITY", "N", "46625H100"),
    "META": Name("Meta Platforms Inc Class A", "EQUITY", "Q", "30303M102"),
    "MSFT": Name("Microsoft Corp", "EQUITY", "Q", "594918104"),
    "NDX": Name("NASDAQ-100 Index", "INDEX", "0", ""),
    "NVDA": Name("NVIDIA Corp", "EQUITY", "Q", "67066G104"),
    "QQQ": Name("Invesco QQQ Trust Series 1", "ETF", "Q", "46090E103"),
    "RUT": Name("Russell 2000 Index", "INDEX", "0", ""),
    "SPX": Name("S&P 500 Index", "INDEX", "0", ""),
    "SPY": Name("SPDR S&P 500 ETF Trust", "ETF", "P", "78462F103"),
    "TSLA": Name("Tesla Inc", "EQUITY", "Q", "88160R101"),
    "TWX": Name("Time Warner Inc", "EQUITY", "N", "887317303"),
    "XSP": Name("Mini-S&P 500 Index", "INDEX", "0", ""),
}
"""Underlyings that are known by name."""


def is_known(ticker: str) -> bool:
    """Return whether the generated world has this ticker: any that looks like one.

    One to five capital letters, perhaps a point and a class letter; not the reserved names.
    """
    return _PLAUSIBLE.fullmatch(ticker) is not None and ticker not in RESERVED | NOT_MADE


def name_of(ticker: str) -> Name:
    """Return the name of an underlying; one that is not known by name gets a made-up listing."""
    known = NAMES.get(ticker)
    if known is not None:
        return known
    digest = hashlib.blake2b(ticker.encode(), digest_size=8).digest()
    exchange = "QN"[digest[0] % 2]
    return Name(f"{ticker} Common Stock", "EQUITY", exchange, _made_up_cusip(digest))


def _made_up_cusip(digest: bytes) -> str:
    """Return eight digits and the check digit of the CUSIP rule (every second digit doubled)."""
    digits = f"{int.from_bytes(digest, 'big') % 10**8:08d}"
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(digits))
    return digits + str(-sum(each // 10 + each % 10 for each in doubled) % 10)


def is_fund_or_index(ticker: str) -> bool:
    """Return whether the ticker is a fund or an index, whose smile is steeper than a company's."""
    return ticker in NAMES and NAMES[ticker].asset_type != "EQUITY"
