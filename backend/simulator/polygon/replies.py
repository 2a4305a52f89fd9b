"""Envelopes, refusals, filters and pages of Polygon's REST API."""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, urlencode

import polars as pl

from simulator.polygon import facts
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NS = 1_000_000_000
F = TypeVar("F", pl.DataFrame, pl.LazyFrame)


class PolygonRefusal(Exception):
    """A reply that is no data.

    Attributes:
        status: HTTP status.
        body: JSON body.
    """

    def __init__(self, status: int, word: str, **words: str) -> None:
        super().__init__(str(words))
        self.status = status
        self.body = {"status": word, "request_id": request_id(), **words}


def bad_request(sentence: str) -> PolygonRefusal:
    """Return the refusal of a parameter."""
    return PolygonRefusal(400, "ERROR", error=sentence)


def not_found(sentence: str) -> PolygonRefusal:
    """Return the refusal of what nobody knows."""
    return PolygonRefusal(404, "NOT_FOUND", message=sentence)


def not_entitled(sentence: str = facts.NOT_ENTITLED) -> PolygonRefusal:
    """Return the refusal of what the plan lacks."""
    return PolygonRefusal(403, "NOT_AUTHORIZED", message=sentence)


def request_id() -> str:
    """Return 32 hexadecimal digits."""
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, past the check of its key.

    Attributes:
        base: Scheme and host of the request, for `next_url`.
        path: Its path.
        query: Its parameters; those of a cursor stand in place of its own.
    """

    base: str
    path: str
    query: Mapping[str, str]

    @classmethod
    def of(cls, base: str, path: str, query: Mapping[str, str]) -> Asked:
        """Return a request, with its cursor opened.

        Raises:
            PolygonRefusal: The cursor is none of ours.
        """
        cursor = query.get("cursor")
        if cursor is None:
            return cls(base, path, query)
        try:
            text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        except ValueError:
            raise bad_request("'cursor' is not valid") from None
        return cls(base, path, {**query, **dict(parse_qsl(text, keep_blank_values=True))})

    def limit(self, default: int, most: int) -> int:
        """Return the number of rows asked for.

        Raises:
            PolygonRefusal: It is no number, or too large.
        """
        text = self.query.get("limit", str(default))
        if not text.isdigit() or not 1 <= int(text) <= most:
            raise bad_request(f"'limit' must be a number from 1 to {most}")
        return int(text)

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a boolean parameter, whatever its capitals."""
        return self.query.get(name, str(default)).lower() == "true"

    def day(self, name: str) -> date | None:
        """Return a day, or None where it is not asked for.

        Raises:
            PolygonRefusal: It is none.
        """
        text = self.query.get(name)
        try:
            return None if text is None else date.fromisoformat(text)
        except ValueError:
            raise bad_request(f"'{name}' must be a date as YYYY-MM-DD") from None

    def next_url(self, at: int) -> str:
        """Return the address of the page that begins at this row: host and path, one cursor."""
        kept = {k: v for k, v in self.query.items() if k.lower() not in {"cursor", "apikey", "ap"}}
        text = urlencode({**kept, "ap": str(at)})
        cursor = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        return f"{self.base}{self.path}?cursor={cursor}"

    @property
    def first_row(self) -> int:
        """Number of the first row of the page."""
        text = self.query.get("ap", "0")
        return int(text) if text.isdigit() else 0


def filtered(frame: F, asked: Asked, name: str, column: str, parse: Callable[[str], Any]) -> F:
    """Keep the rows that a parameter and its `.gt .gte .lt .lte .any_of` forms ask for.

    Raises:
        PolygonRefusal: A value cannot be read.
    """
    found = pl.col(column)
    conditions: dict[str, Callable[[Any], pl.Expr]] = {
        "": found.eq,
        ".gt": found.gt,
        ".gte": found.ge,
        ".lt": found.lt,
        ".lte": found.le,
    }
    try:
        for suffix, condition in conditions.items():
            text = asked.query.get(f"{name}{suffix}")
            if text:
                frame = frame.filter(condition(parse(text)))
        several = asked.query.get(f"{name}.any_of")
        if several:
            frame = frame.filter(found.is_in([parse(text) for text in several.split(",")]))
    except ValueError:
        raise bad_request(f"'{name}' could not be parsed") from None
    return frame


def page(
    asked: Asked,
    frame: pl.DataFrame,
    limit: int,
    rows: Callable[[pl.DataFrame], list[dict[str, Any]]],
) -> dict[str, Any]:
    """Return one page of a sorted list, with `next_url` where more follows."""
    first = asked.first_row
    some = frame.slice(first, limit)
    reply: dict[str, Any] = {"results": rows(some)}
    if first + some.height < frame.height:
        reply["next_url"] = asked.next_url(first + some.height)
    return enveloped(reply)


def enveloped(reply: dict[str, Any], status: str = "OK") -> dict[str, Any]:
    """Return a reply with its status and request id."""
    return {**reply, "status": status, "request_id": request_id()}


def moment_ns(text: str) -> int:
    """Read a timestamp parameter: nanoseconds since 1970, a day (its midnight in New York), or RFC 3339.

    Raises:
        ValueError: It is none.
    """
    if text.isdigit():
        return int(text)
    if len(text) == 10:
        return midnight_ms(date.fromisoformat(text)) * 1_000_000
    at = datetime.fromisoformat(text)
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * _NS)


def midnight_ms(day: date) -> int:
    """Return midnight in New York of a day, milliseconds since 1970."""
    return int(datetime.combine(day, time(), NEW_YORK).timestamp()) * 1000


def without_nulls(row: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is not known, as the wire does."""
    return {name: value for name, value in row.items() if value is not None}
