"""Options: one contract in its three spellings, its greeks and quote, and a whole chain.

Spellings of tickers and roots stand in `models.symbols`, whole columns in `models.option_columns`;
what others use of them is re-exported here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, ValidationError, field_validator

from models.base import Model, Time, sentence
from models.errors import BadSymbol
from models.option_columns import format_occ, occ_to_polygon, parse_occ, polygon_to_occ
from models.symbols import (
    OCC_LENGTH,
    OCC_PATTERN,
    ROOT_LENGTH,
    ROOT_PATTERN,
    ExerciseStyle,
    Right,
    Settlement,
    exercise_style_of,
    polygon_ticker_of_underlying,
    roots_of_underlying,
    schwab_ticker,
    settlement_of,
    underlying_of_polygon_ticker,
    underlying_of_root,
    underlying_of_schwab_ticker,
)

if TYPE_CHECKING:
    from models.tables import Frame

__all__ = [
    "ExerciseStyle",
    "Greeks",
    "OptionChain",
    "OptionContract",
    "OptionQuote",
    "Right",
    "Settlement",
    "exercise_style_of",
    "format_occ",
    "occ_to_polygon",
    "parse_occ",
    "polygon_ticker_of_underlying",
    "polygon_to_occ",
    "roots_of_underlying",
    "schwab_ticker",
    "settlement_of",
    "underlying_of_polygon_ticker",
    "underlying_of_root",
    "underlying_of_schwab_ticker",
]

_OCC = re.compile(OCC_PATTERN)
_THOUSANDTH = Decimal("0.001")


def _underlying_of_root(fields: dict[str, Any]) -> str:
    return underlying_of_root(fields["root"])


class OptionContract(Model):
    """One listed option contract.

    The three spellings are exact: `from_occ(contract.occ_symbol) == contract`, and so on. The
    underlying follows from the root and is only given where a root is reused for another one.
    """

    root: Annotated[str, Field(pattern=f"^(?:{ROOT_PATTERN})$")]
    """Option root, as SPXW, or AAPL1 of an adjusted contract."""

    expiration: Annotated[date, Field(ge=date(2000, 1, 1), le=date(2099, 12, 31))]
    """Expiration date that the symbol carries."""

    strike: Annotated[Decimal, Field(gt=0, lt=100_000)]
    """USD, in whole thousandths."""

    right: Right
    """C or P."""

    underlying: str = Field(min_length=1, default_factory=_underlying_of_root)
    """Symbol of the underlying, as SPX."""

    @field_validator("strike")
    @classmethod
    def _whole_thousandths(cls, strike: Decimal) -> Decimal:
        whole = strike.quantize(_THOUSANDTH)
        if whole != strike:
            raise ValueError("a strike has at most three decimals")
        return whole

    @property
    def occ_symbol(self) -> str:
        """The OCC symbol: 21 characters, root padded to 6."""
        return self.root.ljust(ROOT_LENGTH) + self._tail

    @property
    def schwab_symbol(self) -> str:
        """Schwab's spelling, which is OCC's."""
        return self.occ_symbol

    @property
    def polygon_ticker(self) -> str:
        """Polygon's spelling: `O:` and no padding."""
        return f"O:{self.root}{self._tail}"

    @property
    def exercise_style(self) -> ExerciseStyle:
        """A or E, from the root."""
        return exercise_style_of(self.root)

    @property
    def settlement(self) -> Settlement:
        """AM or PM, from the root."""
        return settlement_of(self.root)

    @property
    def _tail(self) -> str:
        return f"{self.expiration:%y%m%d}{self.right}{int(self.strike * 1000):08d}"

    @classmethod
    def from_occ(cls, symbol: str) -> Self:
        """Parse an OCC symbol of 21 characters.

        Raises:
            BadSymbol: The text is none; the sentence says why.
        """
        found = _OCC.fullmatch(symbol)
        if len(symbol) != OCC_LENGTH or not found:
            raise BadSymbol(
                f"{symbol!r} is not an option symbol of 21 characters: a root padded to 6, "
                "YYMMDD, C or P, the strike in thousandths in 8 digits"
            )
        root, day, right, thousandths = found.groups()
        try:
            return cls.model_validate(
                {
                    "root": root,
                    "expiration": f"20{day[:2]}-{day[2:4]}-{day[4:]}",
                    "strike": Decimal(thousandths) / 1000,
                    "right": right,
                }
            )
        except ValidationError as error:
            raise BadSymbol(f"{symbol!r} is not an option symbol: {sentence(error)}") from None

    @classmethod
    def from_schwab(cls, symbol: str) -> Self:
        """Parse Schwab's spelling, which is OCC's.

        Raises:
            BadSymbol: The text is none.
        """
        return cls.from_occ(symbol)

    @classmethod
    def from_polygon(cls, ticker: str) -> Self:
        """Parse Polygon's spelling, as O:QQQ251219C00500000.

        Raises:
            BadSymbol: The text is none.
        """
        tail = OCC_LENGTH - ROOT_LENGTH
        if not ticker.startswith("O:") or " " in ticker:
            raise BadSymbol(f"{ticker!r} is not an option ticker of Polygon: O: and no spaces")
        body = ticker.removeprefix("O:")
        return cls.from_occ(body[:-tail].ljust(ROOT_LENGTH) + body[-tail:])


class Greeks(Model):
    """Sensitivities of one option's price, of one contract share.

    Units: see each field; `models.tables` uses the same names.
    """

    delta: float
    """Per USD of the underlying."""

    gamma: float
    """Per USD squared."""

    theta_per_day: float
    """USD a calendar day."""

    vega_per_point: float
    """USD a volatility point (0.01)."""

    rho_per_point: float
    """USD a percentage point of the rate (0.01)."""


_Price = Annotated[float, Field(ge=0)]
_Count = Annotated[int, Field(ge=0)]


class OptionQuote(Model):
    """What the market says of one contract at one moment.

    A side that nobody quotes is None. A crossed or locked quote is a fact and no error: see
    `crossed` and `locked`.
    """

    contract: OptionContract
    """The contract."""

    ts: Time
    """Time of the quote, aware."""

    bid: _Price | None = None
    """USD."""

    ask: _Price | None = None
    """USD."""

    last: _Price | None = None
    """USD, last trade."""

    mark: _Price | None = None
    """USD, the broker's mark."""

    bid_size: _Count | None = None
    """Contracts."""

    ask_size: _Count | None = None
    """Contracts."""

    volume: _Count | None = None
    """Contracts, this session."""

    open_interest: _Count | None = None
    """Contracts, of the previous session."""

    underlying_price: Annotated[float, Field(gt=0)] | None = None
    """USD."""

    implied_volatility: Annotated[float, Field(gt=0)] | None = None
    """Of the mid, 0.20 = 20 %."""

    greeks: Greeks | None = None
    """Of the mid."""

    @property
    def mid(self) -> float | None:
        """Mean of bid and ask, USD; None unless both sides are there."""
        if self.bid is None or self.ask is None:
            return None
        return (self.bid + self.ask) / 2

    @property
    def spread(self) -> float | None:
        """Ask less bid, USD; None unless both sides are there."""
        if self.bid is None or self.ask is None:
            return None
        return self.ask - self.bid

    @property
    def crossed(self) -> bool:
        """Whether the bid is above the ask."""
        return self.spread is not None and self.spread < 0

    @property
    def locked(self) -> bool:
        """Whether bid and ask are equal."""
        return self.spread == 0


@dataclass(frozen=True, slots=True)
class OptionChain:
    """All contracts of one underlying at one moment.

    Attributes:
        underlying: Symbol of the underlying, as SPX.
        ts: Time of the snapshot, aware, in UTC.
        underlying_price: USD.
        risk_free_rate: As the source states it, made continuous, a year; None where it does not.
        dividend_yield: As the source states it, a year; None where it does not.
        quotes: One row a contract, columns of `OPTION_QUOTES` without the computed ones
            (year_fraction to rho_per_point, flags).
        contracts: One row a contract, columns of `OPTION_CONTRACTS`.
    """

    underlying: str
    ts: datetime
    underlying_price: float
    risk_free_rate: float | None
    dividend_yield: float | None
    quotes: Frame
    contracts: Frame
