"""A trader's day with Schwabdev: sign in by browser, trade, watch the stream.

Usage: python schwabdev_trades.py sync|async FOLDER. Prints one JSON object.
It knows nothing of any simulator: the library talks to https://api.schwabapi.com.
"""

import asyncio
import inspect
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import schwabdev

ENDED = {"FILLED", "CANCELED", "REJECTED", "EXPIRED", "REPLACED"}
SERVICES = {
    "LEVELONE_EQUITIES",
    "LEVELONE_OPTIONS",
    "CHART_EQUITY",
    "NASDAQ_BOOK",
    "OPTIONS_BOOK",
    "SCREENER_EQUITY",
    "ACCT_ACTIVITY",
}


async def reply(waiting: Any) -> Any:
    found = await waiting if inspect.isawaitable(waiting) else waiting
    found.raise_for_status()
    return found


async def read(waiting: Any) -> Any:
    parsed = (await reply(waiting)).json()
    return await parsed if inspect.isawaitable(parsed) else parsed


def leg(symbol: str, instruction: str, quantity: int) -> dict[str, Any]:
    kind = "OPTION" if len(symbol) == 21 else "EQUITY"
    return {
        "instruction": instruction,
        "quantity": quantity,
        "instrument": {"symbol": symbol, "assetType": kind},
    }


def order(order_type: str, *legs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "orderType": order_type,
        "session": "NORMAL",
        "duration": "DAY",
        "orderStrategyType": "SINGLE",
        "orderLegCollection": list(legs),
        **more,
    }


class Trader:
    def __init__(self, client: Any) -> None:
        self.client = client
        self.account = ""

    @staticmethod
    def order_id(placed: Any) -> int:
        return int(placed.headers["location"].rsplit("/", 1)[1])

    async def place(self, wire: dict[str, Any]) -> int:
        return self.order_id(await reply(self.client.place_order(self.account, wire)))

    async def until(self, order_id: int, wanted: set[str]) -> Any:
        for _ in range(100):
            found = await read(self.client.order_details(self.account, order_id))
            if found["status"] in wanted:
                return found
            await asyncio.sleep(0.1)
        raise AssertionError((found["status"], wanted))


async def both_working(trader: Trader, order_id: int) -> Any:
    """Poll until the two orders of a pair stand in the market."""
    for _ in range(100):
        pair = await read(trader.client.order_details(trader.account, order_id))
        if all(child["status"] == "WORKING" for child in pair["childOrderStrategies"]):
            break
        await asyncio.sleep(0.1)
    return pair


async def contracts(client: Any) -> list[dict[str, Any]]:
    chain = await read(client.option_chains("QQQ", contractType="CALL", strikeCount=8))
    days = list(chain["callExpDateMap"].values())
    day = days[min(3, len(days) - 1)]
    found = [strike[0] for strike in day.values() if strike[0]["bid"] > 0.2]
    return sorted(found, key=lambda contract: contract["strikePrice"])


async def trade(trader: Trader) -> dict[str, Any]:
    client = trader.client
    numbers = await read(client.linked_accounts())
    trader.account = numbers[0]["hashValue"]
    quote = (await read(client.quote("QQQ")))["QQQ"]["quote"]
    low = round(quote["bidPrice"] * 0.8, 2)
    high = round(quote["askPrice"] * 1.2, 2)
    buy, sell = leg("QQQ", "BUY", 10), leg("QQQ", "SELL", 5)

    working = await trader.place(order("LIMIT", buy, price=f"{low:.2f}"))
    resting = await trader.until(working, {"WORKING"})
    lower_bid = order("LIMIT", leg("QQQ", "BUY", 5), price=f"{low - 1:.2f}")
    replaced = trader.order_id(
        await reply(client.replace_order(trader.account, working, lower_bid))
    )
    old = await trader.until(working, {"REPLACED"})
    await trader.until(replaced, {"WORKING"})
    await reply(client.cancel_order(trader.account, replaced))
    canceled = await trader.until(replaced, {"CANCELED"})
    bought = await trader.until(await trader.place(order("MARKET", buy)), {"FILLED"})

    lower, upper, *_ = await contracts(client)
    single = await trader.until(
        await trader.place(
            order(
                "LIMIT",
                leg(lower["symbol"], "BUY_TO_OPEN", 1),
                price=f"{lower['ask'] + 5:.2f}",
            )
        ),
        ENDED,
    )
    debit = upper["strikePrice"] - lower["strikePrice"]  # the most that it can be worth
    spread = await trader.until(
        await trader.place(
            order(
                "NET_DEBIT",
                leg(lower["symbol"], "BUY_TO_OPEN", 1),
                leg(upper["symbol"], "SELL_TO_OPEN", 1),
                price=f"{debit:.2f}",
                complexOrderStrategyType="VERTICAL",
            )
        ),
        ENDED,
    )
    pair = [order("LIMIT", sell, price=f"{high + n:.2f}") for n in (0, 1)]
    oco = await trader.place({"orderStrategyType": "OCO", "childOrderStrategies": pair})
    chained = order("MARKET", leg("QQQ", "BUY", 1)) | {
        "orderStrategyType": "TRIGGER",
        "childOrderStrategies": [order("LIMIT", leg("QQQ", "SELL", 1), price=f"{high:.2f}")],
    }
    trigger = await trader.until(await trader.place(chained), {"FILLED"})
    now = datetime.now(UTC)
    window = (now - timedelta(days=50), now + timedelta(days=1))
    transactions = await read(client.transactions(trader.account, *window, "TRADE"))
    first = transactions[0]["activityId"]
    return {
        "numbers": numbers,
        "resting": resting,
        "old": old,
        "canceled": canceled,
        "bought": bought,
        "single": single,
        "spread": spread,
        "oco": await both_working(trader, oco),
        "trigger": trigger,
        "child": trigger["childOrderStrategies"][0],
        "preview": await read(client.preview_order(trader.account, order("MARKET", buy))),
        "orders": await read(client.account_orders(trader.account, *window)),
        "all_orders": await read(client.account_orders_all(*window)),
        "transactions": transactions,
        "transaction": await read(client.transaction_details(trader.account, first)),
        "account": await read(client.account_details(trader.account, fields="positions")),
        "accounts": await read(client.account_details_all()),
        "preferences": await read(client.preferences()),
    }


class Watched:
    """Keeps the data frames of the stream by service."""

    def __init__(self) -> None:
        self.came: dict[str, list[Any]] = {}

    def __call__(self, frame: str) -> None:
        for message in json.loads(frame).get("data", []):
            self.came.setdefault(message["service"], []).append(message)

    def enough(self) -> bool:
        told = [
            item.get("2")
            for message in self.came.get("ACCT_ACTIVITY", [])
            for item in message["content"]
        ]
        return set(self.came) >= SERVICES and "OrderFillCompleted" in told

    async def until_enough(self) -> None:
        until = time.monotonic() + 60
        while not self.enough():
            assert time.monotonic() < until, sorted(self.came)
            await asyncio.sleep(0.05)


def subscriptions(stream: Any, contract: str) -> list[dict[str, Any]]:
    return [
        stream.account_activity(),
        stream.level_one_equities("QQQ,SPY", "0,1,2,3,4,5,8,33,34,35"),
        stream.level_one_options(contract, "0,2,3,4,8,9,28,37"),
        stream.chart_equity("QQQ", "0,1,2,3,4,5,6,7,8"),
        stream.nasdaq_book("QQQ", "0,1,2,3"),
        stream.options_book(contract, "0,1,2,3"),
        stream.screener_equity("NASDAQ_VOLUME_0", "0,1,2,3,4"),
    ]


async def watch_sync(trader: Trader, contract: str) -> dict[str, Any]:
    watched = Watched()
    stream = schwabdev.Stream(trader.client)
    stream.start(watched)
    await asyncio.to_thread(_until_active, stream)
    for wanted in subscriptions(stream, contract):
        stream.send(wanted)
    await trader.place(order("MARKET", leg("QQQ", "BUY", 2)))
    await watched.until_enough()
    await asyncio.to_thread(stream.stop)
    return watched.came


def _until_active(stream: Any) -> None:
    """Wait for the sign-in: what is sent before is sent as ADD, which account activity ignores."""
    until = time.monotonic() + 20
    while not stream.active and time.monotonic() < until:
        time.sleep(0.02)


async def watch_async(trader: Trader, contract: str) -> dict[str, Any]:
    watched = Watched()
    stream = schwabdev.StreamAsync(trader.client)
    running = asyncio.create_task(stream.start(watched))
    async with asyncio.timeout(20):
        while not stream.active:  # noqa: ASYNC110 - the library has no event for it
            await asyncio.sleep(0.02)
    for wanted in subscriptions(stream, contract):
        await stream.send(wanted)
    await trader.place(order("MARKET", leg("QQQ", "BUY", 2)))
    await watched.until_enough()
    await stream.stop()
    running.cancel()
    return watched.came


def browsed(url: str) -> str:
    """Sign in with a browser of its own and return the address at which it ends."""
    command = [sys.executable, str(Path(__file__).with_name("browser.py")), url, "--tell"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


async def main(mode: str, folder: str) -> dict[str, Any]:
    options = {
        "app_key": os.environ["SCHWAB_APP_KEY"],
        "app_secret": os.environ["SCHWAB_APP_SECRET"],
        "callback_url": os.environ["SCHWAB_CALLBACK_URL"],
        "tokens_db": f"{folder}/tokens.db",
        "call_on_auth": browsed,
    }
    if mode == "sync":
        with schwabdev.Client(**options) as client:
            refreshed = client.update_tokens(force_access_token=True)
            trader = Trader(client)
            traded = await trade(trader)
            contract = (await contracts(client))[0]["symbol"]
            stream = await watch_sync(trader, contract)
    else:
        async with schwabdev.ClientAsync(**options) as client:
            refreshed = client.update_tokens(force_access_token=True)
            trader = Trader(client)
            traded = await trade(trader)
            contract = (await contracts(client))[0]["symbol"]
            stream = await watch_async(trader, contract)
    return {"traded": traded, "refreshed": refreshed, "stream": stream}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
