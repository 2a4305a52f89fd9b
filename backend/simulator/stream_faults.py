"""What may go wrong with single frames and account events of the streamer."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from simulator.faults import FaultKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from simulator.faults import Faults
    from simulator.stream_session import ActivityEvent

DATA = "schwab.streamer.data"
ACTIVITY = "schwab.streamer.activity"
FILL = "OrderFillCompleted"

_ORDER_FAULTS = (FaultKind.GAP, FaultKind.DUPLICATE, FaultKind.REORDER)
_FILL_FAULTS = (*_ORDER_FAULTS, FaultKind.DUPLICATE_FILL, FaultKind.MISSING_FILL)
_SAME = {FaultKind.DUPLICATE_FILL: FaultKind.DUPLICATE, FaultKind.MISSING_FILL: FaultKind.GAP}
_ACTIVITY_HEAD = '{"data":[{"service":"ACCT_ACTIVITY"'
_DATA_HEAD = '{"data":'

_Thing = TypeVar("_Thing")


def shuffled(
    things: Iterable[_Thing], fault_of: Callable[[_Thing], FaultKind | None], held: list[_Thing]
) -> list[_Thing]:
    """Lose, repeat and swap things as told; one that shall be late comes after the next one.

    Args:
        things: In their order.
        fault_of: What shall happen to one of them.
        held: What is late already and leaves with these; filled with what is late next.
    """
    told: list[_Thing] = []
    for thing in things:
        fault = fault_of(thing)
        if fault is FaultKind.REORDER:
            held.append(thing)
            continue
        if fault is not FaultKind.GAP:
            told.append(thing)
        if fault is FaultKind.DUPLICATE:
            told.append(thing)
        told += held
        held.clear()
    return told


class FrameFaults:
    """The faults of single frames and account events of one connection.

    Args:
        faults: What shall go wrong.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._held_frames: list[str] = []
        self._held_events: list[ActivityEvent] = []

    def frames(self, frames: Sequence[str]) -> list[str]:
        """Return frames, those of data lost, repeated or late as the armed faults say."""
        return shuffled(frames, self._frame_fault, self._held_frames)

    def events(self, events: Sequence[ActivityEvent]) -> list[ActivityEvent]:
        """Return account events lost, repeated or late as the armed faults say."""
        return shuffled(events, self._event_fault, self._held_events)

    def delay_s(self, frame: str) -> float:
        """Return how long a frame waits before it is sent."""
        if not frame.startswith(_DATA_HEAD):
            return 0.0
        target = ACTIVITY if frame.startswith(_ACTIVITY_HEAD) else DATA
        fault = self._faults.take(target, {FaultKind.LATENCY})
        return (fault.delay_s or 0.0) if fault else 0.0

    def _frame_fault(self, frame: str) -> FaultKind | None:
        if not frame.startswith(_DATA_HEAD) or frame.startswith(_ACTIVITY_HEAD):
            return None
        fault = self._faults.take(DATA, _ORDER_FAULTS)
        return fault.fault if fault else None

    def _event_fault(self, event: ActivityEvent) -> FaultKind | None:
        kinds = _FILL_FAULTS if event.kind == FILL else _ORDER_FAULTS
        fault = self._faults.take(ACTIVITY, kinds, event=event.kind, account=event.account_number)
        return _SAME.get(fault.fault, fault.fault) if fault else None
