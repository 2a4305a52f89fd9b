"""One connection whose wishes change: ADD, UNSUBS, VIEW, LOGOUT."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from models.errors import ConfigError, StreamError
from models.schwab_fields import Service
from schwab_integration.stream_connection import StreamConnection
from schwab_integration.stream_decode import Updates
from schwab_integration.trader_replies import StreamerTerms

EQUITIES = Service.LEVELONE_EQUITIES
T = 1_795_201_200_000


class Ears:
    """Takes what is told."""

    def __init__(self) -> None:
        self.updates: list[Updates] = []

    def tell(self, updates: Updates) -> None:
        self.updates.append(updates)

    def resumed(self) -> None:
        raise AssertionError

    def refuse(self, service: Service, keys: Sequence[str], error: StreamError) -> None:
        raise AssertionError(f"{service} {keys} {error}")


def connection(url: str, tokens: Any) -> StreamConnection:
    terms = StreamerTerms(
        streamer_socket_url=url,
        schwab_client_customer_id="customer",
        schwab_client_correl_id="correl",
        schwab_client_channel="N9",
        schwab_client_function_id="APIAPP",
    )
    return StreamConnection(lambda: terms, tokens, Ears())


def test_wishes_are_followed_while_connected_and_the_end_is_a_logout(
    streamer: Any, wire: Any, tokens: Any
) -> None:
    def script(request: dict[str, Any], _number: int) -> Any:
        if request["command"] not in {"SUBS", "ADD"}:
            return None
        keys = request["parameters"]["keys"].split(",")
        items = [{"key": key, "1": 1.0} for key in keys]
        return [wire.data("LEVELONE_EQUITIES", T, *items), wire.response(request)]

    async def run() -> list[dict[str, Any]]:
        async with streamer(script) as fake, asyncio.timeout(30):
            stream = connection(fake.url, tokens)
            stream.view(EQUITIES, ["bid", "ask"])
            stream.want({EQUITIES: {"QQQ", "SPY"}})
            running = asyncio.create_task(stream.run())
            await fake.asked(1, "SUBS")
            stream.want({EQUITIES: {"QQQ", "IWM"}})
            await fake.asked(1, "ADD")
            stream.view(EQUITIES, ["last"])
            await fake.asked(1, "VIEW")
            assert stream.decoder.state(EQUITIES, "QQQ")
            assert stream.decoder.state(EQUITIES, "SPY") is None  # nobody keeps it up to date
            stream.want({})
            await running
            asked: list[dict[str, Any]] = fake.requests
            return asked

    requests = asyncio.run(run())
    assert [r["requestid"] for r in requests] == [str(n + 1) for n in range(len(requests))]
    assert {r["SchwabClientCustomerId"] for r in requests} == {"customer"}
    assert [(r["command"], r["parameters"]) for r in requests[1:]] == [
        ("SUBS", {"keys": "QQQ,SPY", "fields": "0,1,2"}),
        ("UNSUBS", {"keys": "SPY"}),
        ("ADD", {"keys": "IWM", "fields": "0,1,2"}),
        ("VIEW", {"fields": "0,3"}),
        ("LOGOUT", {}),
    ]


def test_an_unknown_field_is_refused_at_once(tokens: Any) -> None:
    with pytest.raises(ConfigError, match="'tea'"):
        connection("ws://127.0.0.1:1", tokens).view(EQUITIES, ["tea"])


def test_a_request_that_is_not_answered_breaks_the_connection(
    streamer: Any, wire: Any, tokens: Any
) -> None:
    async def run() -> None:
        async with streamer(lambda _request, number: [] if number == 1 else None) as fake:
            stream = connection(fake.url, tokens)
            stream._answer_s = 0.2
            stream.want({EQUITIES: {"QQQ"}})
            running = asyncio.create_task(stream.run())
            await fake.asked(1, "SUBS")
            assert len(fake.connections) == 2
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run())
