"""What the engine knows of the market: the newest quote of each symbol, chains as columns."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from engine.matching import exact, mark_of
from models.trading import Position
from utils.clock import to_time

if TYPE_CHECKING:
    from engine.chains import ChainTable
    from models.events import Quote
    from models.order_terms import Mode
    from ports.strategy import ChainView
    from utils.portfolio_tracker import PortfolioTracker


class Market:
    """The market's time and newest quotes; it only moves forward."""

    def __init__(self) -> None:
        """Begin before the first event."""
        self.now_ns = 0
        self.quotes: dict[str, Quote] = {}
        self._chains: dict[str, ChainTable] = {}

    def mark(self, symbol: str) -> Decimal | None:
        """Return USD a share that a holding counts for: the quote's mark or mid, else its last."""
        quote = self.quotes.get(symbol)
        price = None if quote is None else mark_of(quote)
        return None if price is None else exact(price)

    def chain(self, underlying: str) -> ChainView:
        """Return the quoted contracts of an underlying with volatilities and greeks."""
        table = self._chains.get(underlying)
        if table is None:
            from engine.chains import ChainTable  # noqa: PLC0415 - numba: not every strategy needs it

            table = self._chains[underlying] = ChainTable(underlying)
        return table.view(self.quotes, self.now_ns)

    def positions(
        self,
        portfolio: PortfolioTracker,
        account_id: str,
        mode: Mode,
        *,
        with_flat: bool = False,
    ) -> dict[str, Position]:
        """Return what is held by symbol, marked at the newest quotes.

        Args:
            portfolio: What is held.
            account_id: Stamped on each.
            mode: The same.
            with_flat: What was held and is closed too, for what it earned.
        """
        return {
            symbol: Position(
                account_id=account_id,
                mode=mode,
                symbol=symbol,
                signed_quantity=held.quantity,
                average_price=held.average_price.quantize(Decimal("0.000001")),
                multiplier=held.multiplier,
                realized_pnl=held.realized_pnl.quantize(Decimal("0.000001")),
                mark=self.mark(symbol),
                updated_at=to_time(self.now_ns),
            )
            for symbol, held in portfolio.holdings.items()
            if held.quantity or with_flat
        }
