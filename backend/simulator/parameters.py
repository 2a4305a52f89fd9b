"""Reading query parameters as Schwab does: wrong ones are refused with 400."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from simulator.wire_errors import bad_request

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_EARLIEST_MS = int(datetime(1900, 1, 1, tzinfo=UTC).timestamp()) * 1000
_LATEST_MS = int(datetime(9000, 1, 1, tzinfo=UTC).timestamp()) * 1000


def text(params: Mapping[str, str], name: str) -> str:
    """Return a required text.

    Raises:
        Refusal: It is missing.
    """
    value = params.get(name, "").strip()
    if not value:
        raise bad_request(f"{name} is required", name)
    return value


def choice(params: Mapping[str, str], name: str, allowed: Collection[str], default: str) -> str:
    """Return one of some words.

    Raises:
        Refusal: It is another word.
    """
    value = params.get(name) or default
    if value not in allowed:
        raise bad_request(f"valid {name} should be any of {','.join(sorted(allowed))}", name)
    return value


def words(params: Mapping[str, str], name: str, allowed: Collection[str]) -> list[str]:
    """Return the words of a comma-separated list, in their order; empty when not given.

    Raises:
        Refusal: One of them is not allowed.
    """
    given = [word.strip() for word in params.get(name, "").split(",") if word.strip()]
    if any(word not in allowed for word in given):
        raise bad_request(
            f"valid {name} should be any of {','.join(sorted(allowed))} or empty value", name
        )
    return given


def boolean(params: Mapping[str, str], name: str) -> bool | None:
    """Return a truth value, `true` as browsers and `True` as Python writes it; None if not given.

    Raises:
        Refusal: It is another word.
    """
    value = params.get(name, "").lower()
    if value not in {"", "true", "false"}:
        raise bad_request(f"{name} must be true or false", name)
    return value == "true" if value else None


def integer(params: Mapping[str, str], name: str) -> int | None:
    """Return a whole number; None if not given.

    Raises:
        Refusal: It is not one.
    """
    value = params.get(name)
    if not value:
        return None
    try:
        return int(value)
    except ValueError:
        raise bad_request(f"{name} must be an integer", name) from None


def number(params: Mapping[str, str], name: str) -> float | None:
    """Return a finite number; None if not given.

    Raises:
        Refusal: It is not one.
    """
    value = params.get(name)
    if not value:
        return None
    try:
        parsed = float(value)
    except ValueError:
        parsed = float("nan")
    if abs(parsed) < float("inf"):
        return parsed
    raise bad_request(f"{name} must be a number", name)


def day(params: Mapping[str, str], name: str) -> date | None:
    """Return a day written yyyy-MM-dd; None if not given.

    Raises:
        Refusal: It is not one.
    """
    value = params.get(name)
    if not value:
        return None
    try:
        return datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise bad_request(f"{name} must be a date of the form yyyy-MM-dd", name) from None


def moment(params: Mapping[str, str], name: str) -> datetime | None:
    """Return a time given in epoch milliseconds, in UTC; None if not given.

    Raises:
        Refusal: It is not one, or centuries away.
    """
    value = integer(params, name)
    if value is None:
        return None
    if not _EARLIEST_MS <= value <= _LATEST_MS:
        raise bad_request(f"{name} must be milliseconds since the epoch", name)
    return datetime.fromtimestamp(value / 1000, UTC)
