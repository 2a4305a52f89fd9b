"""Requests to the Trader API: with a token, reads repeated where that may help, writes sent once."""

import logging
import threading
from collections import Counter
from dataclasses import replace
from typing import Final, TypeVar

from models.errors import BadReply, OrderUnknown, Unavailable
from schwab_integration.auth import SchwabAuth, authorized
from schwab_integration.config import PROVIDER, SchwabSettings
from schwab_integration.decoding import Parsed
from schwab_integration.trader_refusals import order_refusal, refusal
from utils.http import HttpSession, Params, Patience, Reply, Request, Service
from utils.rate_limit import Limiter, RateLimiter

_log = logging.getLogger(__name__)

_PREFIX: Final = "/trader/v1"
_JSON: Final = {"content-type": "application/json"}

T = TypeVar("T")


class TraderSession:
    """Connections to the Trader API. Threads may share it.

    Args:
        settings: Where Schwab is and who we are.
        auth: Source of access tokens; closed with this.
        limiter: For reads; made from the settings where there is none.
        order_limiter: For orders and previews; None does not limit.
        patience: How long to wait and how often to ask.

    Raises:
        ConfigError: The base URL or the certificate file cannot be used.
    """

    def __init__(
        self,
        settings: SchwabSettings,
        auth: SchwabAuth,
        *,
        limiter: Limiter | None,
        order_limiter: Limiter | None,
        patience: Patience | None,
    ) -> None:
        self._auth = auth
        self._reads = HttpSession(
            Service(settings.base_url, PROVIDER, ca_file=settings.ca_file, check=refusal),
            limiter=limiter or RateLimiter(settings.requests_per_minute),
            patience=patience,
        )
        self._writes = HttpSession(
            Service(settings.base_url, PROVIDER, ca_file=settings.ca_file, check=order_refusal),
            limiter=order_limiter,
            patience=patience,
        )
        self._unknown: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def unknown(self) -> Counter[str]:
        """Fields and words of all replies so far that this program does not know, with counts."""
        with self._lock:
            return self._unknown.copy()

    def get(self, path: str, what: str, params: Params | None = None) -> bytes:
        """Read.

        Args:
            path: Below the API's own.
            what: What is asked, for sentences.
            params: Query.
        """
        request = Request("GET", f"{_PREFIX}{path}", params or {}, retry=True, name=what)
        return self._send(self._reads, request).body

    def ask(self, path: str, what: str, body: bytes) -> bytes:
        """Post what changes nothing, and may be repeated."""
        request = Request("POST", f"{_PREFIX}{path}", {}, body, _JSON, retry=True, name=what)
        return self._send(self._writes, request).body

    def write(self, method: str, path: str, what: str, body: bytes | None = None) -> Reply:
        """Send a write once.

        Raises:
            OrderUnknown: It may have been taken.
        """
        headers = {} if body is None else _JSON
        request = Request(method, f"{_PREFIX}{path}", {}, body, headers, name=what)
        return self._send(self._writes, request)

    def noticed(self, reply: Parsed[T]) -> T:
        """Return what a reply says; count what nobody documented, and log the first of each."""
        if reply.unknown:
            with self._lock:
                new = sorted(set(reply.unknown) - set(self._unknown))
                self._unknown += reply.unknown
            if new:
                _log.warning("Schwab's replies hold what nobody documented: %s", ", ".join(new))
        return reply.value

    def close(self) -> None:
        """Close the connections."""
        self._reads.close()
        self._writes.close()
        self._auth.close()

    def _send(self, session: HttpSession, request: Request) -> Reply:
        return authorized(self._auth, lambda token: _sent(session, request, token))


def _sent(session: HttpSession, request: Request, token: str) -> Reply:
    identity = {"authorization": f"Bearer {token}", "accept": "application/json"}
    given = replace(request, headers={**request.headers, **identity})
    if given.retry:
        return session.send(given)
    try:
        return session.send(given)
    except (Unavailable, BadReply) as error:
        if isinstance(error, Unavailable) and not error.sent:
            raise
        message = f"whether schwab took {request} is not known ({error}): look it up, do not repeat"
        raise OrderUnknown(message) from None
