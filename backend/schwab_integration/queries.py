"""What may be asked of the Market Data API, checked before it is sent.

The allowed values are those of Schwab's OpenAPI file "Market Data" 1.0.0.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal, TypeAlias, get_args

from models.errors import DataError

ContractType: TypeAlias = Literal["CALL", "PUT", "ALL"]
ChainStrategy: TypeAlias = Literal[
    "SINGLE",
    "ANALYTICAL",
    "COVERED",
    "VERTICAL",
    "CALENDAR",
    "STRANGLE",
    "STRADDLE",
    "BUTTERFLY",
    "CONDOR",
    "DIAGONAL",
    "COLLAR",
    "ROLL",
]
StrikeRange: TypeAlias = Literal["ITM", "NTM", "OTM", "SAK", "SBK", "SNK", "ALL"]
Month: TypeAlias = Literal[
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC", "ALL"
]
OptionType: TypeAlias = Literal["S", "NS", "ALL"]
Entitlement: TypeAlias = Literal["PN", "NP", "PP"]
QuoteField: TypeAlias = Literal["quote", "fundamental", "extended", "reference", "regular", "all"]
PeriodType: TypeAlias = Literal["day", "month", "year", "ytd"]
FrequencyType: TypeAlias = Literal["minute", "daily", "weekly", "monthly"]
MoverIndex: TypeAlias = Literal[
    "$DJI",
    "$COMPX",
    "$SPX",
    "NYSE",
    "NASDAQ",
    "OTCBB",
    "INDEX_ALL",
    "EQUITY_ALL",
    "OPTION_ALL",
    "OPTION_PUT",
    "OPTION_CALL",
]
MoverSort: TypeAlias = Literal["VOLUME", "TRADES", "PERCENT_CHANGE_UP", "PERCENT_CHANGE_DOWN"]
MoverFrequency: TypeAlias = Literal[0, 1, 5, 10, 30, 60]
Market: TypeAlias = Literal["equity", "option", "bond", "future", "forex"]
Projection: TypeAlias = Literal[
    "symbol-search", "symbol-regex", "desc-search", "desc-regex", "search", "fundamental"
]

MOST_SYMBOLS: Final = 500
"""Symbols in one request for quotes."""

PERIODS: Final[dict[str, tuple[int, ...]]] = {
    "day": (1, 2, 3, 4, 5, 10),
    "month": (1, 2, 3, 6),
    "year": (1, 2, 3, 5, 10, 15, 20),
    "ytd": (1,),
}
FREQUENCY_TYPES: Final[dict[str, tuple[FrequencyType, ...]]] = {
    "day": ("minute",),
    "month": ("daily", "weekly"),
    "year": ("daily", "weekly", "monthly"),
    "ytd": ("daily", "weekly"),
}
MINUTES: Final = (1, 5, 10, 15, 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainQuery:
    """What of a chain is wanted; see `/chains` in Schwab's documentation.

    `volatility`, `underlying_price`, `interest_rate` (percent) and `days_to_expiration` belong to
    the strategy ANALYTICAL alone.
    """

    symbol: str
    contract_type: ContractType = "ALL"
    strike_count: int | None = None
    include_underlying_quote: bool = False
    strategy: ChainStrategy = "SINGLE"
    interval: float | None = None
    strike: float | None = None
    range: StrikeRange | None = None
    from_date: date | None = None
    to_date: date | None = None
    volatility: float | None = None
    underlying_price: float | None = None
    interest_rate: float | None = None
    days_to_expiration: int | None = None
    exp_month: Month | None = None
    option_type: OptionType | None = None
    entitlement: Entitlement | None = None

    def params(self) -> dict[str, str]:
        """Return the query's parameters as they go out.

        Raises:
            DataError: They contradict each other, or a value is not one of the allowed.
        """
        _symbol(self.symbol)
        _one_of("contract_type", self.contract_type, get_args(ContractType))
        _one_of("strategy", self.strategy, get_args(ChainStrategy))
        _one_of("range", self.range, get_args(StrikeRange))
        _one_of("exp_month", self.exp_month, get_args(Month))
        _one_of("option_type", self.option_type, get_args(OptionType))
        _one_of("entitlement", self.entitlement, get_args(Entitlement))
        if self.strike_count is not None and self.strike_count < 1:
            raise DataError(f"strike_count is at least 1, not {self.strike_count}")
        if self.from_date and self.to_date and self.from_date > self.to_date:
            raise DataError(f"from_date {self.from_date} is after to_date {self.to_date}")
        theory = (
            self.volatility,
            self.underlying_price,
            self.interest_rate,
            self.days_to_expiration,
        )
        if self.strategy != "ANALYTICAL" and any(value is not None for value in theory):
            raise DataError(
                "volatility, underlying_price, interest_rate and days_to_expiration need the "
                "strategy ANALYTICAL"
            )
        return _wire(
            {
                "symbol": self.symbol,
                "contractType": self.contract_type,
                "strikeCount": self.strike_count,
                "includeUnderlyingQuote": self.include_underlying_quote,
                "strategy": self.strategy,
                "interval": self.interval,
                "strike": self.strike,
                "range": self.range,
                "fromDate": self.from_date,
                "toDate": self.to_date,
                "volatility": self.volatility,
                "underlyingPrice": self.underlying_price,
                "interestRate": self.interest_rate,
                "daysToExpiration": self.days_to_expiration,
                "expMonth": self.exp_month,
                "optionType": self.option_type,
                "entitlement": self.entitlement,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuery:
    """Which bars of one symbol are wanted; see `/pricehistory` in Schwab's documentation.

    Times are aware. With `period` Schwab answers whole days, so bounds inside a day want `start`
    and `end` without it.
    """

    symbol: str
    period_type: PeriodType = "day"
    period: int | None = None
    frequency_type: FrequencyType | None = None
    frequency: int | None = None
    start: datetime | None = None
    end: datetime | None = None
    extended_hours: bool | None = None
    previous_close: bool | None = None

    def params(self) -> dict[str, str]:
        """Return the query's parameters as they go out.

        Raises:
            DataError: Schwab has no such combination; the sentence names the allowed values.
        """
        _symbol(self.symbol)
        _one_of("period_type", self.period_type, tuple(PERIODS))
        _one_of(f"period of {self.period_type}", self.period, PERIODS[self.period_type])
        types = FREQUENCY_TYPES[self.period_type]
        _one_of(f"frequency_type of {self.period_type}", self.frequency_type, types)
        minutes = (self.frequency_type or types[-1]) == "minute"
        _one_of(
            f"frequency of {self.frequency_type or types[-1]}",
            self.frequency,
            MINUTES if minutes else (1,),
        )
        if self.start and self.end and self.start >= self.end:
            raise DataError(f"start {self.start} is not before end {self.end}")
        return _wire(
            {
                "symbol": self.symbol,
                "periodType": self.period_type,
                "period": self.period,
                "frequencyType": self.frequency_type,
                "frequency": self.frequency,
                "startDate": epoch_ms(self.start) if self.start else None,
                "endDate": epoch_ms(self.end) if self.end else None,
                "needExtendedHoursData": self.extended_hours,
                "needPreviousClose": self.previous_close,
            }
        )


def epoch_ms(moment: datetime) -> int:
    """Return an aware time as milliseconds since 1970.

    Raises:
        DataError: The time has no zone.
    """
    if moment.tzinfo is None:
        raise DataError(f"{moment} has no time zone")
    return round(moment.timestamp() * 1000)


def check_symbols(symbols: list[str]) -> None:
    """Refuse a list that `/quotes` would refuse.

    Raises:
        DataError: It is empty, too long, or a symbol holds a comma.
    """
    if not 1 <= len(symbols) <= MOST_SYMBOLS:
        raise DataError(f"quotes are asked for 1 to {MOST_SYMBOLS} symbols, not {len(symbols)}")
    for symbol in symbols:
        _symbol(symbol)


def check_choice(name: str, value: object, allowed: tuple[object, ...]) -> None:
    """Refuse a value that is not one of the allowed.

    Raises:
        DataError: It is not.
    """
    _one_of(name, value, allowed)


def _symbol(symbol: str) -> None:
    if not symbol.strip() or "," in symbol or len(symbol) > 60 or not symbol.isprintable():
        raise DataError(f"{symbol!r} is not a symbol")


def _one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value is not None and value not in allowed:
        raise DataError(f"{name} is one of {', '.join(map(str, allowed))}, not {value}")


def _wire(values: dict[str, object]) -> dict[str, str]:
    """Leave out what is not given, and spell booleans in lower case."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
        if value is not None
    }
