"""The columns, types, units and keys of every stored table, stated once.

The migrations in `supabase/migrations/` are checked against this module by a test, the data
dictionary in `docs/` is generated from it, and the database client takes types and keys from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

if TYPE_CHECKING:
    import polars as pl

Frame: TypeAlias = "pl.DataFrame"
"""Many rows: one Polars frame whose column names are those of a table."""

SOURCES = ("schwab", "polygon", "synthetic")
"""Who made a row of market data."""

ORIGINS = ("live", "simulator", "recorded")
"""Where a row of market data came from: a real service, the simulator's generated world, or the
simulator replaying a real session. A reader never mixes them."""


class Kind(StrEnum):
    """Type of a column. The value is its PostgreSQL type."""

    TEXT = "text"
    BOOL = "boolean"
    SMALLINT = "smallint"
    INT = "integer"
    BIGINT = "bigint"
    FLOAT = "double precision"
    MONEY = "numeric(18,6)"
    DATE = "date"
    TIMESTAMP = "timestamp with time zone"
    JSON = "jsonb"


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: Its name, also in frames.
        kind: Its type.
        note: What it holds, with the unit.
        nullable: Whether it may be missing; a key column never is.
    """

    name: str
    kind: Kind
    note: str
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes:
        name: Its name.
        note: What one row is.
        key: Primary key, in index order.
        columns: All columns, in order.
        partition: Column that cuts it into monthly partitions, if any.
    """

    name: str
    note: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    partition: str | None = None

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns, in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """Return the column of this name.

        Raises:
            KeyError: There is none.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


def frame_schema(table: Table) -> dict[str, pl.DataType]:
    """Return the Polars type of each column, as frames that go into or come out of a store have it.

    Money is `Decimal(18, 6)`, times are microseconds in UTC, JSON is text.
    """
    import polars as pl  # noqa: PLC0415 - 0.2 s that a reader of names alone need not pay

    types: dict[Kind, pl.DataType] = {
        Kind.TEXT: pl.String(),
        Kind.BOOL: pl.Boolean(),
        Kind.SMALLINT: pl.Int16(),
        Kind.INT: pl.Int32(),
        Kind.BIGINT: pl.Int64(),
        Kind.FLOAT: pl.Float64(),
        Kind.MONEY: pl.Decimal(18, 6),
        Kind.DATE: pl.Date(),
        Kind.TIMESTAMP: pl.Datetime("us", "UTC"),
        Kind.JSON: pl.String(),
    }
    return {column.name: types[column.kind] for column in table.columns}


Scalar: TypeAlias = str | int | float | bool | date | datetime | Decimal
S_co = TypeVar("S_co", bound=Scalar, covariant=True)


@dataclass(frozen=True, slots=True)
class Range(Generic[S_co]):
    """A half-open range `start <= value < end`; None leaves a side open."""

    start: S_co | None = None
    end: S_co | None = None


Where: TypeAlias = Mapping[str, "Scalar | Sequence[Scalar] | Range[Scalar] | None"]
"""A condition on rows: column -> equal to a value, one of a sequence, inside a `Range`, or null.
All columns must match."""


def _col(name: str, kind: Kind, note: str) -> Column:
    return Column(name, kind, note)


def _opt(name: str, kind: Kind, note: str) -> Column:
    return Column(name, kind, note, nullable=True)


_SOURCE = _col("source", Kind.TEXT, "who made the row: schwab, polygon or synthetic")
_ORIGIN = _col("origin", Kind.TEXT, "where it came from: live, simulator or recorded")
_OCC = _col("occ_symbol", Kind.TEXT, "OCC symbol, 21 characters")
_UNDERLYING = _col("underlying", Kind.TEXT, "symbol of the underlying, as SPX for $SPX")
_SESSION = _col("session", Kind.DATE, "exchange day, New York")

_CONTRACT = (
    _col("expiration", Kind.DATE, "last trading day"),
    _col("strike", Kind.FLOAT, "USD"),
    _col("right", Kind.TEXT, "C or P"),
)

_OHLC = (
    _col("open", Kind.FLOAT, "USD"),
    _col("high", Kind.FLOAT, "USD"),
    _col("low", Kind.FLOAT, "USD"),
    _col("close", Kind.FLOAT, "USD"),
)

UNDERLYINGS = Table(
    "underlyings",
    "one tradable underlying",
    ("underlying", "source", "origin"),
    (
        _UNDERLYING,
        _opt("description", Kind.TEXT, "name"),
        _opt("asset_type", Kind.TEXT, "EQUITY, ETF or INDEX"),
        _opt("exchange", Kind.TEXT, "listing exchange, the source's name for it"),
        _opt("dividend_yield", Kind.FLOAT, "a year, 0.01 = 1 %, as the source states it"),
        _opt("dividend_amount", Kind.FLOAT, "USD a year and share"),
        _opt("dividend_frequency", Kind.SMALLINT, "payments a year"),
        _opt("next_dividend_ex_date", Kind.DATE, "next ex-dividend date"),
        _col("updated_at", Kind.TIMESTAMP, "when the source was asked, market time"),
        _SOURCE,
        _ORIGIN,
    ),
)

OPTION_CONTRACTS = Table(
    "option_contracts",
    "one listed option contract",
    ("occ_symbol", "source", "origin"),
    (
        _OCC,
        _UNDERLYING,
        _col("root", Kind.TEXT, "option root: SPXW, AAPL1"),
        *_CONTRACT,
        _col("multiplier", Kind.FLOAT, "shares or dollars a point"),
        _opt("exercise_style", Kind.TEXT, "A American, E European"),
        _opt("settlement", Kind.TEXT, "AM or PM"),
        _opt("expiration_type", Kind.TEXT, "S standard, W weekly, M end of month, Q quarterly"),
        _col("first_seen", Kind.DATE, "first session in which it was downloaded"),
        _SOURCE,
        _ORIGIN,
    ),
)

EQUITY_BARS = Table(
    "equity_bars",
    "one bar of an underlying",
    ("ts", "underlying", "interval", "source", "origin"),
    (
        _col("ts", Kind.TIMESTAMP, "bar start, UTC; of a daily bar the session's open"),
        _UNDERLYING,
        _col("interval", Kind.TEXT, "1m, 5m, 10m, 15m, 30m, 1d, 1w"),
        _SESSION,
        *_OHLC,
        _col("volume", Kind.BIGINT, "shares"),
        _opt("vwap", Kind.FLOAT, "USD"),
        _opt("trades", Kind.INT, "number of trades"),
        _SOURCE,
        _ORIGIN,
    ),
    partition="ts",
)

OPTION_BARS = Table(
    "option_bars",
    "one bar of an option contract",
    ("ts", "occ_symbol", "interval", "source", "origin"),
    (
        _col("ts", Kind.TIMESTAMP, "bar start, UTC"),
        _OCC,
        _col("interval", Kind.TEXT, "1m, 5m, 10m, 15m, 30m, 1d"),
        _UNDERLYING,
        _SESSION,
        *_OHLC,
        _col("volume", Kind.BIGINT, "contracts"),
        _opt("vwap", Kind.FLOAT, "USD"),
        _opt("trades", Kind.INT, "number of trades"),
        _opt("implied_volatility", Kind.FLOAT, "of the close, 0.20 = 20 %"),
        _opt("delta", Kind.FLOAT, "of the close"),
        _opt("gamma", Kind.FLOAT, "of the close, per USD"),
        _opt("theta_per_day", Kind.FLOAT, "of the close, USD a calendar day"),
        _opt("vega_per_point", Kind.FLOAT, "of the close, USD a volatility point"),
        _SOURCE,
        _ORIGIN,
    ),
    partition="ts",
)

OPTION_QUOTES = Table(
    "option_quotes",
    "one contract of one chain snapshot",
    ("ts", "occ_symbol", "source", "origin"),
    (
        _col("ts", Kind.TIMESTAMP, "time of the snapshot, UTC"),
        _OCC,
        _UNDERLYING,
        _SESSION,
        *_CONTRACT,
        _opt("bid", Kind.FLOAT, "USD; null: nobody bids"),
        _opt("ask", Kind.FLOAT, "USD; null: nobody offers"),
        _opt("last", Kind.FLOAT, "USD, last trade"),
        _opt("mark", Kind.FLOAT, "USD, the broker's mark"),
        _opt("bid_size", Kind.INT, "contracts"),
        _opt("ask_size", Kind.INT, "contracts"),
        _opt("volume", Kind.BIGINT, "contracts, this session"),
        _opt("open_interest", Kind.BIGINT, "contracts, of the previous session"),
        _opt("quote_at", Kind.TIMESTAMP, "time of the quote, UTC"),
        _opt("trade_at", Kind.TIMESTAMP, "time of the last trade, UTC"),
        _opt("underlying_price", Kind.FLOAT, "USD, at the snapshot"),
        _opt("source_implied_volatility", Kind.FLOAT, "as the source states it, 0.20 = 20 %"),
        _opt("source_delta", Kind.FLOAT, "as the source states it"),
        _opt("year_fraction", Kind.FLOAT, "to expiration, calendar minutes / 525,600"),
        _opt("forward", Kind.FLOAT, "USD, of the expiration, from put-call parity"),
        _opt("risk_free_rate", Kind.FLOAT, "continuous, a year, used for the figures below"),
        _opt("implied_volatility", Kind.FLOAT, "of the mid, 0.20 = 20 %"),
        _opt("implied_volatility_status", Kind.TEXT, "ok, or why there is none"),
        _opt("delta", Kind.FLOAT, "per USD"),
        _opt("gamma", Kind.FLOAT, "per USD squared"),
        _opt("theta_per_day", Kind.FLOAT, "USD a calendar day"),
        _opt("vega_per_point", Kind.FLOAT, "USD a volatility point"),
        _opt("rho_per_point", Kind.FLOAT, "USD a percentage point of the rate"),
        _opt("flags", Kind.TEXT, "quality flags, comma separated: no_bid, locked, crossed, wide"),
        _SOURCE,
        _ORIGIN,
    ),
    partition="ts",
)

OPTION_TRADES = Table(
    "option_trades",
    "one trade of an option contract",
    ("ts", "occ_symbol", "sequence", "source", "origin"),
    (
        _col("ts", Kind.TIMESTAMP, "exchange time, UTC"),
        _OCC,
        _col("sequence", Kind.BIGINT, "the source's sequence number, unique in its session"),
        _UNDERLYING,
        _SESSION,
        _col("price", Kind.FLOAT, "USD"),
        _col("size", Kind.INT, "contracts"),
        _opt("exchange", Kind.TEXT, "the source's code"),
        _opt("conditions", Kind.TEXT, "the source's codes, comma separated"),
        _SOURCE,
        _ORIGIN,
    ),
    partition="ts",
)

EQUITY_QUOTES = Table(
    "equity_quotes",
    "the quote of an underlying at one moment",
    ("ts", "underlying", "source", "origin"),
    (
        _col("ts", Kind.TIMESTAMP, "time of the quote, UTC"),
        _UNDERLYING,
        _SESSION,
        _opt("bid", Kind.FLOAT, "USD"),
        _opt("ask", Kind.FLOAT, "USD"),
        _opt("last", Kind.FLOAT, "USD"),
        _opt("mark", Kind.FLOAT, "USD, the broker's mark"),
        _opt("bid_size", Kind.INT, "shares"),
        _opt("ask_size", Kind.INT, "shares"),
        _opt("volume", Kind.BIGINT, "shares, this session"),
        _SOURCE,
        _ORIGIN,
    ),
    partition="ts",
)

DIVIDENDS = Table(
    "dividends",
    "one cash dividend",
    ("underlying", "ex_date", "source", "origin"),
    (
        _UNDERLYING,
        _col("ex_date", Kind.DATE, "first day without the dividend"),
        _col("amount", Kind.MONEY, "USD a share"),
        _opt("declared", Kind.DATE, "declaration date"),
        _opt("paid", Kind.DATE, "payment date"),
        _SOURCE,
        _ORIGIN,
    ),
)

SPLITS = Table(
    "splits",
    "one split",
    ("underlying", "ex_date", "source", "origin"),
    (
        _UNDERLYING,
        _col("ex_date", Kind.DATE, "first day at the new count"),
        _col("split_from", Kind.MONEY, "shares before"),
        _col("split_to", Kind.MONEY, "shares after"),
        _SOURCE,
        _ORIGIN,
    ),
)

RATES = Table(
    "rates",
    "one interest rate on one day",
    ("session", "name", "source", "origin"),
    (
        _SESSION,
        _col("name", Kind.TEXT, "schwab_chain, or implied_<DTE> from parity"),
        _col("rate", Kind.FLOAT, "continuous, a year, 0.05 = 5 %"),
        _SOURCE,
        _ORIGIN,
    ),
)

COVERAGE = Table(
    "coverage",
    "what is stored of one dataset, ticker and session",
    ("ticker", "dataset", "session", "source", "origin"),
    (
        _col("ticker", Kind.TEXT, "underlying"),
        _col("dataset", Kind.TEXT, "equity_bars_1m, option_quotes, ..."),
        _SESSION,
        _col("status", Kind.TEXT, "complete, partial, empty or quarantined"),
        _col("rows", Kind.BIGINT, "rows stored"),
        _col("missing", Kind.INT, "rows the calendar expects and the source did not send"),
        _col(
            "content_hash", Kind.TEXT, "SHA-256 of the rows; of chains the sum over snapshots, hex"
        ),
        _opt("newest_at", Kind.TIMESTAMP, "newest row, UTC"),
        _opt("asked_at", Kind.TIMESTAMP, "market time of the newest answer in it, UTC"),
        _opt("scope", Kind.TEXT, "part that was asked for, as days to expiration 0-45"),
        _col("checked_at", Kind.TIMESTAMP, "when it was last compared, wall time"),
        _SOURCE,
        _ORIGIN,
        _opt("expected", Kind.BIGINT, "rows the calendar expects; null where it expects no number"),
        _opt("checks", Kind.JSON, "rule -> times that it was broken, as the pipeline judged"),
    ),
)

RETENTION = Table(
    "retention",
    "what the database still keeps of a part that lies whole in the lake",
    ("ticker", "dataset", "session", "source", "origin"),
    (
        _col("ticker", Kind.TEXT, "underlying"),
        _col("dataset", Kind.TEXT, "as in coverage"),
        _SESSION,
        _col("kept", Kind.TEXT, "all, thinned or none"),
        _col("rows_removed", Kind.BIGINT, "rows that left the database by the newest move"),
        _col("moved_at", Kind.TIMESTAMP, "when, wall time"),
        _SOURCE,
        _ORIGIN,
    ),
)

DOWNLOAD_RUNS = Table(
    "download_runs",
    "one run of a download command",
    ("run_id",),
    (
        _col("run_id", Kind.TEXT, "UUID"),
        _col("command", Kind.TEXT, "arguments, without secrets"),
        _col("started_at", Kind.TIMESTAMP, "wall time"),
        _opt("finished_at", Kind.TIMESTAMP, "wall time"),
        _col("status", Kind.TEXT, "running, complete, partial, failed or interrupted"),
        _col("rows", Kind.BIGINT, "rows written"),
        _opt("error", Kind.TEXT, "one sentence"),
        _SOURCE,
        _ORIGIN,
    ),
)

QUARANTINE = Table(
    "quarantine",
    "one row that failed a quality rule and was kept out of its table",
    ("table_name", "row_hash", "rule"),
    (
        _col("table_name", Kind.TEXT, "where it was to go"),
        _col("row_hash", Kind.TEXT, "SHA-256 of the row, hexadecimal"),
        _col("rule", Kind.TEXT, "name of the rule"),
        _col("ticker", Kind.TEXT, "underlying"),
        _SESSION,
        _col("row", Kind.JSON, "the row as it came"),
        _SOURCE,
        _ORIGIN,
    ),
)

_PARTITION = (
    _col("dataset", Kind.TEXT, "as in coverage"),
    _col("ticker", Kind.TEXT, "underlying"),
    _SESSION,
    _ORIGIN,
)

STAGES = ("extract", "transform", "enrich", "quality", "load", "covered")
"""What a partition of the pipeline goes through, in order."""

LEDGER = Table(
    "ledger",
    "the pipeline's work on one dataset, ticker and session",
    ("dataset", "ticker", "session", "origin"),
    (
        *_PARTITION,
        _col("stage", Kind.TEXT, "the last one reached: extract, transform, ... covered"),
        _col("status", Kind.TEXT, "waiting, leased, done or failed"),
        _col("attempts", Kind.INT, "times begun since it was queued"),
        _opt("not_before", Kind.TIMESTAMP, "when it may be tried again, the database's time"),
        _opt("lease_owner", Kind.TEXT, "run and process that hold it"),
        _opt("lease_until", Kind.TIMESTAMP, "when the lease lapses, the database's time"),
        _opt("run_id", Kind.TEXT, "run that touched it last"),
        _opt("code_version", Kind.TEXT, "version of this program"),
        _col("queued_at", Kind.TIMESTAMP, "when it was found to be missing"),
        _opt("started_at", Kind.TIMESTAMP, "when it was claimed last"),
        _opt("finished_at", Kind.TIMESTAMP, "when that attempt ended"),
        _opt("error", Kind.TEXT, "what is missing and why, one sentence"),
    ),
)

LEDGER_STAGES = Table(
    "ledger_stages",
    "what one stage of the pipeline last came to for one dataset, ticker and session",
    ("dataset", "ticker", "session", "origin", "stage"),
    (
        *_PARTITION,
        _col("stage", Kind.TEXT, "extract, transform, enrich, quality, load or covered"),
        _col("status", Kind.TEXT, "done or failed"),
        _opt("source", Kind.TEXT, "who was asked: schwab, polygon, flat_files or synthetic"),
        _col("rows_in", Kind.BIGINT, "rows that came in"),
        _col("rows_out", Kind.BIGINT, "rows passed on"),
        _col("rows_rejected", Kind.BIGINT, "rows quarantined"),
        _opt("content_hash", Kind.TEXT, "SHA-256 of the rows passed on, hexadecimal"),
        _col("seconds", Kind.FLOAT, "how long it took"),
        _col("run_id", Kind.TEXT, "run that it belonged to"),
        _col("code_version", Kind.TEXT, "version of this program"),
        _col("finished_at", Kind.TIMESTAMP, "when it ended, wall time"),
    ),
)

EXPIRATION_FIGURES = Table(
    "expiration_figures",
    "one expiration's smile at one moment of a session",
    ("ts", "underlying", "root", "expiration", "source", "origin"),
    (
        _col("ts", Kind.TIMESTAMP, "moment, UTC: each half hour and the last of the session"),
        _UNDERLYING,
        _col("root", Kind.TEXT, "option root: SPXW"),
        _col("expiration", Kind.DATE, "last trading day"),
        _SESSION,
        _col("year_fraction", Kind.FLOAT, "to expiration, calendar minutes / 525,600"),
        _col("forward", Kind.FLOAT, "USD, from put-call parity"),
        _col("risk_free_rate", Kind.FLOAT, "continuous, a year"),
        _col("dividend_yield", Kind.FLOAT, "continuous, a year, cost of borrowing included"),
        _col("smile_quotes", Kind.INT, "quotes that the smile was fitted to"),
        _col("atm_volatility", Kind.FLOAT, "at the forward, 0.20 = 20 %"),
        _col("skew_25_delta", Kind.FLOAT, "25-delta put less call, 0.01 = a volatility point"),
        _col("smile_error", Kind.FLOAT, "root mean square of mid less smile, volatility"),
        _col("essvi_theta", Kind.FLOAT, "eSSVI surface: total variance at the forward"),
        _col("essvi_rho", Kind.FLOAT, "eSSVI surface: lean"),
        _col("essvi_psi", Kind.FLOAT, "eSSVI surface: width of the smile"),
        _col(
            "smile", Kind.JSON, "the smile: raw SVI a b rho m sigma, and ramps at side height width"
        ),
        _col("expected_move", Kind.FLOAT, "USD, half the range that holds 68.3 % by the smile"),
        _opt("straddle", Kind.FLOAT, "USD, mids at the strike nearest to the forward"),
        _opt("straddle_strike", Kind.FLOAT, "USD"),
        _opt("call_volume", Kind.BIGINT, "contracts; this and what follows at the last moment"),
        _opt("put_volume", Kind.BIGINT, "contracts"),
        _opt("call_open_interest", Kind.BIGINT, "contracts"),
        _opt("put_open_interest", Kind.BIGINT, "contracts"),
        _opt("put_call_volume", Kind.FLOAT, "puts over calls"),
        _opt("put_call_open_interest", Kind.FLOAT, "puts over calls"),
        _opt("max_pain", Kind.FLOAT, "USD, strike at which holders get the least"),
        _SOURCE,
        _ORIGIN,
    ),
)

STRIKE_FIGURES = Table(
    "strike_figures",
    "one strike of a session: volume, open interest and gamma exposure of all its expirations",
    ("session", "underlying", "strike", "source", "origin"),
    (
        _SESSION,
        _UNDERLYING,
        _col("strike", Kind.FLOAT, "USD"),
        _col("ts", Kind.TIMESTAMP, "newest quote, UTC"),
        _opt("call_volume", Kind.BIGINT, "contracts"),
        _opt("put_volume", Kind.BIGINT, "contracts"),
        _opt("call_open_interest", Kind.BIGINT, "contracts"),
        _opt("put_open_interest", Kind.BIGINT, "contracts"),
        _opt("call_gamma_exposure", Kind.FLOAT, "USD for a move of 1 %; dealers long calls"),
        _opt("put_gamma_exposure", Kind.FLOAT, "the same, at most 0: dealers short puts"),
        _opt("gamma_exposure", Kind.FLOAT, "sum of both"),
        _SOURCE,
        _ORIGIN,
    ),
)

SESSION_FIGURES = Table(
    "session_figures",
    "one session of an underlying and its options, as a whole",
    ("session", "underlying", "source", "origin"),
    (
        _SESSION,
        _UNDERLYING,
        _col("ts", Kind.TIMESTAMP, "newest quote, UTC"),
        _opt("spot", Kind.FLOAT, "USD, of the underlying then"),
        _opt("call_volume", Kind.BIGINT, "contracts"),
        _opt("put_volume", Kind.BIGINT, "contracts"),
        _opt("call_open_interest", Kind.BIGINT, "contracts"),
        _opt("put_open_interest", Kind.BIGINT, "contracts"),
        _opt("put_call_volume", Kind.FLOAT, "puts over calls"),
        _opt("put_call_open_interest", Kind.FLOAT, "puts over calls"),
        _opt("gamma_exposure", Kind.FLOAT, "USD for a move of 1 %; dealers long calls, short puts"),
        _opt("gamma_flip", Kind.FLOAT, "USD, spot at which its sign changes"),
        _opt("call_wall", Kind.FLOAT, "USD, strike of the greatest exposure of calls"),
        _opt("put_wall", Kind.FLOAT, "USD, strike of the greatest exposure of puts"),
        _opt("month_volatility", Kind.FLOAT, "implied at the forward for 30 days, 0.20 = 20 %"),
        _opt("realized_volatility", Kind.FLOAT, "of this session's minutes, a year"),
        _opt("close_to_close_20", Kind.FLOAT, "volatility of 20 daily returns, a year"),
        _opt("parkinson_20", Kind.FLOAT, "of 20 daily ranges, a year"),
        _opt("yang_zhang_20", Kind.FLOAT, "of 20 days with their nights, a year"),
        _SOURCE,
        _ORIGIN,
    ),
)

QUALITY_FINDINGS = Table(
    "quality_findings",
    "what one quality rule found in one dataset, ticker and session, also where it found nothing",
    ("ticker", "dataset", "session", "rule", "source", "origin"),
    (
        _col("ticker", Kind.TEXT, "underlying"),
        _col("dataset", Kind.TEXT, "as in coverage"),
        _SESSION,
        _col("rule", Kind.TEXT, "its name"),
        _col("severity", Kind.TEXT, "info, warning or error"),
        _col("verdict", Kind.TEXT, "what becomes of such a row: flag, quarantine or gap"),
        _col("count", Kind.BIGINT, "times it was broken"),
        _col("rows", Kind.BIGINT, "rows, minutes, contracts or days that were looked at"),
        _col("reason", Kind.TEXT, "what is wrong, one sentence"),
        _col("samples", Kind.JSON, "the first few that broke it"),
        _col("by_minute", Kind.JSON, "minute of the session, New York, -> count"),
        _SOURCE,
        _ORIGIN,
    ),
)

ORDERS = Table(
    "orders",
    "one order, in its newest state",
    ("client_order_id",),
    (
        _col("client_order_id", Kind.TEXT, "ours, unique"),
        _opt("order_id", Kind.TEXT, "the broker's"),
        _col("account_id", Kind.TEXT, "hash of the account, never its number"),
        _col("mode", Kind.TEXT, "backtest, paper, rehearsal or live"),
        _col("strategy", Kind.TEXT, "name of the strategy, or manual"),
        _UNDERLYING,
        _col("order_type", Kind.TEXT, "LIMIT, MARKET, NET_DEBIT, ..."),
        _col("time_in_force", Kind.TEXT, "DAY, GOOD_TILL_CANCEL, ..."),
        _opt("limit_price", Kind.MONEY, "USD a unit; debit positive, credit negative"),
        _col("quantity", Kind.MONEY, "units"),
        _col("filled_quantity", Kind.MONEY, "units"),
        _col("status", Kind.TEXT, "state of the order"),
        _col("legs", Kind.JSON, "list of legs"),
        _col("created_at", Kind.TIMESTAMP, "market time"),
        _col("updated_at", Kind.TIMESTAMP, "market time"),
    ),
)

ORDER_EVENTS = Table(
    "order_events",
    "one thing that happened to an order, appended and never changed",
    ("client_order_id", "sequence"),
    (
        _col("client_order_id", Kind.TEXT, "ours"),
        _col("sequence", Kind.INT, "1, 2, 3 ... within the order"),
        _col("ts", Kind.TIMESTAMP, "market time"),
        _col("event", Kind.TEXT, "intent, sent, accepted, filled, canceled, rejected, ..."),
        _col("detail", Kind.JSON, "what the broker or the engine said"),
    ),
)

TRADES = Table(
    "trades",
    "one fill",
    ("execution_id",),
    (
        _col("execution_id", Kind.TEXT, "the broker's, unique"),
        _col("client_order_id", Kind.TEXT, "ours"),
        _opt("order_id", Kind.TEXT, "the broker's"),
        _col("account_id", Kind.TEXT, "hash of the account"),
        _col("mode", Kind.TEXT, "backtest, paper, rehearsal or live"),
        _col("symbol", Kind.TEXT, "OCC symbol or ticker"),
        _UNDERLYING,
        _SESSION,
        _col("ts", Kind.TIMESTAMP, "time of the fill, UTC"),
        _col("signed_quantity", Kind.MONEY, "bought positive, sold negative"),
        _col("price", Kind.MONEY, "USD"),
        _col("multiplier", Kind.MONEY, "shares a contract"),
        _col("fees", Kind.MONEY, "USD, commission and fees"),
    ),
)

POSITIONS = Table(
    "positions",
    "one holding",
    ("account_id", "mode", "symbol"),
    (
        _col("account_id", Kind.TEXT, "hash of the account"),
        _col("mode", Kind.TEXT, "backtest, paper, rehearsal or live"),
        _col("symbol", Kind.TEXT, "OCC symbol or ticker"),
        _UNDERLYING,
        _col("signed_quantity", Kind.MONEY, "long positive, short negative"),
        _col("average_price", Kind.MONEY, "USD"),
        _col("multiplier", Kind.MONEY, "shares a contract"),
        _col("realized_pnl", Kind.MONEY, "USD"),
        _opt("mark", Kind.MONEY, "USD"),
        _col("updated_at", Kind.TIMESTAMP, "market time"),
    ),
)

SIGNALS = Table(
    "signals",
    "one signal of a strategy",
    ("signal_id",),
    (
        _col("signal_id", Kind.TEXT, "UUID"),
        _col("strategy", Kind.TEXT, "name of the strategy"),
        _col("mode", Kind.TEXT, "backtest, paper, rehearsal or live"),
        _col("symbol", Kind.TEXT, "OCC symbol or ticker"),
        _col("ts", Kind.TIMESTAMP, "market time"),
        _col("action", Kind.TEXT, "open, close, hold"),
        _col("detail", Kind.JSON, "what the strategy saw"),
    ),
)

ACCOUNT_SNAPSHOTS = Table(
    "account_snapshots",
    "an account's balances at one moment",
    ("account_id", "mode", "ts"),
    (
        _col("account_id", Kind.TEXT, "hash of the account"),
        _col("mode", Kind.TEXT, "backtest, paper, rehearsal or live"),
        _col("ts", Kind.TIMESTAMP, "market time"),
        _col("cash", Kind.MONEY, "USD"),
        _col("liquidation_value", Kind.MONEY, "USD"),
        _col("buying_power", Kind.MONEY, "USD"),
        _col("maintenance_requirement", Kind.MONEY, "USD"),
    ),
)

JOURNAL_CHECKPOINTS = Table(
    "journal_checkpoints",
    "the newest record that a journal had, by day: a journal that has another one there was changed",
    ("account_id", "session"),
    (
        _col("account_id", Kind.TEXT, "hash of the account"),
        _SESSION,
        _col("seq", Kind.BIGINT, "number of the record, from 0"),
        _col("hash", Kind.TEXT, "SHA-256 of the record and all before it"),
        _col("ts", Kind.TIMESTAMP, "market time"),
    ),
)

PNL_ATTRIBUTION = Table(
    "pnl_attribution",
    "where a day's gain came from, by underlying",
    ("account_id", "mode", "session", "underlying"),
    (
        _col("account_id", Kind.TEXT, "hash of the account"),
        _col("mode", Kind.TEXT, "backtest, paper, rehearsal or live"),
        _SESSION,
        _UNDERLYING,
        _col("delta_pnl", Kind.MONEY, "USD by the underlying's moves"),
        _col("gamma_pnl", Kind.MONEY, "USD by their squares"),
        _col("theta_pnl", Kind.MONEY, "USD by time"),
        _col("vega_pnl", Kind.MONEY, "USD by changes of implied volatility"),
        _col("trading_pnl", Kind.MONEY, "USD between the prices of fills and the marks after them"),
        _col("fees", Kind.MONEY, "USD of commission and fees, negative"),
        _col("residual_pnl", Kind.MONEY, "USD that none of these explains"),
        _col("total_pnl", Kind.MONEY, "USD, the sum"),
    ),
)

TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        UNDERLYINGS,
        OPTION_CONTRACTS,
        EQUITY_BARS,
        OPTION_BARS,
        OPTION_QUOTES,
        OPTION_TRADES,
        EQUITY_QUOTES,
        DIVIDENDS,
        SPLITS,
        RATES,
        COVERAGE,
        RETENTION,
        DOWNLOAD_RUNS,
        QUARANTINE,
        LEDGER,
        LEDGER_STAGES,
        EXPIRATION_FIGURES,
        STRIKE_FIGURES,
        SESSION_FIGURES,
        QUALITY_FINDINGS,
        ORDERS,
        ORDER_EVENTS,
        TRADES,
        POSITIONS,
        SIGNALS,
        ACCOUNT_SNAPSHOTS,
        JOURNAL_CHECKPOINTS,
        PNL_ATTRIBUTION,
    )
}
"""Every stored table by name."""

MARKET_TABLES = tuple(
    table.name for table in TABLES.values() if {"source", "origin"} <= set(table.key)
)
"""The tables whose rows are market data: those that carry source and origin in their key."""
