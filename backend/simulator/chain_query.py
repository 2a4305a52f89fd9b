"""The parameters of `/chains`: reading them, and choosing contracts by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import polars as pl

from simulator import parameters
from simulator import schwab_facts as facts
from simulator.wire_errors import bad_request

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
STRATEGIES = frozenset(
    [
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
)
RANGES = frozenset(["ITM", "NTM", "OTM", "SAK", "SBK", "SNK", "ALL"])

_LOSES_EVERYTHING = -100.0


@dataclass(frozen=True, slots=True)
class ChainQuery:
    """What was asked of `/chains`.

    Attributes:
        symbol: Of the underlying, as on the wire.
        contract_type: CALL, PUT or ALL.
        strike_count: Strikes an expiration around the money, in all; None for every one.
        include_underlying: Whether the underlying's quote is wanted; None if not said.
        strategy: SINGLE or ANALYTICAL.
        interval: Strike interval of spreads; echoed.
        strike: The only strike wanted.
        strikes: ITM, NTM, OTM, SAK, SBK, SNK or ALL (the parameter `range`).
        first: First expiration.
        last: Last expiration.
        month: Month of expiration, 1 to 12; None for all.
        option_type: S standard, NS not standard, ALL.
        volatility: Percent, of ANALYTICAL.
        underlying_price: USD, of ANALYTICAL; None for the market's.
        interest_rate: Percent, of ANALYTICAL; None for the market's.
        days_to_expiration: Of ANALYTICAL; None for each contract's own.
    """

    symbol: str
    contract_type: str
    strike_count: int | None
    include_underlying: bool | None
    strategy: str
    interval: float
    strike: float | None
    strikes: str
    first: date | None
    last: date | None
    month: int | None
    option_type: str
    volatility: float
    underlying_price: float | None
    interest_rate: float | None
    days_to_expiration: int | None

    @classmethod
    def read(cls, params: Mapping[str, str]) -> Self:
        """Read the query.

        Raises:
            Refusal: A parameter is wrong.
        """
        strategy = parameters.choice(params, "strategy", STRATEGIES, "SINGLE")
        if strategy not in facts.SUPPORTED_STRATEGIES:
            raise bad_request(f"strategy {strategy} is not simulated", "strategy")
        month = parameters.choice(params, "expMonth", {*MONTHS, "ALL"}, "ALL")
        parameters.choice(params, "entitlement", {"PN", "NP", "PP"}, "NP")
        count = parameters.integer(params, "strikeCount")
        if count is not None and count < 1:
            raise bad_request("strikeCount must be positive", "strikeCount")
        first, last = parameters.day(params, "fromDate"), parameters.day(params, "toDate")
        if first and last and first > last:
            raise bad_request("fromDate must not be after toDate", "fromDate")
        volatility = parameters.number(params, "volatility")
        rate = parameters.number(params, "interestRate")
        if rate is not None and rate <= _LOSES_EVERYTHING:
            raise bad_request("interestRate must be over -100", "interestRate")
        return cls(
            symbol=parameters.text(params, "symbol"),
            contract_type=parameters.choice(params, "contractType", {"CALL", "PUT", "ALL"}, "ALL"),
            strike_count=count,
            include_underlying=parameters.boolean(params, "includeUnderlyingQuote"),
            strategy=strategy,
            interval=parameters.number(params, "interval") or 0.0,
            strike=parameters.number(params, "strike"),
            strikes=parameters.choice(params, "range", RANGES, "ALL"),
            first=first,
            last=last,
            month=None if month == "ALL" else MONTHS.index(month) + 1,
            option_type=parameters.choice(params, "optionType", {"S", "NS", "ALL"}, "ALL"),
            volatility=facts.THEORETICAL_VOLATILITY if volatility is None else volatility,
            underlying_price=parameters.number(params, "underlyingPrice"),
            interest_rate=rate,
            days_to_expiration=parameters.integer(params, "daysToExpiration"),
        )

    def choose(self, chain: pl.DataFrame, price: float) -> pl.DataFrame:
        """Return the contracts that were asked for, in their order.

        Args:
            chain: As the world gives it, expirations chosen already.
            price: Of the underlying, USD.
        """
        return self._by_money(chain.filter(self._by_contract()), price)

    def _by_contract(self) -> list[pl.Expr]:
        wanted = []
        if self.contract_type != "ALL":
            wanted.append(pl.col("right") == self.contract_type[0])
        if self.strike is not None:
            wanted.append(pl.col("strike") == self.strike)
        if self.month is not None:
            wanted.append(pl.col("expiration").dt.month() == self.month)
        if self.option_type != "ALL":
            standard = ~pl.col("root").str.contains(r"\d$")
            wanted.append(standard if self.option_type == "S" else ~standard)
        return wanted or [pl.lit(value=True)]

    def _by_money(self, chain: pl.DataFrame, price: float) -> pl.DataFrame:
        is_call, strike = pl.col("right") == "C", pl.col("strike")
        in_the_money = (is_call & (strike < price)) | (~is_call & (strike > price))
        match self.strikes:
            case "ITM":
                chain = chain.filter(in_the_money)
            case "OTM":
                chain = chain.filter(~in_the_money)
            case "SAK":
                chain = chain.filter(strike > price)
            case "SBK":
                chain = chain.filter(strike < price)
        near = facts.NEAR_MONEY_STRIKES if self.strikes in {"NTM", "SNK"} else None
        count = self.strike_count or near
        return chain if count is None else _around_the_money(chain, price, count)


def _around_the_money(chain: pl.DataFrame, price: float, count: int) -> pl.DataFrame:
    """Keep `count` strikes of each expiration: half below the price, half at or above it.

    Where the ladder ends on one side, the other side fills up.
    """
    by_expiration = "expiration"
    strikes = chain.select(by_expiration, "strike").unique().sort(by_expiration, "strike")
    below = (pl.col("strike") < price).sum().over(by_expiration).cast(pl.Int64)
    total = pl.len().over(by_expiration).cast(pl.Int64)
    place = pl.int_range(pl.len()).over(by_expiration)
    first = (below - count // 2).clip(0, (total - count).clip(lower_bound=0))
    kept = strikes.filter((place >= first) & (place < first + count))
    return chain.join(kept, on=[by_expiration, "strike"], how="semi", maintain_order="left")
