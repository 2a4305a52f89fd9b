"""Streams with Schwabdev as a user would, sync or async. Usage: schwabdev_stream.py sync|async FOLDER.

It knows nothing of any simulator. Prints one JSON object: of each service the first content items.
"""

import asyncio
import json
import os
import sys
import time
from typing import Any

import requests
import schwabdev

CALL = "QQQ   261127C00770000"
SERVICES = 7


def browse(url: str) -> str:
    """Do what the user's browser does: open the page and end up at the callback address."""
    return requests.get(url, allow_redirects=False, timeout=10).headers["location"]


def options(folder: str) -> dict[str, Any]:
    return {
        "app_key": os.environ["SCHWAB_APP_KEY"],
        "app_secret": os.environ["SCHWAB_APP_SECRET"],
        "callback_url": os.environ["SCHWAB_CALLBACK_URL"],
        "tokens_db": f"{folder}/tokens.db",
        "call_on_auth": browse,
    }


def wanted(stream: Any) -> list[dict[str, Any]]:
    return [
        stream.level_one_equities("QQQ,$SPX", "0,1,2,3,4,5,8"),
        stream.level_one_options(CALL, "0,1,2,3,28"),
        stream.chart_equity("QQQ", "0,1,2,3,4,5,6,7,8"),
        stream.nasdaq_book("QQQ", "0,1,2,3"),
        stream.options_book(CALL, "0,1,2,3"),
        stream.screener_equity("NASDAQ_VOLUME_5", "0,1,2,3,4"),
        stream.level_one_futures("/ESZ26", "0,1,2,3"),
        stream.account_activity("Account Activity", "0,1,2,3"),
    ]


def run_sync(folder: str, seen: dict[str, Any]) -> None:
    with schwabdev.Client(**options(folder)) as client:
        stream = schwabdev.Stream(client)
        stream.start(lambda message: note(message, seen))
        while not stream.active:  # what is sent earlier goes out as ADD, which activity ignores
            time.sleep(0.05)
        for request in wanted(stream):
            stream.send(request)
        end = time.monotonic() + 30
        while len(seen) < SERVICES and time.monotonic() < end:
            time.sleep(0.05)
        stream.stop()


async def run_async(folder: str, seen: dict[str, Any]) -> None:
    async with schwabdev.ClientAsync(**options(folder)) as client:
        stream = schwabdev.StreamAsync(client)
        await stream.start(lambda message: note(message, seen))
        while not stream.active:  # noqa: ASYNC110 - as users write
            await asyncio.sleep(0.05)
        for request in wanted(stream):
            await stream.send(request)
        end = time.monotonic() + 30
        while len(seen) < SERVICES and time.monotonic() < end:  # noqa: ASYNC110 - as users write
            await asyncio.sleep(0.05)
        await stream.stop()


def note(message: str, seen: dict[str, Any]) -> None:
    for part in json.loads(message).get("data", []):
        seen.setdefault(part["service"], part["content"])


found: dict[str, Any] = {}
if sys.argv[1] == "sync":
    run_sync(sys.argv[2], found)
else:
    asyncio.run(run_async(sys.argv[2], found))
print(json.dumps(found))
