"""The HTTPS listener at the callback."""

from __future__ import annotations

import socket
import ssl
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from models.errors import ConfigError
from schwab_integration.callback_listener import CallbackListener, can_listen

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def callback() -> str:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"https://127.0.0.1:{held.getsockname()[1]}/back"


def visit(url: str) -> str:
    trusting = ssl._create_unverified_context()
    with urllib.request.urlopen(url, context=trusting, timeout=20) as reply:
        return str(reply.read().decode())


def telling(sentence: str) -> tuple[list[str], Callable[[str], None], list[CallbackListener]]:
    came: list[str] = []
    listeners: list[CallbackListener] = []

    def note(url: str) -> None:
        came.append(url)
        listeners[0].tell(sentence)

    return came, note, listeners


def test_the_whole_redirect_arrives_and_the_browser_is_told(callback: str) -> None:
    came, note, listeners = telling("Not signed in: <b>no</b>.")
    listeners.append(CallbackListener(callback, note))
    with listeners[0]:
        page = visit(f"{callback}?code=C0.a%40&session=1&state=s")
    assert came == [f"{callback}?code=C0.a%40&session=1&state=s"]
    assert "Not signed in: &lt;b&gt;no&lt;/b&gt;." in page


def test_the_certificate_is_for_this_place_and_short_lived(callback: str) -> None:
    before = set(Path(tempfile.gettempdir()).glob("callback-*"))
    port = int(callback.rpartition(":")[2].partition("/")[0])
    with CallbackListener(callback, lambda _: None):
        pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=20)
        assert set(Path(tempfile.gettempdir()).glob("callback-*")) <= before  # no key stays behind
    found = x509.load_pem_x509_certificate(pem.encode())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name) for name in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert (found.not_valid_after_utc - found.not_valid_before_utc).total_seconds() <= 25 * 3600


def test_the_port_is_free_afterwards(callback: str) -> None:
    for _ in range(2):
        with CallbackListener(callback, lambda _: None):
            pass


def test_a_taken_port_is_one_sentence(callback: str) -> None:
    with (
        CallbackListener(callback, lambda _: None),
        pytest.raises(ConfigError, match=r"port \d+ of SCHWAB_CALLBACK_URL is in use"),
    ):
        CallbackListener(callback, lambda _: None)


def test_a_callback_elsewhere_cannot_be_listened_to() -> None:
    assert not can_listen("https://example.com/back")
    assert not can_listen("https://localhost:8182")
    assert can_listen("https://127.0.0.1")
    with pytest.raises(ConfigError, match=r"leads to example\.com"):
        CallbackListener("https://example.com/back", lambda _: None)


def test_plain_http_and_noise_do_not_end_it(callback: str) -> None:
    came, note, listeners = telling("Signed in.")
    listeners.append(CallbackListener(callback, note))
    port = int(callback.rpartition(":")[2].partition("/")[0])
    with listeners[0]:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as noise:
            noise.sendall(b"GET / HTTP/1.1\r\n\r\n" + bytes(range(256)))
        assert "Signed in." in visit(f"{callback}?error=access_denied")
    assert len(came) == 1
