"""What the streamer sends and nobody documented: counted, never fatal.

Only frames that do not fit come here, so this way may be slow. The fields that fit are kept.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from models.schwab_fields import EXTRA_KEYS, FIELDS, LEVEL_ONE, Service
from schwab_integration.stream_wire import (
    BATCHES,
    EXTRAS,
    TYPES,
    Batch,
    Frame,
    Notice,
    Response,
)

_MOST_NAMES = 500
_LONGEST_NAME = 40
_TYPE_OF: dict[Service, dict[str, Any]] = {
    service: {
        "key": str,
        "seq": int,
        **EXTRAS,
        **{str(field.number): TYPES[field.kind] for field in fields},
    }
    for service, fields in FIELDS.items()
}


class Misfits:
    """Counts what did not fit.

    Attributes:
        frames: Frames that are no JSON objects, cut off ones for example.
        services: Unknown services, by name.
        fields: Unknown fields, by "service.field".
        values: Values of a wrong type ("NaN"), by "service.field"; they are left out.
        items: Items without a key or otherwise of no use, by service.
        late: Frames that came too late to be placed.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.late = 0
        self.services: Counter[str] = Counter()
        self.fields: Counter[str] = Counter()
        self.values: Counter[str] = Counter()
        self.items: Counter[str] = Counter()

    def total(self) -> int:
        """Return how many things did not fit."""
        counters = (self.services, self.fields, self.values, self.items)
        return self.frames + self.late + sum(each.total() for each in counters)


def tally(counter: Counter[str], name: object) -> None:
    """Count a name that a stranger chose: shortened, and no more of them than memory bears."""
    text = str(name)[:_LONGEST_NAME]
    counter[text if text in counter or len(counter) < _MOST_NAMES else "other"] += 1


def surplus(frame: bytes, batches: list[Batch]) -> bool:
    """Say whether a frame holds more names than were decoded: then some are unknown.

    Counting the bytes `":` costs a tenth of decoding. Text can hold them too, so this may err on
    the side of looking closer; an unknown field never escapes it.
    """
    expected = 1 + 4 * len(batches)
    for batch in batches:
        content = batch.content
        if type(content) is list:
            expected += sum(map(len, content))
        else:
            expected += bytes(content).count(b'":')
    return frame.count(b'":') > expected


def audit(frame: bytes, misfits: Misfits) -> None:
    """Count the unknown fields of a frame that decoded well otherwise."""
    try:
        wire = msgspec.json.decode(frame.decode(errors="replace"))
    except (msgspec.DecodeError, RecursionError):
        misfits.frames += 1  # what the typed decoder skipped is broken
        return
    for batch in wire["data"]:
        service = Service(batch["service"])
        if service in LEVEL_ONE:
            known = _TYPE_OF[service]
            for item in batch["content"]:
                for name in item.keys() - known.keys() - EXTRA_KEYS:
                    tally(misfits.fields, f"{service}.{name}")


def repaired(frame: bytes, misfits: Misfits) -> Frame:
    """Return what can be used of a frame that does not fit."""
    try:
        wire = msgspec.json.decode(frame)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        wire = None
    if not isinstance(wire, dict):
        misfits.frames += 1
        return Frame()
    batches = [_batch(each, misfits) for each in _listed(wire, "data")]
    return Frame(
        data=[batch for batch in batches if batch is not None],
        notify=_converted(_listed(wire, "notify"), Notice, misfits),
        response=_converted(_listed(wire, "response"), Response, misfits),
    )


def _listed(wire: dict[str, Any], name: str) -> list[Any]:
    found = wire.get(name)
    return found if isinstance(found, list) else []


def _converted(wire: list[Any], kind: Any, misfits: Misfits) -> list[Any]:
    good = []
    for each in wire:
        try:
            good.append(msgspec.convert(each, kind))
        except (msgspec.ValidationError, OverflowError):
            tally(misfits.items, kind.__name__)
    return good


def _batch(wire: Any, misfits: Misfits) -> Batch | None:
    if not isinstance(wire, dict):
        tally(misfits.items, "data")
        return None
    try:
        service = Service(wire.get("service", ""))
        kind = BATCHES[service]
    except (ValueError, KeyError):
        tally(misfits.services, wire.get("service"))
        return None
    timestamp, content = wire.get("timestamp"), wire.get("content")
    if type(timestamp) is not int or not isinstance(content, list):
        tally(misfits.items, service)
        return None
    items = [item for each in content if (item := _item(service, each, misfits)) is not None]
    return kind(timestamp, items if service in LEVEL_ONE else msgspec.Raw(_encoded(items)))


def _encoded(items: list[dict[str, Any]]) -> bytes:
    good = []
    for item in items:
        try:
            good.append(msgspec.json.encode(item))
        except (OverflowError, UnicodeError):
            continue
    return b"[" + b",".join(good) + b"]"


def _item(service: Service, wire: Any, misfits: Misfits) -> dict[str, Any] | None:
    if not isinstance(wire, dict) or not isinstance(wire.get("key"), str):
        tally(misfits.items, service)
        return None
    known = _TYPE_OF[service]
    item = {}
    for name, value in wire.items():
        if name not in known:
            tally(misfits.fields, f"{service}.{name}")
        elif service is Service.ACCT_ACTIVITY and name == "3":
            item[name] = value  # perhaps an object instead of text: stream_activity reads both
        else:
            try:
                item[name] = msgspec.convert(value, known[name])
            except (msgspec.ValidationError, OverflowError):
                tally(misfits.values, f"{service}.{name}")
    return item
