"""Option chains and expiration lists as Schwab sends them.

A chain of 5,000 contracts has 260,000 values: the contracts are computed as columns and written as
JSON by Polars, one line a contract in the wire's key order; only the maps around them are joined
in Python.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl

from simulator import schwab_facts as facts
from simulator.wire_quotes import (
    ASSET_SUB_TYPE,
    chain_underlying,
    deliverable_note,
    last_trading_day,
)
from simulator.wire_symbols import spelled
from utils.market_calendar import NEW_YORK, dte

if TYPE_CHECKING:
    from simulator.chain_query import ChainQuery
    from simulator.world import Instrument, UnderlyingQuote

_DELIVERABLES = "optionDeliverablesList"
_DAYS_A_YEAR = 365


@dataclass(frozen=True, slots=True)
class ChainScene:
    """Everything around the contracts of a chain.

    Attributes:
        instrument: The underlying.
        quote: The underlying's quote.
        now: Market time.
        rate_percent: Short interest rate, percent a year, simple as Schwab states it.
    """

    instrument: Instrument
    quote: UnderlyingQuote
    now: datetime
    rate_percent: float

    @property
    def price(self) -> float:
        """Price of the underlying, USD: the mid of its quote, the level of an index."""
        return round(self.quote.mark, 4)


def chain_reply(contracts: pl.DataFrame, query: ChainQuery, scene: ChainScene) -> bytes:
    """Return the body of a reply to `/chains`.

    Args:
        contracts: The chosen rows of the world's chain, sorted by expiration and strike.
        query: What was asked.
        scene: What surrounds them.
    """
    head = msgspec.json.encode(_head(contracts, query, scene))
    rows = contract_columns(contracts, query, scene)
    maps = [
        b'"%sExpDateMap":%s' % (side.lower().encode(), _map(rows.filter(putCall=side), scene))
        for side in ("CALL", "PUT")
    ]
    return head[:-1] + b"," + b",".join(maps) + b"}"


def failed_reply(query: ChainQuery) -> bytes:
    """Return the body for an underlying without options, or one that nobody knows."""
    return msgspec.json.encode(
        {
            "symbol": query.symbol,
            "status": "FAILED",
            "strategy": query.strategy,
            "interval": query.interval,
            "isDelayed": False,
            "isIndex": False,
            "interestRate": 0.0,
            "underlyingPrice": 0.0,
            "volatility": query.volatility,
            "daysToExpiration": 0.0,
            "dividendYield": facts.UNKNOWN_DIVIDEND_YIELD,
            "numberOfContracts": 0,
            "assetMainType": "",
            "assetSubType": "",
            "isChainTruncated": False,
            "callExpDateMap": {},
            "putExpDateMap": {},
        }
    )


def expirations_reply(chain: pl.DataFrame, now: datetime) -> dict[str, Any]:
    """Return the body of a reply to `/expirationchain`.

    Args:
        chain: The world's chain with every expiration.
        now: Market time.
    """
    listed = (
        chain.select("expiration", "expiration_type", "settlement", "root")
        .unique()
        .sort("expiration", "root")
    )
    return {
        "expirationList": [
            {
                "expirationDate": expiration.isoformat(),
                "daysToExpiration": dte(now, expiration),
                "expirationType": kind,
                "settlementType": settlement[0],
                "optionRoots": root,
                "standard": not root[-1].isdigit(),
            }
            for expiration, kind, settlement, root in listed.iter_rows()
        ]
    }


def _head(contracts: pl.DataFrame, query: ChainQuery, scene: ChainScene) -> dict[str, Any]:
    analytical = query.strategy == "ANALYTICAL"
    is_index = scene.instrument.asset_type == "INDEX"
    head: dict[str, Any] = {
        "symbol": spelled(scene.instrument),
        "status": "SUCCESS" if len(contracts) else "FAILED",
    }
    if query.include_underlying is not None:
        head["underlying"] = (
            chain_underlying(scene.instrument, scene.quote, scene.now)
            if query.include_underlying
            else None
        )
    first = contracts["expiration"].min()
    days = dte(scene.now, first) if isinstance(first, date) else 0
    rate = query.interest_rate if analytical else None
    price = query.underlying_price if analytical else None
    return head | {
        "strategy": query.strategy,
        "interval": query.interval,
        "isDelayed": False,
        "isIndex": is_index,
        "interestRate": scene.rate_percent if rate is None else rate,
        "underlyingPrice": scene.price if price is None else price,
        "volatility": _volatility(query),
        "daysToExpiration": float(days),
        "dividendYield": facts.UNKNOWN_DIVIDEND_YIELD,
        "numberOfContracts": len(contracts),
        "assetMainType": "INDEX" if is_index else "EQUITY",
        "assetSubType": ASSET_SUB_TYPE[scene.instrument.asset_type],
        "isChainTruncated": False,
    }


def contract_columns(contracts: pl.DataFrame, query: ChainQuery, scene: ChainScene) -> pl.DataFrame:
    """Return one row a contract with the wire's 52 keys as columns, in the wire's order.

    `optionDeliverablesList`, which is a list of objects and the same in every row, holds 0.
    `expiration` and `key` (of the map by expiration) come before them.
    """
    is_index = scene.instrument.asset_type == "INDEX"
    base = _prepared(contracts, scene)
    is_call = pl.col("right") == "C"
    last, close, mark, mid, intrinsic = (
        pl.col(name) for name in ("last", "close", "mark", "mid", "intrinsic")
    )
    change = pl.when(last > 0).then(last - close).otherwise(0.0)
    value = pl.when(last > 0).then(last).otherwise(mid)
    columns: dict[str, pl.Expr | pl.Series] = {
        "expiration": pl.col("expiration"),
        "key": pl.col("key"),
        "putCall": pl.when(is_call).then(pl.lit("CALL")).otherwise(pl.lit("PUT")),
        "symbol": pl.col("occ_symbol"),
        "description": pl.format("{} {} {} {}", "root", "day_text", "strike_text", "right"),
        "exchangeName": pl.lit("OPR"),
        "bid": pl.col("bid"),
        "ask": pl.col("ask"),
        "last": last,
        "mark": _rounded(mark, 2),
        "bidSize": pl.col("bid_size"),
        "askSize": pl.col("ask_size"),
        "bidAskSize": pl.format("{}X{}", "bid_size", "ask_size"),
        "lastSize": pl.col("last_size"),
        "highPrice": pl.col("high"),
        "lowPrice": pl.col("low"),
        "openPrice": pl.lit(facts.CHAIN_OPEN_PRICE),
        "closePrice": close,
        "totalVolume": pl.col("volume"),
        "tradeTimeInLong": _epoch_ms("trade_at"),
        "quoteTimeInLong": _epoch_ms("quote_at"),
        "netChange": _rounded(change, 2),
        "volatility": _computed(pl.col("iv") * 100),
        "delta": _computed(pl.col("delta")),
        "gamma": _computed(pl.col("gamma")),
        "theta": _computed(pl.col("theta")),
        "vega": _computed(pl.col("vega")),
        "rho": _computed(pl.col("rho")),
        "openInterest": pl.col("open_interest"),
        "timeValue": _rounded(value - intrinsic.clip(lower_bound=0.0), 3),
        "theoreticalOptionValue": _theoretical(base, query, scene),
        "theoreticalVolatility": pl.lit(_volatility(query)),
        _DELIVERABLES: pl.lit(0),
        "strikePrice": pl.col("strike"),
        "expirationDate": pl.col("expirationDate"),
        "daysToExpiration": pl.col("daysToExpiration"),
        "expirationType": pl.col("expiration_type"),
        "lastTradingDay": pl.col("lastTradingDay"),
        "multiplier": pl.col("multiplier"),
        "settlementType": pl.col("settlement").str.head(1),
        "deliverableNote": pl.lit(deliverable_note(spelled(scene.instrument), is_index=is_index)),
        "percentChange": _percent(change, close),
        "markChange": _rounded(mark - close, 2),
        "markPercentChange": _percent(mark - close, close),
        "intrinsicValue": _rounded(intrinsic, 2),
        "extrinsicValue": _rounded(last - intrinsic, 2),
        "optionRoot": pl.col("root"),
        "exerciseType": pl.col("exercise_style"),
        "high52Week": pl.when(pl.col("high") > 0).then("high").otherwise(last),
        "low52Week": pl.when(pl.col("low") > 0).then("low").otherwise(last),
        "nonStandard": pl.col("root").str.contains(r"\d$"),
        "pennyPilot": pl.lit(not is_index),
        "inTheMoney": intrinsic > 0,
        "mini": pl.lit(value=False),
    }
    return base.select(**columns)


def _prepared(contracts: pl.DataFrame, scene: ChainScene) -> pl.DataFrame:
    """Sort for the maps, put zeros for what is absent, as the wire does, and add what is shared."""
    is_call = pl.col("right") == "C"
    cents = (pl.col("strike") * 100).round().cast(pl.Int64)
    sizes = [
        pl.when(pl.col(side).is_null()).then(0).otherwise(f"{side}_size").fill_null(0)
        for side in ("bid", "ask")
    ]
    return (
        contracts.sort("expiration", "strike", "root")
        .join(_days(contracts, scene.now), on="expiration", how="left", maintain_order="left")
        .with_columns(
            pl.col("bid", "ask", "last", "high", "low", "close", "mark").fill_null(0.0),
            pl.col("last_size", "volume", "open_interest").fill_null(0),
            bid_size=sizes[0],
            ask_size=sizes[1],
            mid=(pl.col("bid").fill_null(0.0) + pl.col("ask").fill_null(0.0)) / 2,
            intrinsic=pl.when(is_call).then(1.0).otherwise(-1.0) * (scene.price - pl.col("strike")),
            strike_text=pl.format(
                "{}.{}", cents // 100, (cents % 100).cast(pl.String).str.pad_start(2, "0")
            ),
        )
    )


def _days(contracts: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Return what contracts of one expiration share."""
    schema = {
        "expiration": pl.Date,
        "key": pl.String,
        "expirationDate": pl.String,
        "daysToExpiration": pl.Int32,
        "lastTradingDay": pl.Int64,
        "day_text": pl.String,
    }
    rows = [
        (
            day,
            f"{day}:{dte(now, day)}",
            _expiration_moment(day),
            dte(now, day),
            last_trading_day(day),
            f"{day:%m/%d/%Y}",
        )
        for day in contracts["expiration"].unique()
    ]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _volatility(query: ChainQuery) -> float:
    return query.volatility if query.strategy == "ANALYTICAL" else facts.THEORETICAL_VOLATILITY


def _theoretical(base: pl.DataFrame, query: ChainQuery, scene: ChainScene) -> pl.Series:
    """Return theoretical values: the mid; under ANALYTICAL the Black-Scholes price as asked for."""
    if query.strategy != "ANALYTICAL":
        return base.select(_rounded(pl.col("mid"), 3)).to_series()
    from black_scholes.calculator import price  # noqa: PLC0415 - compiles for a second

    days = query.days_to_expiration
    rate = scene.rate_percent if query.interest_rate is None else query.interest_rate
    values = price(
        scene.price if query.underlying_price is None else query.underlying_price,
        base["strike"].to_numpy(),
        (base["daysToExpiration"].to_numpy() if days is None else days) / _DAYS_A_YEAR,
        np.log1p(rate / 100),
        query.volatility / 100,
        is_call=(base["right"] == "C").to_numpy(),
    )
    computed = pl.Series(values).fill_nan(facts.NOT_COMPUTABLE)
    return computed.round(3)


def _expiration_moment(day: date) -> str:
    moment = datetime.combine(day, time(facts.EXPIRATION_HOUR), NEW_YORK).astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000+00:00")


def _rounded(value: pl.Expr, digits: int) -> pl.Expr:
    return value.round(digits, mode="half_away_from_zero")


def _computed(value: pl.Expr) -> pl.Expr:
    return _rounded(value.fill_nan(None), 3).fill_null(facts.NOT_COMPUTABLE)


def _percent(change: pl.Expr, base: pl.Expr) -> pl.Expr:
    return _rounded(pl.when(base > 0).then(change / base * 100).otherwise(0.0), 2)


def _epoch_ms(name: str) -> pl.Expr:
    return pl.col(name).dt.epoch("ms").fill_null(0)


def _map(rows: pl.DataFrame, scene: ChainScene) -> bytes:
    """Return the JSON of one side: expirations, in them strikes, in them lists of contracts."""
    deliverable = {
        "symbol": spelled(scene.instrument),
        "assetType": "STOCK",
        "deliverableUnits": 100.0,
    }
    empty = f'"{_DELIVERABLES}":0'.encode()
    filled = f'"{_DELIVERABLES}":'.encode() + msgspec.json.encode([deliverable])
    lines = rows.drop("expiration", "key").write_ndjson().encode().replace(empty, filled)
    strikes = rows["strikePrice"].cast(pl.String).to_list()
    entries = zip(rows["key"].to_list(), strikes, lines.splitlines(), strict=True)
    expirations = []
    for key, of_day in groupby(entries, key=lambda entry: entry[0]):
        ladder = [
            b'"%s":[%s]' % (strike.encode(), b",".join(line for _, _, line in same))
            for strike, same in groupby(of_day, key=lambda entry: entry[1])
        ]
        expirations.append(b'"%s":{%s}' % (key.encode(), b",".join(ladder)))
    return b"{" + b",".join(expirations) + b"}"
