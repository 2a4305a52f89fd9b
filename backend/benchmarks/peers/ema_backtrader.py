"""The EMA cross of the benchmark in backtrader: QUOTES FAST SLOW; prints orders and CPU seconds."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime

import backtrader as bt
from ema_quotes import columns


class Quotes(bt.feed.DataBase):
    """Lines from columns of quotes."""

    lines = ("bid", "ask")
    params = (("columns", None),)

    def start(self) -> None:
        """Begin with the first quote."""
        super().start()
        self.rows = zip(*self.p.columns[:3], strict=True)

    def _load(self) -> bool:
        row = next(self.rows, None)
        if row is None:
            return False
        time_ns, bid, ask = row
        self.lines.datetime[0] = bt.date2num(datetime.fromtimestamp(time_ns / 1e9, UTC))
        mid = (bid + ask) / 2
        for line in (self.lines.open, self.lines.high, self.lines.low, self.lines.close):
            line[0] = mid
        self.lines.bid[0], self.lines.ask[0] = bid, ask
        return True


class Cross(bt.Strategy):
    """Long above the cross, flat below it."""

    params = (("fast", 100), ("slow", 1000))

    def __init__(self) -> None:
        self.k_fast, self.k_slow = 2 / (self.p.fast + 1), 2 / (self.p.slow + 1)
        self.fast = self.slow = None
        self.long = False
        self.orders = 0

    def next(self) -> None:
        """Move both averages, and trade where they cross."""
        mid = (self.data.bid[0] + self.data.ask[0]) / 2
        if self.fast is None:
            self.fast = self.slow = mid
            return
        self.fast += (mid - self.fast) * self.k_fast
        self.slow += (mid - self.slow) * self.k_slow
        if self.fast < self.slow if self.long else self.fast > self.slow:
            self.sell(size=100) if self.long else self.buy(size=100)
            self.long = not self.long
            self.orders += 1


def main() -> None:
    """Run once."""
    count, fast, slow = (int(each) for each in sys.argv[1:])
    rows = columns(count)
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(Quotes(columns=rows))
    cerebro.addstrategy(Cross, fast=fast, slow=slow)
    cerebro.broker.setcash(10_000_000)
    began = time.process_time()
    (ran,) = cerebro.run(runonce=False, preload=False)
    seconds = time.process_time() - began
    print(json.dumps({"seconds": seconds, "orders": ran.orders, "version": bt.__version__}))


if __name__ == "__main__":
    main()
