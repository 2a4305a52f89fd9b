"""Every fault of the streamer, as a client sees it over a real socket."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIELDS = "0,1,2,3,8,34"


@pytest.fixture
def moving(simulator: Any) -> Iterator[Any]:
    """The simulator, its market moving while the test runs."""
    simulator.admin("POST", "clock", {"speed": 1})
    yield simulator
    simulator.admin("POST", "clock", {"speed": 0})


def subscribed(client: Any) -> Any:
    """Subscribe and take the first item."""
    client.ask("LEVELONE_EQUITIES", "SUBS", keys="QQQ,AAPL", fields=FIELDS)
    client.data()
    return client


def times(client: Any, count: int) -> list[int]:
    return [client.data()["timestamp"] for _ in range(count)]


def test_a_handshake_is_refused(simulator: Any, opened: Callable[..., Any]) -> None:
    simulator.fault("schwab.streamer.connect", "status", status=503, count=1)
    with pytest.raises(InvalidStatus) as refused:
        opened()
    assert refused.value.response.status_code == 503
    assert opened().login()["code"] == 0


def test_a_login_is_denied(simulator: Any, opened: Callable[..., Any]) -> None:
    simulator.fault("schwab.streamer.login", "status", count=1)
    denied = opened()
    assert denied.login()["code"] == 3
    assert denied.closed().rcvd.code == 1000
    assert opened().login()["code"] == 0


def test_a_silent_stream_says_nothing_and_stays_open(moving: Any, client: Any) -> None:
    subscribed(client)
    moving.fault("schwab.streamer", "silent", count=1, delay_s=3)
    arrived = [time.monotonic()]
    for _ in range(3):
        client.data()
        arrived.append(time.monotonic())
    assert max(later - earlier for earlier, later in pairwise(arrived)) > 2.5
    assert moving.fired() == {"silent": 1}


def test_a_stream_silent_for_good_does_not_even_answer(moving: Any, client: Any) -> None:
    subscribed(client)
    moving.fault("schwab.streamer", "silent", match={"user": "demo"})
    while not moving.fired()["silent"]:
        time.sleep(0.05)  # until the next batch
    client.send("LEVELONE_EQUITIES", "ADD", keys="MSFT", fields="0,1")
    with pytest.raises(TimeoutError):
        client.raw("response", 2)


def test_a_connection_is_reset(moving: Any, client: Any) -> None:
    subscribed(client)
    moving.fault("schwab.streamer", "reset", count=1)
    ended = client.closed()
    assert isinstance(ended, ConnectionClosedError)
    assert ended.rcvd is None  # no close frame came


def test_half_a_frame_is_followed_by_nothing(moving: Any, client: Any) -> None:
    subscribed(client)
    moving.fault("schwab.streamer", "half_frame", count=1)
    ended = client.closed()
    assert isinstance(ended, ConnectionClosedError)
    assert ended.rcvd is None


def test_frames_come_twice(moving: Any, client: Any) -> None:
    subscribed(client)
    moving.fault("schwab.streamer.data", "duplicate")
    told = times(client, 6)
    assert len(set(told)) < len(told)
    assert told == sorted(told)


def test_frames_are_lost(moving: Any, client: Any) -> None:
    subscribed(client)
    moving.fault("schwab.streamer.data", "gap", count=2)
    begun = time.monotonic()
    client.data()
    client.data()
    assert time.monotonic() - begun > 2.0
    assert moving.fired() == {"gap": 2}


def test_frames_overtake_each_other(moving: Any, client: Any) -> None:
    subscribed(client)
    client.data()
    moving.fault("schwab.streamer.data", "reorder", count=1)
    told = times(client, 3)
    assert told != sorted(told)


def test_frames_come_late(moving: Any, client: Any) -> None:
    subscribed(client)
    moving.fault("schwab.streamer.data", "latency", delay_s=1.5, count=1)
    begun = time.monotonic()
    client.data()
    client.data()
    assert time.monotonic() - begun > 1.4


def test_a_skewed_clock_shows_in_every_time_told(moving: Any, client: Any) -> None:
    subscribed(client)
    before = client.data()["timestamp"]
    moving.fault("schwab.streamer", "clock_skew", skew_s=3600)
    told = times(client, 3)
    assert told[-1] - before > 3_600_000
