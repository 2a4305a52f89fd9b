"""One connection to Schwab's streamer: sign-in, subscriptions, every code of the guide, reconnects.

What is wanted may change at any time; the connection follows, and a new connection begins with all
of it. Who gets what is the hub's matter (`stream_hub`).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from models.errors import AuthError, BadReply, Disconnected, StreamError
from models.schwab_fields import CLOSING, SUCCESSES, Code, Command, Service
from schwab_integration.config import PROVIDER
from schwab_integration.stream_decode import StreamDecoder, Updates
from schwab_integration.stream_requests import (
    KEYS_A_COMMAND,
    TAKEN_OVER,
    Keys,
    discarded,
    numbers_of,
    refusal,
    request,
    sign_in,
)
from utils.sockets import Endpoint, Socket, SocketPatience, keep_connected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from schwab_integration.auth import Tokens
    from schwab_integration.stream_wire import Content, Notice, Response
    from schwab_integration.trader_replies import StreamerTerms

_log = logging.getLogger(__name__)

ANSWER_S = 15.0
"""A request that is not answered for so long breaks the connection."""


class Sink(Protocol):
    """Who gets what the connection tells."""

    def tell(self, updates: Updates) -> None:
        """Take what one frame told."""
        ...

    def resumed(self) -> None:
        """Take that the connection was lost and is there again."""
        ...

    def refuse(self, service: Service, keys: Sequence[str], error: StreamError) -> None:
        """Take that some keys are not to be had."""
        ...


class StreamConnection:
    """Keeps one connection alive and subscribed.

    Attributes:
        decoder: Holds the last states.
        sign_ins: How often LOGIN succeeded; more than once means that there were gaps.

    Args:
        terms: Asked before each connection: where the streamer is and who we are.
        tokens: Access tokens.
        sink: Who gets what is told.
        patience: How long to wait.
        ca_file: PEM file of the only certificate authorities to trust.
        answer_s: How long to wait for an answer.
    """

    def __init__(  # noqa: PLR0913 - who, where, to whom, and how long
        self,
        terms: Callable[[], StreamerTerms],
        tokens: Tokens,
        sink: Sink,
        *,
        patience: SocketPatience | None = None,
        ca_file: Path | None = None,
        answer_s: float = ANSWER_S,
    ) -> None:
        self.decoder = StreamDecoder()
        self.sign_ins = 0
        self._ask_terms = terms
        self._tokens = tokens
        self._sink = sink
        self._patience = patience or SocketPatience()
        self._ca_file = ca_file
        self._answer_s = answer_s
        self._terms: StreamerTerms | None = None
        self._wanted: Keys = {}
        self._fields: dict[Service, str] = {}
        self._changed = asyncio.Event()
        self._held: Keys = {}
        self._viewed: dict[Service, str] = {}
        self._token = ""
        self._rejected: str | None = None
        self._denials = 0
        self._answers: dict[str, asyncio.Future[Content]] = {}
        self._number = 0

    def want(self, keys: Keys) -> None:
        """Say what shall be subscribed from now on; nothing at all ends the connection."""
        self._wanted = {service: set(each) for service, each in keys.items() if each}
        self._changed.set()

    def view(self, service: Service, names: Sequence[str]) -> None:
        """Limit the fields of a service, for all its keys (VIEW).

        Raises:
            ConfigError: The service has no such field.
        """
        self._fields[service] = numbers_of(service, names)
        self._changed.set()

    async def run(self) -> None:
        """Stay connected until nothing is wanted any more.

        Raises:
            AuthError: Schwab does not accept us.
            StreamError: Another session took over.
            TradingError: What no new connection mends.
        """
        await keep_connected(self._where, self._session, patience=self._patience)

    async def _where(self) -> Endpoint:
        self._terms = await asyncio.to_thread(self._ask_terms)
        return Endpoint(self._terms.streamer_socket_url, PROVIDER, ca_file=self._ca_file)

    async def _session(self, socket: Socket) -> None:
        self.decoder.begin()
        self._held, self._viewed, self._answers = {}, {}, {}
        reading = asyncio.create_task(self._read(socket))
        speaking = asyncio.create_task(self._speak(socket))
        try:
            await asyncio.wait({reading, speaking}, return_when=asyncio.FIRST_COMPLETED)
            if speaking.done() and not speaking.exception():
                return  # signed out as we wished, whatever the server did then
            # What the server said counts more than that our request then went unanswered.
            (reading if reading.done() else speaking).result()
        finally:
            for task in (reading, speaking):
                task.cancel()
            await asyncio.gather(reading, speaking, return_exceptions=True)

    async def _read(self, socket: Socket) -> None:
        while True:
            updates = self.decoder.decode(await socket.receive())
            self._sink.tell(updates)  # first: what a code means may end the connection
            for response in updates.responses:
                self._answered(response)
            for notice in updates.notices:
                self._noticed(notice)

    async def _speak(self, socket: Socket) -> None:
        """Sign in, then keep the subscriptions as wanted until nothing is."""
        await self._sign_in(socket)
        socket.prove()
        resumed = self.sign_ins > 1
        while True:
            self._changed.clear()
            if not self._wanted:
                await self._ask(socket, Service.ADMIN, Command.LOGOUT, {})
                return
            await self._subscribe(socket)
            if resumed:  # only now nothing more is missed
                resumed = False
                self._sink.resumed()
            await self._changed.wait()

    async def _sign_in(self, socket: Socket) -> None:
        terms = self._known_terms()
        self._token = await asyncio.to_thread(self._access_token)
        parameters = sign_in(terms, self._token)
        content = await self._ask(socket, Service.ADMIN, Command.LOGIN, parameters)
        if content.code not in SUCCESSES:
            raise Disconnected(f"Schwab's streamer refused the sign-in with code {content.code}")
        self._denials, self._rejected = 0, None
        self.sign_ins += 1

    def _denied(self) -> None:
        """Have another access token made for the next sign-in, but only once in a row."""
        self._denials += 1
        if self._denials > 1:
            raise AuthError(
                "Schwab's streamer denies the sign-in though the access token is new: check that "
                "the app has the product Market Data Production"
            )
        self._rejected = self._token
        raise Disconnected("Schwab's streamer did not accept the access token: renewing it")

    def _access_token(self) -> str:
        if self._rejected is not None:
            return self._tokens.renew(self._rejected)
        return self._tokens.access_token()

    async def _subscribe(self, socket: Socket) -> None:
        """Bring what the server holds to what is wanted: less first, then more."""
        wanted = {service: set(keys) for service, keys in self._wanted.items()}
        for service in list(self._held):
            gone = self._held[service] - wanted.get(service, set())
            for keys in _chunks(gone):
                content = await self._change(socket, service, Command.UNSUBS, keys)
                if content.code in SUCCESSES:
                    self.decoder.forget(service, set(keys))
            self._held[service] -= gone
        for service, numbers in list(self._fields.items()):
            if self._held.get(service) and self._viewed.get(service) != numbers:
                self._viewed[service] = numbers
                await self._change(socket, service, Command.VIEW, [])
        for service, keys_wanted in wanted.items():
            for keys in _chunks(keys_wanted - self._held.get(service, set())):
                held = self._held.setdefault(service, set())
                first = not held or service is Service.ACCT_ACTIVITY  # which knows no ADD
                command = Command.SUBS if first else Command.ADD
                self._viewed[service] = self._numbers(service)  # they may change while we wait
                await self._change(socket, service, command, keys)
                held |= set(keys)

    async def _change(
        self, socket: Socket, service: Service, command: Command, keys: list[str]
    ) -> Content:
        parameters = {}
        if keys:
            parameters["keys"] = ",".join(keys)
        if command is not Command.UNSUBS:
            parameters["fields"] = self._numbers(service)
        content = await self._ask(socket, service, command, parameters)
        if content.code in SUCCESSES:
            return content
        if content.code == Code.STREAM_CONN_NOT_FOUND:
            raise Disconnected("Schwab's streamer has lost our sign-in")
        if content.code in CLOSING:
            self._ended(content)
        refused = keys
        if content.code == Code.REACHED_SYMBOL_LIMIT:
            refused = discarded(keys, content.msg)
        if command is Command.UNSUBS:
            _log.warning("Schwab's streamer refused UNSUBS of %s: %d", service, content.code)
        elif refused or not keys:
            self._sink.refuse(service, refused, refusal(service, command, content.code, refused))
        return content

    def _numbers(self, service: Service) -> str:
        return self._fields.get(service) or numbers_of(service)

    async def _ask(
        self, socket: Socket, service: Service, command: Command, parameters: dict[str, str]
    ) -> Content:
        self._number += 1
        answer: asyncio.Future[Content] = asyncio.get_running_loop().create_future()
        self._answers[str(self._number)] = answer
        terms = self._known_terms()
        await socket.send(request(self._number, service, command, terms, parameters))
        try:
            async with asyncio.timeout(self._answer_s):
                return await answer
        except TimeoutError:
            message = f"Schwab's streamer does not answer {command} of {service}"
            raise Disconnected(message) from None

    def _known_terms(self) -> StreamerTerms:
        if self._terms is None:
            message = "Schwab names no streamer for this user"
            raise BadReply(message, provider=PROVIDER, field="streamerInfo")
        return self._terms

    def _answered(self, response: Response) -> None:
        if response.content.code == Code.LOGIN_DENIED:
            self._denied()
        answer = self._answers.pop(str(response.requestid), None)
        if answer and not answer.done():
            answer.set_result(response.content)

    def _noticed(self, notice: Notice) -> None:
        if notice.content is not None:
            self._ended(notice.content)

    def _ended(self, content: Content) -> None:
        """Raise what a code means after which the server closes; log any other.

        Raises:
            StreamError: Another session took over: fighting it would end in turns without end.
            Disconnected: A new connection may mend it.
        """
        if content.code == Code.CLOSE_CONNECTION:
            raise StreamError(TAKEN_OVER)
        if content.code == Code.LOGIN_DENIED:
            self._denied()
        if content.code == Code.STOP_STREAMING:
            raise Disconnected(f"Schwab's streamer has stopped: {content.msg[:100] or 'no reason'}")
        if content.code not in SUCCESSES:
            _log.warning("Schwab's streamer says code %d", content.code)


def _chunks(keys: set[str]) -> list[list[str]]:
    ordered = sorted(keys)
    return [ordered[at : at + KEYS_A_COMMAND] for at in range(0, len(ordered), KEYS_A_COMMAND)]
