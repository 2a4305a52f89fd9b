"""A trader's day with schwab-py or schwaby: sign in by browser, trade, watch the stream.

Usage: python schwab_py_trades.py schwab|schwaby sync|async FOLDER. Prints one JSON object.
It knows nothing of any simulator: the library talks to https://api.schwabapi.com. With `sync` it
signs in by the library's own browser flow; with `async` it takes the token file from there.
"""

import asyncio
import importlib
import inspect
import json
import os
import sys
import warnings
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ENDED = {"FILLED", "CANCELED", "REJECTED", "EXPIRED", "REPLACED"}


def opened(library: str, folder: Path, *, is_async: bool) -> Any:
    """Return a client: of a fresh sign-in, then from the token file, as the day after."""
    auth = importlib.import_module(f"{library}.auth")
    key, secret = os.environ["SCHWAB_APP_KEY"], os.environ["SCHWAB_APP_SECRET"]
    path = folder / "token.json"
    with redirect_stdout(sys.stderr):
        auth.client_from_login_flow(
            key,
            secret,
            os.environ["SCHWAB_CALLBACK_URL"],
            str(path),
            interactive=False,
            callback_timeout=60,
        )
    kept = json.loads(path.read_text())
    before = kept["token"]["access_token"]
    kept["token"]["expires_at"] = 1  # so that the first call refreshes
    path.write_text(json.dumps(kept))
    client = auth.client_from_token_file(str(path), key, secret, asyncio=is_async)
    return client, lambda: json.loads(path.read_text())["token"]["access_token"] != before


class Trader:
    """The library's client, every reply awaited and checked."""

    def __init__(self, library: str, client: Any) -> None:
        self.library = library
        self.client = client
        self.utils = importlib.import_module(f"{library}.utils")
        self.equities = importlib.import_module(f"{library}.orders.equities")
        self.options = importlib.import_module(f"{library}.orders.options")
        self.common = importlib.import_module(f"{library}.orders.common")
        self.account = ""

    async def reply(self, waiting: Any) -> Any:
        reply = await waiting if inspect.isawaitable(waiting) else waiting
        reply.raise_for_status()
        return reply

    async def read(self, waiting: Any) -> Any:
        return (await self.reply(waiting)).json()

    def order_id(self, reply: Any) -> int:
        found = self.utils.Utils(self.client, self.account).extract_order_id(reply)
        assert found, reply.headers
        return int(found)

    async def place(self, order: Any) -> int:
        return self.order_id(await self.reply(self.client.place_order(self.account, order)))

    async def order(self, order_id: int) -> Any:
        return await self.read(self.client.get_order(order_id, self.account))

    async def until(self, order_id: int, wanted: set[str]) -> Any:
        """Poll as people do, until the order is in one of these states."""
        for _ in range(100):
            order = await self.order(order_id)
            if order["status"] in wanted:
                return order
            await asyncio.sleep(0.1)
        raise AssertionError((order["status"], wanted))


async def both_working(trader: Trader, order_id: int) -> Any:
    """Poll until the two orders of a pair stand in the market."""
    for _ in range(100):
        pair = await trader.order(order_id)
        if all(child["status"] == "WORKING" for child in pair["childOrderStrategies"]):
            break
        await asyncio.sleep(0.1)
    return pair


async def contracts(trader: Trader) -> list[dict[str, Any]]:
    """Return some quoted calls near the money of one expiration, by strike."""
    chain = await trader.read(
        trader.client.get_option_chain(
            "QQQ", contract_type=trader.client.Options.ContractType.CALL, strike_count=8
        )
    )
    days = list(chain["callExpDateMap"].values())
    day = days[min(3, len(days) - 1)]
    found = [strike[0] for strike in day.values() if strike[0]["bid"] > 0.2]
    return sorted(found, key=lambda contract: contract["strikePrice"])


async def trade(trader: Trader) -> dict[str, Any]:
    client, equities, options = trader.client, trader.equities, trader.options
    numbers = await trader.read(client.get_account_numbers())
    trader.account = numbers[0]["hashValue"]
    quote = (await trader.read(client.get_quote("QQQ")))["QQQ"]["quote"]
    low = round(quote["bidPrice"] * 0.8, 2)

    working = await trader.place(equities.equity_buy_limit("QQQ", 10, f"{low:.2f}"))
    resting = await trader.until(working, {"WORKING"})
    replaced = trader.order_id(
        await trader.reply(
            client.replace_order(
                trader.account, working, equities.equity_buy_limit("QQQ", 5, f"{low - 1:.2f}")
            )
        )
    )
    old = await trader.until(working, {"REPLACED"})
    await trader.until(replaced, {"WORKING"})
    await trader.reply(client.cancel_order(replaced, trader.account))
    canceled = await trader.until(replaced, {"CANCELED"})

    bought = await trader.until(
        await trader.place(equities.equity_buy_market("QQQ", 10)), {"FILLED"}
    )
    lower, upper, *_ = await contracts(trader)
    single = await trader.until(
        await trader.place(
            options.option_buy_to_open_limit(lower["symbol"], 1, f"{lower['ask'] + 5:.2f}")
        ),
        ENDED,
    )
    debit = upper["strikePrice"] - lower["strikePrice"]  # the most that it can be worth
    spread = await trader.until(
        await trader.place(
            options.bull_call_vertical_open(lower["symbol"], upper["symbol"], 1, f"{debit:.2f}")
        ),
        ENDED,
    )
    high = round(quote["askPrice"] * 1.2, 2)
    pair = trader.common.one_cancels_other(
        equities.equity_sell_limit("QQQ", 5, f"{high:.2f}"),
        equities.equity_sell_limit("QQQ", 5, f"{high + 1:.2f}"),
    )
    oco = await trader.place(pair)
    chained = trader.common.first_triggers_second(
        equities.equity_buy_market("QQQ", 1),
        equities.equity_sell_limit("QQQ", 1, f"{high:.2f}"),
    )
    trigger = await trader.until(await trader.place(chained), {"FILLED"})
    child = trigger["childOrderStrategies"][0]
    preview = await trader.read(
        client.preview_order(trader.account, equities.equity_buy_market("QQQ", 1))
    )
    now = datetime.now(UTC)
    window = {
        "from_entered_datetime": now - timedelta(days=50),
        "to_entered_datetime": now + timedelta(days=1),
    }
    transactions = await trader.read(client.get_transactions(trader.account))
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
        "child": child,
        "preview": preview,
        "orders": await trader.read(client.get_orders_for_account(trader.account, **window)),
        "all_orders": await trader.read(client.get_orders_for_all_linked_accounts(**window)),
        "transactions": transactions,
        "transaction": await trader.read(client.get_transaction(trader.account, first)),
        "account": await trader.read(
            client.get_account(trader.account, fields=client.Account.Fields.POSITIONS)
        ),
        "accounts": await trader.read(client.get_accounts()),
        "preferences": await trader.read(client.get_user_preferences()),
    }


async def watch(library: str, trader: Trader) -> dict[str, Any]:
    """Subscribe to every kind of stream, trade once, and return what came of each."""
    streaming = importlib.import_module(f"{library}.streaming")
    stream = streaming.StreamClient(trader.client)
    came: dict[str, list[Any]] = {}

    def keep(service: str) -> Any:
        came[service] = []
        return came[service].append

    contract = (await contracts(trader))[0]["symbol"]
    await stream.login()
    stream.add_level_one_equity_handler(keep("equities"))
    stream.add_level_one_option_handler(keep("options"))
    stream.add_chart_equity_handler(keep("chart"))
    stream.add_nasdaq_book_handler(keep("book"))
    stream.add_options_book_handler(keep("options_book"))
    stream.add_screener_equity_handler(keep("screener"))
    stream.add_account_activity_handler(keep("activity"))
    await stream.account_activity_sub()
    await stream.level_one_equity_subs(["QQQ"])
    await stream.level_one_equity_add(["SPY"])
    await stream.level_one_option_subs([contract])
    await stream.chart_equity_subs(["QQQ"])
    await stream.nasdaq_book_subs(["QQQ"])
    await stream.options_book_subs([contract])
    await stream.screener_equity_subs(["NASDAQ_VOLUME_0"])
    await trader.place(trader.equities.equity_buy_market("QQQ", 2))

    def enough() -> bool:
        told = [item["MESSAGE_TYPE"] for message in came["activity"] for item in message["content"]]
        return all(came.values()) and "OrderFillCompleted" in told

    async with asyncio.timeout(60):
        while not enough():
            await stream.handle_message()
    await stream.level_one_equity_unsubs(["SPY"])
    await stream.logout()
    return came


async def main(library: str, kind: str, folder: Path) -> dict[str, Any]:
    client, refreshed = opened(library, folder, is_async=kind == "async")
    trader = Trader(library, client)
    traded = await trade(trader)
    answers = {"traded": traded, "refreshed": refreshed()}
    if kind == "async" or library == "schwab":
        answers["stream"] = await watch(library, trader)
    return answers


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))))
