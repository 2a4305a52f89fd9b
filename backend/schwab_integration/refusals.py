"""What an unwanted reply of the Market Data API means, as one of the house's errors.

Schwab answers errors in four shapes: `{"errors": [...]}` of the API, `{"fault": {...}}` of its
gateway, HTML of its firewall and web server, and nothing at all.
"""

from typing import Any

import msgspec

from models.errors import NotEntitled, NotFound, ProviderError, TradingError, Unavailable
from schwab_integration.config import PROVIDER
from utils.http import Reply, meaning
from utils.logs import redact

NOT_AUTHORIZED = "Client not authorized"
"""What a 401 says when the app lacks the API product, whatever the token."""


class TooBig(ProviderError):
    """The gateway could not hold the reply: ask for less at once."""


class _Fault(msgspec.Struct):
    faultstring: str = ""
    detail: dict[str, Any] = {}


class _Problem(msgspec.Struct):
    title: str = ""
    detail: str = ""


class _Body(msgspec.Struct):
    errors: list[_Problem] = []
    fault: _Fault | None = None
    message: str = ""


def refusal(  # noqa: PLR0911 - one return a case
    what: str, reply: Reply
) -> TradingError | None:
    """Return the error that a reply means, or None when it is good.

    Args:
        what: What was asked, for the sentence.
        reply: The reply.
    """
    if reply.status < 300:
        return None
    body = _body(reply)
    status = reply.status
    if body.fault and "TooBigBody" in str(body.fault.detail.get("errorcode", "")):
        message = f"schwab's answer to {what} is too big for its gateway: ask for less at once"
        return TooBig(message, provider=PROVIDER, status=status)
    said = _said(body)
    if status == 401 and NOT_AUTHORIZED in said:
        message = "this Schwab app is not entitled to market data: add the product to the app"
        return NotEntitled(message, provider=PROVIDER, status=status)
    if status == 403 and not said:
        message = f"schwab's firewall refused {what}: try again later, from another address perhaps"
        return Unavailable(message, provider=PROVIDER, status=status)
    if status == 404:
        detail = f" ({said})" if said else ""
        return NotFound(f"schwab does not know {what}{detail}", provider=PROVIDER, status=status)
    error = meaning(PROVIDER, what, reply)
    if type(error) is ProviderError and said:
        return ProviderError(f"{error}: {said}", provider=PROVIDER, status=status)
    return error


def _body(reply: Reply) -> _Body:
    try:
        return msgspec.json.decode(reply.body, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Body()  # HTML, or nothing


def _said(body: _Body) -> str:
    """Return the service's own words, short and without secrets."""
    texts = [problem.detail or problem.title for problem in body.errors]
    if body.fault:
        texts.append(body.fault.faultstring)
    texts.append(body.message)
    return redact("; ".join(text for text in texts if text))[:300]
