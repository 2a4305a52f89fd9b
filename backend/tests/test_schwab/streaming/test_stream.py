"""SchwabStream against a scripted streamer on a real socket: every code, reconnects, silence."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from models.errors import (
    AuthError,
    ConfigError,
    Disconnected,
    StreamError,
    SubscriptionRefused,
)
from models.events import Bar, Book, Gap, Heartbeat, OrderUpdate, Quote, Screen
from schwab_integration.stream_requests import Subscription
from utils.feed import plainly
from utils.sockets import SocketPatience

if TYPE_CHECKING:
    from schwab_integration.streaming import SchwabStream

OCC = "QQQ   261218C00500000"
T = 1_795_201_200_000


async def first(events: AsyncIterator[Any], count: int = 1) -> list[Any]:
    async with asyncio.timeout(20), aclosing(events) as open_events:
        return [await anext(open_events) for _ in range(count)]


async def fails(events: AsyncIterator[Any]) -> None:
    async with asyncio.timeout(20), aclosing(events) as open_events:
        async for _ in open_events:
            pass


def subs_then(frame: Callable[[dict[str, Any]], list[bytes | None]], service: str) -> Any:
    """Script: answer SUBS of a service with its response and more frames."""

    def script(request: dict[str, Any], _number: int) -> Any:
        if request["command"] == "SUBS" and request["service"] == service:
            return frame(request)
        return None

    return script


def test_quotes_come_by_our_names(streamer: Any, wire: Any, make_stream: Any) -> None:
    def script(request: dict[str, Any], _number: int) -> Any:
        if request["service"] == "LEVELONE_EQUITIES":
            item = {"key": "$SPX", "assetMainType": "INDEX", "3": 6500.5, "34": T}
            return [wire.response(request), wire.data("LEVELONE_EQUITIES", T, item)]
        if request["service"] == "LEVELONE_OPTIONS":
            item = {"key": OCC, "2": 1.2, "3": 1.25, "16": 10, "17": 0, "38": T, "8": 7}
            return [wire.response(request), wire.data("LEVELONE_OPTIONS", T, item)]
        return None

    async def run() -> list[Any]:
        async with streamer(script) as fake:
            found = await first(make_stream(fake.url).listen(["SPX", OCC]), 2)
            login, *rest = fake.requests
            assert login["command"] == "LOGIN"
            assert login["service"] == "ADMIN"
            assert login["parameters"]["Authorization"] == "token-1"
            assert {r["service"]: r["parameters"]["keys"] for r in rest} == {
                "LEVELONE_EQUITIES": "$SPX",
                "LEVELONE_OPTIONS": OCC,
            }
            return found

    by_symbol = {quote.symbol: quote for quote in asyncio.run(run())}
    assert by_symbol["SPX"] == Quote(symbol="SPX", time_ns=T * 10**6, last=6500.5)
    assert by_symbol[OCC] == Quote(
        symbol=OCC, time_ns=T * 10**6, bid=1.2, ask=1.25, bid_size=10, ask_size=0, volume=7
    )


def test_changes_are_merged_and_the_slow_listener_gets_the_newest(
    streamer: Any, wire: Any, make_stream: Any
) -> None:
    def frames(request: dict[str, Any]) -> list[bytes | None]:
        whole = {"key": "QQQ", "assetMainType": "EQUITY", "1": 1.0, "2": 2.0, "4": 3, "34": T}
        changes = [
            wire.data("LEVELONE_EQUITIES", T + n, {"key": "QQQ", "1": n / 100})
            for n in range(1, 500)
        ]
        head = [wire.response(request), wire.data("LEVELONE_EQUITIES", T, whole)]
        return [*head, *changes]

    async def run() -> list[Any]:
        async with streamer(subs_then(frames, "LEVELONE_EQUITIES")) as fake:
            seen = []
            async with aclosing(make_stream(fake.url).listen(["QQQ"])) as events:
                async for quote in events:
                    seen.append(quote)
                    await asyncio.sleep(0.02)  # a listener that has other things to do
                    if quote.bid == 4.99:
                        return seen
            return seen

    seen = asyncio.run(run())
    assert seen[-1].ask == 2.0
    assert len(seen) < 400
    assert [quote.bid for quote in seen] == sorted(quote.bid for quote in seen)


def test_bars_books_screens_orders_and_heartbeats(
    streamer: Any, wire: Any, make_stream: Any
) -> None:
    bar = {
        "key": "QQQ",
        "seq": 1,
        "1": 5,
        "2": 1.0,
        "3": 2.0,
        "4": 0.5,
        "5": 1.5,
        "6": 100,
        "7": T,
        "8": 1,
    }
    level = {"0": 1.2, "1": 5, "2": 1, "3": [{"0": "C", "1": 5, "2": 49786299}]}
    book = {"key": OCC, "1": T, "2": [level], "3": []}
    screen = {
        "key": "OPTION_ALL_VOLUME_0",
        "1": T,
        "2": "VOLUME",
        "3": 0,
        "4": [{"symbol": OCC, "volume": 9}],
    }
    fill = {
        "SchwabOrderID": "7",
        "AccountNumber": "12345678",
        "BaseEvent": {"EventType": "OrderAccepted", "OrderAcceptedEvent": {"Status": "Open"}},
    }
    order = {
        "seq": 1,
        "key": "Account Activity",
        "1": "12345678",
        "2": "OrderAccepted",
        "3": json.dumps(fill),
    }
    told = {
        "CHART_EQUITY": bar,
        "OPTIONS_BOOK": book,
        "SCREENER_OPTION": screen,
        "ACCT_ACTIVITY": order,
    }

    def script(request: dict[str, Any], _number: int) -> Any:
        item = told.get(request["service"])
        if item is None:
            return None
        return [
            wire.response(request),
            wire.data(request["service"], T, item, item),
            wire.heartbeat(),
        ]

    async def run() -> list[Any]:
        async with streamer(script) as fake:
            wanted = Subscription(
                bars=("QQQ",),
                option_books=(OCC,),
                screens=("OPTION_ALL_VOLUME_0",),
                activity=True,
                heartbeats=True,
            )
            kinds: dict[type[Any], Any] = {}
            async with asyncio.timeout(20), aclosing(make_stream(fake.url).hear(wanted)) as events:
                async for event in events:
                    kinds[type(event)] = event
                    if len(kinds) == 5:
                        break
            return list(kinds.values())

    found = {type(event): event for event in asyncio.run(run())}
    assert found[Bar].volume == 100
    assert found[Bar].time_ns == T * 10**6
    assert found[Book].bids[0].makers == (("C", 5),)
    assert found[Screen].rows[0].volume == 9
    assert found[OrderUpdate].order_id == "7"
    assert found[Heartbeat].time_ns == 1_795_201_200_000 * 10**6


def test_many_symbols_go_as_one_subs_and_adds(streamer: Any, wire: Any, make_stream: Any) -> None:
    symbols = [f"QQQ   261218C{n:05d}000" for n in range(250)]

    async def run() -> list[dict[str, Any]]:
        async with streamer() as fake:
            events = make_stream(fake.url).listen(symbols)
            waiting = asyncio.create_task(first(events))
            asked: list[dict[str, Any]] = await fake.asked(4)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            return asked

    _login, *rest = asyncio.run(run())
    assert [r["command"] for r in rest] == ["SUBS", "ADD", "ADD"]
    sent = [key for r in rest for key in r["parameters"]["keys"].split(",")]
    assert sorted(sent) == symbols


def test_a_lost_connection_is_made_again_and_subscribed_again(
    streamer: Any, wire: Any, make_stream: Any
) -> None:
    def script(request: dict[str, Any], number: int) -> Any:
        if request["service"] != "LEVELONE_EQUITIES":
            return None
        item = {"key": "QQQ", "assetMainType": "EQUITY", "1": float(number), "4": 1, "34": T}
        end = [None] if number < 4 else []
        return [wire.response(request), wire.data("LEVELONE_EQUITIES", T, item), *end]

    async def run() -> Any:
        async with streamer(script) as fake:
            async with (
                asyncio.timeout(20),
                aclosing(make_stream(fake.url).listen(["QQQ"])) as events,
            ):
                async for quote in events:
                    if quote.bid == 4.0:
                        break
            return [r["command"] for r in fake.requests if r["connection"] <= 4]

    assert asyncio.run(run()) == ["LOGIN", "SUBS"] * 4


def test_after_an_interruption_a_gap_is_told_to_who_listens_to_orders(
    streamer: Any, wire: Any, make_stream: Any
) -> None:
    def script(request: dict[str, Any], number: int) -> Any:
        if request["service"] != "ACCT_ACTIVITY" or number > 1:
            return None
        return [wire.response(request), None]

    async def run() -> Any:
        async with streamer(script) as fake:
            found = await first(make_stream(fake.url).listen(activity=True))
            sent = [r["parameters"] for r in fake.requests if r["service"] == "ACCT_ACTIVITY"]
            assert sent == [{"keys": "Account Activity", "fields": "0,1,2,3"}] * 2
            return found

    assert isinstance(asyncio.run(run())[0], Gap)


def test_what_comes_with_the_end_of_a_connection_is_told(
    streamer: Any, wire: Any, make_stream: Any
) -> None:
    """One frame may hold an update of an order and the notice after which the server closes."""
    body = {"EventType": "OrderAccepted", "OrderAcceptedEvent": {"EventType": "OrderAccepted"}}
    event = {"SchwabOrderID": "1000000000001", "AccountNumber": "1", "BaseEvent": body}
    item = {"seq": 1, "key": "k", "1": "1", "2": "OrderAccepted", "3": json.dumps(event)}
    last = json.loads(wire.data("ACCT_ACTIVITY", T, item)) | json.loads(wire.notice(30, "bye"))

    def script(request: dict[str, Any], number: int) -> Any:
        if request["command"] == "SUBS" and number == 1:
            return [wire.response(request), json.dumps(last).encode()]
        return None

    async def run() -> list[Any]:
        async with streamer(script) as fake:
            stream = make_stream(fake.url)
            return await first(stream.listen(activity=True), 2)

    update, gap = asyncio.run(run())
    assert isinstance(update, OrderUpdate)
    assert update.order_id == "1000000000001"
    assert isinstance(gap, Gap)


def test_a_silent_connection_is_given_up(streamer: Any, wire: Any, make_stream: Any) -> None:
    patience = SocketPatience(silence_s=0.2, first_wait_s=0.01, longest_wait_s=0.01, attempts=20)

    async def run() -> int:
        async with streamer() as fake:
            stream = make_stream(fake.url, patience=patience)
            waiting = asyncio.create_task(first(stream.listen(["QQQ"])))
            await fake.asked(3, "LOGIN")
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            return len(fake.connections)

    assert asyncio.run(run()) >= 3


def test_a_denied_sign_in_gets_another_token_once(
    streamer: Any, wire: Any, make_stream: Any, tokens: Any
) -> None:
    def script(request: dict[str, Any], _number: int) -> Any:
        old = request["parameters"].get("Authorization") == "token-1"
        if request["command"] == "LOGIN" and old:
            return 3, "Login Denied.: token is invalid or has expired."
        item = {"key": "QQQ", "1": 1.0, "4": 1, "34": T}
        return [wire.response(request), wire.data("LEVELONE_EQUITIES", T, item)]

    async def run() -> list[Any]:
        async with streamer(script) as fake:
            return await first(make_stream(fake.url).listen(["QQQ"]))

    assert asyncio.run(run())[0].bid == 1.0
    assert tokens.rejected == ["token-1"]


def test_a_sign_in_denied_twice_is_an_auth_error_without_the_token(
    streamer: Any, make_stream: Any, tokens: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def script(request: dict[str, Any], _number: int) -> Any:
        return (3, "Login Denied.: token-1") if request["command"] == "LOGIN" else None

    async def run() -> int:
        async with streamer(script) as fake:
            with pytest.raises(AuthError, match="Market Data Production") as caught:
                await fails(make_stream(fake.url).listen(["QQQ"]))
            assert "token-" not in str(caught.value)
            return len(fake.connections)

    with caplog.at_level(logging.DEBUG):
        assert asyncio.run(run()) == 2
    assert "token-" not in caplog.text
    assert len(tokens.rejected) == 1


@pytest.mark.parametrize("how", ["notice", "response"])
def test_code_12_is_named_and_not_fought(
    streamer: Any, wire: Any, make_stream: Any, how: str
) -> None:
    def script(request: dict[str, Any], _number: int) -> Any:
        if request["command"] != "SUBS":
            return None
        return [wire.notice(12, "another"), None] if how == "notice" else (12, "another")

    async def run() -> int:
        async with streamer(script) as fake:
            with pytest.raises(StreamError, match="another program has signed in") as caught:
                await fails(make_stream(fake.url).listen(["QQQ"]))
            assert not isinstance(caught.value, Disconnected)
            return len(fake.connections)

    assert asyncio.run(run()) == 1


@pytest.mark.parametrize("code", [9, 11, 21, 22, 24, 77])
def test_a_refused_subscription_names_its_code(streamer: Any, make_stream: Any, code: int) -> None:
    def script(request: dict[str, Any], _number: int) -> Any:
        return (code, "no") if request["command"] == "SUBS" else None

    async def run() -> None:
        async with streamer(script) as fake:
            with pytest.raises(SubscriptionRefused, match=f"code {code}") as caught:
                await fails(make_stream(fake.url).listen(["QQQ"]))
            assert caught.value.code == code

    asyncio.run(run())


def test_code_19_says_which_symbols_were_refused(streamer: Any, make_stream: Any) -> None:
    screens = [f"NASDAQ_VOLUME_{n:02d}" for n in range(11)]

    def script(request: dict[str, Any], _number: int) -> Any:
        told = (19, "Symbol limit reached (SCREENER_EQUITY=10, DISCARDED=1)")
        return told if request["command"] == "SUBS" else None

    async def run() -> None:
        async with streamer(script) as fake:
            with pytest.raises(
                SubscriptionRefused, match=r"1 SCREENER_EQUITY .*NASDAQ_VOLUME_10\)"
            ):
                await fails(make_stream(fake.url).listen(screens=screens))

    asyncio.run(run())


@pytest.mark.parametrize("code", [20, 30])
def test_a_lost_session_is_made_again(
    streamer: Any, wire: Any, make_stream: Any, code: int
) -> None:
    def script(request: dict[str, Any], number: int) -> Any:
        if request["command"] != "SUBS":
            return None
        if number == 1:
            return (20, "no session") if code == 20 else [wire.notice(30, "slowness"), None]
        item = {"key": "QQQ", "1": 1.0, "4": 1, "34": T}
        return [wire.response(request), wire.data("LEVELONE_EQUITIES", T, item)]

    async def run() -> list[Any]:
        async with streamer(script) as fake:
            return await first(make_stream(fake.url).listen(["QQQ"]))

    assert asyncio.run(run())[0].bid == 1.0


@pytest.mark.parametrize("success", [26, 28])
def test_the_codes_of_the_guide_are_successes_too(
    streamer: Any, wire: Any, make_stream: Any, success: int
) -> None:
    def script(request: dict[str, Any], _number: int) -> Any:
        if request["command"] != "SUBS":
            return None
        item = {"key": "QQQ", "1": 1.0, "4": 1, "34": T}
        return [wire.response(request, success), wire.data("LEVELONE_EQUITIES", T, item)]

    async def run() -> list[Any]:
        async with streamer(script) as fake:
            return await first(make_stream(fake.url).listen(["QQQ"]))

    assert asyncio.run(run())[0].bid == 1.0


@pytest.mark.parametrize("symbols", [[], ["QQQ,SPY"], [""], ["Q\n"]])
def test_what_cannot_be_asked_is_said_at_once(make_stream: Any, symbols: list[str]) -> None:
    with pytest.raises(ConfigError):
        asyncio.run(fails(make_stream("ws://127.0.0.1:1/ws").listen(symbols)))


def test_nobody_there_is_one_sentence(make_stream: Any) -> None:
    patience = SocketPatience(first_wait_s=0.01, longest_wait_s=0.01, attempts=2)
    with pytest.raises(Disconnected, match="the connection was refused"):
        asyncio.run(fails(make_stream("ws://127.0.0.1:1/ws", patience=patience).listen(["QQQ"])))


def test_an_address_that_is_none_is_one_sentence(make_stream: Any) -> None:
    with pytest.raises(ConfigError, match="ws://"):
        asyncio.run(fails(make_stream("http://127.0.0.1/").listen(["QQQ"])))


def test_a_plain_iterator_over_the_stream(streamer: Any, wire: Any, make_stream: Any) -> None:
    def frames(request: dict[str, Any]) -> list[bytes | None]:
        item = {"key": "QQQ", "1": 1.5, "4": 1, "34": T}
        return [wire.response(request), wire.data("LEVELONE_EQUITIES", T, item)]

    async def listen() -> AsyncIterator[Any]:
        async with streamer(subs_then(frames, "LEVELONE_EQUITIES")) as fake:
            stream: SchwabStream = make_stream(fake.url)
            async with aclosing(stream.listen(["QQQ"])) as events:  # type: ignore[type-var]
                async for event in events:
                    yield event

    with plainly(listen) as events:
        assert next(events).bid == 1.5
