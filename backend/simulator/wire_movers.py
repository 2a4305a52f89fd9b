"""Movers as Schwab sends them, drawn from the world's own tickers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from simulator import schwab_facts as facts
from simulator.wire_quotes import contract_description
from simulator.wire_symbols import spelled
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from simulator.world import World

UNIVERSES = frozenset(
    {"$DJI", "$COMPX", "$SPX", "NYSE", "NASDAQ", "OTCBB", "INDEX_ALL", "EQUITY_ALL"}
)
OPTION_UNIVERSES = {"OPTION_ALL": "CP", "OPTION_PUT": "P", "OPTION_CALL": "C"}
SORTS = ("VOLUME", "TRADES", "PERCENT_CHANGE_UP", "PERCENT_CHANGE_DOWN")
SCREENER_SORTS = (*SORTS, "AVERAGE_PERCENT_VOLUME")
"""What the streamer's screeners can be sorted by."""
FREQUENCIES = frozenset({"0", "1", "5", "10", "30", "60"})

_EXCHANGES = {"$COMPX": "Q", "NASDAQ": "Q", "NYSE": "NPA", "OTCBB": "9"}
_OPTION_DAYS = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Mover:
    """One candidate.

    Attributes:
        symbol: As on the wire.
        description: Its name.
        volume: Shares or contracts of this session.
        last: Last trade, USD.
        close: Of the previous session, USD; 0 if not known.
        average_volume: Shares a session over ten of them; 0 if not known.
    """

    symbol: str
    description: str
    volume: int
    last: float
    close: float
    average_volume: float = 0.0

    @property
    def volume_share(self) -> float:
        """Volume as a fraction of the usual one; 0 where that is not known."""
        return self.volume / self.average_volume if self.average_volume else 0.0

    @property
    def change(self) -> float:
        """Net change as a fraction of the previous close."""
        return (self.last - self.close) / self.close if self.close else 0.0


def movers_reply(world: World, universe: str, sort: str, now: datetime) -> dict[str, Any]:
    """Return the body of a reply to `/movers/{symbol_id}`.

    Args:
        world: Whose tickers compete.
        universe: One of `UNIVERSES` or `OPTION_UNIVERSES`.
        sort: One of `SORTS`.
        now: Market time.
    """
    return {"screeners": screener_items(world, universe, sort, now)}


def screener_items(world: World, universe: str, sort: str, now: datetime) -> list[dict[str, Any]]:
    """Return the best of a universe, as `movers_reply` and the streamer's screeners tell them.

    Args:
        world: Whose tickers compete.
        universe: One of `UNIVERSES` or `OPTION_UNIVERSES`.
        sort: One of `SCREENER_SORTS`.
        now: Market time.
    """
    candidates = (
        _options(world, OPTION_UNIVERSES[universe], now)
        if universe in OPTION_UNIVERSES
        else _equities(world, _EXCHANGES.get(universe), now)
    )
    total = sum(mover.volume for mover in candidates)
    order = _ORDER[sort]
    best = sorted(candidates, key=lambda mover: (order(mover), mover.symbol))[: facts.MOVERS]
    return [_screener(mover, total) for mover in best]


_ORDER: dict[str, Callable[[Mover], float]] = {
    "VOLUME": lambda mover: -mover.volume,
    "TRADES": lambda mover: -_trades(mover),
    "PERCENT_CHANGE_UP": lambda mover: -mover.change,
    "PERCENT_CHANGE_DOWN": lambda mover: mover.change,
    "AVERAGE_PERCENT_VOLUME": lambda mover: -mover.volume_share,
}


def _trades(mover: Mover) -> int:
    return mover.volume // facts.MOVERS_TRADE_SIZE


def _screener(mover: Mover, total: int) -> dict[str, Any]:
    return {
        "description": mover.description,
        "volume": mover.volume,
        "lastPrice": mover.last,
        "netChange": round(mover.last - mover.close, 4),
        "marketShare": round(mover.volume / total * 100, 2) if total else 0.0,
        "totalVolume": total,
        "trades": _trades(mover),
        "netPercentChange": round(mover.change, 4),
        "symbol": mover.symbol,
    }


def _equities(world: World, exchanges: str | None, now: datetime) -> list[Mover]:
    movers = []
    for ticker in world.tickers():
        instrument = world.instrument(ticker)
        if instrument is None or instrument.asset_type == "INDEX":
            continue
        if exchanges is not None and instrument.exchange not in exchanges:
            continue
        quote = world.quote(ticker, now)
        if quote is not None:
            movers.append(
                Mover(
                    spelled(instrument),
                    instrument.description,
                    quote.volume,
                    quote.last,
                    quote.close,
                    quote.average_volume_10_days,
                )
            )
    return movers


def _options(world: World, rights: str, now: datetime) -> list[Mover]:
    """Return the contracts of the next days on the most active underlyings."""
    busiest = sorted(_equities(world, None, now), key=lambda mover: -mover.volume)
    today = now.astimezone(NEW_YORK).date()
    movers: list[Mover] = []
    for underlying in busiest[: facts.OPTION_MOVERS_UNDERLYINGS]:
        ticker = underlying.symbol.replace("/", ".")
        chain = world.chain(ticker, now, today, today + _OPTION_DAYS)
        traded = chain.filter(pl.col("right").is_in(list(rights)) & (pl.col("volume") > 0))
        movers.extend(
            Mover(
                row["occ_symbol"],
                contract_description(row["root"], row["expiration"], row["strike"], row["right"]),
                row["volume"],
                row["last"] or row["mark"],
                row["close"] or 0.0,
            )
            for row in traded.iter_rows(named=True)
        )
    return movers
