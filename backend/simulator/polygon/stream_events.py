"""What the stream's channels tell of a stretch of market time, as the wire spells it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from simulator.option_tape import minutes_of_trades
from simulator.polygon.aggregates import minute_bars
from simulator.polygon.replies import without_nulls
from simulator.polygon.tickers import Named, named
from utils.market_calendar import extended_hours, last_session

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from simulator.option_tape import OptionTape
    from simulator.world import World

WILDCARD_UNDERLYINGS = ("QQQ", "SPY")
"""Whose contracts `AM.*`, `A.*` and `T.*` cover: all contracts of all underlyings would be too much for one
machine."""

_EXCHANGE = 312
_MINUTE = timedelta(minutes=1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, order=True)
class Wanted:
    """One subscription: a kind and a ticker as the wire spells it, or `*`."""

    kind: str
    ticker: str

    @classmethod
    def of(cls, text: str) -> Wanted:
        """Read `Q.O:QQQ251219C00500000`."""
        kind, _, ticker = text.partition(".")
        return cls(kind, ticker)


@dataclass(slots=True)
class StreamTape:
    """One connection's view of the market.

    Args:
        world: Whose market.
        market: options, stocks or indices.
    """

    world: World
    market: str
    _told: dict[Wanted, tuple[Any, ...]] = field(default_factory=dict)
    _sequence: int = 0  # of trades and quotes together, in the order in which they are told
    _frames_of_session: dict[tuple[Any, ...], pl.DataFrame] = field(default_factory=dict)

    def knows(self, wanted: Wanted) -> bool:
        """Return whether there can be such a channel in this market."""
        kinds = {"options": "T Q A AM FMV", "stocks": "T Q A AM", "indices": "A AM V"}
        if wanted.kind not in kinds[self.market].split():
            return False
        if wanted.ticker == "*":
            return wanted.kind not in {"Q", "FMV"}
        found = named(self.world, wanted.ticker)
        if found is None:
            return False
        kind = "options" if found.occ_symbol else "indices" if found.is_index else "stocks"
        return kind == self.market

    def events(
        self, channels: Iterable[Wanted], since: datetime, until: datetime
    ) -> list[dict[str, Any]]:
        """Return what happened in (since, until] on these channels, in its order."""
        by_kind: dict[str, list[Wanted]] = {}
        for channel in channels:
            by_kind.setdefault(channel.kind, []).append(channel)
        found = [
            event
            for kind, wanted in by_kind.items()
            for event in self._of_kind(kind, wanted, since, until)
        ]
        told = [event for _, event in sorted(found, key=lambda pair: pair[0])]
        for event in told:
            if "q" in event:
                self._sequence += 1
                event["q"] = self._sequence
        return told

    def _of_kind(
        self, kind: str, wanted: list[Wanted], since: datetime, until: datetime
    ) -> Iterator[tuple[datetime, dict[str, Any]]]:
        tickers = self._tickers(wanted)
        if kind == "AM":
            yield from self._bars(tickers, since, until)
        elif kind == "A":
            yield from self._second_bars(tickers, since, until)
        elif kind == "T":
            yield from self._trades(tickers, since, until)
        elif kind in {"Q", "FMV"}:
            yield from self._quotes(kind, tickers, until)
        else:
            yield from self._values(tickers, until)

    def _tickers(self, wanted: list[Wanted]) -> list[Named]:
        """Return what is subscribed to; `*` stands for the contracts of a few underlyings."""
        found = [named(self.world, each.ticker) for each in wanted if each.ticker != "*"]
        if any(each.ticker == "*" for each in wanted):
            found += [Named("*", underlying) for underlying in WILDCARD_UNDERLYINGS]
        return [each for each in found if each is not None]

    def _bars(
        self, tickers: list[Named], since: datetime, until: datetime
    ) -> Iterator[tuple[datetime, dict[str, Any]]]:
        """Tell each bar when its minute is over."""
        if until.replace(second=0, microsecond=0) <= since:
            return  # no minute has ended
        for found, frame in self._frames(tickers, "minutes", until):
            bars = frame if frame is not None else self._minutes_of_day(found, until)
            yield from self._aggregates(found, _ended(bars, since, until, _MINUTE), "AM", _MINUTE)

    def _second_bars(
        self, tickers: list[Named], since: datetime, until: datetime
    ) -> Iterator[tuple[datetime, dict[str, Any]]]:
        for found, bars in self._frames(tickers, "seconds", until):
            if bars is not None:
                over = _ended(bars, since, until, _SECOND)
                yield from self._aggregates(found, over, "A", _SECOND)

    def _minutes_of_day(self, found: Named, until: datetime) -> pl.DataFrame:
        """Return an underlying's minutes since its day began, with what ran up until each."""
        day = last_session(until)
        begin, _ = extended_hours(day)
        bars = minute_bars(self.world, found, begin, until).with_columns(
            occ_symbol=pl.lit(None, pl.String)
        )
        opened = pl.col("open").filter(pl.col("ts") >= day.open).first()
        return running(bars).with_columns(day_open=opened)

    def _aggregates(
        self, found: Named, bars: pl.DataFrame, kind: str, length: timedelta
    ) -> Iterator[tuple[datetime, dict[str, Any]]]:
        for row in bars.iter_rows(named=True):
            start = round(row["ts"].timestamp() * 1000)
            symbol = row.get("occ_symbol")
            event: dict[str, Any] = {
                "ev": kind,
                "sym": f"O:{symbol.replace(' ', '')}" if symbol else found.ticker,
                "op": row["day_open"],
                "o": row["open"],
                "c": row["close"],
                "h": row["high"],
                "l": row["low"],
                "s": start,
                "e": start + round(length.total_seconds() * 1000),
            }
            if self.market != "indices":
                vwap = row["vwap"] if row["vwap"] is not None else row["close"]
                event |= {"v": row["volume"], "av": row["day_volume"], "vw": round(vwap, 4)}
                size = row["volume"] // (row["trades"] or 1)
                event |= {"a": round(row["day_vwap"], 4), "z": size}
            yield row["ts"] + length, without_nulls(event)

    def _trades(
        self, tickers: list[Named], since: datetime, until: datetime
    ) -> Iterator[tuple[datetime, dict[str, Any]]]:
        inside = (pl.col("ts") > since) & (pl.col("ts") <= until)
        for _, frame in self._frames(tickers, "trades", until):
            rows = frame.filter(inside) if frame is not None else pl.DataFrame()
            for row in rows.iter_rows(named=True):
                yield (
                    row["ts"],
                    {
                        "ev": "T",
                        "sym": f"O:{row['occ_symbol'].replace(' ', '')}",
                        "x": row["exchange"],
                        "p": row["price"],
                        "s": row["size"],
                        "c": [row["condition"]],
                        "t": round(row["ts"].timestamp() * 1000),
                        "q": 0,
                    },
                )

    def _quotes(
        self, kind: str, tickers: list[Named], until: datetime
    ) -> Iterator[tuple[datetime, dict[str, Any]]]:
        """Tell the quotes that have changed since they were told."""
        for found, at, sides in self._sides(tickers, until):
            wanted = Wanted(kind, found.ticker)
            if self._told.get(wanted) == sides:
                continue
            self._told[wanted] = sides
            bid, ask, bid_size, ask_size = sides
            stamp = round(at.timestamp() * 1000)
            if kind == "FMV":
                fair = round(((bid or 0) + (ask or 0)) / 2, 4)
                yield at, {"ev": "FMV", "sym": found.ticker, "fmv": fair, "t": stamp * 1_000_000}
                continue
            yield (
                at,
                {
                    "ev": "Q",
                    "sym": found.ticker,
                    "bx": _EXCHANGE if bid else 0,
                    "ax": _EXCHANGE if ask else 0,
                    "bp": bid or 0,
                    "ap": ask or 0,
                    "bs": bid_size or 0,
                    "as": ask_size or 0,
                    "t": stamp,
                    "q": 0,
                },
            )

    def _sides(
        self, tickers: list[Named], until: datetime
    ) -> Iterator[tuple[Named, datetime, tuple[Any, ...]]]:
        if self.market == "stocks":
            for found in tickers:
                quote = self.world.quote(found.underlying, until)
                if quote is not None:
                    sides = (quote.bid, quote.ask, quote.bid_size, quote.ask_size)
                    yield found, quote.quote_at, sides
            return
        by_symbol = {found.occ_symbol: found for found in tickers}
        for _, tape, symbols in self._tapes(tickers, until):
            for row in tape.quotes_at(symbols, until).iter_rows(named=True):
                sides = tuple(row[name] for name in ("bid", "ask", "bid_size", "ask_size"))
                yield by_symbol[row["occ_symbol"]], row["ts"], sides

    def _values(
        self, tickers: list[Named], until: datetime
    ) -> Iterator[tuple[datetime, dict[str, Any]]]:
        for found in tickers:
            quote = self.world.quote(found.underlying, until)
            if quote is None or self._told.get(Wanted("V", found.ticker)) == (quote.last,):
                continue
            self._told[Wanted("V", found.ticker)] = (quote.last,)
            stamp = round(quote.trade_at.timestamp() * 1000)
            yield quote.trade_at, {"ev": "V", "val": quote.last, "T": found.ticker, "t": stamp}

    def _frames(
        self, tickers: list[Named], kind: str, until: datetime
    ) -> Iterator[tuple[Named, pl.DataFrame | None]]:
        """Yield each underlying's rows of the options tape; None for other markets."""
        if self.market != "options":
            if kind == "minutes":
                yield from ((found, None) for found in tickers if found.ticker != "*")
            return
        day = last_session(until).day
        for underlying, tape, symbols in self._tapes(tickers, until):
            key = (underlying, day, kind, *symbols)
            if key not in self._frames_of_session:
                self._frames_of_session[key] = _rows_of(tape, kind, symbols).sort("ts")
            yield tickers[0], self._frames_of_session[key]

    def _tapes(
        self, tickers: list[Named], until: datetime
    ) -> Iterator[tuple[str, OptionTape, list[str]]]:
        """Yield the tape of each underlying with the contracts of it that are wanted."""
        symbols: dict[str, list[str]] = {}
        for found in tickers:
            symbols.setdefault(found.underlying, []).append(found.occ_symbol or "*")
        day = last_session(until).day
        for underlying, wanted in symbols.items():
            tape = self.world.tape(underlying, day)
            if tape is not None:
                yield underlying, tape, wanted


def running(bars: pl.DataFrame) -> pl.DataFrame:
    """Add what a day's bars of each contract ran up: day_open, day_volume, day_vwap."""
    volume = pl.col("volume").cum_sum().over("occ_symbol")
    value = pl.coalesce("vwap", "close") * pl.col("volume")
    vwap = value.cum_sum().over("occ_symbol") / volume
    return bars.with_columns(
        day_open=pl.col("open").first().over("occ_symbol"),
        day_volume=volume,
        day_vwap=pl.when(volume > 0).then(vwap).otherwise("close"),
    )


def _rows_of(tape: OptionTape, kind: str, symbols: list[str]) -> pl.DataFrame:
    """Return a session's trades, or its bars of minutes or seconds, of contracts or of all (`*`)."""
    chosen = None if "*" in symbols else symbols
    if kind == "minutes":
        return running(tape.minutes(chosen))
    trades = tape.trades(chosen)
    return running(minutes_of_trades(trades, "1s")) if kind == "seconds" else trades


def _ended(bars: pl.DataFrame, since: datetime, until: datetime, length: timedelta) -> pl.DataFrame:
    """Return the bars whose time was over in (since, until]."""
    return bars.filter((pl.col("ts") > since - length) & (pl.col("ts") <= until - length))
