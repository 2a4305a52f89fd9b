"""Frames of the streamer as text, spelled as captured ones.

Sources: docs/schwab_fidelity.md, section Streamer. In data frames a space stands after the comma
before `timestamp`; in account activity slashes are escaped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from models.schwab_fields import FIELDS, Service

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_encode = msgspec.json.Encoder().encode

_NAMES = tuple(str(number) for number in range(max(map(len, FIELDS.values()))))


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """What is told of one key at one moment.

    Attributes:
        key: What was subscribed.
        values: By field number; a value of None is not sent.
        head: What the first item of a subscription carries beside them.
    """

    key: str
    values: Mapping[int, Any]
    head: Mapping[str, Any] = field(default_factory=dict)


class Texts:
    """Encoded items of one batch, each made once for all who ask for the same."""

    def __init__(self) -> None:
        self._made: dict[tuple[Item, Item | None, tuple[int, ...]], bytes | None] = {}

    def whole(self, item: Item, fields: tuple[int, ...]) -> bytes:
        """Return all of these fields, with what goes with a first item."""
        return self.change(item, None, fields) or b""

    def change(self, item: Item, before: Item | None, fields: tuple[int, ...]) -> bytes | None:
        """Return those of the fields that differ from an earlier item; None where none does."""
        slot = (item, before, fields)
        if slot not in self._made:
            self._made[slot] = _encoded(item, before, fields)
        return self._made[slot]


def _encoded(item: Item, before: Item | None, fields: tuple[int, ...]) -> bytes | None:
    values: Mapping[int, Any] = item.values
    old: Mapping[int, Any] = before.values if before else {}
    told = {
        _NAMES[number]: values[number]
        for number in fields
        if values.get(number) is not None and values[number] != old.get(number)
    }
    if before is not None:
        return _encode({**told, "key": item.key}) if told else None
    return _encode({**told, "key": item.key, **item.head})


def sequenced(seq: int, key: str, values: Mapping[int, Any], fields: Iterable[int]) -> bytes:
    """Return one item of a service that counts its items."""
    told = {_NAMES[field]: values[field] for field in fields if field in values}
    return _encode({"seq": seq, "key": key, **told})


def activity(seq: int, key: str, account: str, kind: str, body: str) -> bytes:
    """Return one item of account activity; its body is JSON as text, slashes escaped."""
    item = _encode({"seq": seq, "key": key, "1": account, "2": kind, "3": body})
    return item.replace(b"/", b"\\/")


def data_frame(service: Service, timestamp: int, items: Sequence[bytes]) -> str:
    """Return a frame of one service's items; the command is SUBS whatever had been asked.

    Args:
        service: Whose.
        timestamp: Milliseconds since 1970 UTC.
        items: Encoded.
    """
    content = b",".join(items).decode()
    return (
        f'{{"data":[{{"service":"{service}", "timestamp":{timestamp},"command":"SUBS",'
        f'"content":[{content}]}}]}}'
    )


def response_frame(request: Mapping[str, Any], timestamp: int, code: int, message: str) -> str:
    """Return the answer to one request."""
    answer = {
        "service": _word(request.get("service")),
        "command": _word(request.get("command")),
        "requestid": _word(request.get("requestid")),
        "SchwabClientCorrelId": _word(request.get("SchwabClientCorrelId")),
        "timestamp": timestamp,
        "content": {"code": code, "msg": message},
    }
    return _encode({"response": [answer]}).decode()


def heartbeat_frame(timestamp: int) -> str:
    """Return a heartbeat; its time is text."""
    return f'{{"notify":[{{"heartbeat":"{timestamp}"}}]}}'


def notice_frame(service: str, timestamp: int, code: int, message: str) -> str:
    """Return a notice that nobody asked for: it says why the connection ends."""
    notice = {
        "service": service,
        "timestamp": timestamp,
        "content": {"code": code, "msg": message},
    }
    return _encode({"notify": [notice]}).decode()


def _word(value: object) -> str:
    return "" if value is None else str(value)
