"""Option chains: bytes of `/chains` to columns, without a Python dictionary for each contract.

msgspec decodes the text straight into slotted structs that have only the fields that are kept, and
skips the other thirty without making objects of them; the columns are those structs transposed.
Chains are named as they come over the wire; the other names of Schwab's published specification
(`bidPrice` for `bid`) are accepted as well.
"""

import json
import math
import re
from collections.abc import Mapping
from datetime import date
from itertools import chain as flatten
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from models.errors import BadReply
from models.tables import Frame
from schwab_integration.config import PROVIDER
from schwab_integration.replies import Chain

NO_VALUE: Final = -999.0
"""What Schwab writes for a figure that it cannot compute."""

FARTHEST_MS: Final = 1e14
"""Milliseconds since 1970, in the year 5138: what lies beyond is no time."""


class _Contract(msgspec.Struct, gc=False, rename="camel"):
    """The kept fields of a contract, in the order of `_TEXTS` and `_NUMBERS`."""

    symbol: str
    expiration_type: str | None = None
    settlement_type: str | None = None
    exercise_type: str | None = None
    strike_price: float | None = None
    bid: float | None = None
    ask: float | None = None
    last: float | None = None
    mark: float | None = None
    bid_size: float | None = None
    ask_size: float | None = None
    total_volume: float | None = None
    open_interest: float | None = None
    quote_time_in_long: float | None = None
    trade_time_in_long: float | None = None
    volatility: float | None = None
    delta: float | None = None
    multiplier: float | None = None


class _SpecContract(_Contract, gc=False, rename="camel"):
    """The same under the names of the published specification, where they differ."""

    bid: float | None = msgspec.field(default=None, name="bidPrice")
    ask: float | None = msgspec.field(default=None, name="askPrice")
    last: float | None = msgspec.field(default=None, name="lastPrice")
    mark: float | None = msgspec.field(default=None, name="markPrice")


_TEXTS: Final = ("occ_symbol", "expiration_type", "settlement", "exercise_style")
_NUMBERS: Final = (
    "strike",
    "bid",
    "ask",
    "last",
    "mark",
    "bid_size",
    "ask_size",
    "volume",
    "open_interest",
    "quote_at",
    "trade_at",
    "source_implied_volatility",
    "source_delta",
    "multiplier",
)


class _Head(msgspec.Struct, rename="camel"):
    symbol: str
    status: str | None = None
    underlying_price: float | None = None
    interest_rate: float | None = None
    dividend_yield: float | None = None
    is_delayed: bool | None = None
    is_chain_truncated: bool | None = None


class _Wire(_Head, rename="camel"):
    call_exp_date_map: dict[str, dict[str, list[_Contract]]] | None = None
    put_exp_date_map: dict[str, dict[str, list[_Contract]]] | None = None


class _Spec(_Head, rename="camel"):
    call_exp_date_map: dict[str, dict[str, list[_SpecContract] | _SpecContract]] | None = None
    put_exp_date_map: dict[str, dict[str, list[_SpecContract] | _SpecContract]] | None = None


# Not strict: a number may come as text, and NaN does.
_WIRE = msgspec.json.Decoder(_Wire, strict=False)
_SPEC = msgspec.json.Decoder(_Spec, strict=False)

_NAMES: Final = """
putCall symbol description exchangeName bid ask last mark bidSize askSize bidAskSize lastSize
highPrice lowPrice openPrice closePrice totalVolume tradeTimeInLong quoteTimeInLong netChange
volatility delta gamma theta vega rho openInterest timeValue theoreticalOptionValue
theoreticalVolatility optionDeliverablesList strikePrice expirationDate daysToExpiration
expirationType lastTradingDay multiplier settlementType deliverableNote percentChange markChange
markPercentChange intrinsicValue extrinsicValue optionRoot exerciseType high52Week low52Week
nonStandard pennyPilot inTheMoney mini
bidPrice askPrice lastPrice markPrice isInTheMoney isMini isNonStandard isPennyPilot
isIndexOption tradeDate
"""
_DOCUMENTED: Final = frozenset(_NAMES.split())
_FIRST_CONTRACT = re.compile(rb'ExpDateMap"\s*:\s*\{\s*"[^"]*"\s*:\s*\{\s*"[^"]*"\s*:\s*\[?\s*')
_LONGEST_CONTRACT = 16_384


def parse_chain(body: bytes) -> Chain:
    """Return a chain's columns.

    Args:
        body: The reply to `/chains`.

    Raises:
        BadReply: It is no chain; the error names the field.
    """
    first = _FIRST_CONTRACT.search(body)
    sample = body[first.end() : first.end() + _LONGEST_CONTRACT] if first else b""
    wire = _decoded(body, spec_names=b'"bidPrice"' in sample)
    return Chain(
        symbol=wire.symbol,
        status=wire.status or "",
        underlying_price=_positive(wire.underlying_price),
        risk_free_rate=_continuous(wire.interest_rate),
        dividend_yield=_fraction(wire.dividend_yield),
        is_delayed=bool(wire.is_delayed),
        is_truncated=bool(wire.is_chain_truncated),
        contracts=_frame(wire),
        unknown_fields=_unknown(sample),
    )


def _decoded(body: bytes, *, spec_names: bool) -> _Wire | _Spec:
    try:
        return _SPEC.decode(body) if spec_names else _WIRE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        text = str(error)
        field = text.partition("`$")[2].rstrip("`") or "body"
        message = f"Schwab's option chain is not as documented: {text.partition(' - at ')[0]}"
        raise BadReply(message, provider=PROVIDER, field=field) from None


def _frame(wire: _Wire | _Spec) -> Frame:
    """Transpose the contracts into columns and clean them."""
    groups = [
        (is_call, _expiration(key), _contracts(by_strike))
        for is_call, by_expiration in (
            (True, wire.call_exp_date_map),
            (False, wire.put_exp_date_map),
        )
        for key, by_strike in (by_expiration or {}).items()
    ]
    counts = [len(contracts) for _, _, contracts in groups]
    tuples = map(msgspec.structs.astuple, flatten.from_iterable(group[2] for group in groups))
    columns = list(zip(*tuples, strict=True)) or [()] * (len(_TEXTS) + len(_NUMBERS))
    texts, numbers = columns[: len(_TEXTS)], columns[len(_TEXTS) :]
    days = np.array([day for _, day, _ in groups], "datetime64[D]")
    calls = np.array([is_call for is_call, _, _ in groups], np.bool_)
    return clean(
        pl.DataFrame(
            [
                *(pl.Series(n, c, pl.String) for n, c in zip(_TEXTS, texts, strict=True)),
                *(pl.Series(n, c, pl.Float64) for n, c in zip(_NUMBERS, numbers, strict=True)),
                pl.Series("expiration", np.repeat(days, counts), pl.Date),
                pl.Series("is_call", np.repeat(calls, counts), pl.Boolean),
            ]
        )
    )


def _contracts(
    by_strike: Mapping[str, list[_Contract]] | Mapping[str, list[_SpecContract] | _SpecContract],
) -> list[_Contract]:
    """Flatten a strike map; the specification writes its values without the list."""
    found: list[_Contract] = []
    for value in by_strike.values():
        if isinstance(value, list):
            found += value
        else:
            found.append(value)
    return found


def clean(raw: Frame) -> Frame:
    """Return the columns of `Chain.contracts` from the wire's values.

    Args:
        raw: `_TEXTS` and `_NUMBERS` as sent, with expiration (date) and is_call.

    Raises:
        BadReply: A symbol is not an OCC symbol, or a contract has no strike.
    """
    numbers = pl.col(_NUMBERS)
    known = raw.with_columns(pl.when((numbers != NO_VALUE) & numbers.is_not_nan()).then(numbers))
    frame = known.select(
        "occ_symbol",
        pl.col("occ_symbol").str.slice(0, 6).str.strip_chars_end().alias("root"),
        pl.col("expiration").cast(pl.Date),
        "strike",
        pl.when("is_call").then(pl.lit("C")).otherwise(pl.lit("P")).alias("right"),
        *_side("bid"),
        *_side("ask"),
        _above_zero("last"),
        "mark",
        pl.col("volume", "open_interest").cast(pl.Int64, strict=False),
        _moment("quote_at"),
        _moment("trade_at"),
        _above_zero("source_implied_volatility") / 100.0,
        "source_delta",
        "multiplier",
        pl.col("exercise_style").str.strip_chars().replace("", None),
        pl.col("settlement").replace_strict({"A": "AM", "P": "PM"}, default=None),
        pl.col("expiration_type").str.strip_chars().replace("", None),
    )
    odd = raw.height and not (
        frame["occ_symbol"].str.len_bytes().eq(21).all() and frame["strike"].null_count() == 0
    )
    if odd:
        message = "Schwab's option chain holds a contract without an OCC symbol or without a strike"
        raise BadReply(message, provider=PROVIDER, field="symbol")
    return frame


def _side(price: str) -> tuple[pl.Expr, pl.Expr]:
    """Return price and size of a side; 0 times 0 is no side: nobody bids, or nobody offers."""
    size = f"{price}_size"
    stands = (pl.col(price) > 0) | (pl.col(size) > 0)
    return (
        pl.when(stands).then(pl.col(price)).alias(price),
        pl.when(stands).then(pl.col(size)).cast(pl.Int32, strict=False).alias(size),
    )


def _above_zero(name: str) -> pl.Expr:
    return pl.when(pl.col(name) > 0).then(pl.col(name)).alias(name)


def _moment(name: str) -> pl.Expr:
    """Milliseconds since 1970; 0 means never."""
    ms = pl.when(pl.col(name).is_between(0, FARTHEST_MS, closed="none")).then(pl.col(name))
    return (ms.cast(pl.Int64, strict=False) * 1000).cast(pl.Datetime("us", "UTC")).alias(name)


def _expiration(key: str) -> date:
    """Read the day of a key such as `2025-05-20:9`."""
    try:
        return date.fromisoformat(key.partition(":")[0])
    except ValueError:
        message = f"Schwab's option chain names an expiration {key!r}"
        raise BadReply(message, provider=PROVIDER, field="ExpDateMap") from None


def _unknown(sample: bytes) -> frozenset[str]:
    """Return the names in the first contract that nobody documented."""
    try:
        first, _ = json.JSONDecoder().raw_decode(sample.decode("utf-8", "replace"))
    except ValueError:
        return frozenset()
    fields: Any = first
    return frozenset(fields) - _DOCUMENTED if isinstance(fields, dict) else frozenset()


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None


def _continuous(percent: float | None) -> float | None:
    """Return a yearly rate in percent as a continuous rate."""
    if percent is None or not -100 < percent < 1000:  # NaN and -999 fail as well
        return None
    return math.log1p(percent / 100.0)


def _fraction(percent: float | None) -> float | None:
    """Return a yield as a fraction; Schwab writes -1 where it has none."""
    return percent / 100.0 if percent is not None and 0 <= percent < 1000 else None
