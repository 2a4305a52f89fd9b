"""Chains, contracts, stocks and indices as they stand now."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl

from models.option_columns import occ_to_polygon
from models.symbols import polygon_ticker_of_underlying
from simulator.polygon import facts
from simulator.polygon.replies import enveloped, filtered, not_found, page, without_nulls
from simulator.polygon.tickers import Named, named
from utils.market_calendar import last_session

if TYPE_CHECKING:
    from datetime import datetime

    from simulator.polygon.plans import Plan
    from simulator.polygon.replies import Asked
    from simulator.world import World

FAR = date(2099, 12, 31)

_STYLES = {"A": "american", "E": "european"}
_RIGHTS = {"C": "call", "P": "put"}


def chain(world: World, plan: Plan, now: datetime, asked: Asked, found: Named) -> dict[str, Any]:
    """Return a page of a chain, as /v3/snapshot/options/{underlying} answers."""
    at = plan.knows(now)
    frame = _wire_names(world.chain(found.underlying, at, date(2000, 1, 1), FAR))
    frame = filtered(frame, asked, "expiration_date", "expiration", date.fromisoformat)
    frame = filtered(frame, asked, "strike_price", "strike", float)
    frame = filtered(frame, asked, "contract_type", "contract_type", str)
    by = {"expiration_date": "expiration", "strike_price": "strike"}.get(
        asked.query.get("sort", "ticker"), "ticker"
    )
    descending = asked.query.get("order", "asc") == "desc"
    frame = frame.sort(by, "ticker", descending=descending)
    asset = _underlying(world, found.underlying, at, plan)
    return page(
        asked,
        frame,
        asked.limit(facts.DEFAULT_LIST, facts.MOST_SNAPSHOTS),
        lambda some: [_contract(row, asset, plan) for row in some.iter_rows(named=True)],
    )


def contract(world: World, plan: Plan, now: datetime, found: Named) -> dict[str, Any]:
    """Return one contract, as /v3/snapshot/options/{underlying}/{contract} answers.

    Raises:
        PolygonRefusal: It is not listed.
    """
    row = _listed(world, plan.knows(now), found)
    if row is None:
        raise not_found("Options contract not found")
    asset = _underlying(world, found.underlying, plan.knows(now), plan)
    return enveloped({"results": _contract(row, asset, plan)})


def unified(world: World, plan: Plan, now: datetime, asked: Asked) -> dict[str, Any]:
    """Return several tickers of any kind, as /v3/snapshot answers; unknown ones carry an error."""
    tickers = [each for each in asked.query.get("ticker.any_of", "").split(",") if each]
    if not tickers and asked.query.get("ticker"):
        tickers = [asked.query["ticker"]]
    limit = asked.limit(facts.DEFAULT_LIST, facts.MOST_SNAPSHOTS)
    rows = [_any(world, plan, now, ticker) for ticker in tickers[:limit]]
    return enveloped({"results": rows})


def _any(world: World, plan: Plan, now: datetime, ticker: str) -> dict[str, Any]:
    found, at = named(world, ticker), plan.knows(now)
    unknown = {"ticker": ticker, "error": "NOT_FOUND", "message": "Ticker not found."}
    if found is None:
        return unknown
    session = last_session(at)
    status = "open" if session.open <= at < session.close else "closed"
    if found.occ_symbol is not None:
        row = _listed(world, at, found)
        if row is None:
            return unknown
        asset = _underlying(world, found.underlying, at, plan)
        told = _contract(row, asset, plan)
        told["session"] = told.pop("day")
        return {"ticker": ticker, "type": "options", "market_status": status, **told}
    quote, instrument = world.quote(found.underlying, at), world.instrument(found.underlying)
    if quote is None or instrument is None:
        return unknown
    stamp = round(quote.quote_at.timestamp() * 1e9)
    change = quote.last - quote.close
    told = {
        "ticker": ticker,
        "name": instrument.description,
        "market_status": status,
        "type": "indices" if found.is_index else "stocks",
        "session": without_nulls(
            {
                "price": quote.last,
                "change": round(change, 4),
                "change_percent": round(100 * change / quote.close, 4),
                "open": quote.open,
                "high": quote.high,
                "low": quote.low,
                "close": quote.last,
                "previous_close": quote.close,
                "volume": None if found.is_index else quote.volume,
                "last_updated": stamp,
            }
        ),
    }
    if found.is_index:
        return told | {"value": quote.last, "last_updated": stamp, "timeframe": plan.recency}
    last_quote = {
        "ask": quote.ask or 0,
        "ask_size": quote.ask_size,
        "bid": quote.bid or 0,
        "bid_size": quote.bid_size,
        "last_updated": stamp,
        "timeframe": plan.recency,
    }
    last_trade = {
        "price": quote.last,
        "size": quote.last_size,
        "last_updated": round(quote.trade_at.timestamp() * 1e9),
        "timeframe": plan.recency,
    }
    return told | {"last_quote": last_quote, "last_trade": last_trade}


def _listed(world: World, at: datetime, found: Named) -> dict[str, Any] | None:
    expiration = found.expiration or FAR
    frame = world.chain(found.underlying, at, expiration, expiration)
    rows = _wire_names(frame.filter(pl.col("occ_symbol") == found.occ_symbol))
    return rows.row(0, named=True) if rows.height else None


def _wire_names(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        occ_to_polygon(frame["occ_symbol"]).alias("ticker"),
        pl.col("right").replace_strict(_RIGHTS, return_dtype=pl.String).alias("contract_type"),
        quote_ns=pl.col("quote_at").dt.timestamp("ns"),
        trade_ns=pl.col("trade_at").dt.timestamp("ns"),
    )


def _underlying(world: World, underlying: str, at: datetime, plan: Plan) -> dict[str, Any]:
    quote = world.quote(underlying, at)
    ticker = polygon_ticker_of_underlying(underlying)
    asset: dict[str, Any] = {"ticker": ticker, "timeframe": plan.recency}
    if quote is not None:
        asset["value" if ticker.startswith("I:") else "price"] = quote.last
        asset["last_updated"] = round(quote.quote_at.timestamp() * 1e9)
    return asset


def _contract(row: dict[str, Any], asset: dict[str, Any], plan: Plan) -> dict[str, Any]:
    price = asset.get("price", asset.get("value"))
    sign = 1 if row["right"] == "C" else -1
    even = row["strike"] + sign * (row["mark"] or 0.0)
    told: dict[str, Any] = {
        "break_even_price": round(even, 4),
        "day": _day(row),
        "details": {
            "contract_type": row["contract_type"],
            "exercise_style": _STYLES[row["exercise_style"]],
            "expiration_date": row["expiration"].isoformat(),
            "shares_per_contract": round(row["multiplier"]),
            "strike_price": row["strike"],
            "ticker": row["ticker"],
        },
        "open_interest": row["open_interest"] or 0,
        "underlying_asset": asset
        | ({} if price is None else {"change_to_break_even": round(even - price, 4)}),
    }
    if row["delta"] is not None:
        told["greeks"] = {name: row[name] for name in ("delta", "gamma", "theta", "vega")}
    if row["iv"] is not None:
        told["implied_volatility"] = row["iv"]
    if row["quote_ns"] is not None and "quotes" in plan.data:
        told["last_quote"] = {
            "ask": row["ask"] or 0,
            "ask_size": row["ask_size"] or 0,
            "bid": row["bid"] or 0,
            "bid_size": row["bid_size"] or 0 if row["bid"] else 0,
            "midpoint": row["mark"],
            "last_updated": row["quote_ns"],
            "timeframe": plan.recency,
        }
    if row["trade_ns"] is not None and "trades" in plan.data:
        told["last_trade"] = {
            "price": row["last"],
            "size": row["last_size"],
            "sip_timestamp": row["trade_ns"],
            "timeframe": plan.recency,
        }
    return told


def _day(row: dict[str, Any]) -> dict[str, Any]:
    """Return the session so far; `{}` of a contract that has not traded in it."""
    if not row["volume"]:
        return {}
    close = None if row["close"] is None else round(row["close"], 4)
    change = None if close is None else round(row["last"] - close, 4)
    return without_nulls(
        {
            "open": row["open"],
            "high": row["high"],
            "low": row["low"],
            "close": row["last"],
            "previous_close": close,
            "change": change,
            "change_percent": round(100 * change / close, 4)
            if change is not None and close
            else None,
            "volume": row["volume"],
            "last_updated": row["trade_ns"],
        }
    )
