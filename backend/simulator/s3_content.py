"""Text of Polygon's flat files, made from the simulator's worlds: vendor's header, order and units.

Of the generated world: every so-many-th trade of some underlyings' nearest expirations, the bars
that these trades make (so that minutes add up to days and to trades), quotes every hour, and
bars of the underlyings. Of the recorded world: what was recorded, minute bars and minute quotes.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from black_scholes.synthetic_generator import Request, session_parts, synthetic_market
from models.option_columns import occ_to_polygon
from models.symbols import INDICES
from models.tables import OPTION_QUOTES, OPTION_TRADES
from simulator.split_world import before_split, factor
from utils.market_calendar import NEW_YORK, extended_hours, session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulator.recorded_files import RecordedFolder
    from simulator.world import World

OPTIONS, STOCKS = "us_options_opra", "us_stocks_sip"
KINDS: Final = ("trades_v1", "quotes_v1", "minute_aggs_v1", "day_aggs_v1")
STOCK_KINDS: Final = ("minute_aggs_v1", "day_aggs_v1")

TICKERS: Final = ("AAPL", "QQQ", "SPY", "XSP")
"""Underlyings of the generated world's files."""

_TRADES_EACH = 8_000
_LAST_DTE = 1
_QUOTE_MINUTES = 60
_DECIMAL_SINCE = date(2026, 2, 23)
_AGGS = ("ticker", "volume", "open", "close", "high", "low", "window_start", "transactions")
_TRADES = ("ticker", "conditions", "correction", "exchange", "price", "sip_timestamp", "size")
_QUOTES = (
    "ticker",
    "ask_exchange",
    "ask_price",
    "ask_size",
    "bid_exchange",
    "bid_price",
    "bid_size",
    "sequence_number",
    "sip_timestamp",
)
_MINUTE_NS = 60_000_000_000


class Content:
    """Makes the files of one world, a day at a time.

    Args:
        world: The market.
        seed: Of the generated world.
        recorded: Folder of the recorded world; None for the generated one.
    """

    def __init__(self, world: World, seed: int, recorded: RecordedFolder | None) -> None:
        self._world, self._seed, self._recorded = world, seed, recorded

    def days(self) -> set[date] | None:
        """Return the days that there are files of; None for every session."""
        if self._recorded is None:
            return None
        return {
            day
            for file in self._recorded.files
            if (day := file.day) is not None and file.kind in {"options_trades", "options_quotes"}
        }

    def prefixes(self) -> Iterator[str]:
        """Yield the prefixes that there are files under."""
        for kind in KINDS:
            if self._recorded is None or kind != "trades_v1":
                yield f"{OPTIONS}/{kind}"
        for kind in STOCK_KINDS:
            yield f"{STOCKS}/{kind}"

    def day_files(self, day: date) -> dict[str, str]:
        """Return the text of each prefix's file of a session; one without rows has its header."""
        made = self._of_recordings(day) if self._recorded else self._of_generator(day)
        made[f"{STOCKS}/minute_aggs_v1"] = self._stock_minutes(day)
        made[f"{STOCKS}/day_aggs_v1"] = _days_of(made[f"{STOCKS}/minute_aggs_v1"], day)
        return {prefix: frame.write_csv() for prefix, frame in made.items()}

    def _of_generator(self, day: date) -> dict[str, pl.DataFrame]:
        request = Request(day, day, 0, _LAST_DTE, _QUOTE_MINUTES, trades=True)
        trades, quotes = [], []
        for ticker in TICKERS:
            market = synthetic_market(ticker, seed=self._seed)
            ratio = self._ratio(ticker, day)
            for number in request.sessions():
                for part in session_parts(market, request, number):
                    if part.table == OPTION_TRADES.name:
                        trades.append(before_split(_thin(part.rows), ratio))
                    elif part.table == OPTION_QUOTES.name:
                        quotes.append(before_split(part.rows, ratio))
        ticks = _trades(pl.concat(trades))
        minutes = _minutes_of(ticks)
        return {
            f"{OPTIONS}/trades_v1": ticks.select(*_TRADES).with_columns(_plain("price")),
            f"{OPTIONS}/quotes_v1": _quotes(pl.concat(quotes)),
            f"{OPTIONS}/minute_aggs_v1": minutes,
            f"{OPTIONS}/day_aggs_v1": _days_of(minutes, day),
        }

    def _ratio(self, ticker: str, day: date) -> float:
        """Return the shares that later splits make of one: flat files are never adjusted."""
        instrument = self._world.instrument(ticker)
        return factor(instrument.splits if instrument else (), day)

    def _of_recordings(self, day: date) -> dict[str, pl.DataFrame]:
        assert self._recorded is not None  # noqa: S101 - the caller looked
        bars: list[pl.DataFrame] = []
        quotes: list[pl.DataFrame] = []
        for file in self._recorded.files:
            if file.day == day and file.kind in {"options_trades", "options_quotes"}:
                rows = self._recorded.read(file.symbol, file.kind, day)
                if rows is not None:
                    (bars if file.kind == "options_trades" else quotes).append(_named(rows))
        minutes = _recorded_minutes(bars)
        return {
            f"{OPTIONS}/quotes_v1": _recorded_quotes(quotes),
            f"{OPTIONS}/minute_aggs_v1": minutes,
            f"{OPTIONS}/day_aggs_v1": _days_of(minutes, day),
        }

    def _stock_minutes(self, day: date) -> pl.DataFrame:
        begin, end = extended_hours(session(day))
        parts = []
        for ticker in self._world.tickers() if self._recorded else TICKERS:
            if ticker not in INDICES:
                bars = self._world.bars(ticker, begin, end, "1m")
                parts.append(bars.with_columns(ticker=pl.lit(ticker)))
        bars = pl.concat(parts).filter(pl.col("volume") > 0).sort("ticker", "ts")
        # The share of fractional trades is a guess; that volumes have decimals is certain.
        fraction = (pl.col("volume") % 97) / 1000 if day >= _DECIMAL_SINCE else pl.lit(0)
        volume = (pl.col("volume") + fraction).round(6)
        return bars.select(
            "ticker",
            volume=volume if day >= _DECIMAL_SINCE else pl.col("volume"),
            open="open",
            close="close",
            high="high",
            low="low",
            window_start=_ns("ts"),
            transactions=(pl.col("volume") // 120 + 1).cast(pl.Int64),
        )


def _thin(rows: pl.DataFrame) -> pl.DataFrame:
    """Return every so-many-th trade, so that a day's files stay small."""
    return rows.gather_every(max(rows.height // _TRADES_EACH, 1)).head(_TRADES_EACH)


def _trades(rows: pl.DataFrame) -> pl.DataFrame:
    number = pl.int_range(pl.len())
    return (
        rows.with_columns(ticker=occ_to_polygon(rows["occ_symbol"]))
        .with_columns(
            conditions=pl.when(number % 11 == 0).then(227).otherwise(209),
            correction=pl.lit(0),
            exchange=300 + pl.col("sequence") % 21,
            sip_timestamp=_ns("ts") + pl.col("sequence") * 7919 % 1000,
        )
        .sort("ticker", "sip_timestamp", maintain_order=True)
    )


def _minutes_of(trades: pl.DataFrame) -> pl.DataFrame:
    minute = pl.col("sip_timestamp") // _MINUTE_NS * _MINUTE_NS
    return (
        trades.group_by("ticker", window_start=minute, maintain_order=True)
        .agg(
            volume=pl.col("size").sum(),
            open=pl.col("price").first(),
            close=pl.col("price").last(),
            high=pl.col("price").max(),
            low=pl.col("price").min(),
            transactions=pl.len(),
        )
        .select(*_AGGS)
    )


def _days_of(minutes: pl.DataFrame, day: date) -> pl.DataFrame:
    midnight = datetime.combine(day, time(), NEW_YORK).astimezone(UTC)
    start = round((midnight - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1_000_000_000
    return (
        minutes.group_by("ticker", maintain_order=True)
        .agg(
            pl.col("volume").sum(),
            pl.col("open").first(),
            pl.col("close").last(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("transactions").sum(),
        )
        .with_columns(window_start=pl.lit(start, pl.Int64), volume=pl.col("volume").round(6))
        .select(*_AGGS)
    )


def _quotes(rows: pl.DataFrame) -> pl.DataFrame:
    number = pl.int_range(pl.len(), dtype=pl.Int64)
    return (
        rows.with_columns(ticker=occ_to_polygon(rows["occ_symbol"]))
        .sort("ticker", "ts")
        .with_columns(
            sequence_number=1_000_000 + number * 13,
            sip_timestamp=_ns("ts") + number * 7919 % 1_000_000_000,
            ask_exchange=pl.when(pl.col("ask").is_null()).then(0).otherwise(300 + number % 21),
            bid_exchange=pl.when(pl.col("bid").is_null()).then(0).otherwise(300 + number % 19),
        )
        .select(
            "ticker",
            "ask_exchange",
            _plain("ask").fill_null("0").alias("ask_price"),
            pl.when(pl.col("ask").is_null())
            .then(0)
            .otherwise(pl.col("ask_size"))
            .alias("ask_size"),
            "bid_exchange",
            _plain("bid").fill_null("0").alias("bid_price"),
            pl.when(pl.col("bid").is_null())
            .then(0)
            .otherwise(pl.col("bid_size"))
            .alias("bid_size"),
            "sequence_number",
            "sip_timestamp",
        )
    )


def _named(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(ticker=occ_to_polygon(rows["symbol"]), occ_symbol=pl.col("symbol"))


def _recorded_minutes(parts: list[pl.DataFrame]) -> pl.DataFrame:
    kinds = dict.fromkeys(_AGGS[1:6], pl.Float64()) | {"window_start": pl.Int64()}
    if not parts:
        return pl.DataFrame(schema={"ticker": pl.String(), **kinds, "transactions": pl.Int64()})
    rows = pl.concat(parts, how="diagonal").sort("ticker", "ts")
    # How many trades made a bar was not recorded: one is what is certain.
    return rows.with_columns(window_start=_ns("ts"), transactions=pl.lit(1)).select(*_AGGS)


def _recorded_quotes(parts: list[pl.DataFrame]) -> pl.DataFrame:
    if not parts:
        return pl.DataFrame(schema=dict.fromkeys(_QUOTES, pl.String()))
    rows = pl.concat(parts, how="diagonal").with_columns(
        ts=pl.col("ts") + timedelta(minutes=1),  # the quote that a minute closed with
        bid="bid_close",
        ask="ask_close",
    )
    return _quotes(rows)


def _ns(column: str) -> pl.Expr:
    return pl.col(column).dt.timestamp("ns")


def _plain(column: str) -> pl.Expr:
    """A price as the vendor writes it: 143 and not 143.0."""
    return pl.col(column).cast(pl.String).str.replace(r"\.0$", "").alias(column)
