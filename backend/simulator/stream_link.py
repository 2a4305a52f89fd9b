"""One socket of the streamer: what waits to be sent, and what may go wrong on the way."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from starlette.websockets import WebSocketDisconnect, WebSocketState

from simulator import stream_facts as facts
from simulator.faults import FaultKind
from simulator.transports import half_frame, reset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.websockets import WebSocket

    from simulator.faults import Faults
    from simulator.stream_faults import FrameFaults
    from simulator.stream_session import StreamSession

TARGET = "schwab.streamer"

_SLOW_GRACE_S = 20.0


class Link:
    """A client's connection; frames are posted at once and sent as fast as the client reads.

    Attributes:
        session: What the client asked for.
        skew_ms: What a fault adds to every time told.
        troubles: Faults of single frames and events.

    Args:
        session: The same.
        websocket: Accepted.
        transport: Below it.
        troubles: The same.
    """

    def __init__(
        self,
        session: StreamSession,
        websocket: WebSocket,
        transport: asyncio.Transport,
        troubles: FrameFaults,
    ) -> None:
        self.session = session
        self.skew_ms = 0
        self._websocket = websocket
        self._transport = transport
        self.troubles = troubles
        self._waiting: deque[str] = deque()
        self._bytes = 0
        self._more = asyncio.Event()
        self._silent_until_s = 0.0
        self._halve = False

    @property
    def overflown(self) -> bool:
        """Whether more waits than a slow client is granted."""
        return self._bytes > facts.BUFFER_BYTES

    def post(self, frames: Sequence[str]) -> None:
        """Let frames be sent; a silent connection loses them."""
        if not frames and not self.session.closing:
            return
        if asyncio.get_running_loop().time() >= self._silent_until_s:
            for frame in self.troubles.frames(frames):
                self._waiting.append(frame)
                self._bytes += len(frame)
        self._more.set()

    def drop(self, last: Sequence[str]) -> None:
        """Forget what waits, send these last frames, and end the connection whoever reads."""
        self._waiting.clear()
        self._bytes = 0
        self.post(last)
        asyncio.get_running_loop().call_later(_SLOW_GRACE_S, self._transport.abort)

    def meet(self, faults: Faults) -> None:
        """Let the faults of a whole connection happen."""
        user = self.session.user.login if self.session.user else ""

        if faulty := faults.take(TARGET, {FaultKind.SILENT}, user=user):
            now_s = asyncio.get_running_loop().time()
            self._silent_until_s = now_s + (
                float("inf") if faulty.delay_s is None else faulty.delay_s
            )
        if skewed := faults.take(TARGET, {FaultKind.CLOCK_SKEW}, user=user):
            self.skew_ms = int(skewed.skew_s * 1000)
        if faults.take(TARGET, {FaultKind.HALF_FRAME}, user=user):
            self._halve = True
        if faults.take(TARGET, {FaultKind.RESET}, user=user):
            reset(self._transport)

    async def write(self) -> None:
        """Send what is posted until the session closes or the client is gone."""
        try:
            while True:
                while self._waiting:
                    await self._send(self._waiting.popleft())
                if self.session.closing:
                    break
                self._more.clear()
                await self._more.wait()
            if self._websocket.application_state is WebSocketState.CONNECTED:
                await self._websocket.close(facts.CLOSE_CODE)
        except (WebSocketDisconnect, RuntimeError):
            return  # the client is gone: the reader sees it too

    async def _send(self, frame: str) -> None:
        delay_s = self.troubles.delay_s(frame)
        if delay_s:
            await asyncio.sleep(delay_s)
        if self._halve and frame.startswith('{"data"'):
            self._transport.write(half_frame(frame.encode()))
            self._transport.close()
            return
        await self._websocket.send_text(frame)
        self._bytes = max(self._bytes - len(frame), 0)
