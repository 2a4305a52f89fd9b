"""Polygon's replies from bytes to frames and objects (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar
from urllib.parse import urlsplit

import msgspec

from models.errors import BadReply
from polygon_integration import columns
from polygon_integration.config import PROVIDER
from polygon_integration.replies import (
    Aggregate,
    Contract,
    ContractSnapshot,
    Dividend,
    OptionQuote,
    OptionTrade,
    Results,
    Split,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.tables import Frame

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list.

    Attributes:
        frame: Its rows, in the columns that its function in `columns` names.
        next_page: Path and query of the next, without the key; None after the last.
        delayed: The service says that the plan sees this data late.
    """

    frame: Frame
    next_page: str | None = None
    delayed: bool = False


@dataclass(frozen=True, slots=True)
class Listing(Generic[R]):
    """How one kind of list is read.

    Attributes:
        row: Type of a row on the wire.
        frame: Rows to columns.
    """

    row: type[R]
    frame: Callable[[list[R]], Frame]


AGGREGATES: Final = Listing(Aggregate, columns.aggregates)
CONTRACTS: Final = Listing(Contract, columns.contracts)
TRADES: Final = Listing(OptionTrade, columns.trades)
QUOTES: Final = Listing(OptionQuote, columns.quotes)
CHAIN: Final = Listing(ContractSnapshot, columns.chain)
SPLITS: Final = Listing(Split, columns.splits)
DIVIDENDS: Final = Listing(Dividend, columns.dividends)


def parse_page(body: bytes, listing: Listing[R], what: str) -> Page:
    """Read one page of a list.

    Args:
        body: The reply.
        listing: Which list.
        what: What was asked, for the sentence.

    Raises:
        BadReply: It is not as documented.
    """
    reply = parse_reply(body, Results[listing.row], what)  # type: ignore[name-defined]
    return Page(listing.frame(reply.results), following(reply.next_url), reply.status == "DELAYED")


def parse_reply(body: bytes, kind: type[R], what: str) -> R:
    """Read a reply.

    Args:
        body: The reply.
        kind: Its type.
        what: What was asked, for the sentence.

    Raises:
        BadReply: It is not as documented.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        where = str(error).rpartition("at `")[2].strip("`") or "$"
        message = f"polygon's answer to {what} is not as documented: {error}"
        raise BadReply(message, provider=PROVIDER, field=where) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        message = f"polygon's answer to {what} is no JSON"
        raise BadReply(message, provider=PROVIDER, field="$") from None


def following(url: str | None) -> str | None:
    """Return path and query of a `next_url`, without a key that somebody may have put there."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        raise BadReply("polygon's next_url is none", provider=PROVIDER, field="next_url") from None
    pairs = (pair for pair in parts.query.split("&") if not pair.lower().startswith("apikey="))
    return f"{parts.path}?{'&'.join(pairs)}"
