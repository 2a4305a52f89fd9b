import io
import json
import logging
import time
from collections.abc import Iterator

import pytest

from utils.logs import BLOT, configure, redact


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer I0.b2F1dGgyLm@", "I0.b2F1dGgyLm"),
        ("{'authorization': 'Basic YWJjZGVmZ2g='}", "YWJjZGVmZ2g"),
        ("headers Bearer abcdefghij done", "abcdefghij"),
        ('{"refresh_token": "abc-DEF@", "x": 1}', "abc-DEF"),
        ("grant_type=refresh_token&refresh_token=abc%40&x=1", "abc%40"),
        ("GET https://api.example/v3?apiKey=XYZ123&limit=5", "XYZ123"),
        ("GET https://127.0.0.1:8182/?code=C0.abc%40&session=77-88", "C0.abc"),
        ("app_secret='hunter22'", "hunter22"),
        ("SCHWAB_APP_SECRET=hunter22", "hunter22"),
        ("postgresql://me:p4ss@db.example:5432/postgres", "p4ss"),
        ("key eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoi.sig-nature", "eyJyb2xlIjoi"),
        ("sb_secret_abcDEF123", "abcDEF123"),
        (r'{"said": "{\"refresh_token\": \"abcDEF123\"}"}', "abcDEF123"),
        ("token is I0.YmFzZTY0LXRoaW5nLXRoYXQ@ there", "YmFzZTY0"),
    ],
)
def test_secrets_are_blotted_out(text: str, secret: str) -> None:
    shown = redact(text)
    assert secret not in shown
    assert BLOT in shown
    assert redact(shown) == shown


def test_what_is_no_secret_stays() -> None:
    text = "schwab answered 404 to GET /marketdata/v1/chains: it does not know QQQ at 15:30:00"
    assert redact(text) == text


@pytest.mark.parametrize(
    "piece", ["a", "token", "a-", "eyJ", "eyJ-", "x+.", "://a:", "Bearer ", '"a": "', "I0."]
)
def test_a_long_text_takes_no_longer_than_its_length(piece: str) -> None:
    """Half a second for what took minutes: it may be a reply that a server made up."""
    text = piece * (100_000 // len(piece))
    started = time.process_time()
    redact(text)
    assert time.process_time() - started < 0.5


def test_known_secrets_are_blotted_out_anywhere() -> None:
    assert redact("xx S3CRET yy", ["S3CRET", ""]) == f"xx {BLOT} yy"


def test_the_console_shows_one_redacted_line() -> None:
    stream = io.StringIO()
    configure(level=logging.INFO, stream=stream, known=["S3CRET"])
    logging.getLogger("a.b").info("asked with %s and apiKey=%s", "S3CRET", "K")
    assert stream.getvalue().endswith(f"INFO    a.b: asked with {BLOT} and apiKey={BLOT}\n")
    assert len(stream.getvalue().splitlines()) == 1


def test_json_lines_carry_extras_and_a_redacted_trace() -> None:
    stream = io.StringIO()
    configure(level="INFO", json=True, stream=stream)

    def broken() -> None:
        message = "refresh_token=abc123"
        raise ValueError(message)

    try:
        broken()
    except ValueError:
        logging.getLogger("x").exception("failed", extra={"ticker": "QQQ", "app_secret": "s3"})
    line = json.loads(stream.getvalue())
    assert line["message"] == "failed"
    assert line["level"] == "ERROR"
    assert line["ticker"] == "QQQ"
    assert line["app_secret"] == BLOT
    assert "abc123" not in stream.getvalue()
    assert "ValueError" in line["trace"]


def test_http_libraries_do_not_log_urls() -> None:
    stream = io.StringIO()
    configure(level=logging.DEBUG, stream=stream)
    for name in ("httpx2", "httpcore2", "httpx", "httpcore"):
        logging.getLogger(name).info("HTTP Request: GET https://x/?q=1")
    assert stream.getvalue() == ""
