"""Two short sessions in memory as a store: bars of a ticker and minute quotes of its contracts."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from app.backtest_events import StoredMarket
from utils.market_calendar import sessions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from models.tables import Frame, Where

DAYS = (date(2026, 11, 19), date(2026, 11, 20))
MINUTES = 50


class MemoryStore:
    """The reading half of a `ports.store.Store`."""

    def __init__(self, frames: dict[str, Frame]) -> None:
        self.frames = frames

    def read(
        self, table: str, where: Where | None = None, columns: Sequence[str] | None = None
    ) -> Frame:
        frame = self.frames[table]
        for name, value in (where or {}).items():
            frame = frame.filter(pl.col(name) == value)
        return frame.select(columns) if columns else frame

    def upsert(self, *_: Any, **__: Any) -> int:
        raise NotImplementedError

    def newest(self, *_: Any, **__: Any) -> datetime | None:
        raise NotImplementedError

    def coverage(self, *_: Any, **__: Any) -> Frame:
        raise NotImplementedError


def worth(spot: float, strike: float, right: str, years: float) -> float:
    """Return a plausible price: intrinsic value and what time is worth near the money."""
    inner = max(spot - strike if right == "C" else strike - spot, 0.0)
    wide = spot * 0.2 * math.sqrt(years)
    return inner + 0.4 * wide * math.exp(-(((spot - strike) / wide) ** 2) / 2)


def stored_day(seed: int = 1) -> dict[str, Frame]:
    """Return bars and quotes by table."""
    chance = np.random.default_rng(seed)
    bars: list[dict[str, Any]] = []
    quotes: list[dict[str, Any]] = []
    spot = 600.0
    stamps = {"underlying": "QQQ", "source": "synthetic", "origin": "simulator"}
    for session in sessions(*DAYS):
        for minute in range(MINUTES):
            ts = session.open + timedelta(minutes=minute)
            opened, spot = spot, spot + float(chance.normal(0, 0.4))
            prices = {"open": opened, "high": max(opened, spot), "low": min(opened, spot)}
            bars.append(
                stamps | prices
                | {"session": session.day, "interval": "1m", "ts": ts, "close": spot, "volume": 100.0}
            )  # fmt: skip
            end = ts + timedelta(minutes=1)
            years = (session.close - end).total_seconds() / 86_400 / 365
            for strike in range(591, 610):
                for right in "CP":
                    mid = worth(spot, strike, right, years)
                    bid = max(math.floor(mid * 100) - 1, 0) / 100
                    quotes.append(
                        stamps
                        | {
                            "session": session.day,
                            "ts": end,
                            "occ_symbol": f"QQQ   {session.day:%y%m%d}{right}{strike * 1000:08d}",
                            "expiration": session.day,
                            "strike": float(strike),
                            "bid": bid or None,
                            "ask": round(bid + 0.02, 2),
                            "bid_size": 20,
                            "ask_size": 20,
                        }
                    )
    return {"equity_bars": pl.DataFrame(bars), "option_quotes": pl.DataFrame(quotes)}


def market_of(frames: dict[str, Frame]) -> StoredMarket:
    return StoredMarket(
        MemoryStore(frames), tuple(sessions(*DAYS)), "synthetic", "simulator", spread=0.02
    )
