"""Signs in and asks for market data with schwab-py or schwaby, sync or async, as a user would.

Usage: python schwab_py_family.py schwab|schwaby sync|async FOLDER. Prints one JSON object.
It knows nothing of any simulator: the library talks to https://api.schwabapi.com.
"""

import asyncio
import importlib
import inspect
import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import HTTPErrorProcessor, build_opener


class NoRedirect(HTTPErrorProcessor):
    def http_response(self, request: Any, response: Any) -> Any:  # noqa: ARG002 - urllib's protocol
        return response

    https_response = http_response


def redirect_of(url: str) -> str:
    """Do what the user's browser does: open the page and end up at the callback address."""
    return build_opener(NoRedirect).open(url, timeout=10).headers["location"]


def signed_in(library: str, folder: Path, *, is_async: bool) -> tuple[Any, Callable[[], bool]]:
    """Sign in by the library's own code flow, then reopen from the file with an old token."""
    auth = importlib.import_module(f"{library}.auth")
    key, secret = os.environ["SCHWAB_APP_KEY"], os.environ["SCHWAB_APP_SECRET"]
    path = folder / "token.json"

    def write(token: Any, *_args: Any, **_kwargs: Any) -> None:
        path.write_text(json.dumps(token))

    context = auth.get_auth_context(key, os.environ["SCHWAB_CALLBACK_URL"])
    received = redirect_of(context.authorization_url)
    auth.client_from_received_url(key, secret, context, received, write)
    kept = json.loads(path.read_text())
    kept["token"]["expires_at"] = 1
    path.write_text(json.dumps(kept))
    before = kept["token"]["access_token"]
    client = auth.client_from_token_file(str(path), key, secret, asyncio=is_async)
    return client, lambda: json.loads(path.read_text())["token"]["access_token"] != before


async def answered(reply: Any) -> Any:
    reply = await reply if inspect.isawaitable(reply) else reply
    reply.raise_for_status()
    return reply.json()


async def ask(client: Any) -> dict[str, Any]:
    contract, projection = client.Options.ContractType, client.Instrument.Projection
    chain = {"strike_count": 4, "include_underlying_quote": True}
    missing = client.get_quote("NOSUCH")
    missing = await missing if inspect.isawaitable(missing) else missing
    return {
        "quotes": await answered(client.get_quotes(["GOOG", "NOSUCH"], indicative=False)),
        "quote": await answered(client.get_quote("GOOG")),
        "missing": missing.status_code,
        "chain": await answered(client.get_option_chain("GOOG", **chain)),
        "puts": await answered(
            client.get_option_chain("GOOG", contract_type=contract.PUT, strike=750)
        ),
        "expirations": await answered(client.get_option_expiration_chain("GOOG")),
        "minutes": await answered(
            client.get_price_history_every_minute("GOOG", need_extended_hours_data=False)
        ),
        "days": await answered(client.get_price_history_every_day("GOOG")),
        "hours": await answered(client.get_market_hours([client.MarketHours.Market.EQUITY])),
        "instruments": await answered(client.get_instruments(["GOOG"], projection.FUNDAMENTAL)),
        "cusip": await answered(client.get_instrument_by_cusip("02079K107")),
        "movers": await answered(client.get_movers(client.Movers.Index.NASDAQ)),
    }


async def main(library: str, mode: str, folder: str) -> None:
    client, refreshed = signed_in(library, Path(folder), is_async=mode == "async")
    answers = await ask(client)
    if mode == "async":
        await client.close_async_session()
    print(json.dumps(answers | {"refreshed": refreshed()}))


warnings.simplefilter("ignore")
asyncio.run(main(*sys.argv[1:]))
