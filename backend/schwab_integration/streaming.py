"""Schwab's streamer: `async for quote in stream.listen(["QQQ", "SPX"])`.

All programs of one user on this machine share one connection (`utils.stream_sharing`); it connects again
by itself (`stream_connection`); a slow listener gets the newest quotes and every order update.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from models.errors import BadReply
from models.events import Gap, StreamEvent
from schwab_integration.auth import SchwabAuth, Tokens
from schwab_integration.config import PROVIDER, SchwabSettings
from schwab_integration.stream_connection import StreamConnection
from schwab_integration.stream_hub import Hub
from schwab_integration.stream_requests import Subscription
from schwab_integration.trader import SchwabTrader
from utils.stream_sharing import Attachment, Lines, Place, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from pathlib import Path

    from schwab_integration.trader_replies import StreamerTerms
    from utils.sockets import SocketPatience


SERVICE = "Schwab's streamer"
"""For sentences."""

LINES: Lines[Subscription] = Lines(SERVICE, Subscription, StreamEvent)
"""What our programs tell each other of it."""


def place_of(terms: StreamerTerms, folder: Path | None = None) -> Place:
    """Return where the programs of one user meet.

    Args:
        terms: Of the user.
        folder: As of `utils.stream_sharing.Place`.

    Raises:
        ConfigError: The given folder's path is too long for a Unix socket.
    """
    who = f"{terms.streamer_socket_url} {terms.schwab_client_customer_id}"
    return Place(SERVICE, who, folder)


def streamer_terms(trader: SchwabTrader) -> StreamerTerms:
    """Ask where the streamer is and who we are there.

    Raises:
        BadReply: Schwab names none.
        TradingError: It cannot be asked.
    """
    listed = trader.user_preference().streamer_info
    if not listed:
        message = "Schwab names no streamer for this user"
        raise BadReply(message, provider=PROVIDER, field="streamerInfo")
    return listed[0]


class SchwabStream:
    """Listens to Schwab's streamer, for as many listeners as are needed.

    Args:
        settings: Of the app.
        auth: Shared with the other clients; one of our own by default.
        terms: Where the streamer is and who we are; asked of Schwab by default.
        patience: How long to wait for the network.
        folder: Where programs meet; in the state folder by default.
    """

    def __init__(
        self,
        settings: SchwabSettings,
        *,
        auth: Tokens | None = None,
        terms: Callable[[], StreamerTerms] | None = None,
        patience: SocketPatience | None = None,
        folder: Path | None = None,
    ) -> None:
        self._settings = settings
        self._unshared = ExitStack()
        if auth is None:
            auth = own = SchwabAuth(settings)
            self._unshared.callback(own.close)
        self._auth = auth
        self._terms = terms or self._ask_terms
        self._patience = patience
        self._folder = folder

    def close(self) -> None:
        """Close what is not shared with other clients, once nobody listens any more."""
        self._unshared.close()

    def listen(
        self,
        symbols: Sequence[str] = (),
        *,
        bars: Sequence[str] = (),
        screens: Sequence[str] = (),
        activity: bool = False,
        heartbeats: bool = False,
    ) -> AsyncGenerator[StreamEvent, None]:
        """Yield quotes of these symbols, and what else is asked for; see `Subscription`.

        With `activity` a `Gap` comes after each interruption: updates of orders may have been lost.

        Raises:
            ConfigError: Nothing is asked for, or a symbol cannot be sent.
            TokenExpired: A person must sign in.
            AuthError: Schwab does not accept us.
            SubscriptionRefused: Some of the symbols are not to be had.
            StreamError: Another program took the connection over.
        """
        wanted = Subscription(
            symbols=tuple(symbols),
            bars=tuple(bars),
            screens=tuple(screens),
            activity=activity,
            heartbeats=heartbeats,
        )
        return self.hear(wanted)

    async def hear(self, subscription: Subscription) -> AsyncGenerator[StreamEvent, None]:
        """Yield what a subscription asks for, books included; errors as of `listen`."""
        subscription.keys()
        place = place_of(await asyncio.to_thread(self._terms), self._folder)
        while True:
            with place.owned() as ours:
                if ours:
                    told = self._own(place, subscription)
                else:
                    told = Attachment(place, LINES, subscription).hear()
                async with contextlib.aclosing(told) as events:
                    async for event in events:
                        yield event
                if ours:
                    return
            if subscription.activity:  # whoever takes over, updates may be missing
                yield Gap(time_ns=time.time_ns())

    async def _own(
        self, place: Place, subscription: Subscription
    ) -> AsyncGenerator[StreamEvent, None]:
        """Own the connection: listen, and serve the other programs meanwhile."""
        hub = Hub(self._connection)
        listener = hub.join(subscription)
        running = asyncio.create_task(hub.run())
        try:
            async with serving(place, LINES, hub):
                try:
                    while True:
                        yield await listener.hear()
                except StopAsyncIteration:
                    return
                finally:
                    hub.close(None)  # the others see the end, and one of them takes over
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def _connection(self, sink: Hub) -> StreamConnection:
        return StreamConnection(
            self._terms,
            self._auth,
            sink,
            patience=self._patience,
            ca_file=self._settings.ca_file,
        )

    def _ask_terms(self) -> StreamerTerms:
        with SchwabTrader(self._settings) as trader:
            return streamer_terms(trader)
