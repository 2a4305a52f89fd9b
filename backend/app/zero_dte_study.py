"""What a 0DTE study consists of, by REST: contracts, underlying, bars, trades, quotes, open interest."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

import polars as pl

from app.wiring import open_store
from app.zero_dte_folder import CONTRACTS_A_PART, Study
from clients.supabase_client import SupabaseSettings
from models.errors import ConfigError, NotEntitled, NotFound, StoreError
from models.options import OptionChain
from models.tables import (
    EQUITY_BARS,
    OPTION_BARS,
    OPTION_CONTRACTS,
    OPTION_QUOTES,
    OPTION_TRADES,
    frame_schema,
)
from pipeline import quality
from polygon_integration.config import PROVIDER
from utils import market_calendar
from utils.market_calendar import NEW_YORK
from utils.paths import state_folder
from utils.settings import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import date, datetime

    from app.polygon_place import PolygonPlace
    from app.zero_dte_folder import StudyFolder
    from models.tables import Frame, Scalar
    from utils.market_calendar import Session

Ask: TypeAlias = "Callable[..., Iterator[tuple[str, Frame]]]"
"""Fetches contracts of a session, one after the other."""

_SETTLED: Final = timedelta(minutes=15)
_SESSIONS_BACK = 10
_TABLES = {"bars": OPTION_BARS, "trades": OPTION_TRADES, "quotes": OPTION_QUOTES}


@dataclass(slots=True)
class Whole:
    """Everything of a study, before it is written.

    Attributes:
        session: The day.
        contracts: `OPTION_CONTRACTS` and open_interest.
        underlying: `EQUITY_BARS` of one minute.
        frames: bars, trades, quotes as far as they are to be had.
        missing: Dataset -> why it is not.
        open_interest: Why some open interest is null; empty where none is.
        asked_at: Market time.
    """

    session: Session
    contracts: Frame
    underlying: Frame
    asked_at: datetime
    open_interest: str = ""
    frames: dict[str, Frame] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        """Whether nothing more will come of the session."""
        return self.asked_at >= self.session.close + _SETTLED

    def study(self, ticker: str, origin: str) -> Study:
        """Return what to say of it."""
        return Study(
            ticker=ticker,
            day=str(self.session.day),
            source=PROVIDER,
            origin=origin,
            asked_at=self.asked_at.isoformat(),
            settled=self.settled,
            contracts=self.contracts.height,
            open_interest=self.open_interest,
            missing=self.missing,
        )


def expiring(place: PolygonPlace, ticker: str, day: date) -> Frame:
    """Return the contracts whose last day this is, adjusted ones left out.

    Raises:
        NotFound: Polygon does not know the ticker.
    """
    found = place.market.history.contracts(ticker, day, day, day)
    plain = found.filter(~pl.col("root").str.contains(r"\d"))
    if plain.is_empty():
        try:
            place.market.underlyings([ticker], now=place.clock())
        except NotFound as error:
            raise NotFound(
                f"{error}: of a renamed or delisted company give the ticker of that day",
                provider=PROVIDER,
            ) from None
    return plain


def newest_day(place: PolygonPlace, ticker: str) -> tuple[date, Frame]:
    """Return the newest session with expirations, and what expired in it.

    Raises:
        NotFound: Polygon does not know the ticker.
        ConfigError: None of the last sessions had one.
    """
    for session in reversed(market_calendar.sessions_back(place.clock(), _SESSIONS_BACK)):
        found = expiring(place, ticker, session.day)
        if not found.is_empty():
            return session.day, found
    raise ConfigError(f"no option of {ticker} expired in the last {_SESSIONS_BACK} sessions")


def download_study(  # noqa: PLR0913 - whose, when, which, and where it goes
    place: PolygonPlace,
    ticker: str,
    day: date,
    contracts: Frame,
    *,
    folder: StudyFolder,
    progress: Callable[[str, int, int], None],
) -> Whole:
    """Fetch all of a study, going on from parts that an earlier run left.

    Raises:
        ProviderError: Polygon fails; the parts stay.
        AuthError: Polygon refuses us.
    """
    session = market_calendar.session(day)
    asked_at = place.clock().replace(microsecond=0)
    start, end = market_calendar.extended_hours(session)
    contracts, why = with_open_interest(place, ticker, session, contracts)
    whole = Whole(session, contracts, pl.DataFrame(schema=frame_schema(EQUITY_BARS)), asked_at, why)
    try:
        whole.underlying = place.market.bars(ticker, start, end, "1m")
    except NotEntitled as error:  # stocks and indices are plans of their own
        whole.missing["underlying"] = f"{error}; without it no bar is priced"
    symbols = contracts["occ_symbol"].to_list()
    folder.keep_parts_of(symbols, None if whole.settled else asked_at)
    history = place.market.history
    asking: dict[str, Ask] = {
        "bars": history.minute_bars,
        "trades": history.trades,
        "quotes": history.minute_quotes,
    }
    for dataset, ask in asking.items():
        try:
            rows = _in_parts(folder, dataset, symbols, partial(ask, session=day), progress)
        except NotEntitled as error:
            whole.missing[dataset] = str(error)
            continue
        whole.frames[dataset] = rows
    return finished(place, ticker, whole)


def _in_parts(
    folder: StudyFolder,
    dataset: str,
    symbols: Sequence[str],
    ask: Ask,
    progress: Callable[[str, int, int], None],
) -> Frame:
    found = [_nothing(dataset)]
    for number, first in enumerate(range(0, len(symbols), CONTRACTS_A_PART)):
        some = symbols[first : first + CONTRACTS_A_PART]
        progress(dataset, first, len(symbols))
        rows = folder.part(dataset, number)
        if rows is None:
            rows = pl.concat(
                [_nothing(dataset), *(frame for _, frame in ask(some))], how="diagonal"
            )
            folder.put_part(dataset, number, rows)
        found.append(rows)
    progress(dataset, len(symbols), len(symbols))
    return pl.concat(found, how="diagonal")


def _nothing(dataset: str) -> Frame:
    schema = frame_schema(_TABLES[dataset])
    if dataset == "quotes":
        names = ("occ_symbol", "ts", "bid", "ask", "bid_size", "ask_size", "quote_at")
        return pl.DataFrame(schema={name: schema[name] for name in names})
    return pl.DataFrame(schema=schema)


def finished(place: PolygonPlace, ticker: str, whole: Whole) -> Whole:
    """Return a study with the columns of its tables, volatilities and greeks, in order."""
    from pipeline.enrich_bars import enrich_bars  # noqa: PLC0415 - numba: 0.6 s

    spot = whole.underlying.select(
        (pl.col("ts") + pl.duration(minutes=1)).alias("ts"), underlying_price="close"
    ).sort("ts")
    frames = dict(whole.frames)
    if "bars" in frames:
        bars = frames["bars"].unique(["ts", "occ_symbol"], keep="last").sort("ts", "occ_symbol")
        frames["bars"] = _typed(enrich_bars(bars, whole.contracts, spot), "bars")
    if "trades" in frames:
        frames["trades"] = _typed(frames["trades"].sort("ts", "occ_symbol", "sequence"), "trades")
    if "quotes" in frames:
        frames["quotes"] = _quotes(place, ticker, whole, frames["quotes"], spot)
    whole.frames = frames
    whole.underlying = whole.underlying.unique("ts", keep="last").sort("ts")
    return whole


def _quotes(place: PolygonPlace, ticker: str, whole: Whole, quotes: Frame, spot: Frame) -> Frame:
    from pipeline.session_enrich import enrich_session  # noqa: PLC0415 - numba: 0.6 s

    session = whole.session
    terms = whole.contracts.select("occ_symbol", "expiration", "strike", "right")
    rows = (
        quotes.select(_nothing("quotes").columns)
        .filter(pl.col("ts").is_between(session.open, session.close + _SETTLED, closed="right"))
        .sort("quote_at")
        .unique(["ts", "occ_symbol"], keep="last")
        .join(terms, on="occ_symbol")
        .sort("ts", "occ_symbol")
        .join_asof(spot, on="ts", strategy="backward")
        .with_columns(
            underlying=pl.lit(ticker),
            session=pl.lit(session.day),
            source=pl.lit(PROVIDER),
            origin=pl.lit(place.origin),
        )
    )
    rules = quality.chain_rules(OPTION_QUOTES, open_session=False)
    accepted = quality.check(OPTION_QUOTES, rows, rules, ticker=ticker).accepted
    chain = OptionChain(ticker, session.close, 0.0, None, None, rows, whole.contracts)
    return _typed(enrich_session(chain, accepted).quotes, "quotes")


def _typed(rows: Frame, dataset: str) -> Frame:
    """Return all columns of a table; what nobody told is null."""
    schema = frame_schema(_TABLES[dataset])
    return rows.select(
        pl.col(name).cast(kind) if name in rows.columns else pl.lit(None, kind).alias(name)
        for name, kind in schema.items()
    )


def with_open_interest(
    place: PolygonPlace, ticker: str, session: Session, contracts: Frame
) -> tuple[Frame, str]:
    """Return contracts with open_interest, and why some of it is null.

    On the day itself the service tells it; of a past one only a snapshot that was stored then.
    """
    schema = frame_schema(OPTION_CONTRACTS)
    plain = contracts.select(name for name in schema if name in contracts.columns)
    now = place.clock()
    try:
        if now.astimezone(NEW_YORK).date() == session.day:
            known = place.market.option_chain(ticker, session.day, session.day, now=now).quotes
            why = "the service tells none of"
        else:
            known = _stored_snapshot(place, ticker, session)
            why = "the stored snapshot tells none of"
    except NotEntitled as error:
        known, why = _no_interest(), f"{error}:"
    except StoreError as error:
        known, why = (
            _no_interest(),
            f"of a past session it is only in a stored snapshot, and {error}:",
        )
    told = known.select("occ_symbol", "open_interest").drop_nulls().unique("occ_symbol")
    joined = plain.join(told, on="occ_symbol", how="left", maintain_order="left")
    missing = joined["open_interest"].null_count()
    if not missing:
        return joined, ""
    return joined, f"{why} {missing:,} of {joined.height:,} contracts"


def _no_interest() -> Frame:
    schema: Mapping[str, pl.DataType] = frame_schema(OPTION_QUOTES)
    return pl.DataFrame(schema={name: schema[name] for name in ("occ_symbol", "open_interest")})


def _stored_snapshot(place: PolygonPlace, ticker: str, session: Session) -> Frame:
    """Return the newest open interest that a snapshot of the session has, whoever sold it.

    Raises:
        StoreError: There is none, or no database.
    """
    settings = load(SupabaseSettings)
    somewhere = bool(settings.supabase_db_url or settings.supabase_url)
    with suppress(OSError):
        somewhere = somewhere or any(state_folder("postgres").iterdir())
    if not somewhere:
        raise StoreError("nothing was ever stored on this machine")
    where: dict[str, Scalar] = {
        "underlying": ticker,
        "session": session.day,
        "expiration": session.day,
        "origin": place.origin,
    }
    with open_store() as store:
        rows = store.read(OPTION_QUOTES.name, where, ["ts", "occ_symbol", "open_interest"])
    rows = rows.drop_nulls("open_interest").sort("ts")
    if rows.is_empty():
        raise StoreError("nobody stored a snapshot of that session")
    return rows.unique("occ_symbol", keep="last")
