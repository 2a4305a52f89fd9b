"""Option minute quotes of past sessions: contracts as of the day, quotes, figures, one session at a time.

Each minute's quotes are a snapshot of the chain, sparse as they came: a contract whose quote nobody
set in a minute has no row there. Figures are computed for the whole chain of a minute, so that
forward and rate come from all its expirations. A session is stored as a whole, then marked: a run
that is killed before asks for that session again, and ends with the same content.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from models.errors import ConfigError
from models.options import OptionChain
from models.tables import DIVIDENDS, OPTION_QUOTES, SPLITS, frame_schema
from pipeline import plan
from pipeline.coverage import Mark
from pipeline.dividends import dividends_after
from pipeline.events import Fetching, StepDone
from pipeline.load import Piece, is_snapshot, load, store_contracts
from pipeline.plan import AFTER_CLOSE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date, datetime

    from models.tables import Frame, Scalar
    from pipeline.dividends import CashDividend
    from pipeline.events import Event
    from pipeline.load import Desk
    from ports.market_data import HistoricOptions, MarketData
    from ports.store import Store
    from utils.market_calendar import Session

MOST_QUOTES: Final = 1_000_000
"""Contracts times minutes that one run asks by REST: a request a contract and session at least."""

CONTRACTS_A_STEP: Final = 100
"""Contracts between two advances of the progress."""

_DIVIDEND_YEARS = timedelta(days=370)


@dataclass(frozen=True, slots=True)
class HistoricSession:
    """One session that is to be asked for.

    Attributes:
        session: Which.
        window: Expirations, in days ahead.
        contracts: What stood on that day, adjusted contracts left out: no model prices them.
    """

    session: Session
    window: plan.Window
    contracts: Frame

    @property
    def steps(self) -> int:
        """Advances of the progress."""
        return -(-self.contracts.height // CONTRACTS_A_STEP) + 1

    @property
    def size(self) -> int:
        """Contracts times minutes."""
        minutes = (self.session.close - self.session.open) // timedelta(minutes=1)
        return self.contracts.height * minutes


def plan_history(  # noqa: PLR0913 - whose, which, and what is known
    history: HistoricOptions,
    ticker: str,
    sessions: Sequence[Session],
    window: plan.Window,
    *,
    coverage: Frame,
    now: datetime,
    room: int = MOST_QUOTES,
) -> list[HistoricSession]:
    """Return the sessions that are not covered, with their contracts.

    Args:
        history: Whom to ask for contracts.
        ticker: Underlying.
        sessions: Wanted ones.
        window: Expirations in days ahead of each session.
        coverage: Rows of `COVERAGE` of the ticker.
        now: Market time.
        room: Contracts times minutes that may be asked for.

    Raises:
        ConfigError: It is more than `room`; the sentence says what to do.
    """
    found = []
    for session in sessions:
        row = coverage.filter(dataset=plan.MINUTES_DATASET, session=session.day)
        if _is_covered(row, session, window, now):
            continue
        wider = window.spanning(row["scope"].item() if row.height else None)
        plain = plain_contracts(history, ticker, session.day, wider)
        found.append(HistoricSession(session, wider, plain))
        room -= found[-1].size
        if room < 0:
            raise ConfigError(
                f"the minute quotes of {ticker}'s {plain.height:,} contracts are too many for REST "
                f"(at most {MOST_QUOTES:,} contract-minutes a run, {session.day} is beyond): add "
                "--expirations 0-3, ask for fewer days, leave them out by --no-options, or take "
                "the flat files by scripts/bulk_backfill_options.py --dataset quotes"
            )
    return found


def plain_contracts(history: HistoricOptions, ticker: str, day: date, window: plan.Window) -> Frame:
    """Return what stood on a day in a window, adjusted contracts left out: no model prices them."""
    first, last = (day + timedelta(days) for days in (window.first, window.last))
    listed = history.contracts(ticker, day, first, last)
    return listed.filter(~pl.col("root").str.contains(r"\d"))


def _is_covered(row: Frame, session: Session, window: plan.Window, now: datetime) -> bool:
    if row.is_empty() or row["status"].item() in {"empty", "quarantined"}:
        return False
    settled = session.close + AFTER_CLOSE
    asked_at: datetime | None = row["asked_at"].item()
    if asked_at is None or not window.within(row["scope"].item()):
        return False
    return asked_at >= settled or asked_at >= plan.snapshot_time(now)


def store_actions(
    desk: Desk, history: HistoricOptions, ticker: str, first: date, now: datetime
) -> Frame:
    """Store the dividends and splits from a year before `first` on, and return the dividends."""
    last = now.date() + _DIVIDEND_YEARS
    paid = history.dividends(ticker, first - _DIVIDEND_YEARS, last)
    desk.store.upsert(DIVIDENDS.name, paid)
    desk.store.upsert(SPLITS.name, history.splits(ticker, first - _DIVIDEND_YEARS, last))
    return paid


def store_history(
    desk: Desk, history: HistoricOptions, ticker: str, todo: Sequence[HistoricSession]
) -> Iterator[Event]:
    """Fetch, check, enrich and store the minute quotes of sessions, one after the other."""
    if not todo:
        return
    paid = store_actions(desk, history, ticker, todo[0].session.day, desk.clock())
    for each in todo:
        yield Fetching(ticker, plan.MINUTES_DATASET, (each.session.day,))
        asked_at = plan.snapshot_time(desk.clock())
        symbols = each.contracts["occ_symbol"].to_list()
        pieces = [_no_quotes()]
        for number, (_, rows) in enumerate(history.minute_quotes(symbols, each.session.day)):
            pieces.append(rows)
            if number % CONTRACTS_A_STEP == 0:
                yield StepDone()
        dividends = dividends_after(paid, each.session.day)
        spot = underlying_minutes(desk.market, ticker, each.session)
        yield from _store_session(
            desk,
            ticker,
            each,
            pl.concat(pieces),
            spot=spot,
            dividends=dividends,
            asked_at=asked_at,
        )
        yield StepDone()


def underlying_minutes(market: MarketData, ticker: str, session: Session) -> Frame:
    """Return the underlying's price at the end of each minute: ts, underlying_price."""
    bars = market.bars(ticker, session.open, session.close + AFTER_CLOSE, "1m")
    return bars.select(
        (pl.col("ts") + pl.duration(minutes=1)).alias("ts"), underlying_price="close"
    ).sort("ts")


def _store_session(  # noqa: PLR0913 - all that a session consists of
    desk: Desk,
    ticker: str,
    each: HistoricSession,
    quotes: Frame,
    *,
    spot: Frame,
    dividends: Sequence[CashDividend],
    asked_at: datetime,
) -> Iterator[Event]:
    from pipeline.session_enrich import enrich_session  # noqa: PLC0415 - numba: 0.6 s
    from pipeline.session_job import read_surroundings, work_session  # noqa: PLC0415 - as above

    session = each.session
    rows = _rows(desk, ticker, each, quotes, spot)
    chain = OptionChain(ticker, session.close, 0.0, None, None, rows, each.contracts)
    part = desk.part(ticker, plan.MINUTES_DATASET, session.day)
    around = read_surroundings(desk.store, part)
    worked = work_session(part, session, enrich_session(chain, rows, dividends), around)
    store_contracts(desk.store, each.contracts)
    for table, figures in worked.tables.items():
        desk.store.upsert(table, figures)
    status = "complete" if asked_at >= session.close + AFTER_CLOSE else "partial"
    mark = Mark(status, 0, asked_at, each.window.scope)
    accepted = beside_snapshots(desk.store, worked.checked.accepted, part.where)
    piece = Piece(part, replace(worked.checked, accepted=accepted), mark)
    yield from load(desk.store, desk.wall, [piece], fresh=False)


def _no_quotes() -> Frame:
    schema = frame_schema(OPTION_QUOTES)
    names = ("occ_symbol", "ts", "bid", "ask", "bid_size", "ask_size", "quote_at")
    return pl.DataFrame(schema={name: schema[name] for name in names})


def _rows(desk: Desk, ticker: str, each: HistoricSession, quotes: Frame, spot: Frame) -> Frame:
    """Return quotes as rows of `OPTION_QUOTES`, by time and contract."""
    session = each.session
    terms = each.contracts.select("occ_symbol", "expiration", "strike", "right")
    return (
        quotes.filter(
            pl.col("ts").is_between(session.open, session.close + AFTER_CLOSE, closed="right")
        )
        .join(terms, on="occ_symbol")
        .sort("ts", "occ_symbol")
        .join_asof(spot, on="ts", strategy="backward")
        .with_columns(
            underlying=pl.lit(ticker),
            session=pl.lit(session.day),
            source=pl.lit(desk.market.source),
            origin=pl.lit(desk.market.origin),
        )
    )


def beside_snapshots(store: Store, rows: Frame, where: dict[str, Scalar]) -> Frame:
    """Leave out the keys at which a whole snapshot is stored: it tells more."""
    columns = ["ts", "occ_symbol", "open_interest", "volume", "last", "source_implied_volatility"]
    stored = store.read(OPTION_QUOTES.name, where, columns).filter(is_snapshot())
    return rows.join(stored, on=["ts", "occ_symbol"], how="anti", maintain_order="left")
