"""An engine whose every event is shown to somebody, once it has had its effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from engine.core import Engine

if TYPE_CHECKING:
    from models.events import Event
    from models.trading import Balances


class Observer(Protocol):
    """Who is shown what a run's engine takes."""

    def hear(self, event: Event) -> None:
        """See an event that has had its effect."""
        ...

    def hear_balances(self, balances: Balances) -> None:
        """See the balances that the next event will find."""
        ...


class ObservedEngine(Engine):
    """An `Engine` that is observed, whoever hands it its events.

    Args:
        observer: Is shown them.
        parts: As of `Engine`.
        named: The same.
    """

    def __init__(self, observer: Observer, *parts: Any, **named: Any) -> None:
        super().__init__(*parts, **named)
        self._observer = observer

    def on(self, event: Event) -> None:
        """Take one event, and show it."""
        super().on(event)
        self._observer.hear(event)
