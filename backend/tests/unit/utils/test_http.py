import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

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
from utils.http import HttpSession, Patience, Reply, Request, Service, meaning
from utils.rate_limit import RateLimiter

Serve = Callable[[Callable[[Any], Any]], Any]


class FakeTime:
    """A monotonic clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


def session_to(url: str, fake_time: FakeTime, **service: Any) -> HttpSession:
    return HttpSession(
        Service(url, "acme", **service), clock=fake_time.clock, sleep=fake_time.sleep
    )


def test_get_sends_query_and_headers_and_no_content_type(
    serve: Serve, answer: Any, fake_time: FakeTime
) -> None:
    server = serve(lambda _: answer(body=b"hello", headers={"X-Thing": "1"}))
    with session_to(server.url + "/base", fake_time, headers={"x-key": "k"}) as session:
        reply = session.get("/quotes", {"symbols": "A B,$SPX"}, headers={"x-more": "m"})
    (came,) = server.received
    assert (reply.status, reply.body, reply.headers["x-thing"]) == (200, b"hello", "1")
    assert (came.method, came.path, came.query) == ("GET", "/base/quotes", {"symbols": "A B,$SPX"})
    assert (came.headers["x-key"], came.headers["x-more"]) == ("k", "m")
    assert "content-type" not in came.headers


def test_post_sends_the_bytes(serve: Serve, answer: Any, fake_time: FakeTime) -> None:
    server = serve(lambda _: answer(status=201))
    with session_to(server.url, fake_time) as session:
        assert session.post("/x", b"\x00\xff", headers={"content-type": "a/b"}).status == 201
    assert server.received[0].body == b"\x00\xff"
    assert server.received[0].headers["content-type"] == "a/b"


def test_a_read_is_retried_with_growing_waits(
    serve: Serve, answer: Any, fake_time: FakeTime
) -> None:
    server = serve(lambda _: answer(status=200 if len(server.received) == 4 else 503))
    with session_to(server.url, fake_time) as session:
        assert session.get("/x").status == 200
    assert len(server.received) == 4
    for wait, most in zip(fake_time.slept, (0.5, 1.0, 2.0), strict=True):
        assert most / 2 <= wait <= most


def test_a_read_gives_up_with_the_last_error(
    serve: Serve, answer: Any, fake_time: FakeTime
) -> None:
    server = serve(lambda _: answer(status=502))
    with session_to(server.url, fake_time) as session, pytest.raises(Unavailable) as caught:
        session.get("/x", {"token": "hidden"})
    assert len(server.received) == 4
    assert (caught.value.status, caught.value.retryable) == (502, True)
    assert "hidden" not in str(caught.value)


def test_a_write_is_sent_once_unless_allowed(
    serve: Serve, answer: Any, fake_time: FakeTime
) -> None:
    server = serve(lambda _: answer(status=503))
    with session_to(server.url, fake_time) as session:
        with pytest.raises(Unavailable):
            session.post("/x", b"")
        assert len(server.received) == 1
        with pytest.raises(Unavailable):
            session.post("/x", b"", retry=True)
        assert len(server.received) == 5


def test_retry_after_is_obeyed(serve: Serve, answer: Any, fake_time: FakeTime) -> None:
    server = serve(
        lambda _: (
            answer()
            if len(server.received) > 1
            else answer(status=429, headers={"Retry-After": "7"})
        )
    )
    with session_to(server.url, fake_time) as session:
        session.get("/x")
    assert fake_time.slept == [7.0]


def test_a_limit_without_a_time_is_waited_out(
    serve: Serve, answer: Any, fake_time: FakeTime
) -> None:
    """A window is a minute: asking again for three seconds would only be refused again."""
    server = serve(lambda _: answer(status=429))
    with session_to(server.url, fake_time) as session, pytest.raises(RateLimited):
        session.get("/x")
    assert len(server.received) == 4
    assert sum(fake_time.slept) > 50
    assert max(fake_time.slept) <= Patience().longest_wait_s


def test_a_retry_after_beyond_patience_is_given_up(
    serve: Serve, answer: Any, fake_time: FakeTime
) -> None:
    server = serve(lambda _: answer(status=429, headers={"Retry-After": "3600"}))
    with session_to(server.url, fake_time) as session, pytest.raises(RateLimited) as caught:
        session.get("/x")
    assert caught.value.retry_after_s == 3600
    assert len(server.received) == 1
    assert fake_time.slept == []


def test_retry_after_closes_the_limiter_for_everybody(
    serve: Serve, answer: Any, fake_time: FakeTime
) -> None:
    server = serve(lambda _: answer(status=429, headers={"Retry-After": "30"}))
    limiter = RateLimiter(100, clock=fake_time.clock, sleep=fake_time.sleep)
    patience = Patience(attempts=1)  # the last attempt tells as much as the first
    session = HttpSession(Service(server.url, "acme"), limiter=limiter, patience=patience)
    with session, pytest.raises(RateLimited):
        session.post("/x", b"")
    assert limiter.acquire() == 30


def test_retry_after_may_be_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    assert 15 < (Reply(429, {"retry-after": later}, b"").retry_after_s or 0) <= 20
    assert Reply(429, {"retry-after": "1.5"}, b"").retry_after_s == 1.5
    for text in ("soon", "²", "-5", "nan", "1e3"):
        assert Reply(429, {"retry-after": text}, b"").retry_after_s is None
    assert Reply(429, {}, b"").retry_after_s is None


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (401, AuthError, None),
        (403, NotEntitled, False),
        (404, NotFound, False),
        (429, RateLimited, True),
        (500, Unavailable, True),
        (501, Unavailable, False),
        (504, Unavailable, True),
        (302, ProviderError, False),
        (400, ProviderError, False),
    ],
)
def test_each_status_has_a_meaning(
    status: int, kind: type[TradingError], retryable: bool | None
) -> None:
    error = meaning("acme", "GET /x", Reply(status, {}, b""))
    assert type(error) is kind
    assert getattr(error, "retryable", None) == retryable
    assert str(status) in str(error)


def test_the_services_own_check_decides(serve: Serve, answer: Any, fake_time: FakeTime) -> None:
    def check(what: str, reply: Reply) -> TradingError | None:
        return BadReply(what, provider="acme", field="f") if reply.body == b"odd" else None

    server = serve(lambda _: answer(status=500, body=b"odd" if len(server.received) > 1 else b"ok"))
    with session_to(server.url, fake_time, check=check) as session:
        assert session.get("/x").status == 500
        with pytest.raises(BadReply, match="GET /x"):
            session.get("/x")


def test_a_refused_connection_is_one_sentence(fake_time: FakeTime) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        session_to(f"http://127.0.0.1:{port}", fake_time) as session,
        pytest.raises(Unavailable) as caught,
    ):
        session.get("/x", {"apiKey": "hidden"})
    assert str(caught.value) == (
        f"acme at 127.0.0.1:{port} cannot be reached for GET /x: the connection was refused"
    )
    assert len(fake_time.slept) == 3
    assert caught.value.retryable
    assert caught.value.sent is False
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("how", ["hang", "reset", "half"])
def test_what_broke_after_it_was_sent_may_have_arrived(serve: Serve, answer: Any, how: str) -> None:
    server = serve(lambda _: answer(**{how: True}))
    session = HttpSession(Service(server.url, "acme"), patience=Patience(read_s=0.1))
    with session, pytest.raises(Unavailable) as caught:
        session.post("/x", b"{}")
    assert caught.value.sent is True
    assert len(server.received) == 1


def test_a_silent_server_is_given_up(serve: Serve, answer: Any) -> None:
    server = serve(lambda _: answer(hang=True))
    patience = Patience(read_s=0.05, attempts=2, first_wait_s=0.01)
    session = HttpSession(Service(server.url, "acme"), patience=patience)
    with session, pytest.raises(Unavailable, match="did not answer in time"):
        session.get("/x")
    assert len(server.received) == 2


def test_a_dripping_server_is_given_up(serve: Serve, answer: Any) -> None:
    server = serve(lambda _: answer(body=b"x" * 100_000))
    session = HttpSession(Service(server.url, "acme"), patience=Patience(total_s=-1, attempts=1))
    with session, pytest.raises(Unavailable, match="takes too long"):
        session.get("/x")


def test_an_endless_body_is_refused(serve: Serve, answer: Any, fake_time: FakeTime) -> None:
    server = serve(lambda _: answer(body=b"x" * 1001))
    with (
        session_to(server.url, fake_time, most_bytes=1000) as session,
        pytest.raises(BadReply, match="over 1000 bytes"),
    ):
        session.get("/x")


def test_a_body_that_is_no_gzip(serve: Serve, answer: Any, fake_time: FakeTime) -> None:
    server = serve(lambda _: answer(body=b"plain", headers={"content-encoding": "gzip"}))
    with (
        session_to(server.url, fake_time) as session,
        pytest.raises(BadReply, match="cannot be decompressed"),
    ):
        session.get("/x")


def test_redirects_are_not_followed(serve: Serve, answer: Any, fake_time: FakeTime) -> None:
    server = serve(lambda _: answer(status=302, headers={"location": "http://127.0.0.1:1/"}))
    with session_to(server.url, fake_time) as session, pytest.raises(ProviderError, match="302"):
        session.get("/x")
    assert len(server.received) == 1


@pytest.mark.parametrize("url", ["", "ftp://host", "host:80", "http://"])
def test_a_bad_base_url_is_a_config_error(url: str, fake_time: FakeTime) -> None:
    with pytest.raises(ConfigError, match="base URL"):
        session_to(url, fake_time)


def test_a_bad_certificate_file_is_a_config_error(tmp_path: Path, fake_time: FakeTime) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(ConfigError, match=name):
            session_to("https://127.0.0.1", fake_time, ca_file=tmp_path / name)


def test_a_request_shows_no_query() -> None:
    assert str(Request("GET", "/x", {"apiKey": "hidden"})) == "GET /x"
    assert str(Request("GET", "/x/hidden", name="the account")) == "the account"
    told = Request("POST", "/x", body=b"hidden", headers={"authorization": "hidden"})
    assert "hidden" not in repr(told)
    assert "hidden" not in repr(Service("http://x", "acme", headers={"apikey": "hidden"}))
