"""Options: contracts, and a whole chain at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from models.tables import Frame


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
