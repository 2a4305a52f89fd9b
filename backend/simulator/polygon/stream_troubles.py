"""What may go wrong with one of Polygon's sockets; each asks for the faults of its own target.

- `polygon.stream.connect`: latency, status (the handshake is refused)
- `polygon.stream.login`: status (every key is wrong)
- `polygon.stream.data`: gap, duplicate, reorder and latency of frames; disagree and renamed of what
  stands in them; half_frame, silent, reset
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from simulator.data_faults import spoilt
from simulator.faults import FaultKind
from simulator.stream_faults import shuffled
from simulator.transports import half_frame, reset, transport_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.websockets import WebSocket

    from simulator.faults import Fault, Faults

_FRAME_FAULTS = (FaultKind.GAP, FaultKind.DUPLICATE, FaultKind.REORDER)
_EVENT_FAULTS = (FaultKind.DISAGREE, FaultKind.RENAMED)
_STATUS_HEAD = b'[{"ev":"status"'


class Troubles:
    """The faults of one connection.

    Args:
        faults: What shall go wrong.
        websocket: The connection.
        market: What `match` of a fault calls `market`.
    """

    def __init__(self, faults: Faults, websocket: WebSocket, market: str) -> None:
        self._faults = faults
        self._websocket = websocket
        self._market = market
        self._held: list[bytes] = []
        self._silent_until_s = 0.0

    async def refused(self) -> bool:
        """Return whether the handshake is refused, after the delay that a fault wants."""
        if slow := self._take("connect", FaultKind.LATENCY):
            await asyncio.sleep(slow.delay_s or 0.0)
        return self._take("connect", FaultKind.STATUS) is not None

    def no_key_fits(self) -> bool:
        """Return whether the key is called wrong whatever it is."""
        return self._take("login", FaultKind.STATUS) is not None

    def meet(self) -> bool:
        """Let the faults of the whole connection happen; return whether it says nothing now."""
        if self._take("data", FaultKind.RESET):
            reset(transport_of(self._websocket.scope))
        now_s = asyncio.get_running_loop().time()
        if silent := self._take("data", FaultKind.SILENT):
            lasts_s = float("inf") if silent.delay_s is None else silent.delay_s
            self._silent_until_s = now_s + lasts_s
        return now_s < self._silent_until_s

    def events(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return events at other prices or under other names, as the armed faults say."""
        fault = self._take("data", *_EVENT_FAULTS) if events else None
        changed: list[dict[str, Any]] = spoilt(events, fault) if fault else events
        return changed

    def frames(self, frames: Sequence[bytes]) -> list[bytes]:
        """Return frames lost, repeated or late, as the armed faults say."""
        return shuffled(frames, self._frame_fault, self._held)

    async def cut(self, frame: bytes) -> bool:
        """Wait as long as a fault wants before a frame of data; return whether it was sent by half."""
        if frame.startswith(_STATUS_HEAD):
            return False
        if slow := self._take("data", FaultKind.LATENCY):
            await asyncio.sleep(slow.delay_s or 0.0)
        if not self._take("data", FaultKind.HALF_FRAME):
            return False
        transport = transport_of(self._websocket.scope)
        transport.write(half_frame(frame))
        transport.close()
        return True

    def _frame_fault(self, _frame: bytes) -> FaultKind | None:
        fault = self._take("data", *_FRAME_FAULTS)
        return fault.fault if fault else None

    def _take(self, part: str, *kinds: FaultKind) -> Fault | None:
        return self._faults.take(f"polygon.stream.{part}", kinds, market=self._market)
