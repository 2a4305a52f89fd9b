"""The EMA cross of the benchmark in NautilusTrader: QUOTES FAST SLOW; prints orders, P&L, seconds.

Its quotes are made before the clock starts; ours are counted.
"""

from __future__ import annotations

import json
import sys
import time
from decimal import Decimal

import nautilus_trader
from ema_quotes import columns
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import Equity
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

VENUE = Venue("SIM")
ID = InstrumentId(Symbol("QQQ"), VENUE)


class CrossConfig(StrategyConfig, frozen=True):
    """Spans of both averages."""

    fast: int
    slow: int


class Cross(Strategy):
    """Long above the cross, flat below it."""

    def __init__(self, config: CrossConfig) -> None:
        super().__init__(config)
        self.k_fast, self.k_slow = 2 / (config.fast + 1), 2 / (config.slow + 1)
        self.fast = self.slow = None
        self.long = False
        self.orders = 0

    def on_start(self) -> None:
        """Ask for the quotes."""
        self.subscribe_quote_ticks(ID)

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """Move both averages, and trade where they cross."""
        mid = (tick.bid_price.as_double() + tick.ask_price.as_double()) / 2
        if self.fast is None:
            self.fast = self.slow = mid
            return
        self.fast += (mid - self.fast) * self.k_fast
        self.slow += (mid - self.slow) * self.k_slow
        if self.fast < self.slow if self.long else self.fast > self.slow:
            side = OrderSide.SELL if self.long else OrderSide.BUY
            self.submit_order(self.order_factory.market(ID, side, Quantity.from_int(100)))
            self.long = not self.long
            self.orders += 1


def main() -> None:
    """Run once."""
    count, fast, slow = (int(each) for each in sys.argv[1:])
    logs = LoggingConfig(log_level="OFF", bypass_logging=True)
    engine = BacktestEngine(BacktestEngineConfig(logging=logs, run_analysis=False))
    engine.add_venue(
        VENUE, OmsType.NETTING, AccountType.CASH, [Money(10_000_000, USD)], base_currency=USD
    )
    engine.add_instrument(
        Equity(ID, Symbol("QQQ"), USD, 2, Price.from_str("0.01"), Quantity.from_int(1), 0, 0)
    )
    engine.add_data(
        [
            QuoteTick(
                ID, Price(bid, 2), Price(ask, 2), Quantity(size, 0), Quantity(other, 0), at, at
            )
            for at, bid, ask, size, other in zip(*columns(count), strict=True)
        ]
    )
    strategy = Cross(CrossConfig(fast=fast, slow=slow))
    engine.add_strategy(strategy)
    began = time.process_time()
    engine.run()
    seconds = time.process_time() - began
    pnl = sum(
        (each.realized_pnl.as_decimal() for each in engine.cache.position_snapshots()), Decimal(0)
    )
    pnl += sum((each.realized_pnl.as_decimal() for each in engine.cache.positions()), Decimal(0))
    told = {"seconds": seconds, "orders": strategy.orders, "pnl": str(pnl)}
    print(json.dumps(told | {"version": nautilus_trader.__version__}))


if __name__ == "__main__":
    main()
