"""What an account may do at most: the limits of the risk gate and of the 0DTE desk.

Each field says by its bounds how loose a file may be at most, and by its `tighter` mark in which
direction it becomes stricter: while a run goes on, limits are only ever tightened.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from models.base import Model, Money

_LOWER: dict[str, Any] = {"tighter": "lower"}
_HIGHER: dict[str, Any] = {"tighter": "higher"}

Count = Annotated[int, Field(ge=0, le=1_000_000, json_schema_extra=_LOWER)]
Usd = Annotated[Money, Field(ge=0, le=1_000_000_000, json_schema_extra=_LOWER)]


class DayTrades(StrEnum):
    """Which rule about day trades counts (FINRA 4210)."""

    AUTO = "auto"
    """By date, and by what the account reports while brokers move from one rule to the other."""
    LEGACY_PDT = "legacy_pdt"
    """No opening after three day trades in five sessions with less than 25,000 USD."""
    INTRADAY_MARGIN = "intraday_margin"
    """No opening while the account's equity is less than its holdings require."""
    OFF = "off"


class Flatten(StrEnum):
    """What the 0DTE desk closes before the last trade, the strictest first."""

    ALL = "all"
    SHORTS = "shorts"
    IN_THE_MONEY = "in_the_money"
    """Shorts that are in the money, or within the pin distance of it."""
    NONE = "none"


class RiskLimits(Model):
    """Each limit is inclusive: what equals it may pass. The defaults suit a small account."""

    max_contracts: Count = 10
    """Contracts of one leg of one order."""

    max_shares: Count = 1_000
    """Shares of one leg of one order."""

    max_notional: Usd = Decimal(250_000)
    """USD of shares, or of option premium, that one order trades."""

    max_open_orders: Count = 10
    """Orders that work at the same time."""

    max_positions: Count = 20
    """Instruments held, or about to be."""

    max_loss: Usd = Decimal(2_500)
    """USD that the options of one order can lose at worst at expiration, fees aside."""

    naked_shorts: Annotated[bool, Field(json_schema_extra=_LOWER)] = False
    """Whether a short option may stand without a long one, or shares, that cover it."""

    max_buying_power: Annotated[Money, Field(ge=0, le=1, json_schema_extra=_LOWER)] = Decimal(1)
    """Share of the money that is free for it which one order may require, by Regulation T."""

    max_delta_usd: Usd = Decimal(250_000)
    """USD of the underlyings that all holdings together move like, up or down."""

    max_gamma_usd: Usd = Decimal(1_000_000)
    """Change of that by 1 % of the underlyings, USD."""

    max_vega_usd: Usd = Decimal(5_000)
    """USD a point of volatility."""

    max_theta_usd: Usd = Decimal(10_000)
    """USD a calendar day."""

    max_shock_loss: Usd = Decimal(25_000)
    """USD lost at once where the underlyings move by 1, 2 or 3 sigma of a day, or by 10 %."""

    least_day_sigma: Annotated[float, Field(ge=0.001, le=1, json_schema_extra=_HIGHER)] = 0.01
    """Sigma of an underlying's day at least, 0.01 is 1 %: where its options tell less, or nothing."""

    max_daily_loss: Usd = Decimal(2_000)
    """USD lost since the run or the day began, realised and not; beyond it nothing opens."""

    max_drawdown: Usd = Decimal(4_000)
    """USD below the most that the run has gained; beyond it nothing opens."""

    price_collar: Annotated[Money, Field(ge=0, le=1, json_schema_extra=_LOWER)] = Decimal("0.25")
    """Share of the natural price, or 0.10 USD if that is more, that a limit may be worse than it."""

    max_spread: Annotated[Money, Field(ge=0, le=2, json_schema_extra=_LOWER)] = Decimal("0.5")
    """Width of the market of a leg as a share of its mid ..."""

    max_spread_usd: Annotated[Money, Field(ge=0, le=100, json_schema_extra=_LOWER)] = Decimal(
        "0.25"
    )
    """... or in USD a share, whichever is more."""

    max_age_s: Annotated[float, Field(gt=0, le=60, json_schema_extra=_LOWER)] = 10.0
    """Seconds since the newest quote of an option leg, when it opens."""

    max_underlying_age_s: Annotated[float, Field(gt=0, le=60, json_schema_extra=_LOWER)] = 2.0
    """Seconds since the newest quote of an underlying, when something opens."""

    delayed_quotes: Annotated[bool, Field(json_schema_extra=_LOWER)] = False
    """Whether something may open on quotes that are not of now."""

    no_openings_minutes: Annotated[float, Field(ge=0, le=390, json_schema_extra=_HIGHER)] = 30.0
    """Minutes before its last trade in which a contract is not opened."""

    flatten: Flatten = Flatten.SHORTS
    """What the 0DTE desk closes: all, shorts, in_the_money or none."""

    flatten_minutes: Annotated[float, Field(ge=1, le=390, json_schema_extra=_HIGHER)] = 10.0
    """Minutes before its last trade from which the 0DTE desk closes a contract."""

    pin_distance: Annotated[float, Field(ge=0, le=0.1, json_schema_extra=_HIGHER)] = 0.002
    """Distance of the underlying from the strike, as a share of it, that is a pin risk."""

    max_orders_per_s: Count = 10
    """Orders that leave in a second of the market, replacements included; twice that to close."""

    max_orders_per_minute: Count = 60
    """The same in a minute."""

    max_attempts_per_minute: Count = 120
    """Orders that a strategy asks for in a minute, denied ones included; beyond it it is stopped
    until a person lets it go on."""

    duplicate_s: Annotated[float, Field(ge=0, le=3600, json_schema_extra=_HIGHER)] = 1.0
    """Seconds in which an equal opening is taken for a mistake; one that works always is."""

    day_trades: DayTrades = DayTrades.AUTO
    """Which rule about day trades counts: auto, legacy_pdt, intraday_margin or off."""

    least_sign_in_hours: Annotated[float, Field(ge=0, le=168, json_schema_extra=_HIGHER)] = 24.0
    """Hours that the broker's sign-in must last when something opens; that of a contract which
    expires within seven days must outlast it."""

    restricted: tuple[str, ...] = ()
    """Underlyings that are not traded."""

    @property
    def closed_minutes(self) -> float:
        """Minutes before its last trade in which a contract is not opened, nor closed at once."""
        if self.flatten is Flatten.NONE:
            return self.no_openings_minutes
        return max(self.no_openings_minutes, self.flatten_minutes)


_ORDERED: dict[str, tuple[StrEnum, ...]] = {
    "flatten": (Flatten.ALL, Flatten.SHORTS, Flatten.IN_THE_MONEY, Flatten.NONE),
    "day_trades": (
        DayTrades.LEGACY_PDT,
        DayTrades.AUTO,
        DayTrades.INTRADAY_MARGIN,
        DayTrades.OFF,
    ),
}
"""Limits that are a choice, the strictest one first."""


def loosened(now: RiskLimits, new: RiskLimits) -> list[str]:
    """Return the names of the limits that `new` would make looser than they are."""
    return [name for name in RiskLimits.model_fields if _looser(name, now, new)]


def _looser(name: str, now: RiskLimits, new: RiskLimits) -> bool:
    before, after = getattr(now, name), getattr(new, name)
    if name == "restricted":
        return not set(after) >= set(before)
    if name in _ORDERED:
        ranks = _ORDERED[name]
        return ranks.index(after) > ranks.index(before)
    return bool(after < before if _is_higher(name) else after > before)


def _is_higher(name: str) -> bool:
    """Return whether a limit becomes stricter as it rises."""
    extra = RiskLimits.model_fields[name].json_schema_extra
    return isinstance(extra, dict) and extra.get("tighter") == "higher"
