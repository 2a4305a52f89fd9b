"""The download job: plan, fetch, check, enrich, store, mark covered.

Data is written first and its row of coverage after it. A run that is killed between the two leaves
data that nothing vouches for; the next run asks for it again, and because every write goes by key
it ends with exactly the same content.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from models.errors import TradingError
from models.tables import EQUITY_BARS, OPTION_QUOTES
from pipeline import plan, quality
from pipeline.chain_summary import COLUMNS, ChainSummary, summarise
from pipeline.coverage import Mark, covered_content
from pipeline.dividends import expected_dividends
from pipeline.events import Event, Fetching, Kept, Planned, StepDone, Stored, Written
from pipeline.history import MOST_QUOTES, HistoricSession, plan_history, store_history
from pipeline.load import Desk, Piece, load, store_contracts, store_rate, store_underlyings
from pipeline.runs import Run, RunRecord
from utils import market_calendar
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from datetime import date, datetime

    from models.tables import Frame, Scalar
    from pipeline.coverage import Part
    from pipeline.plan import Slot
    from pipeline.quality import Checked
    from utils.market_calendar import Session


@dataclass(frozen=True, slots=True)
class Request:
    """What a run is to have stored at its end.

    Attributes:
        tickers: Underlyings, each once.
        sessions: Whose bars, oldest first.
        interval: As in `pipeline.plan.INTERVALS`.
        window: Expirations of the chain snapshot; None for none.
        history: Expirations of the minute quotes of each session; None for none.
    """

    tickers: tuple[str, ...]
    sessions: tuple[Session, ...]
    interval: str
    window: plan.Window | None
    history: plan.Window | None = None

    @property
    def bars_dataset(self) -> str:
        """Name that coverage gives to the bars."""
        return plan.bars_dataset(self.interval)


@dataclass(frozen=True, slots=True)
class _TickerPlan:
    """What is stored of a ticker, and what is to be asked for."""

    ticker: str
    coverage: Frame
    kept: list[Kept]
    bars: list[list[Slot]]
    chain: Session | None
    history: list[HistoricSession]

    @property
    def steps(self) -> int:
        past = sum(each.steps for each in self.history)
        return len(self.bars) + (self.chain is not None) + past

    def is_fresh(self, part: Part) -> bool:
        return self.covered(part.dataset, part.session).is_empty()

    def covered(self, dataset: str, session: date) -> Frame:
        return self.coverage.filter((pl.col("dataset") == dataset) & (pl.col("session") == session))


def download(request: Request, desk: Desk, run: Run) -> Generator[Event, None, None]:
    """Store what is missing of a request, and tell what happens.

    Close the iterator (`contextlib.closing`) where it may be left early: the run is then recorded
    as interrupted.

    Raises:
        BadSymbol: The market does not know a ticker.
        ProviderError: The market's service failed; what was stored before stays.
        AuthError: The service refused us.
        StoreError: The database failed.
    """
    record = RunRecord(desk.store, desk.wall, run, desk.market)
    record.begin()
    try:
        for event in _events(request, desk):
            if isinstance(event, Stored | Written):
                record.add(event)
            yield event
    except (KeyboardInterrupt, GeneratorExit):
        record.abandon("interrupted")
        raise
    except TradingError as error:
        record.abandon("failed", str(error))
        raise
    record.finish()


def _events(request: Request, desk: Desk) -> Iterator[Event]:
    now = desk.clock()
    plans: list[_TickerPlan] = []
    room = MOST_QUOTES
    for ticker in request.tickers:
        plans.append(_plan(request, desk, ticker, now, room))
        room -= sum(each.size for each in plans[-1].history)
    yield Planned(now, sum(each.steps for each in plans))
    busy = [each.ticker for each in plans if each.steps]
    known = store_underlyings(desk, busy, now) if busy else pl.DataFrame()
    for each in plans:
        yield from each.kept
        for group in each.bars:
            days = tuple(slot.session for slot in group)
            yield Fetching(each.ticker, request.bars_dataset, days)
            yield from _store_bars(desk, each, group, now)
            yield StepDone()
        if each.chain and request.window:
            yield Fetching(each.ticker, plan.CHAIN_DATASET, (each.chain.day,))
            yield from _store_chain(desk, each, each.chain, request.window, known)
            yield StepDone()
        if each.history and desk.history:
            yield from store_history(desk, desk.history, each.ticker, each.history)
        if request.window:
            yield from _newest_chain(desk, each.ticker, now)


def _plan(request: Request, desk: Desk, ticker: str, now: datetime, room: int) -> _TickerPlan:
    coverage = desk.store.coverage(ticker, source=desk.market.source, origin=desk.market.origin)
    wanted = plan.slots(request.sessions, request.interval)
    todo = plan.missing_slots(wanted, coverage, now)
    chain = _chain_to_ask(request, desk, ticker, coverage, now)
    asked = {(request.bars_dataset, slot.session) for slot in wanted}
    if request.window:
        asked.add((plan.CHAIN_DATASET, market_calendar.last_session(now).day))
    history = _history_to_ask(request, desk, ticker, coverage=coverage, now=now, room=room)
    if request.history:
        asked |= {(plan.MINUTES_DATASET, each.day) for each in request.sessions}
    again = {(request.bars_dataset, slot.session) for slot in todo}
    again |= {(plan.MINUTES_DATASET, each.session.day) for each in history}
    if chain:
        again.add((plan.CHAIN_DATASET, chain.day))
    columns = ("ticker", "dataset", "session", "status", "rows", "missing")
    kept = [Kept(*row) for row in coverage.select(columns).iter_rows()]
    return _TickerPlan(
        ticker=ticker,
        coverage=coverage,
        kept=[row for row in kept if (row.dataset, row.session) in asked - again],
        bars=plan.requests(todo),
        chain=chain,
        history=history,
    )


def _history_to_ask(  # noqa: PLR0913 - whose, which, and what is known
    request: Request, desk: Desk, ticker: str, *, coverage: Frame, now: datetime, room: int
) -> list[HistoricSession]:
    if request.history is None or desk.history is None:
        return []
    return plan_history(
        desk.history,
        ticker,
        request.sessions,
        request.history,
        coverage=coverage,
        now=now,
        room=room,
    )


def _chain_to_ask(
    request: Request, desk: Desk, ticker: str, coverage: Frame, now: datetime
) -> Session | None:
    """Return the session whose chain is to be asked for now, or None."""
    if request.window is None:
        return None
    session = market_calendar.last_session(now)
    if plan.chain_is_stored(coverage, session, request.window, now):
        return None
    moment = plan.snapshot_time(now)
    newer = coverage.filter(
        (pl.col("dataset") == plan.CHAIN_DATASET)
        & (pl.col("session") == session.day)
        & (pl.col("asked_at") > moment)
    )
    # A clock that was set back: coverage speaks of the newest snapshot, so look for this one.
    if newer.is_empty():
        return session
    where: dict[str, Scalar] = {
        "ts": moment,
        "underlying": ticker,
        "source": desk.market.source,
        "origin": desk.market.origin,
    }
    known = desk.store.read(OPTION_QUOTES.name, where, ["ts"])
    return session if known.is_empty() else None


def _store_bars(
    desk: Desk, ticker_plan: _TickerPlan, group: Sequence[Slot], now: datetime
) -> Iterator[Event]:
    """Fetch one reply, check it slot by slot, and store it."""
    ticker, interval = ticker_plan.ticker, group[0].interval
    reply = desk.market.bars(ticker, group[0].start, group[-1].until(now), interval)
    pieces = [_checked_bars(desk, ticker, slot, reply, now) for slot in group]
    fresh = all(ticker_plan.is_fresh(piece.part) for piece in pieces)
    yield from load(desk.store, desk.wall, pieces, fresh=fresh)


def _checked_bars(desk: Desk, ticker: str, slot: Slot, reply: Frame, now: datetime) -> Piece:
    until = slot.until(now)
    checked = check_bars(ticker, slot, reply, now)
    part = desk.part(ticker, plan.bars_dataset(slot.interval), slot.session)
    status = "complete" if until >= slot.settled else "partial"
    return Piece(part, checked, Mark(status, checked.missing, until))


def check_bars(ticker: str, slot: Slot, reply: Frame, now: datetime) -> Checked:
    """Return the bars of a reply that belong to a slot and are finished, judged by the rules.

    Args:
        ticker: Underlying.
        slot: Which session, or week.
        reply: What the source sent; it may hold other sessions too.
        now: Market time.
    """
    rules = quality.bar_rules(
        EQUITY_BARS, start=pl.lit(slot.start), end=pl.lit(slot.end), step=slot.step
    )
    rows = bars_of_slot(slot, reply, slot.until(now))
    return quality.check(EQUITY_BARS, rows, rules, ticker=ticker, expected=slot.expected(now))


def bars_of_slot(slot: Slot, reply: Frame, until: datetime) -> Frame:
    """Return the bars of a reply that belong to a slot and are finished, oldest first."""
    day = pl.col("ts").dt.convert_time_zone(str(NEW_YORK)).dt.date()
    last = slot.settled.astimezone(NEW_YORK).date()
    of_slot = day.is_between(slot.session, last) & (pl.col("ts") < until)
    return reply.filter(of_slot).with_columns(session=pl.lit(slot.session)).sort("ts")


def _store_chain(
    desk: Desk, ticker_plan: _TickerPlan, session: Session, window: plan.Window, known: Frame
) -> Iterator[Event]:
    """Fetch, check, enrich and store one chain snapshot."""
    from pipeline.enrich import enrich  # noqa: PLC0415 - numba: 0.6 s that many runs need not pay

    ticker = ticker_plan.ticker
    now = plan.snapshot_time(desk.clock())
    today = now.astimezone(NEW_YORK).date()
    first, last = (today + timedelta(days=days) for days in (window.first, window.last))
    chain = desk.market.option_chain(ticker, first, last, now=now)
    dividends = expected_dividends(known, ticker, today)
    quotes = chain.quotes.with_columns(session=pl.lit(session.day))
    rules = quality.chain_rules(
        OPTION_QUOTES,
        open_session=session.open <= now < session.close,
        rate=chain.risk_free_rate or 0.0,
    )
    checked = quality.check(OPTION_QUOTES, quotes, rules, ticker=ticker)
    checked = replace(checked, accepted=enrich(chain, checked.accepted, dividends))
    part = desk.part(ticker, plan.CHAIN_DATASET, session.day)
    store_contracts(desk.store, chain.contracts)
    store_rate(desk.store, chain, part)
    mark = _chain_mark(ticker_plan, session, window, now)
    piece = Piece(part, checked, mark)
    yield from load(desk.store, desk.wall, [piece], fresh=ticker_plan.is_fresh(part))


def _newest_chain(desk: Desk, ticker: str, now: datetime) -> Iterator[ChainSummary]:
    """Tell of the newest snapshot that is stored of the session, whichever run stored it."""
    part = desk.part(ticker, plan.CHAIN_DATASET, market_calendar.last_session(now).day)
    coverage = desk.store.coverage(ticker, source=part.source, origin=part.origin)
    newest_at = covered_content(coverage, part).newest_at
    if newest_at:
        where = part.where | {"ts": newest_at}
        yield summarise(ticker, desk.store.read(part.table.name, where, COLUMNS))


def _chain_mark(
    ticker_plan: _TickerPlan, session: Session, window: plan.Window, now: datetime
) -> Mark:
    """Return the mark of the newest snapshot: this one, unless the clock was set back."""
    covered = ticker_plan.covered(plan.CHAIN_DATASET, session.day).filter(pl.col("asked_at") > now)
    for status, missing, asked_at, scope in covered.select(
        "status", "missing", "asked_at", "scope"
    ).iter_rows():
        return Mark(status, missing, asked_at, scope)
    return Mark("complete" if now >= session.close else "partial", 0, now, window.scope)
