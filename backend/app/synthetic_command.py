"""Making option markets as a command: market, rows, database or file, quality page."""

from __future__ import annotations

import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from polars.io.plugins import register_io_source

from app import cli
from app.quality_page import paged_chain, write_quality_page
from app.wiring import open_store, store_place
from black_scholes.synthetic.calibration import Calibration, calibrate
from black_scholes.synthetic.chains import option_session
from black_scholes.synthetic.clock import session_numbers
from black_scholes.synthetic.market import since_1970
from black_scholes.synthetic_generator import (
    DEFAULT_SEED,
    ORIGIN,
    SOURCE,
    VERSION,
    Request,
    generate,
    synthetic_market,
)
from models.errors import ConfigError, DataError
from models.options import OptionChain
from models.tables import DOWNLOAD_RUNS, EQUITY_BARS, OPTION_CONTRACTS, OPTION_QUOTES, frame_schema
from pipeline.chain_files import read_chain_file
from utils.clock import wall_clock
from utils.market_calendar import last_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from black_scholes.synthetic.market import Market
    from models.tables import Frame, Scalar
    from ports.store import Store

_LAKE = "--out lake: --fill stores in the lake; else give db or a file as quotes.parquet"
_BEFORE_CLOSE = timedelta(minutes=5)
_REAL = ("live", "recorded", "simulator")
"""Origins of stored rows that a market may be made from, the best first."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of the command.

    Attributes:
        ticker: Underlying.
        start: First day; None: the last one.
        end: Last day; None: the last complete session.
        dte: First and last expiration, calendar days ahead.
        interval: Minutes from one snapshot to the next.
        seed: None for the default.
        out: db, lake or a file's name.
        calibrate: File of a chain, or TICKER/SESSION of a stored one; None for none.
        bars: File of minute bars, or stored; None: the generator makes them.
        trades: Whether to make trades too.
        report: Where the quality page goes; None for none.
        command: As it was typed.
    """

    ticker: str
    start: date | None
    end: date | None
    dte: tuple[int, int]
    interval: int
    seed: int | None
    out: str
    calibrate: str | None
    bars: str | None
    trades: bool
    report: str | None
    command: str


def run_synthetic(asked: Asked) -> int:
    """Make the rows and say what was made.

    Raises:
        TradingError: Something that a person must know.
    """
    began = time.monotonic()
    if asked.out == "lake":
        raise ConfigError(_LAKE)
    if asked.out != "db" and not asked.out.endswith(".parquet"):
        raise ConfigError(f"--out {asked.out}: give db or a file whose name ends in .parquet")
    if asked.report and not asked.calibrate:
        raise ConfigError("--report compares with a real chain: name one by --calibrate")
    request = _request(asked)
    with _sentences():
        chain = _real_chain(asked.calibrate) if asked.calibrate else None
        calibration = calibrate(chain) if chain else None
        market = _market(asked, request, calibration)
        if not request.sessions():
            raise ConfigError(f"there is no session from {request.first} to {request.last}")
        rows = (
            _to_store(asked, market, request)
            if asked.out == "db"
            else _to_file(asked, market, request)
        )
    place = store_place() if asked.out == "db" else asked.out
    took = time.monotonic() - began
    told = ", ".join(f"{count:,} {table}" for table, count in rows.items())
    print(f"{asked.ticker}, {len(request.sessions())} sessions to {request.last}: {told}")
    print(f"source {SOURCE}, origin {ORIGIN}, generator {VERSION}, seed {market.seed}")
    print(f"in {place}, {took:.1f} s")
    if asked.report and chain:
        for path in _report(Path(asked.report), market, request, chain):
            print(f"quality page: {path}")
    return cli.OK


@contextmanager
def _sentences() -> Iterator[None]:
    """Turn what is wrong with the input into wrong usage."""
    try:
        yield
    except DataError as error:
        raise ConfigError(str(error)) from error


def _request(asked: Asked) -> Request:
    end = asked.end or last_session(wall_clock(), complete=True).day
    start = asked.start or end
    if start > end:
        raise ConfigError(f"--start {start} is after --end {end}")
    return Request(start, end, *asked.dte, asked.interval, asked.trades)


def _market(asked: Asked, request: Request, calibration: Calibration | None) -> Market:
    seed = DEFAULT_SEED if asked.seed is None else asked.seed
    bars = None
    if asked.bars == "stored":
        bars = _stored_bars(asked.ticker, request)
    elif asked.bars:
        bars = _read_bars(Path(asked.bars))
    return synthetic_market(asked.ticker, seed=seed, bars=bars, calibration=calibration)


def _read_bars(path: Path) -> Frame:
    try:
        rows = (
            pl.read_parquet(path)
            if path.suffix == ".parquet"
            else pl.read_csv(path, try_parse_dates=True)
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigError(f"the bars {path} cannot be read: {error}") from error
    kind = rows.schema.get("ts")
    if not isinstance(kind, pl.Datetime):
        raise ConfigError(f"the bars {path} have no column ts of times, as 2026-07-14T13:30:00Z")
    ts = pl.col("ts")
    return rows.with_columns(
        ts.dt.replace_time_zone("UTC") if kind.time_zone is None else ts.dt.convert_time_zone("UTC")
    )


def _stored_bars(ticker: str, request: Request) -> Frame:
    days = [request.first + timedelta(n) for n in range((request.last - request.first).days + 1)]
    with open_store() as store:
        rows = store.read(
            EQUITY_BARS.name, {"underlying": ticker, "interval": "1m", "session": days}
        )
    return _of_one_origin(rows, f"1m bars of {ticker}")


def _of_one_origin(rows: Frame, what: str) -> Frame:
    """Return the rows of the best origin, none that are synthetic.

    Raises:
        ConfigError: There are none.
    """
    for origin in _REAL:
        found = rows.filter((pl.col("source") != SOURCE) & (pl.col("origin") == origin))
        if found.height:
            return found
    raise ConfigError(f"no {what} are stored: python main.py downloads them")


def _real_chain(named: str) -> OptionChain:
    """Return the chain that --calibrate names.

    Raises:
        ConfigError: It names none.
        DataError: The file cannot be read.
    """
    ticker, _, day = named.partition("/")
    if Path(named).exists() or not day:
        return read_chain_file(Path(named))
    try:
        session = date.fromisoformat(day)
    except ValueError:
        raise ConfigError(f"--calibrate {named} is no file and no TICKER/2026-07-14") from None
    with open_store() as store:
        keys = ["ts", "source", "origin"]
        where: dict[str, Scalar] = {"underlying": ticker, "session": session}
        times = _of_one_origin(
            store.read(OPTION_QUOTES.name, where, keys).unique(), f"chains of {named}"
        )
        newest = times.sort("ts").row(-1, named=True)
        quotes = store.read(OPTION_QUOTES.name, where | newest)
    price = quotes["underlying_price"].drop_nulls()
    if price.is_empty():
        raise DataError(f"the stored chain {named} has no price of its underlying")
    contracts = pl.DataFrame(schema=frame_schema(OPTION_CONTRACTS))
    return OptionChain(ticker, newest["ts"], float(price[0]), None, None, quotes, contracts)


def _to_store(asked: Asked, market: Market, request: Request) -> dict[str, int]:
    rows: dict[str, int] = {}
    with open_store() as store:
        record = _Run(store, asked, market.seed)
        try:
            for part in generate(market, request):
                store.upsert(part.table, part.rows, expect_empty=part.table == OPTION_QUOTES.name)
                rows[part.table] = rows.get(part.table, 0) + part.rows.height
        except BaseException:
            record.write("failed", sum(rows.values()), finished=True)
            raise
        record.write("complete", sum(rows.values()), finished=True)
    return rows


class _Run:
    """The row of `download_runs`, whose command says generator and seed."""

    def __init__(self, store: Store, asked: Asked, seed: int) -> None:
        self._store, self._id, self._started = store, str(uuid.uuid4()), wall_clock()
        self._command = f"{asked.command} # generator={VERSION} seed={seed}"
        self.write("running", 0, finished=False)

    def write(self, status: str, rows: int, *, finished: bool) -> None:
        """Write how far the run is."""
        row = {
            "run_id": self._id,
            "command": self._command,
            "started_at": self._started,
            "finished_at": wall_clock() if finished else None,
            "status": status,
            "rows": rows,
            "error": None,
            "source": SOURCE,
            "origin": ORIGIN,
        }
        frame = pl.DataFrame([row], schema=frame_schema(DOWNLOAD_RUNS))
        self._store.upsert(DOWNLOAD_RUNS.name, frame)


def _to_file(asked: Asked, market: Market, request: Request) -> dict[str, int]:
    """Stream the quotes into one Parquet file, and the other tables into files beside it."""
    path = Path(asked.out)
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--out {path}: there is no folder {path.absolute().parent}")
    counted: dict[str, int] = {}
    others: dict[str, list[Frame]] = {}

    def pieces(
        columns: list[str] | None, predicate: pl.Expr | None, count: int | None, size: int | None
    ) -> Iterator[Frame]:
        del columns, predicate, count, size  # nothing is asked of the frame but all of it
        for part in generate(market, request):
            counted[part.table] = counted.get(part.table, 0) + part.rows.height
            if part.table == OPTION_QUOTES.name:
                yield part.rows
            else:
                others.setdefault(part.table, []).append(part.rows)

    metadata = {"generator": str(VERSION), "seed": str(market.seed), "command": asked.command}
    unfinished = path.with_name(f"{path.name}.part")
    try:
        register_io_source(pieces, schema=frame_schema(OPTION_QUOTES)).sink_parquet(
            unfinished, compression="zstd", metadata=metadata, maintain_order=True
        )
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    for table, frames in others.items():
        beside = path.with_name(f"{path.stem}.{table}.parquet")
        pl.concat(frames).write_parquet(beside, compression="zstd", metadata=metadata)
    return counted


def _report(path: Path, market: Market, request: Request, chain: OptionChain) -> list[Path]:
    """Write the quality page: the market at the real chain's moment, beside it."""
    now = chain.ts
    number = session_numbers()[last_session(now).day]
    try:
        session = option_session(market, number)
    except DataError:  # a market through bars has their sessions alone
        number = request.sessions()[-1]
        session = option_session(market, number)
        now = session.minutes.end - _BEFORE_CLOSE if session else now
    if session is None:
        raise ConfigError(f"{market.ticker} has no options to report on")
    quotes = session.at(now).with_columns(underlying=pl.lit(market.ticker))
    ahead = (chain.quotes["expiration"] - last_session(chain.ts).day).dt.total_days()
    farthest = ahead.sort()[-1]
    day = last_session(now).day
    quotes = quotes.filter((pl.col("expiration") - day).dt.total_days() <= farthest)
    worth, _ = session.market_at(since_1970(now))
    spot = float(worth.states[0, -1])
    ours = paged_chain(
        f"{market.ticker}, synthetic",
        quotes,
        spot,
        now,
        note=f"generator {VERSION}, seed {market.seed}",
    )
    real = paged_chain(f"{chain.underlying}, real", chain.quotes, chain.underlying_price, chain.ts)
    return list(write_quality_page(path, ours, real))
