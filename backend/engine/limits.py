"""What an account may do at most: the limits of the risk gate."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from models.base import Model, Money

Count = Annotated[int, Field(ge=0)]
NotNegative = Annotated[Money, Field(ge=0)]


class RiskLimits(Model):
    """Each limit is inclusive: what equals it may pass. The defaults suit a small account."""

    max_contracts: Count = 10
    """Contracts of one leg of one order."""

    max_shares: Count = 1_000
    """Shares of one leg of one order."""

    max_notional: NotNegative = Decimal(250_000)
    """USD of shares, or of option premium, that one order trades."""

    max_open_orders: Count = 10
    """Orders that work at the same time."""

    max_positions: Count = 20
    """Instruments held, or about to be."""

    max_loss: NotNegative = Decimal(2_500)
    """USD that the options of one order can lose at worst at expiration, fees aside."""

    max_daily_loss: NotNegative = Decimal(2_000)
    """USD lost since the run or the day began, realised and not; beyond it nothing opens."""

    naked_shorts: bool = False
    """Whether a short option may stand without a long one, or shares, that cover it."""

    price_collar: NotNegative = Decimal("0.25")
    """Share of the natural price, or 0.10 USD if that is more, that a limit may be worse than it."""

    max_spread: NotNegative = Decimal("0.5")
    """Width of the market of a leg as a share of its mid ..."""

    max_spread_usd: NotNegative = Decimal("0.25")
    """... or in USD a share, whichever is more."""

    max_age_s: Annotated[float, Field(gt=0)] = 10.0
    """Seconds since the newest quote of an option leg, when it opens."""

    max_underlying_age_s: Annotated[float, Field(gt=0)] = 2.0
    """Seconds since the newest quote of an underlying, when something opens."""

    no_openings_minutes: Annotated[float, Field(ge=0)] = 30.0
    """Minutes before its last trade in which a contract that expires today is not opened."""

    restricted: tuple[str, ...] = ()
    """Underlyings that are not traded."""
