"""Splits of shares: a world as it was traded before them, and prices as services adjust them.

The world beneath is smooth and in the shares of after the last split. Before a split of 4 for 1 its
prices are four times as high, its volumes a quarter, and its options have four times the strike, under
another symbol: as the options clearing corporation adjusts contracts where the ratio is whole.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl

from models.errors import ConfigError
from models.option_columns import format_occ, parse_occ
from simulator.world import Split, UnderlyingQuote
from utils.market_calendar import NEW_YORK, is_session, last_session

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from simulator.option_tape import OptionTape
    from simulator.world import Instrument, World

_SPLIT = re.compile(r"([A-Z.]{1,6}):(\d{4}-\d{2}-\d{2}):(\d{1,3}):(\d{1,3})")
_PRICES = ("open", "high", "low", "close", "bid", "ask", "last", "mark", "price", "vwap", "strike")
_WITH_PRICE = ("theta", "vega", "rho")
_AGAINST_PRICE = ("gamma",)


def parse_split(text: str) -> tuple[str, Split]:
    """Read `TICKER:EX-DATE:NEW:OLD`, as `QQQ:2026-11-18:4:1`.

    Raises:
        ConfigError: It is none, or not of a session.
    """
    found = _SPLIT.fullmatch(text)
    try:
        day = date.fromisoformat(found[2]) if found else None
    except ValueError:
        day = None
    if found is None or day is None or not is_session(day):
        raise ConfigError(
            f"--split {text!r}: give TICKER:EX-DATE:NEW:OLD, as QQQ:2026-11-18:4:1, of a session"
        )
    new, old = int(found[3]), int(found[4])
    if not old or not new or new % old or new == old:
        raise ConfigError(
            f"--split {text!r}: a whole number of new shares for each old one is split here, as 4:1; "
            "of others options keep their strikes under a root of their own, which is not simulated"
        )
    return found[1], Split(day, float(new), float(old))


def factor(splits: Iterable[Split], day: date, known_at: date = date.max) -> float:
    """Return what a share of a day became by another: splits with day < ex-date <= known_at."""
    ratio = 1.0
    for each in splits:
        if day < each.ex_date <= known_at:
            ratio *= each.split_to / each.split_from
    return ratio


def adjusted(bars: pl.DataFrame, splits: Sequence[Split], known_at: datetime) -> pl.DataFrame:
    """Return bars in the shares of a moment, as services serve them.

    Args:
        bars: As they were traded: `ts`, prices, volume.
        splits: Of their ticker.
        known_at: The market's time.
    """
    until = known_at.astimezone(NEW_YORK).date()
    return _by_day(bars, dict.fromkeys(splits, until), back=True)


class SplitWorld:
    """A world some of whose tickers were split; implements `simulator.world.World`.

    Args:
        world: Smooth, in the shares of after the splits.
        splits: Ticker and split, in any order.
    """

    def __init__(self, world: World, splits: Iterable[tuple[str, Split]]) -> None:
        self._world = world
        self._splits: dict[str, list[Split]] = defaultdict(list)
        for ticker, split in splits:
            self._splits[ticker].append(split)

    @property
    def name(self) -> str:
        """Of the world beneath."""
        return self._world.name

    @property
    def origin(self) -> str:
        """Of the world beneath."""
        return self._world.origin

    def tickers(self) -> Sequence[str]:
        """Return the known tickers."""
        return self._world.tickers()

    def instrument(self, ticker: str) -> Instrument | None:
        """Return a ticker's listing, its splits and its dividends as they were paid."""
        found = self._world.instrument(ticker)
        splits = tuple(sorted(self._splits.get(ticker, ()), key=lambda each: each.ex_date))
        if found is None or not splits:
            return found
        paid = tuple(
            replace(each, amount=each.amount * factor(splits, each.ex_date))
            for each in found.dividends
        )
        return replace(found, splits=splits, dividends=paid)

    def default_start(self, now: datetime) -> datetime:
        """Return where a replay starts when nobody said."""
        return self._world.default_start(now)

    def bars(self, ticker: str, start: datetime, end: datetime, interval: str) -> pl.DataFrame:
        """Return bars as they were traded."""
        bars = self._world.bars(ticker, start, end, interval)
        splits = self._splits.get(ticker)
        return _by_day(bars, dict.fromkeys(splits, date.max)) if splits else bars

    def quote(self, ticker: str, now: datetime) -> UnderlyingQuote | None:
        """Return the quote in the shares of `now`."""
        found = self._world.quote(ticker, now)
        ratio = self._at(ticker, now)
        if found is None or ratio == 1.0:
            return found
        sizes = ("bid_size", "ask_size", "last_size", "volume", "regular_last_size")
        prices = ("bid", "ask", "last", "open", "high", "low", "close", "regular_last")
        extremes = ("high_52_week", "low_52_week")
        averages = ("average_volume_10_days", "average_volume_1_year")
        changes: dict[str, Any] = {}
        for name in (*prices, *extremes):
            price = getattr(found, name)
            if price is not None:
                changes[name] = round(price * ratio, 4)
        changes |= {name: max(int(getattr(found, name) / ratio), 1) for name in sizes}
        changes |= {name: getattr(found, name) / ratio for name in averages}
        return replace(found, **changes)

    def chain(
        self, ticker: str, now: datetime, first_expiration: date, last_expiration: date
    ) -> pl.DataFrame:
        """Return the chain with the strikes of `now`."""
        found = self._world.chain(ticker, now, first_expiration, last_expiration)
        return before_split(found, self._at(ticker, now))

    def tape(self, ticker: str, day: date) -> OptionTape | None:
        """Return the options tape with the strikes of a day."""
        found = self._world.tape(ticker, day)
        ratio = factor(self._splits.get(ticker, ()), day)
        return found if found is None or ratio == 1.0 else SplitTape(found, ratio)

    def interest_rate(self, now: datetime) -> float:
        """Return the short rate."""
        return self._world.interest_rate(now)

    def _at(self, ticker: str, now: datetime) -> float:
        """Return the ratio of the session that `now` belongs to; over night that of the last one."""
        splits = self._splits.get(ticker)
        if not splits:
            return 1.0
        today = now.astimezone(NEW_YORK).date()
        return factor(splits, today if is_session(today) else last_session(now).day)


class SplitTape:
    """The tape of a session before a split; implements `simulator.option_tape.OptionTape`.

    Args:
        tape: In the shares of after it.
        ratio: New shares for an old one.
    """

    def __init__(self, tape: OptionTape, ratio: float) -> None:
        self._tape, self._ratio = tape, ratio
        self._symbols = _renamed(tape.symbols, ratio)
        self._beneath = dict(zip(self._symbols, tape.symbols, strict=True))

    @property
    def symbols(self) -> pl.Series:
        """OCC symbols of all listed contracts, sorted."""
        return self._symbols.sort()

    def trades(self, symbols: Sequence[str] | None = None) -> pl.DataFrame:
        """Return every trade."""
        return self._as_traded(self._tape.trades(self._named(symbols)))

    def quotes(self, symbols: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the quote that ends each minute."""
        return self._as_traded(self._tape.quotes(self._named(symbols)))

    def quotes_at(self, symbols: Sequence[str], now: datetime) -> pl.DataFrame:
        """Return the quotes as they stand at a moment."""
        named = [self._beneath[each] for each in symbols if each in self._beneath]
        return self._as_traded(self._tape.quotes_at(named, now))

    def minutes(self, symbols: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the bars of minutes."""
        return self._as_traded(self._tape.minutes(self._named(symbols)))

    def _named(self, symbols: Sequence[str] | None) -> list[str] | None:
        if symbols is None:
            return None
        return [self._beneath[each] for each in symbols if each in self._beneath]

    def _as_traded(self, rows: pl.DataFrame) -> pl.DataFrame:
        return before_split(rows, self._ratio)


def before_split(rows: pl.DataFrame, ratio: float) -> pl.DataFrame:
    """Return rows of options, by `occ_symbol`, with the symbols and prices of before a split."""
    if ratio == 1.0 or rows.is_empty():
        return rows
    names = _renamed(rows["occ_symbol"], ratio).alias("occ_symbol")
    return _scaled(rows, ratio).with_columns(names)


def _renamed(symbols: pl.Series, ratio: float) -> pl.Series:
    """Return the OCC symbols that contracts had before a split."""
    unique = symbols.unique()
    parts = parse_occ(unique)
    names = format_occ(parts["root"], parts["expiration"], parts["strike"] * ratio, parts["right"])
    return symbols.replace_strict(unique, names, return_dtype=pl.String())


def _scaled(rows: pl.DataFrame, ratio: float) -> pl.DataFrame:
    """Return rows of options in the shares of before a split."""
    times = [(pl.col(name) * ratio).round(4) for name in _PRICES if name in rows.columns]
    more = [pl.col(name) * ratio for name in _WITH_PRICE if name in rows.columns]
    less = [pl.col(name) / ratio for name in _AGAINST_PRICE if name in rows.columns]
    return rows.with_columns(*times, *more, *less)


def _by_day(bars: pl.DataFrame, until: dict[Split, date], *, back: bool = False) -> pl.DataFrame:
    """Return bars in other shares: prices times (or `back`, over) what later splits make of each."""
    day = pl.col("ts").dt.convert_time_zone("America/New_York").dt.date()
    ratio = pl.lit(1.0)
    for split, known_at in until.items():
        if split.ex_date <= known_at:
            change = split.split_to / split.split_from
            ratio = ratio * pl.when(day < split.ex_date).then(change).otherwise(1.0)
    ratio = 1 / ratio if back else ratio
    prices = [
        (pl.col(name) * ratio).round(4)
        for name in ("open", "high", "low", "close", "vwap")
        if name in bars.columns
    ]
    volume = (pl.col("volume") / ratio).round().cast(pl.Int64)
    return bars.with_columns(*prices, volume)
