"""Listens to the options stream with the vendor's own client, as a user would; prints one JSON object.

It knows nothing of any simulator: the library talks to wss://socket.massive.com with the key of
MASSIVE_API_KEY. Usage: python massive_stream.py listen|refusals|eviction, by the name of a market's
contract that trades all the time, and a second one.
"""

import asyncio
import json
import logging
import sys
from typing import Any

from massive import WebSocketClient
from massive.rest import RESTClient
from massive.websocket.models import Feed, Market


class Heard(Exception):
    """Everything that was wanted."""


class Warnings(logging.Handler):
    """Keeps what the library warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []
        logging.getLogger("WebSocketClient").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def listen(contracts: list[str]) -> dict[str, Any]:
    """Take some of each kind, T, Q, A, AM and FMV, of the options market; AM and Q of a stock."""
    found: dict[str, list[Any]] = {}
    for market, channels, feed in (
        (Market.Options, contract_channels(contracts), Feed.RealTime),
        (Market.Options, [f"FMV.{contracts[0]}"], Feed.Business),
        (Market.Stocks, ["Q.QQQ", "AM.QQQ"], Feed.RealTime),
    ):
        kinds = {channel.split(".")[0] for channel in channels}
        heard: dict[str, list[Any]] = {kind: [] for kind in kinds}

        def take(messages: list[Any], heard: dict[str, list[Any]] = heard) -> None:
            for message in messages:
                heard[message.event_type].append(vars(message))
            if all(heard.values()):
                raise Heard

        client = WebSocketClient(feed=feed, market=market, subscriptions=channels)
        run_until_heard(client, take)
        found |= {f"{market.value} {kind}": rows[:20] for kind, rows in heard.items()}
    return found


def contract_channels(contracts: list[str]) -> list[str]:
    return ["AM.*", *(f"{kind}.{one}" for kind in ("T", "Q", "A") for one in contracts)]


def run_until_heard(client: WebSocketClient, take: Any) -> None:
    try:
        client.run(take)
    except Heard:
        return


def refusals(contracts: list[str]) -> dict[str, Any]:
    """Use a wrong key, then ask for what a plan lacks, a wildcard, and one quote too many."""
    try:
        WebSocketClient("somebody's", market=Market.Options).run(print)
        wrong_key = ""
    except Exception as error:  # noqa: BLE001 - shows whatever it is
        wrong_key = f"{type(error).__name__}: {error}"
    listed = RESTClient().list_options_contracts(underlying_ticker="QQQ", limit=1000)
    quotes = [f"Q.{next(listed).ticker}" for _ in range(1001)]
    said = {}
    for name, key, channels in (
        ("plan", "SimulatorPolygonKeyStarter", [f"Q.{contracts[0]}", "AM.*"]),
        ("wildcard", None, ["Q.*", "AM.*"]),
        ("many", None, [*quotes, "AM.*"]),
    ):
        warnings = Warnings()
        keys = {} if key is None else {"api_key": key}
        client = WebSocketClient(**keys, market=Market.Options, subscriptions=channels)

        def take(_messages: list[Any]) -> None:
            raise Heard

        run_until_heard(client, take)
        client._flush_server_errors(force=True)
        said[name] = warnings.said
        logging.getLogger("WebSocketClient").removeHandler(warnings)
    return {"wrong key": wrong_key, **said}


async def eviction(contracts: list[str]) -> dict[str, Any]:
    """Connect twice with one key: the older connection ends, the newer goes on."""
    warnings = Warnings()
    channels = [f"T.{one}" for one in contracts]
    first = WebSocketClient(market=Market.Options, subscriptions=channels, max_reconnects=0)
    second = WebSocketClient(market=Market.Options, subscriptions=channels, max_reconnects=0)
    begun, enough = asyncio.Event(), asyncio.Event()
    ended = False

    async def take_first(_messages: list[Any]) -> None:
        begun.set()

    async def take_second(_messages: list[Any]) -> None:
        if ended:
            enough.set()

    older = asyncio.create_task(first.connect(take_first))
    await begun.wait()
    newer = asyncio.create_task(second.connect(take_second))
    (outcome,) = await asyncio.gather(older, return_exceptions=True)
    ended = True
    await enough.wait()
    newer.cancel()
    code = outcome.rcvd.code if outcome else None
    return {"kind": type(outcome).__name__, "code": code, "warnings": warnings.said}


def main() -> None:
    what, *contracts = sys.argv[1:]
    if what == "eviction":
        found = asyncio.run(eviction(contracts))
    else:
        found = {"listen": listen, "refusals": refusals}[what](contracts)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
