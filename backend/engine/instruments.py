"""What does not change about an instrument, as plain numbers that the risk gate reads quickly."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from black_scholes.shocks import CALL, PUT, SHARES
from engine.ledger import contract_of
from engine.trading_hours import expiry_ns, last_trade_ns
from models.symbols import OCC_LENGTH


class Instrument(NamedTuple):
    """A share or an option contract.

    Attributes:
        symbol: OCC symbol or ticker.
        underlying: Its symbol; of a share its own.
        kind: `SHARES`, `CALL` or `PUT` of `black_scholes.shocks`.
        strike: USD; 1 of shares.
        expires_ns: Until when time is counted, UTC; 0 of shares.
        last_ns: End of its last trading day, UTC; 0 of shares.
        american: Whether it can be exercised early.
    """

    symbol: str
    underlying: str
    kind: float
    strike: float
    expires_ns: int
    last_ns: int
    american: bool

    @property
    def is_option(self) -> bool:
        """Whether it is an option."""
        return self.kind != SHARES

    @property
    def is_call(self) -> bool:
        """Whether it is a call."""
        return self.kind == CALL


@lru_cache(maxsize=65_536)
def instrument_of(symbol: str) -> Instrument:
    """Return what is known of a symbol.

    Raises:
        BadSymbol: An OCC symbol is malformed.
        DataError: It expires outside the years that the calendar knows.
    """
    if len(symbol) != OCC_LENGTH:
        return Instrument(symbol, symbol, SHARES, 1.0, 0, 0, american=False)
    contract = contract_of(symbol)
    return Instrument(
        symbol,
        contract.underlying,
        CALL if contract.right == "C" else PUT,
        float(contract.strike),
        expiry_ns(contract),
        last_trade_ns(contract),
        american=contract.exercise_style == "A",
    )
