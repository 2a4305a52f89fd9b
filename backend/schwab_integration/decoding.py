"""JSON of the Trader API to structs: exact numbers, unknown fields and words counted.

Pure. Whatever comes in: a value of the right type, or one `BadReply`.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

import msgspec

from models import schwab_order_terms as terms
from models.errors import BadReply
from schwab_integration.config import PROVIDER
from schwab_integration.preview_replies import PreviewStrategy
from schwab_integration.trader_replies import (
    Instrument,
    OrderActivity,
    OrderLeg,
    ReportedOrder,
    SecuritiesAccount,
    Transaction,
    TransferItem,
)

T = TypeVar("T")
Words = Mapping[type[msgspec.Struct], Mapping[str, type[StrEnum]]]

_DEEPEST: Final = 24
"""Levels of a reply; a bracket within a bracket has about 12."""

_SIXTH: Final = Decimal("0.000001")
_DIGITS: Final = 12

_NO_NUMBER: Final = frozenset({"NaN", "Infinity", "-Infinity"})

WORDS: Final[Words] = {
    Instrument: {"asset_type": terms.WireAsset},
    SecuritiesAccount: {"type": terms.WireAccountType},
    OrderLeg: {"instruction": terms.Instruction, "position_effect": terms.WirePositionEffect},
    OrderActivity: {
        "activity_type": terms.ActivityType,
        "execution_type": terms.ExecutionType,
    },
    ReportedOrder: {
        "status": terms.WireStatus,
        "order_strategy_type": terms.OrderStrategy,
        "order_type": terms.WireOrderType,
        "session": terms.Session,
        "duration": terms.Duration,
        "complex_order_strategy_type": terms.ComplexStrategy,
    },
    PreviewStrategy: {"status": terms.WireStatus, "strategy": terms.ComplexStrategy},
    Transaction: {"type": terms.TransactionType, "status": terms.TransactionStatus},
    TransferItem: {"fee_type": terms.FeeType},
}
"""Fields whose words are known; another word is kept and counted."""

_EXACT: Final = msgspec.json.Decoder(float_hook=Decimal)

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?(Z|[+-]\d\d:?\d\d)?\d*)?"
)


@dataclass(frozen=True, slots=True)
class Parsed(Generic[T]):
    """A reply that was read.

    Attributes:
        value: What it says.
        unknown: Fields (`orders.newField`) and words (`status=NEW_WORD`) that this program does
            not know, with their counts.
    """

    value: T
    unknown: Counter[str]


def parsed(body: bytes, kind: type[T], what: str) -> Parsed[T]:
    """Return a reply as one struct.

    Args:
        body: JSON.
        kind: The struct.
        what: What it is, for the sentence: `account`.

    Raises:
        BadReply: It is not as documented.
    """
    node = decoded(body, what)
    value = converted(node, kind, what)
    unknown: Counter[str] = Counter()
    _notice(node, value, unknown)
    return Parsed(value, unknown)


def parsed_list(
    body: bytes, kind: type[T], what: str, *, tolerant: bool = False
) -> Parsed[list[T]]:
    """Return a reply as a list; one object alone is a list of one.

    Args:
        body: JSON.
        kind: The struct of each.
        what: What it is, for the sentence: `orders`.
        tolerant: Leave a field whose value is of a wrong kind out, and count it, so that one entry
            does not hide the others.

    Raises:
        BadReply: It is not as documented.
    """
    node = decoded(body, what)
    nodes = [node] if isinstance(node, dict) else node
    unknown: Counter[str] = Counter()
    try:
        values: list[T] = converted(nodes, list[kind], what)  # type: ignore[valid-type]
    except BadReply:
        if not tolerant or not isinstance(nodes, list):
            raise
        nodes = [_fitting(one, kind, what, unknown) for one in nodes]
        values = converted(nodes, list[kind], what)  # type: ignore[valid-type]
    for one, value in zip(nodes, values, strict=True):
        _notice(one, value, unknown)
    return Parsed(values, unknown)


def _fitting(node: Any, kind: type[Any], what: str, unknown: Counter[str]) -> dict[str, Any]:
    """Return the fields of an object that fit a struct without required ones; count the others."""
    if not isinstance(node, dict):
        raise bad(what, f"an entry of it is {node!r:.40}")
    fitting = {}
    for name, value in node.items():
        try:
            converted({name: value}, kind, what)
        except BadReply:
            unknown[f"{kind.__name__}.{name} of a wrong kind"] += 1
        else:
            fitting[name] = value
    return fitting


def decoded(body: bytes, what: str) -> Any:
    """Return JSON with exact Decimals, without what says nothing: null, and NaN as text.

    Raises:
        BadReply: It is no JSON, or nested beyond reason.
    """
    try:
        node = _EXACT.decode(body)
    except (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError) as error:
        raise bad(what, error) from None
    return _said(node, what, _DEEPEST)


def converted(node: Any, kind: type[T], what: str) -> T:
    """Return decoded JSON as a struct.

    Raises:
        BadReply: It does not fit.
    """
    try:
        return msgspec.convert(node, kind, strict=False)
    except (msgspec.ValidationError, ValueError, ArithmeticError) as error:
        raise bad(what, error) from None


def bad(what: str, error: Exception | str, field: str = "") -> BadReply:
    """Return the error of a reply that is not as documented.

    Args:
        what: What the reply is: `order`.
        error: What is wrong with it.
        field: Path of the field at fault, where the error does not name it.
    """
    text, _, named = str(error).partition(" - at `")
    message = f"Schwab's {what} is not as documented: {text}"
    return BadReply(message, provider=PROVIDER, field=field or named.strip("`$.") or "body")


def moment(text: str | None) -> datetime | None:
    """Return a time of the wire, UTC; None where there is none or it cannot be read.

    Read are `2024-10-18T19:59:00+0000`, with or without a colon in the offset and parts of a
    second, `Z`, and a date alone, which is midnight UTC.
    """
    found = _TIME.fullmatch(text or "")
    if not found:
        return None
    day, clock, parts, offset = found.groups()
    try:
        time = datetime.fromisoformat(f"{day}T{clock or '00:00:00'}")
        zone = UTC if offset in {None, "Z"} else _zone(offset)
        micros = timedelta(microseconds=int((parts or "0").ljust(6, "0")))
        return (time + micros).replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def exact(value: Decimal | None, field: str, what: str) -> Decimal:
    """Return an amount that the house's models can hold: six decimals, twelve digits before.

    Raises:
        BadReply: It is missing, no number, or beyond that.
    """
    if value is None or not value.is_finite() or value.adjusted() >= _DIGITS:
        raise bad(what, f"{field} is no amount", field)
    if value.adjusted() < -_DIGITS:  # arithmetic underflows far below
        return Decimal(0)
    rounded = value.quantize(_SIXTH)
    return rounded.normalize() + 0 if rounded != rounded.to_integral() else rounded.quantize(1)


def _zone(offset: str) -> timezone:
    hours, minutes = int(offset[1:3]), int(offset[-2:])
    length = timedelta(hours=hours, minutes=minutes)
    return timezone(length if offset[0] == "+" else -length)


def _said(node: Any, what: str, depth: int) -> Any:
    if not depth:
        raise bad(what, f"it is nested more than {_DEEPEST} deep")
    if isinstance(node, dict):
        given = {name: _said(value, what, depth - 1) for name, value in node.items()}
        return {name: value for name, value in given.items() if value is not None}
    if isinstance(node, list):
        return [_said(value, what, depth - 1) for value in node]
    return None if isinstance(node, str) and node in _NO_NUMBER else node


def _notice(node: Any, value: object, unknown: Counter[str]) -> None:
    """Count what is in the JSON and not in the struct that was made of it."""
    if not isinstance(value, msgspec.Struct):
        return
    kind = type(value)
    words = WORDS.get(kind, {})
    unknown.update(
        f"{kind.__name__}.{name}" for name in set(node) - set(kind.__struct_encode_fields__)
    )
    for name, wire in zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True):
        found = getattr(value, name)
        if (
            isinstance(found, str)
            and name in words
            and found
            and found not in words[name].__members__
        ):
            unknown[f"{kind.__name__}.{wire}={found[:40]}"] += 1
        elif isinstance(found, msgspec.Struct) and wire in node:
            _notice(node[wire], found, unknown)
        elif isinstance(found, tuple) and wire in node:
            for one, part in zip(node[wire], found, strict=True):
                _notice(one, part, unknown)
