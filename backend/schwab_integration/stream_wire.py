"""The shapes of the streamer's frames, made from the table of its fields.

A part of a frame ("batch") is told from the others by its `service`. Batches of level one decode
into dictionaries that hold what was sent and no more, each field with its type: `dict.update` then
merges. Batches of the other services stay bytes until `stream_whole` reads them.
"""

from __future__ import annotations

from typing import Any, Required, TypedDict, Union, cast

import msgspec

from models.schwab_fields import FIELDS, LEVEL_ONE, Kind, Service

TYPES: dict[Kind, Any] = {
    Kind.TEXT: str | None,
    Kind.FLOAT: float | None,
    Kind.INT: int | float | None,
    Kind.BOOL: bool | None,
    Kind.TIME_MS: int | float | None,
    Kind.LIST: list[Any] | None,
}
"""Python's type of each kind; whole numbers sometimes come with a decimal point."""

EXTRAS: dict[str, Any] = {"delayed": bool, "assetMainType": str, "assetSubType": str, "cusip": str}
"""What a level-one item carries beside its key and numbers, mostly the first one alone."""


class Content(msgspec.Struct):
    """What a response or a notice says.

    Attributes:
        code: See `models.schwab_fields.Code`.
        msg: The server's words.
    """

    code: int
    msg: str = ""


class Response(msgspec.Struct):
    """What the server answers to one request.

    Attributes:
        requestid: As the request had it.
        content: Code and words.
        service: Of the request.
        command: Of the request.
    """

    requestid: str | int
    content: Content
    service: str = ""
    command: str = ""


class Notice(msgspec.Struct):
    """What the server says unasked.

    Attributes:
        heartbeat: Milliseconds, as text, where it is one.
        service: ADMIN or another, where it is none.
        content: Code and words, where it is none.
    """

    heartbeat: str | int | None = None
    service: str = ""
    content: Content | None = None


class Activity(msgspec.Struct):
    """One message of ACCT_ACTIVITY; `stream_activity` reads its data.

    Attributes:
        message_type: For example OrderCreated.
        message_data: JSON, mostly as text within JSON.
        account_number: Plain.
        seq: Rises by one in a session.
        time_ms: The server's time of the batch.
    """

    message_type: str = msgspec.field(name="2", default="")
    message_data: msgspec.Raw = msgspec.field(name="3", default_factory=msgspec.Raw)
    account_number: str = msgspec.field(name="1", default="")
    seq: int = 0
    time_ms: int = msgspec.field(name="time_ms", default=0)

    def __repr__(self) -> str:
        """Return no account number: a log may show this."""
        return f"Activity({self.message_type!r}, seq={self.seq})"


class Batch(msgspec.Struct, tag_field="service"):
    """One service's part of a frame.

    Attributes:
        timestamp: The server's, milliseconds since 1970 UTC.
        content: Items; of other services than level one their bytes.
    """

    timestamp: int
    content: Any


def _item_type(service: Service) -> Any:
    kinds = {str(each.number): TYPES[each.kind] for each in FIELDS[service]}
    make: Any = TypedDict  # made from a table, which no type checker can follow
    return make(f"{service}_item", {"key": Required[str], **EXTRAS, **kinds}, total=False)


def _batch_type(service: Service) -> type[Batch]:
    content = list[_item_type(service)] if service in LEVEL_ONE else msgspec.Raw  # type: ignore[misc]
    name = service.title().replace("_", "")
    fields = [("timestamp", int), ("content", content)]
    made = msgspec.defstruct(name, fields, bases=(Batch,), tag=service.value)
    return cast("type[Batch]", made)


BATCHES: dict[Service, type[Batch]] = {service: _batch_type(service) for service in FIELDS}
"""Type of each service's batches."""

SERVICES: dict[type[Batch], Service] = {batch: service for service, batch in BATCHES.items()}
"""The way back."""

_ANY_BATCH: Any = Union[tuple(BATCHES.values())]  # noqa: UP007 - of a tuple


class Frame(msgspec.Struct):
    """One message of the WebSocket.

    Attributes:
        data: Updates.
        notify: Heartbeats and what the server says unasked.
        response: Answers.
    """

    data: list[Batch] = []
    notify: list[Notice] = []
    response: list[Response] = []


TYPED_FRAME: Any = msgspec.defstruct(
    "TypedFrame", [("data", list[_ANY_BATCH], msgspec.field(default_factory=list))], bases=(Frame,)
)
"""A `Frame` whose batches decode by their service."""
