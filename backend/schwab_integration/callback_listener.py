"""Receives the redirect of a sign-in on this machine, over HTTPS, with a certificate of its own.

The certificate is made on the spot and lives for a day; its key is in a file of mode 0600 for the
moment that the TLS library needs to read it. No browser knows the certificate, so it warns once.
"""

from __future__ import annotations

import errno
import ipaddress
import queue
import ssl
import tempfile
import threading
from datetime import timedelta
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from models.errors import ConfigError
from utils.clock import Clock, wall_clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

HOST = "127.0.0.1"
"""The only host of a callback that can be listened to."""

_HTTPS_PORT = 443
_CERTIFICATE_LIFE = timedelta(days=1)
_CLOCK_SKEW = timedelta(hours=1)
_REQUEST_TIMEOUT_S = 10.0
_VERDICT_TIMEOUT_S = 120.0
_ANSWER_TIMEOUT_S = 5.0


def can_listen(callback_url: str) -> bool:
    """Return whether a callback leads to this machine."""
    return urlsplit(callback_url).hostname == HOST


class CallbackListener:
    """Listens at a callback while it is entered.

    Args:
        callback_url: The registered callback, `https://127.0.0.1[:port][/path]`.
        came: Called in another thread with the URL of each redirect that arrives.
        clock: For the days of the certificate.

    Raises:
        ConfigError: The callback is not on this machine, or its port cannot be used.
    """

    def __init__(
        self, callback_url: str, came: Callable[[str], None], clock: Clock = wall_clock
    ) -> None:
        place = urlsplit(callback_url)
        if place.hostname != HOST:
            message = (
                f"SCHWAB_CALLBACK_URL leads to {place.hostname}, not to {HOST}: paste the address"
            )
            raise ConfigError(message)
        self._origin = f"https://{place.netloc}"
        self._path = place.path or "/"
        self._came = came
        self._verdict: queue.Queue[str] = queue.Queue()
        self._told = False
        self._answered = threading.Event()
        self._server = _bound(place.port or _HTTPS_PORT, self._answering())
        self._server.socket = _context(clock).wrap_socket(
            self._server.socket,
            server_side=True,
            do_handshake_on_connect=False,  # else a silent visitor would keep all others out
        )
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    def tell(self, sentence: str) -> None:
        """Say in the browser what became of the sign-in that it brought."""
        self._told = True
        self._verdict.put(sentence)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._told:
            self._answered.wait(_ANSWER_TIMEOUT_S)  # else the browser would see us hang up
        self._verdict.put("The program has ended.")
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _redirected(self, target: str) -> str | None:
        """Return what a redirect's visitor is told; None for other visitors."""
        parts = urlsplit(target)
        if (parts.path or "/") != self._path or not {"code", "error"} & parse_qs(
            parts.query
        ).keys():
            return None
        self._came(f"{self._origin}{target}")
        try:
            return self._verdict.get(timeout=_VERDICT_TIMEOUT_S)
        except queue.Empty:
            return "No answer came: look at the program."

    def _answering(self) -> type[BaseHTTPRequestHandler]:
        redirected, answered = self._redirected, self._answered

        class Answering(BaseHTTPRequestHandler):
            timeout = _REQUEST_TIMEOUT_S

            def do_GET(self) -> None:
                told = redirected(self.path)
                page = _PAGE.format(escape(told or "There is nothing here.")).encode()
                self.send_response(200 if told else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(page)))
                self.send_header("Cache-Control", "no-store")
                self.send_header("Referrer-Policy", "no-referrer")
                self.end_headers()
                self.wfile.write(page)
                if told:
                    answered.set()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
                """Say nothing: the request line holds the code."""

        return Answering


_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Sign-in</title>'
    '<body style="font: 1.1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 20vh auto; '
    'padding: 0 1rem"><p>{}</p></body></html>'
)


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # browsers open connections in advance, and are silent on them
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: browsers that do not trust the certificate hang up."""


def _bound(port: int, answering: type[BaseHTTPRequestHandler]) -> _Server:
    try:
        return _Server((HOST, port), answering)
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        why = "is in use" if in_use else f"cannot be used ({error.strerror})"
        raise ConfigError(f"port {port} of SCHWAB_CALLBACK_URL {why}") from None


def _context(clock: Clock) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Sign-in callback")])
    now = clock()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _CERTIFICATE_LIFE)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.IPv4Address(HOST))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory(prefix="callback-") as folder:  # mode 0700
        both = Path(folder) / "certificate.pem"
        both.touch(mode=0o600)
        both.write_bytes(pem + certificate.public_bytes(Encoding.PEM))
        context.load_cert_chain(both)
    return context
