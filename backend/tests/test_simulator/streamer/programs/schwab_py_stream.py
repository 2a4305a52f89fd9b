"""Streams with schwab-py or schwaby as a user would. Usage: schwab_py_stream.py schwab|schwaby.

It knows nothing of any simulator. Prints one JSON object: of each service the first content items.
"""

import asyncio
import importlib
import json
import os
import sys
import warnings
from typing import Any

CALL = "QQQ   261127C00770000"


async def main(library: str) -> None:
    auth = importlib.import_module(f"{library}.auth")
    streaming = importlib.import_module(f"{library}.streaming")
    path, key = os.environ["SIMULATOR_TOKEN_FILE"], os.environ["SCHWAB_APP_KEY"]
    client = auth.client_from_token_file(path, key, os.environ["SCHWAB_APP_SECRET"])
    stream = streaming.StreamClient(client)
    seen: dict[str, Any] = {}

    def note(message: Any) -> None:
        seen.setdefault(message["service"], message["content"])

    await stream.login()
    wanted = {
        "level_one_equity": ["QQQ", "$SPX"],
        "level_one_option": [CALL],
        "chart_equity": ["QQQ"],
        "nasdaq_book": ["QQQ"],
        "options_book": [CALL],
        "screener_equity": ["NASDAQ_VOLUME_5"],
        "level_one_futures": ["/ESZ26"],
    }
    for name, symbols in wanted.items():
        getattr(stream, f"add_{name}_handler")(note)
        await getattr(stream, f"{name}_subs")(symbols)
    stream.add_account_activity_handler(note)
    await stream.account_activity_sub()
    await stream.level_one_equity_add(["AAPL"])
    await stream.level_one_equity_unsubs(["QQQ"])
    while len(seen) < len(wanted):  # futures stay silent, account activity speaks
        await asyncio.wait_for(stream.handle_message(), 30)
    await stream.logout()
    print(json.dumps(seen))


warnings.simplefilter("ignore")
asyncio.run(main(sys.argv[1]))
