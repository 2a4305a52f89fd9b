"""A program of ours that listens: `program.py URL FOLDER SYMBOL...`, an event a line, errors too."""

import asyncio
import sys
from pathlib import Path

import msgspec

from models.errors import TradingError
from schwab_integration.config import SchwabSettings
from schwab_integration.streaming import SchwabStream
from schwab_integration.trader_replies import StreamerTerms
from utils.sockets import SocketPatience


class _Tokens:
    def access_token(self) -> str:
        return "token"

    def renew(self, rejected: str) -> str:
        return rejected


async def _listen(url: str, folder: Path, symbols: list[str]) -> None:
    terms = StreamerTerms(
        streamer_socket_url=url,
        schwab_client_customer_id="C" * 64,
        schwab_client_correl_id="correl",
        schwab_client_channel="N9",
        schwab_client_function_id="APIAPP",
    )
    stream = SchwabStream(
        SchwabSettings(_env_file=None),
        auth=_Tokens(),
        terms=lambda: terms,
        folder=folder,
        patience=SocketPatience(first_wait_s=0.01, longest_wait_s=0.05),
    )
    async for event in stream.listen(symbols):
        print(msgspec.json.encode(event).decode(), flush=True)


try:
    asyncio.run(_listen(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))
except TradingError as error:
    print(f"{type(error).__name__}: {error}", flush=True)
