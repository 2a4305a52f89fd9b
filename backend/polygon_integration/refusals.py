"""What an unwanted reply of Polygon's REST API means, as one of the house's errors.

The API answers errors as JSON with `status` ERROR, NOT_AUTHORIZED or NOT_FOUND and the sentence in
`error` or `message`; a gateway before it answers HTML or nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from models.errors import (
    AuthError,
    NotEntitled,
    NotFound,
    ProviderError,
    RateLimited,
    TradingError,
)
from polygon_integration.config import PROVIDER
from utils.http import meaning
from utils.logs import redact

if TYPE_CHECKING:
    from utils.http import Reply

KEYS = "POLYGON_API_KEY or MASSIVE_API_KEY"
"""Names of the setting that holds the key, for sentences."""

_TIMEFRAME = "timeframe"
"""What the refusal says when the plan has the data, but not of so long ago."""


class _Body(msgspec.Struct):
    status: str = ""
    error: str = ""
    message: str = ""


def refusal(  # noqa: PLR0911 - one return a case
    what: str, reply: Reply
) -> TradingError | None:
    """Return the error that a reply means, or None when it is good.

    Args:
        what: What was asked, for the sentence.
        reply: The reply.
    """
    status = reply.status
    if status < 300:
        return None
    body = _body(reply)
    said = redact(body.error or body.message)[:300]
    if status == 401:
        return AuthError(f"polygon does not accept the API key ({said or 'no reason'}): set {KEYS}")
    if status == 403 and body.status == "NOT_AUTHORIZED":
        why = "not for so long ago" if _TIMEFRAME in said else "not at all"
        message = f"your Polygon plan does not include {what} ({why}): upgrade it or ask for less"
        return NotEntitled(message, provider=PROVIDER, status=status)
    if status == 404:
        detail = f" ({said})" if said else ""
        return NotFound(f"polygon does not know {what}{detail}", provider=PROVIDER, status=status)
    error = meaning(PROVIDER, what, reply)
    if isinstance(error, RateLimited):
        message = (
            f"polygon answered 429 to {what}: the plan's requests a minute are used up; set "
            "POLYGON_REQUESTS_PER_MINUTE to what your plan allows"
        )
        return RateLimited(message, provider=PROVIDER, retry_after_s=error.retry_after_s)
    if type(error) is ProviderError and said:
        return ProviderError(f"{error}: {said}", provider=PROVIDER, status=status)
    return error


def _body(reply: Reply) -> _Body:
    try:
        return msgspec.json.decode(reply.body, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Body()  # HTML, or nothing
