"""Contracts, underlyings, corporate actions, codes and the market's hours."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from models.option_columns import occ_to_polygon, parse_occ
from models.symbols import (
    INDICES,
    exercise_style_of,
    polygon_ticker_of_underlying,
    roots_of_underlying,
    underlying_of_polygon_ticker,
)
from simulator.polygon import facts
from simulator.polygon.replies import (
    bad_request,
    enveloped,
    filtered,
    not_entitled,
    not_found,
    page,
)
from utils.market_calendar import (
    NEW_YORK,
    expirations,
    extended_hours,
    last_session,
    session_until,
    sessions,
)

if TYPE_CHECKING:
    from simulator.polygon.plans import Plan
    from simulator.polygon.replies import Asked
    from simulator.polygon.tickers import Named
    from simulator.world import Instrument, World

_STYLES = {"A": "american", "E": "european"}
_KINDS = {"ETF": "ETF", "EQUITY": "CS", "INDEX": None}
_HOLIDAYS_AHEAD = timedelta(days=365)
_CONTRACTS = {
    "ticker": pl.String(),
    "underlying": pl.String(),
    "root": pl.String(),
    "expiration": pl.Date(),
    "strike": pl.Float64(),
    "contract_type": pl.String(),
}


def contracts(world: World, plan: Plan, now: datetime, asked: Asked) -> dict[str, Any]:
    """Return a page of contracts, as /v3/reference/options/contracts answers.

    Those that stood on `as_of`, or with `expired=true` those that have expired before today.

    Raises:
        PolygonRefusal: A parameter is wrong, or the plan does not reach so far.
    """
    underlying = underlying_of_polygon_ticker(asked.query.get("underlying_ticker", ""))
    if not underlying and not asked.query.get("ticker"):
        raise bad_request("'underlying_ticker' must be given: the simulator lists one at a time")
    if world.instrument(underlying) is None:
        return enveloped({"results": []})
    today = now.astimezone(NEW_YORK).date()
    as_of = asked.day("as_of") or today
    if as_of < plan.first_day(now):
        raise not_entitled(facts.NOT_THIS_LONG_AGO)
    if asked.flag("expired", default=False):
        frame = _expired(world, plan, now, asked, underlying)
    else:
        frame = _standing(world, underlying, min(as_of, today))
    frame = filtered(frame, asked, "expiration_date", "expiration", date.fromisoformat)
    frame = filtered(frame, asked, "strike_price", "strike", float)
    frame = filtered(frame, asked, "contract_type", "contract_type", str)
    by = {"expiration_date": "expiration", "strike_price": "strike"}.get(
        asked.query.get("sort", "ticker"), "ticker"
    )
    frame = frame.sort(by, "ticker", descending=asked.query.get("order", "asc") == "desc")
    limit = asked.limit(facts.DEFAULT_LIST, facts.MOST_CONTRACTS)
    return page(
        asked, frame, limit, lambda some: [_contract(row) for row in some.iter_rows(named=True)]
    )


def contract(world: World, now: datetime, asked: Asked, found: Named) -> dict[str, Any]:
    """Return the terms of one contract, dead or alive.

    Raises:
        PolygonRefusal: It was never listed, or not yet.
    """
    today = now.astimezone(NEW_YORK).date()
    as_of = min(asked.day("as_of") or today, found.expiration or today)
    frame = _standing(world, found.underlying, as_of).filter(pl.col("ticker") == found.ticker)
    if frame.is_empty():
        raise not_found(f"Options contract not found: {found.ticker}")
    return enveloped({"results": _contract(frame.row(0, named=True))})


def ticker(world: World, found: Named | None) -> dict[str, Any]:
    """Return what an underlying is.

    Raises:
        PolygonRefusal: Nobody knows it.
    """
    instrument = None if found is None or found.occ_symbol else world.instrument(found.underlying)
    if instrument is None:
        raise not_found("Ticker not found.")
    return enveloped({"results": _ticker(instrument)})


def tickers(world: World, asked: Asked) -> dict[str, Any]:
    """Return a page of the underlyings that the world knows by name."""
    text = asked.query.get("search", "").lower()
    wanted = asked.query.get("ticker", "")
    rows = [
        _ticker(found)
        for each in world.tickers()
        if (found := world.instrument(each)) is not None
        and text in f"{each} {found.description}".lower()
        and wanted in {"", polygon_ticker_of_underlying(each)}
    ]
    market = asked.query.get("market")
    frame = pl.DataFrame({"n": range(len(rows))})
    kept = frame.filter(pl.Series([market in {None, row["market"]} for row in rows]))
    limit = asked.limit(100, 1000)
    return page(asked, kept, limit, lambda some: [rows[n] for n in some["n"]])


def dividends(world: World, plan: Plan, now: datetime, asked: Asked) -> dict[str, Any]:
    """Return a page of cash dividends; of those to come what is declared, half a year ahead."""
    instrument = world.instrument(asked.query.get("ticker", ""))
    today = now.astimezone(NEW_YORK).date()
    paid = instrument.dividends if instrument else ()
    known = [
        each for each in paid if plan.first_day(now) <= each.ex_date <= today + timedelta(days=183)
    ]
    frame = pl.DataFrame(
        [(each.ex_date, each.pay_date, each.amount) for each in known],
        schema={"ex_date": pl.Date(), "pay_date": pl.Date(), "amount": pl.Float64()},
        orient="row",
    )
    frame = filtered(frame, asked, "ex_dividend_date", "ex_date", date.fromisoformat)
    frame = frame.sort("ex_date", descending=asked.query.get("order", "desc") == "desc")

    def rows(some: pl.DataFrame) -> list[dict[str, Any]]:
        return [
            {
                "cash_amount": row["amount"],
                "currency": "USD",
                "dividend_type": "CD",
                "ex_dividend_date": row["ex_date"].isoformat(),
                "frequency": instrument.dividends_a_year if instrument else 0,
                "id": f"E{row['ex_date']:%Y%m%d}{instrument.symbol if instrument else ''}",
                "pay_date": row["pay_date"].isoformat(),
                "record_date": row["ex_date"].isoformat(),
                "ticker": asked.query.get("ticker", ""),
            }
            for row in some.iter_rows(named=True)
        ]

    return page(asked, frame, asked.limit(facts.DEFAULT_LIST, 1000), rows)


def splits(world: World, plan: Plan, now: datetime, asked: Asked) -> dict[str, Any]:
    """Return a page of splits; of those to come what is announced, half a year ahead."""
    ticker = asked.query.get("ticker", "")
    instrument = world.instrument(ticker)
    until = now.astimezone(NEW_YORK).date() + timedelta(days=183)
    known = [
        (each.ex_date, each.split_from, each.split_to)
        for each in (instrument.splits if instrument else ())
        if plan.first_day(now) <= each.ex_date <= until
    ]
    frame = pl.DataFrame(
        known,
        schema={"ex_date": pl.Date(), "split_from": pl.Float64(), "split_to": pl.Float64()},
        orient="row",
    )
    frame = filtered(frame, asked, "execution_date", "ex_date", date.fromisoformat)
    frame = frame.sort("ex_date", descending=asked.query.get("order", "desc") == "desc")

    def rows(some: pl.DataFrame) -> list[dict[str, Any]]:
        return [
            {
                "execution_date": row["ex_date"].isoformat(),
                "id": f"S{row['ex_date']:%Y%m%d}{ticker}",
                "split_from": row["split_from"],
                "split_to": row["split_to"],
                "ticker": ticker,
            }
            for row in some.iter_rows(named=True)
        ]

    return page(asked, frame, asked.limit(facts.DEFAULT_LIST, 1000), rows)


def market_status(now: datetime) -> dict[str, Any]:
    """Return whether markets are open."""
    local = now.astimezone(NEW_YORK)
    session = last_session(now)
    today = session.day == local.date() and session.open <= now < session.close
    coming = session_until(local.date())
    early = late = False
    if coming.day == local.date():
        before, after = extended_hours(coming)
        early, late = before <= now < coming.open, coming.close <= now < after
    market = "open" if today else "extended-hours" if early or late else "closed"
    return {
        "afterHours": late,
        "currencies": {"crypto": "open", "fx": "open" if local.weekday() < 5 else "closed"},
        "earlyHours": early,
        "exchanges": {"nasdaq": market, "nyse": market, "otc": market},
        "market": market,
        "serverTime": local.isoformat(timespec="seconds"),
    }


def upcoming(now: datetime) -> list[dict[str, Any]]:
    """Return the holidays and short days of the next year: a bare list, without an envelope."""
    today = now.astimezone(NEW_YORK).date()
    known = {each.day: each for each in sessions(today, today + _HOLIDAYS_AHEAD)}
    found = []
    for ahead in range(_HOLIDAYS_AHEAD.days):
        day = today + timedelta(days=ahead)
        session = known.get(day)
        if day.weekday() > 4 or (session is not None and not session.early_close):
            continue
        for exchange in ("NYSE", "NASDAQ"):
            told = {"date": day.isoformat(), "exchange": exchange, "name": facts.HOLIDAY_NAME}
            if session is None:
                found.append(told | {"status": "closed"})
            else:
                hours = {
                    "open": session.open.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                    "close": session.close.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                }
                found.append(told | {"status": "early-close"} | hours)
    return found


def exchanges() -> dict[str, Any]:
    """Return the option exchanges that the tape uses."""
    rows = [
        {
            "id": code,
            "name": name,
            "mic": mic,
            "type": "exchange",
            "asset_class": "options",
            "locale": "us",
        }
        for code, (name, mic) in facts.EXCHANGE_NAMES.items()
    ]
    return enveloped({"results": rows, "count": len(rows)})


def conditions() -> dict[str, Any]:
    """Return the trade conditions that the tape uses."""
    rows = [
        {"id": code, "name": name, "type": "sale_condition", "asset_class": "options"}
        for code, name in facts.CONDITION_NAMES.items()
    ]
    return enveloped({"results": rows, "count": len(rows)})


def _standing(world: World, underlying: str, day: date) -> pl.DataFrame:
    """Return the contracts that stood on a day; on a day without a session those of the last."""
    tape = world.tape(underlying, session_until(day).day if day else day)
    frame = _frame(tape.symbols if tape else pl.Series(dtype=pl.String()), underlying)
    return frame.filter(pl.col("expiration") >= day)


def _expired(
    world: World, plan: Plan, now: datetime, asked: Asked, underlying: str
) -> pl.DataFrame:
    """Return the contracts of past expirations, as they stood on their last day."""
    yesterday = now.astimezone(NEW_YORK).date() - timedelta(days=1)
    exact = asked.day("expiration_date")
    lows = [exact, asked.day("expiration_date.gte"), asked.day("expiration_date.gt")]
    highs = [exact, asked.day("expiration_date.lte"), asked.day("expiration_date.lt")]
    first = max(plan.first_day(now), *(low for low in lows if low))
    last = min([yesterday, *(high for high in highs if high)])
    pieces = [pl.DataFrame(schema=_CONTRACTS)]
    roots = roots_of_underlying(underlying)
    if first <= last:
        days = {each.day for root in roots for each in expirations(root, first, last)}
        for day in sorted(days):
            standing = _standing(world, underlying, day)
            pieces.append(standing.filter(pl.col("expiration") == day))
    return pl.concat(pieces)


def _frame(symbols: pl.Series, underlying: str) -> pl.DataFrame:
    parts = parse_occ(symbols)
    return pl.DataFrame(
        {
            "ticker": occ_to_polygon(symbols),
            "underlying": pl.Series([underlying] * len(symbols), dtype=pl.String),
            "root": parts["root"],
            "expiration": parts["expiration"],
            "strike": parts["strike"],
            "contract_type": parts["right"].replace_strict(
                {"C": "call", "P": "put"}, return_dtype=pl.String
            ),
        }
    )


def _contract(row: dict[str, Any]) -> dict[str, Any]:
    style = exercise_style_of(row["root"])
    return {
        "cfi": f"O{row['contract_type'][0].upper()}{style}SPS",
        "contract_type": row["contract_type"],
        "exercise_style": _STYLES[style],
        "expiration_date": row["expiration"].isoformat(),
        "primary_exchange": facts.CONTRACT_EXCHANGE,
        "shares_per_contract": 100,
        "strike_price": row["strike"],
        "ticker": row["ticker"],
        "underlying_ticker": row["underlying"],
    }


def _ticker(instrument: Instrument) -> dict[str, Any]:
    index = instrument.symbol in INDICES
    told: dict[str, Any] = {
        "ticker": polygon_ticker_of_underlying(instrument.symbol),
        "name": instrument.description,
        "market": "indices" if index else "stocks",
        "locale": "us",
        "active": True,
    }
    if not index:
        told |= {
            "primary_exchange": facts.PRIMARY_EXCHANGES.get(instrument.exchange, "XNYS"),
            "type": _KINDS[instrument.asset_type],
            "currency_name": "usd",
        }
    return told
