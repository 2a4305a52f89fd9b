"""Signs in and asks for market data with Schwabdev, sync or async, as a user would.

Usage: python schwabdev_program.py sync|async FOLDER. Prints one JSON object.
It knows nothing of any simulator: the library talks to https://api.schwabapi.com.
"""

import asyncio
import inspect
import json
import os
import sys
from typing import Any

import requests
import schwabdev


def browse(url: str) -> str:
    """Do what the user's browser does: open the page and end up at the callback address."""
    return requests.get(url, allow_redirects=False, timeout=10).headers["location"]


async def answered(reply: Any) -> Any:
    reply = await reply if inspect.isawaitable(reply) else reply
    reply.raise_for_status()
    parsed = reply.json()
    return await parsed if inspect.isawaitable(parsed) else parsed


async def ask(client: Any) -> dict[str, Any]:
    missing = client.quote("NOSUCH")
    missing = await missing if inspect.isawaitable(missing) else missing
    chain = {"strikeCount": 4, "includeUnderlyingQuote": True}
    minutes = {"needExtendedHoursData": False, "periodType": "day", "period": 10}
    days = {"periodType": "year", "period": 20, "frequencyType": "daily"}
    return {
        "quotes": await answered(client.quotes(["GOOG", "NOSUCH"])),
        "quote": await answered(client.quote("GOOG")),
        "missing": getattr(missing, "status_code", None) or missing.status,
        "chain": await answered(client.option_chains("GOOG", **chain)),
        "puts": await answered(client.option_chains("GOOG", contractType="PUT", strike=750)),
        "expirations": await answered(client.option_expiration_chain("GOOG")),
        "minutes": await answered(client.price_history("GOOG", **minutes)),
        "days": await answered(client.price_history("GOOG", **days)),
        "hours": await answered(client.market_hours(["equity"])),
        "instruments": await answered(client.instruments("GOOG", "fundamental")),
        "cusip": await answered(client.instrument_cusip("02079K107")),
        "movers": await answered(client.movers("NASDAQ")),
    }


def options(folder: str) -> dict[str, Any]:
    return {
        "app_key": os.environ["SCHWAB_APP_KEY"],
        "app_secret": os.environ["SCHWAB_APP_SECRET"],
        "callback_url": os.environ["SCHWAB_CALLBACK_URL"],
        "tokens_db": f"{folder}/tokens.db",
        "call_on_auth": browse,
    }


async def main(mode: str, folder: str) -> None:
    if mode == "sync":
        with schwabdev.Client(**options(folder)) as client:
            refreshed = client.update_tokens(force_access_token=True)
            answers = await ask(client)
    else:
        async with schwabdev.ClientAsync(**options(folder)) as client:
            refreshed = client.update_tokens(force_access_token=True)
            answers = await ask(client)
    print(json.dumps(answers | {"refreshed": refreshed}))


asyncio.run(main(*sys.argv[1:]))
