"""What an unwanted reply of the Trader API means.

Its errors are `{"message": text, "errors": [text, ...]}`, of which anything may be missing; the
gateway and the firewall in front of it answer as for market data. Of a write it matters above all
whether it may have been taken: what Schwab refuses was not, what breaks off may have been.
"""

from typing import Any

import msgspec

from models.errors import NotEntitled, NotFound, OrderRejected, TradingError, Unavailable
from schwab_integration.config import PROVIDER
from schwab_integration.refusals import NOT_AUTHORIZED
from utils.http import Reply, meaning
from utils.logs import redact

_REFUSED = frozenset({400, 409, 422})
"""What Schwab answers to an order that it read and does not take."""


def refusal(what: str, reply: Reply) -> TradingError | None:
    """Return the error that a reply to a read means, or None when it is good.

    Args:
        what: What was asked, for the sentence.
        reply: The reply.
    """
    if reply.status < 300:
        return None
    said = words(reply)
    status = reply.status
    if status == 401 and NOT_AUTHORIZED in said:
        message = "this Schwab app is not entitled to trading: add the product to the app"
        return NotEntitled(message, provider=PROVIDER, status=status)
    if status == 403 and not said:
        message = f"schwab's firewall refused {what}: try again later, from another address perhaps"
        return Unavailable(message, provider=PROVIDER, status=status, sent=False)
    if status == 404:
        message = f"schwab does not know {what}{_quoted(said)}"
        return NotFound(message, provider=PROVIDER, status=status)
    error = meaning(PROVIDER, what, reply)
    if error is not None and said:
        error.args = (f"{error}{_quoted(said)}",)
    return error


def order_refusal(what: str, reply: Reply) -> TradingError | None:
    """Return the error that a reply to a write means, or None when it was taken.

    `Unavailable.sent` says whether it may have been taken nevertheless.

    Args:
        what: What was asked, for the sentence.
        reply: The reply.
    """
    if reply.status in _REFUSED:
        reason = words(reply) or f"status {reply.status} without a word"
        return OrderRejected(f"schwab refused {what}: {reason}", reason=reason)
    return refusal(what, reply)


def words(reply: Reply) -> str:
    """Return the service's own words, short and without secrets; "" for HTML or nothing."""
    try:
        body = msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return ""
    texts = [text for text in _texts(body) if text]
    return redact("; ".join(dict.fromkeys(texts)))[:500]


def _texts(body: Any) -> list[str]:
    """Return what a body says: `message`, and `errors` as texts or as objects."""
    if not isinstance(body, dict):
        return []
    fault = body.get("fault")
    found = [body.get("message"), fault.get("faultstring") if isinstance(fault, dict) else None]
    errors = body.get("errors")
    for error in errors if isinstance(errors, list) else []:
        if isinstance(error, dict):
            found.append(error.get("detail") or error.get("message") or error.get("title"))
        else:
            found.append(error)
    return [text.strip() for text in found if isinstance(text, str)]


def _quoted(said: str) -> str:
    return f" ({said})" if said else ""
