"""Every fault of HTTP, as a client sees it over a real socket."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests

from simulator.faults import Faults, parse_fault

if TYPE_CHECKING:
    from collections.abc import Callable

QUOTES = "/marketdata/v1/quotes?symbols=QQQ"


@pytest.fixture
def token(simulator: Any) -> str:
    return str(simulator.tokens()["access_token"])


def test_latency_delays_the_answer_and_changes_nothing(simulator: Any, token: str) -> None:
    simulator.fault("schwab.market_data", "latency", delay_s=0.4, count=1)
    begun = time.monotonic()
    assert simulator.get(QUOTES, token).status_code == 200
    assert time.monotonic() - begun >= 0.4
    assert simulator.fired() == {"latency": 1}


@pytest.mark.parametrize("status", [401, 429, 500, 502, 503])
def test_a_status_is_answered_as_often_as_asked_for(
    simulator: Any, token: str, status: int
) -> None:
    simulator.fault("schwab.market_data.quotes", "status", status=status, count=2)
    replies = [simulator.get(QUOTES, token) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [status, status, 200]
    assert "Retry-After" not in replies[0].headers
    if status in {502, 503}:  # what stands before the service speaks HTML
        assert replies[0].headers["content-type"] == "text/html"
    else:
        assert replies[0].json()["errors"][0]["title"]


def test_429_can_name_the_seconds_to_wait(simulator: Any, token: str) -> None:
    simulator.fault("schwab.market_data", "status", status=429, retry_after_s=2, count=1)
    reply = simulator.get(QUOTES, token)
    assert (reply.status_code, reply.headers["Retry-After"]) == (429, "2")


def test_errors_of_the_trader_api_have_its_form(simulator: Any, token: str) -> None:
    simulator.fault("schwab.trader", "status", status=500, count=1)
    reply = simulator.get("/trader/v1/accounts", token)
    assert reply.json() == {
        "message": "Internal Server Error",
        "errors": ["Internal Server Error"],
    }


def test_a_reset_connection_is_seen_as_one(simulator: Any, token: str) -> None:
    simulator.fault("schwab.market_data", "reset", count=1)
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        simulator.get(QUOTES, token)
    assert simulator.get(QUOTES, token).status_code == 200


def test_a_reset_works_below_tls(simulator: Any, token: str) -> None:
    simulator.fault("schwab.market_data", "reset", count=1)
    url = simulator.said["https"] + QUOTES
    options = {"verify": simulator.said["ca_file"], "timeout": 15}
    headers = {"Authorization": f"Bearer {token}"}
    with pytest.raises(requests.ConnectionError):
        requests.get(url, headers=headers, **options)
    assert requests.get(url, headers=headers, **options).status_code == 200


def test_a_lost_reply_was_an_answer_to_what_was_done(simulator: Any) -> None:
    simulator.fault("schwab.oauth.token", "lost_reply", count=1)
    code = simulator.code()
    with pytest.raises(requests.ConnectionError):
        simulator.grant(grant_type="authorization_code", code=code)
    # The code has been used up though no token arrived.
    assert simulator.grant(grant_type="authorization_code", code=code).status_code == 400


def test_half_a_body_ends_before_its_length(simulator: Any, token: str) -> None:
    simulator.fault("schwab.market_data", "half_body", count=1)
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        simulator.get(QUOTES, token)
    assert simulator.get(QUOTES, token).json()["QQQ"]


def test_a_skewed_clock_shows_in_the_date(simulator: Any, token: str) -> None:
    def date() -> datetime:
        return parsedate_to_datetime(simulator.get(QUOTES, token).headers["Date"])

    assert abs((date() - datetime.now(UTC)).total_seconds()) < 5
    simulator.fault("schwab", "clock_skew", skew_s=-300)
    assert abs((date() - datetime.now(UTC)).total_seconds() + 300) < 5


def test_revoked_tokens_are_dead_and_cannot_be_refreshed(simulator: Any) -> None:
    granted, other = simulator.tokens(), simulator.tokens("second")
    simulator.fault("schwab.market_data", "revoke_token", count=1)
    assert simulator.get(QUOTES, granted["access_token"]).status_code == 401
    form = {"grant_type": "refresh_token", "refresh_token": granted["refresh_token"]}
    assert simulator.grant(**form).status_code == 400
    assert simulator.get(QUOTES, other["access_token"]).status_code == 200


def test_a_fault_can_be_bound_to_a_path_and_cleared(simulator: Any, token: str) -> None:
    number = simulator.fault("schwab.market_data", "status", match={"path": "*/pricehistory"})
    simulator.fault("schwab.trader", "status")
    assert simulator.get(QUOTES, token).status_code == 200
    history = "/marketdata/v1/pricehistory?symbol=QQQ"
    assert simulator.get(history, token).status_code == 503
    assert simulator.admin("DELETE", f"faults/{number}") == {"cleared": 1}
    assert simulator.get(history, token).status_code == 200
    assert simulator.admin("DELETE", "faults") == {"cleared": 1}


def test_faults_of_the_command_line_fire_as_their_seed_says(run: Callable[..., Any]) -> None:
    spec = "schwab.market_data:status:status=503,rate=0.3"
    options = ("--clock", "2026-11-20T12:00", "--speed", "0", "--requests-per-minute", "0")
    with run(*options, "--fault", spec, "--fault-seed", "5") as simulator:
        token = simulator.tokens()["access_token"]
        statuses = [simulator.get(QUOTES, token).status_code for _ in range(30)]
        assert simulator.fired() == {"status": statuses.count(503)}
    same = Faults(5)
    same.arm(parse_fault(spec))
    drawn = [bool(same.take("schwab.market_data.quotes")) for _ in range(30)]
    assert [status == 503 for status in statuses] == drawn
    assert 2 <= sum(drawn) <= 18


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "faults"),
        ("POST", "faults"),
        ("DELETE", "faults"),
        ("DELETE", "faults/1"),
        ("POST", "clock"),
    ],
)
def test_only_who_knows_the_admin_token_can_change_anything(
    simulator: Any, method: str, path: str
) -> None:
    url = f"{simulator.http}/simulator/{path}"
    for headers in ({}, {"X-Simulator-Admin": "guess"}):
        reply = requests.request(method, url, json={}, headers=headers, timeout=15)
        assert reply.status_code == 403
        assert simulator.said["admin_token"] not in reply.text


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("faults", {"target": "nobody", "fault": "reset"}, "is no target of faults"),
        ("faults", {"target": "schwab", "fault": "flood"}, "Invalid enum value 'flood'"),
        ("faults", {"target": "schwab", "fault": "reset", "rate": 2}, "<= 1"),
        ("faults", {"target": "schwab", "fault": "reset", "count": 0}, ">= 1"),
        ("faults", {"target": "schwab", "fault": "reset", "speed": 1}, "unknown field"),
        ("clock", {"now": "2020-01-02T12:00"}, "never goes back"),
        ("clock", {"now": "soon"}, "'soon'"),
        ("clock", {"speed": -1}, "frozen"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(
    simulator: Any, path: str, body: Any, sentence: str
) -> None:
    headers = {"X-Simulator-Admin": simulator.said["admin_token"]}
    url = f"{simulator.http}/simulator/{path}"
    reply = requests.post(url, json=body, headers=headers, timeout=15)
    assert reply.status_code == 400
    assert sentence in reply.json()["error"]


def test_the_clock_moves_on_and_shows_in_the_status(run: Callable[..., Any]) -> None:
    with run("--clock", "2026-11-20T12:00", "--speed", "0") as simulator:
        moved = simulator.admin("POST", "clock", {"now": "2026-11-20T15:59", "speed": 0})
        assert moved == {"now": "2026-11-20T20:59:00Z", "speed": 0.0, "held": False}
        status = requests.get(f"{simulator.http}/simulator/status", timeout=15).json()
        assert (status["now"], status["speed"]) == ("2026-11-20T20:59:00.000000Z", 0.0)
        simulator.admin("POST", "clock", {"speed": 600})
        begun = time.monotonic()
        while simulator.admin("POST", "clock", {})["now"] < "2026-11-20T21:05":
            assert time.monotonic() - begun < 15
