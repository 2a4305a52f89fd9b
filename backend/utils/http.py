"""One synchronous HTTP session: timeouts, rate limit, retries of reads, errors translated once.

Nothing here knows a provider. What a status means is the adapter's to say: it hands in `check`,
which turns an unwanted reply into one of the house's errors, or returns None to accept it.
"""

import logging
import random
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import httpx2

from models.errors import (
    AuthError,
    BadReply,
    ConfigError,
    NotEntitled,
    NotFound,
    ProviderError,
    RateLimited,
    TradingError,
    Unavailable,
)
from utils.logs import quiet_http
from utils.rate_limit import Limiter

_log = logging.getLogger(__name__)

Params: TypeAlias = Mapping[str, str]
"""Query parameters; secrets do not belong here."""

_RETRYABLE = frozenset({408, 425, 500, 502, 503, 504})

_BEFORE_SENDING = (
    httpx2.ConnectError,  # refused, unknown host, TLS
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
)
"""What fails before the first byte of a request leaves."""

_LIMIT_PATIENCE = 30
"""How many times longer to wait after a 429 that names no time: limits are counted by the minute."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished reply.

    Attributes:
        status: HTTP status.
        headers: Names in lower case.
        body: Decoded of its content encoding.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after_s(self) -> float | None:
        """Seconds that `Retry-After` asks for (a number or an HTTP date), or None."""
        text = self.headers.get("retry-after", "").strip()
        if re.fullmatch(r"[0-9]+(\.[0-9]*)?", text):
            return float(text)
        try:
            until = parsedate_to_datetime(text)
        except ValueError:
            return None
        aware = until if until.tzinfo else until.replace(tzinfo=UTC)
        return max(0.0, (aware - datetime.now(UTC)).total_seconds())


Check: TypeAlias = Callable[[str, Reply], "TradingError | None"]
"""(what was asked, reply) -> the error it means, or None."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask.

    Attributes:
        method: GET, POST, ...
        path: Below the base URL, percent-encoded.
        params: Query, encoded when it leaves.
        body: As it goes out; say its Content-Type in `headers`.
        headers: For this request, over those of the service.
        retry: It may be repeated: it only reads, or twice is the same as once.
        name: How sentences call it; method and path unless given.
    """

    method: str
    path: str
    params: Params = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    retry: bool = False
    name: str = ""

    def __str__(self) -> str:
        """Return method and path; never the query, which may name an account or a key."""
        return self.name or f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Service:
    """Whom to ask.

    Attributes:
        base_url: `http://` or `https://`, host, optional path.
        provider: Its name, for errors.
        ca_file: PEM file of the only certificate authorities to trust; None trusts the usual.
        headers: Sent with each request; keys belong here and not into a URL.
        check: What a reply means; None leaves it to `meaning`.
        most_bytes: A longer reply is refused.
    """

    base_url: str
    provider: str
    ca_file: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    check: Check | None = None
    most_bytes: int = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait and how often to ask, in seconds.

    Attributes:
        connect_s: For a connection.
        read_s: Between two pieces of a reply.
        total_s: For one whole reply, so that a server that drips for ever is given up as well.
        attempts: Requests at most where repeating is allowed, the first included.
        first_wait_s: Wait before the second; doubles each time, and half of it is random.
        longest_wait_s: No wait is longer; a `Retry-After` beyond it is given up at once.
    """

    connect_s: float = 10.0
    read_s: float = 30.0
    total_s: float = 180.0
    attempts: int = 4
    first_wait_s: float = 0.5
    longest_wait_s: float = 65.0


def meaning(  # noqa: PLR0911 - one return a status
    provider: str, what: str, reply: Reply
) -> TradingError | None:
    """Return the error that a status means by itself, or None below 300.

    Args:
        provider: Name for the error.
        what: What was asked, for the sentence.
        reply: The reply.
    """
    status = reply.status
    if status < 300:
        return None
    said = f"{provider} answered {status} to {what}"
    if status == 401:
        return AuthError(f"{said}: it does not accept our credentials")
    if status == 403:
        return NotEntitled(f"{said}: this account may not ask that", provider=provider, status=403)
    if status in {404, 410}:
        return NotFound(f"{said}: it does not know it", provider=provider, status=status)
    if status == 429:
        return RateLimited(
            f"{said}: its request limit is reached",
            provider=provider,
            retry_after_s=reply.retry_after_s,
        )
    if status in _RETRYABLE or status >= 500:
        message = f"{said}: it is out of order, try again later"
        return Unavailable(
            message, provider=provider, status=status, retryable=status in _RETRYABLE
        )
    return ProviderError(said, provider=provider, status=status)


class HttpSession:
    """Requests to one service. Threads may share it.

    Args:
        service: Whom to ask.
        limiter: Shared by everybody who asks this service; None does not limit.
        patience: How long to wait and how often to ask.
        clock: Monotonic seconds.
        sleep: Waits.

    Raises:
        ConfigError: The URL or the certificate file cannot be used.
    """

    def __init__(
        self,
        service: Service,
        *,
        limiter: Limiter | None = None,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.service = service
        self._limiter = limiter
        self._patience = patience or Patience()
        self._clock = clock
        self._sleep = sleep
        url = _base(service.base_url)
        self._host = url.netloc.decode()
        quiet_http()
        self._client = httpx2.Client(
            base_url=url,
            headers={"user-agent": "options-backend", **service.headers},
            verify=_trust(url, service.ca_file),
            timeout=httpx2.Timeout(self._patience.read_s, connect=self._patience.connect_s),
            # A proxy of the environment does not reach a server on this machine.
            trust_env=not _is_loopback(url.host),
            follow_redirects=False,
        )

    def get(
        self, path: str, params: Params | None = None, *, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Read; see `send`. It is retried, and carries no Content-Type."""
        return self.send(Request("GET", path, params or {}, headers=headers or {}, retry=True))

    def post(
        self,
        path: str,
        body: bytes,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        retry: bool = False,
    ) -> Reply:
        """Write; see `send`. It is repeated only when the caller allows it."""
        return self.send(Request("POST", path, params or {}, body, headers or {}, retry))

    def send(self, request: Request) -> Reply:
        """Ask, within the rate limit, and again where that is allowed and may help.

        Raises:
            TradingError: Whatever the service's `check` makes of the last reply.
            Unavailable: No reply came.
            BadReply: The reply is too long or cannot be decompressed.
        """
        wait = self._patience.first_wait_s
        for attempt in range(1, self._patience.attempts):
            try:
                return self._once(request)
            except ProviderError as error:
                pause = self._pause(error, wait)
                if pause is None or not (request.retry and error.retryable):
                    raise
                _log.info("%s; asking again in %.1f s (attempt %d)", error, pause, attempt + 1)
                self._sleep(pause)
                wait *= 2
        return self._once(request)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _pause(self, error: ProviderError, wait: float) -> float | None:
        """Return the seconds to wait before asking again, or None when that is too long."""
        longest = self._patience.longest_wait_s
        named = error.retry_after_s if isinstance(error, RateLimited) else None
        if isinstance(error, RateLimited) and named is None:
            wait *= _LIMIT_PATIENCE
        pause = min(wait, longest) * (0.5 + random.random() / 2)  # noqa: S311 - spreads retries
        pause = max(pause, named or 0.0)
        return pause if pause <= longest else None

    def _once(self, request: Request) -> Reply:
        if self._limiter:
            self._limiter.acquire()
        reply = self._exchange(request)
        check = self.service.check
        what = str(request)
        error = check(what, reply) if check else meaning(self.service.provider, what, reply)
        if isinstance(error, RateLimited) and error.retry_after_s and self._limiter:
            self._limiter.close_for(min(error.retry_after_s, self._patience.longest_wait_s))
        if error:
            raise error
        return reply

    def _exchange(self, request: Request) -> Reply:
        provider = self.service.provider
        try:
            with self._client.stream(
                request.method,
                request.path,
                content=request.body,
                params=request.params or None,
                headers=request.headers,
            ) as response:
                content = self._body(request, response)
                found = {name.lower(): value for name, value in response.headers.items()}
                return Reply(response.status_code, found, content)
        except httpx2.TimeoutException as error:
            raise self._unavailable(request, "it did not answer in time", error) from None
        except httpx2.DecodingError:
            message = f"{provider} answered {request} with a body that cannot be decompressed"
            raise BadReply(message, provider=provider, field="body") from None
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):
            message = f"{request} cannot be put into a URL"
            raise ConfigError(message) from None
        except httpx2.RequestError as error:
            raise self._unavailable(request, _reason(error), error) from None

    def _body(self, request: Request, response: httpx2.Response) -> bytes:
        deadline = self._clock() + self._patience.total_s
        pieces = bytearray()
        for piece in response.iter_bytes():
            pieces += piece
            if len(pieces) > self.service.most_bytes:
                provider = self.service.provider
                message = f"{provider} answered {request} with over {self.service.most_bytes} bytes"
                raise BadReply(message, provider=provider, field="body")
            if self._clock() > deadline:
                raise self._unavailable(request, "its answer takes too long", None)
        return bytes(pieces)

    def _unavailable(self, request: Request, reason: str, error: Exception | None) -> Unavailable:
        provider = self.service.provider
        message = f"{provider} at {self._host} cannot be reached for {request}: {reason}"
        return Unavailable(
            message,
            provider=provider,
            retryable=not _untrusted(error),
            sent=not isinstance(error, _BEFORE_SENDING),
        )


def _base(text: str) -> httpx2.URL:
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL:
        url = httpx2.URL("")
    if url.scheme not in {"http", "https"} or not url.host:
        message = "a service's base URL starts with http:// or https:// and names a host"
        raise ConfigError(message)
    return url


def _trust(url: httpx2.URL, ca_file: Path | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        # Reading the machine's authorities takes 20 to 50 ms: without TLS, trust nobody instead.
        return True if url.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError):
        message = f"{ca_file} is not a readable PEM file of certificate authorities"
        raise ConfigError(message) from None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _untrusted(error: Exception | None) -> bool:
    """Say whether a TLS certificate was refused: asking again does not mend that."""
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def _reason(error: httpx2.RequestError) -> str:
    text = str(error).lower()
    if _untrusted(error):
        return "its TLS certificate is not trusted"
    for sign, words in (
        ("refused", "the connection was refused"),
        ("name or service not known", "the host name is unknown"),
        ("name resolution", "the host name cannot be resolved"),
        ("nodename nor servname", "the host name is unknown"),
        ("unreachable", "the network is unreachable"),
        ("ssl", "the TLS handshake failed"),
    ):
        if sign in text:
            return words
    return "the connection broke"
