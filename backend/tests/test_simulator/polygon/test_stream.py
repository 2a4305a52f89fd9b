"""Polygon's WebSockets over real sockets: status texts, plans, limits, evictions, and what is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from simulator.polygon import facts
from simulator.server import Options, Simulator
from utils.market_calendar import NEW_YORK

CONTRACTS = "/v3/reference/options/contracts"
NEAR = {"underlying_ticker": "QQQ", "expiration_date": "2026-11-20", "limit": "1000"}

START_MS, OPEN_MS = (
    int(datetime(2026, 11, 20, *at, tzinfo=NEW_YORK).timestamp()) * 1000 for at in ((7, 0), (9, 30))
)
"""When the day's trading begins in the simulator's world, and when the session opens."""

Opened = Callable[..., Any]


def near_the_money(simulator: Any) -> list[str]:
    """Return contracts of today that trade all the time."""
    price = simulator.told("/v2/aggs/ticker/QQQ/prev")["results"][0]["c"]
    bounds = {"strike_price.gte": f"{price - 8:.0f}", "strike_price.lte": f"{price + 8:.0f}"}
    return [row["ticker"] for row in simulator.rows(CONTRACTS, **NEAR, **bounds)]


@pytest.fixture
def tickers(simulator: Any) -> list[str]:
    return near_the_money(simulator)


@pytest.fixture
def trades(moving: Any) -> str:
    """What to subscribe to for a steady flow of trades."""
    return ",".join(f"T.{ticker}" for ticker in near_the_money(moving))


def test_the_words_of_a_sign_in_and_of_channels(simulator: Any, opened: Opened) -> None:
    one = opened(simulator)
    assert one.statuses == [
        ("connected", "Connected Successfully"),
        ("auth_success", "authenticated"),
    ]
    assert one.answers("subscribe", "AM.*, T.*") == [
        ("success", "subscribed to: AM.*"),
        ("success", "subscribed to: T.*"),
    ]
    assert one.answers("subscribe", "AM.*,A.*") == [("success", "subscribed to: A.*")]
    assert one.answers("unsubscribe", "T.*") == [("success", "unsubscribed to: T.*")]
    assert one.answers("subscribe", "T.*") == [("success", "subscribed to: T.*")]
    assert one.answers("dance", "T.*") == [("error", "unknown action: dance")]


def test_nothing_goes_without_a_key(simulator: Any, opened: Opened) -> None:
    one = opened(simulator, key=None)
    one.say("subscribe", "AM.*")
    one.read()
    one.socket.send("no JSON")
    one.read()
    assert one.statuses[1:] == [
        ("error", "not authenticated"),
        ("error", "message could not be read"),
    ]
    assert simulator.stream.startswith("ws://")


def test_a_wrong_key_is_named_and_the_connection_closed(simulator: Any, opened: Opened) -> None:
    one = opened(simulator, key="somebody's")
    assert one.statuses[-1] == ("auth_failed", "authentication failed")
    assert one.closed().rcvd.code == 1008


def test_a_connection_without_a_key_is_closed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "AUTH_TIMEOUT_S", 0.1)

    async def heard() -> tuple[list[str], int | None]:
        simulator = Simulator(Options(port=0, clock="2026-11-20T12:00", speed=0))
        frames: list[str] = []
        async with simulator.running(), connect(f"ws{simulator.http[4:]}/options") as socket:
            try:
                while True:
                    frames.append(str(await socket.recv()))
            except ConnectionClosedError as ended:
                return frames, ended.rcvd and ended.rcvd.code

    frames, code = asyncio.run(heard())
    assert code == 1008
    assert '"auth_timeout"' in frames[-1]
    assert facts.AUTH_TIMEOUT_WORDS in frames[-1]


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("SimulatorPolygonKeyBasic", ""),
        ("SimulatorPolygonKeyStarter", "A AM"),
        ("SimulatorPolygonKeyDeveloper", "A AM T"),
        (None, "A AM T Q FMV"),
    ],
)
def test_each_plan_has_its_channels(
    simulator: Any, opened: Opened, tickers: list[str], key: str | None, allowed: str
) -> None:
    one = opened(simulator, key=key or "")
    asked = [f"{kind}.{tickers[0]}" for kind in ("A", "AM", "T", "Q", "FMV")]
    told = dict(zip(asked, one.answers("subscribe", ",".join(asked)), strict=True))
    for channel, answer in told.items():
        good = channel.split(".")[0] in allowed.split()
        words = f"subscribed to: {channel}" if good else f"not authorized: {channel}"
        assert answer == ("success" if good else "error", words)


@pytest.mark.parametrize("channel", ["Q.*", "FMV.*", "Q.O:QQQ", "Q.QQQ", "V.I:SPX", "LULD.*", "*"])
def test_channels_that_there_are_not(simulator: Any, opened: Opened, channel: str) -> None:
    one = opened(simulator)
    assert one.answers("subscribe", channel) == [("error", f"cannot subscribe to: {channel}")]


def test_a_thousand_quotes_and_no_more(simulator: Any, opened: Opened) -> None:
    some = simulator.told(CONTRACTS, underlying_ticker="QQQ", limit="1000")
    tickers = [row["ticker"] for row in some["results"]]
    more = simulator.told(some["next_url"])["results"][0]["ticker"]
    one = opened(simulator)
    answers = one.answers("subscribe", ",".join(f"Q.{ticker}" for ticker in [*tickers, more]))
    assert len(answers) == 1001
    assert [word for word, _ in answers] == ["success"] * 1000 + ["error"]
    assert answers[-1][1] == f"cannot subscribe to: Q.{more}"
    assert one.answers("subscribe", f"AM.{more}") == [("success", f"subscribed to: AM.{more}")]
    one.answers("unsubscribe", f"Q.{tickers[0]}")
    assert one.answers("subscribe", f"Q.{more}") == [("success", f"subscribed to: Q.{more}")]


def test_the_older_of_two_is_evicted_and_the_newer_stays(simulator: Any, opened: Opened) -> None:
    first = opened(simulator)
    stocks = opened(simulator, "stocks")
    other = opened(simulator, key="SimulatorPolygonKeyStarter")
    second = opened(simulator)
    ended = first.closed()
    status, words = first.statuses[-1]
    assert status == "max_connections"
    assert words.startswith("Maximum number of websocket connections exceeded.")
    assert ended.rcvd.code == 1008
    for one in (stocks, other, second):
        assert one.answers("subscribe", "AM.*") == [("success", "subscribed to: AM.*")]


def test_who_reads_too_slowly_is_cut_off(
    simulator: Any, opened: Opened, tickers: list[str]
) -> None:
    one = opened(simulator)
    one.answers("subscribe", f"A.{tickers[0]}")
    for _ in range(120_000):
        one.socket.send('{"action":"dance a long dance that fills the buffers of two sockets"}')
    for _ in range(200):  # it has other things to do than to take the answers
        simulator.told("/v1/marketstatus/now")
    assert one.closed().rcvd.code == 1008
    assert one.statuses[-1] == ("slow_consumer", "Your connection is too slow.")


def of_kind(one: Any, kind: str) -> list[dict[str, Any]]:
    return [event for event in one.events if event["ev"] == kind]


def test_trades_and_their_minutes_are_those_of_rest(moving: Any, opened: Opened) -> None:
    one = opened(moving)
    one.say("subscribe", "AM.*,T.*")
    both = {"O:QQQ", "O:SPY"}  # a minute of one may come in a frame before that of the other
    one.until(lambda it: {bar["sym"][:5] for bar in of_kind(it, "AM")} == both)
    one.until(lambda it: len(of_kind(it, "T")) > 100)
    bars, ticks = of_kind(one, "AM"), of_kind(one, "T")
    assert all(bar["e"] - bar["s"] == 60_000 for bar in bars)
    for bar in bars[:5]:
        path = f"/v2/aggs/ticker/{bar['sym']}/range/1/minute/{bar['s']}/{bar['s']}"
        (asked,) = moving.told(path)["results"]
        assert [bar[name] for name in "ohlcv"] == [asked[name] for name in "ohlcv"]
        assert bar["vw"] == asked["vw"]
    for tick in ticks[:5]:
        query = {"timestamp.gte": f"{tick['t']}000000", "timestamp.lt": f"{tick['t'] + 1}000000"}
        (asked, *_) = moving.told(f"/v3/trades/{tick['sym']}", **query)["results"]
        wire = tick["p"], tick["s"], tick["x"], tick["c"]
        assert wire == tuple(asked[n] for n in ("price", "size", "exchange", "conditions"))
    numbers = [tick["q"] for tick in ticks]
    assert numbers == sorted(set(numbers))
    assert max(map(len, one.frames)) < 1 << 20


def test_bars_carry_what_their_day_ran_up(moving: Any, opened: Opened) -> None:
    one, stocks = opened(moving), opened(moving, "stocks")
    one.say("subscribe", "A.*,AM.*")
    one.until(lambda it: len(of_kind(it, "A")) > 50 and of_kind(it, "AM"))
    for bar in of_kind(one, "A")[:3]:
        assert bar["e"] - bar["s"] == 1000
        day = f"/v2/aggs/ticker/{bar['sym']}/range/1/second/2026-11-20/{bar['s']}"
        told = moving.rows(day, limit="50000")
        assert bar["op"] == told[0]["o"]
        assert bar["av"] == sum(row["v"] for row in told)
        assert bar["v"] == told[-1]["v"]
        value = sum(row["v"] * row["vw"] for row in told)
        assert bar["a"] == pytest.approx(value / bar["av"], rel=1e-3)
        assert bar["z"] == bar["v"] // told[-1]["n"]
    stocks.say("subscribe", "AM.QQQ")
    stocks.until(lambda it: of_kind(it, "AM"))
    bar = of_kind(stocks, "AM")[0]
    day = moving.rows(f"/v2/aggs/ticker/QQQ/range/1/minute/2026-11-20/{bar['s']}", limit="5000")
    assert bar["av"] == sum(row["v"] for row in day if row["t"] >= START_MS)
    (opening,) = (row for row in day if row["t"] == OPEN_MS)
    assert bar["op"] == opening["o"]


def test_quotes_of_contracts_stocks_and_values_of_indices(moving: Any, opened: Opened) -> None:
    listed = moving.told(CONTRACTS, underlying_ticker="QQQ", expiration_date="2026-12-18")
    ticker = listed["results"][0]["ticker"]
    options, stocks, indices = (opened(moving, name) for name in ("options", "stocks", "indices"))
    options.say("subscribe", f"Q.{ticker},FMV.{ticker}")
    options.until(lambda one: of_kind(one, "Q") and of_kind(one, "FMV"))
    quote, fair = of_kind(options, "Q")[0], of_kind(options, "FMV")[0]
    assert fair["t"] // 1_000_000 == quote["t"]
    assert fair["fmv"] == pytest.approx((quote["bp"] + quote["ap"]) / 2, abs=1e-4)
    assert 0 < quote["bp"] < quote["ap"]
    stocks.say("subscribe", "Q.QQQ,AM.QQQ")
    stocks.until(lambda one: of_kind(one, "Q") and of_kind(one, "AM"))
    assert of_kind(stocks, "Q")[0]["sym"] == "QQQ"
    indices.say("subscribe", "V.I:SPX")
    indices.until(lambda one: of_kind(one, "V"))
    value = of_kind(indices, "V")[0]
    assert (value["T"], value["val"] > 1000) == ("I:SPX", True)


def test_delayed_plans_hear_what_was_a_quarter_of_an_hour_ago(moving: Any, opened: Opened) -> None:
    def now_ms() -> float:
        status = moving.told("/v1/marketstatus/now")
        return datetime.fromisoformat(status["serverTime"]).timestamp() * 1000

    one = opened(moving, key="SimulatorPolygonKeyStarter")
    before_ms = now_ms()
    one.say("subscribe", "AM.*")
    one.until(lambda it: of_kind(it, "AM"))
    end_ms = of_kind(one, "AM")[0]["e"]
    assert before_ms - end_ms < 17 * 60_000
    assert now_ms() - end_ms > 14 * 60_000


def test_a_handshake_is_refused_and_a_good_key_called_wrong(moving: Any, opened: Opened) -> None:
    moving.fault("polygon.stream.connect", "status", count=1)
    with pytest.raises(InvalidStatus, match="403"):
        opened(moving)
    moving.fault("polygon.stream.login", "status", count=1)
    one = opened(moving)
    assert one.statuses[-1] == ("auth_failed", "authentication failed")
    assert opened(moving).statuses[-1] == ("auth_success", "authenticated")


@pytest.mark.parametrize("fault", ["reset", "half_frame"])
def test_a_connection_ends_without_a_word(
    moving: Any, opened: Opened, trades: str, fault: str
) -> None:
    one = opened(moving)
    one.say("subscribe", trades)
    one.until(lambda it: it.events)
    moving.fault("polygon.stream", fault, count=1)
    assert one.closed().rcvd is None


def test_a_silent_connection_speaks_again_after_its_time(
    moving: Any, opened: Opened, trades: str
) -> None:
    one = opened(moving)
    one.say("subscribe", trades)
    one.until(lambda it: it.events)
    moving.fault("polygon.stream", "silent", count=1, delay_s=1)
    one.until(lambda it: longest_pause_ms(it.events) > 30_000)  # a minute a second is told
    assert moving.admin("GET", "faults")[0]["fired"] == 1


def longest_pause_ms(events: list[dict[str, Any]]) -> float:
    times = [event["t"] for event in events]
    return max((later - earlier for earlier, later in pairwise(times)), default=0)


def test_frames_come_twice_and_prices_disagree(moving: Any, opened: Opened, trades: str) -> None:
    one = opened(moving)
    moving.fault("polygon.stream.data", "duplicate")
    one.say("subscribe", trades)
    data: list[str] = []
    while len(data) < 6:
        one.read()
        data = [frame for frame in one.frames if '"ev":"T"' in frame]
    assert len(set(data)) < len(data)
    moving.admin("DELETE", "faults")
    moving.fault("polygon.stream.data", "disagree", by=1, match={"market": "options"})
    other = opened(moving)
    other.say("subscribe", trades)
    other.until(lambda it: it.events)
    trade = other.events[0]
    query = {"timestamp.gte": f"{trade['t']}000000", "timestamp.lt": f"{trade['t'] + 1}000000"}
    moving.admin("DELETE", "faults")
    asked = moving.told(f"/v3/trades/{trade['sym']}", **query)["results"]
    assert trade["p"] == pytest.approx(2 * asked[0]["price"])


def test_prices_of_the_stream_stand_under_other_names(
    moving: Any, opened: Opened, trades: str
) -> None:
    one = opened(moving)
    moving.fault("polygon.stream.data", "renamed")
    one.say("subscribe", trades)
    one.until(lambda it: it.events)
    assert "p" not in one.events[0]
    assert one.events[0]["p_v2"] > 0
