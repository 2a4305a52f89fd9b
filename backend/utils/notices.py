"""Notices on their way: handed over at once, gathered for a moment, sent by a thread.

Whoever has something to say never waits for a mail server. The queue has an end: what does not fit is
counted by kind, and the next message says so.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from models.errors import Unavailable
from utils.notifier import Level

if TYPE_CHECKING:
    from collections.abc import Callable

    Send = Callable[[str, str, Level], None]

_log = logging.getLogger(__name__)

_MOST_LINES: Final = 20
_TRIES: Final = 3
_ORDER = (Level.INFO, Level.WARNING, Level.FAILURE)


class Notice(NamedTuple):
    """One thing to say.

    Attributes:
        kind: What it is about: one word.
        level: How urgent.
        text: One sentence.
    """

    kind: str
    level: Level
    text: str


class NoticeSender:
    """Sends notices in a thread of its own.

    Args:
        send: Sends title and text; may take its time, and may raise `Unavailable`.
        title: Begins each title.
        gather_s: How long more notices are waited for, to be one message.
        most: Notices that may wait.
        again_s: Pause before a message is tried again; doubled after the second try.
    """

    def __init__(
        self,
        send: Send,
        title: str,
        *,
        gather_s: float = 1.0,
        most: int = 500,
        again_s: float = 1.0,
    ) -> None:
        self._send = send
        self._title = title
        self._gather_s = gather_s
        self._most = most
        self._again_s = again_s
        self._waiting: list[Notice] = []
        self._left_out: Counter[str] = Counter()
        self._closed = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)
        self._thread.start()

    def put(self, notice: Notice) -> None:
        """Hand a notice over; returns at once."""
        with self._change:
            if len(self._waiting) < self._most:
                self._waiting.append(notice)
            else:
                self._left_out[notice.kind] += 1
            self._change.notify()

    def close(self, timeout_s: float = 10.0) -> bool:
        """Send what waits, and return whether that was done in time."""
        with self._change:
            self._closed = True
            self._change.notify()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            _log.warning("notices are still on their way: they are given up")
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                if not self._closed:
                    self._change.wait_for(lambda: self._closed, self._gather_s)
                batch, self._waiting = self._waiting, []
                left_out, self._left_out = self._left_out, Counter()
            self._tell(batch, left_out)

    def _tell(self, batch: list[Notice], left_out: Counter[str]) -> None:
        title, text, level = message(self._title, batch, left_out)
        pause = self._again_s
        for number in range(1, _TRIES + 1):
            try:
                self._send(title, text, level)
            except Unavailable as error:
                if number == _TRIES:
                    _log.warning("%s; not told: %s", error, title)
                    return
                time.sleep(pause)
                pause *= 2
            else:
                return


def message(title: str, batch: list[Notice], left_out: Counter[str]) -> tuple[str, str, Level]:
    """Return title, text and level of one message about several notices."""
    kinds = Counter(each.kind for each in batch) + left_out
    counted = ", ".join(name if many == 1 else f"{many} x {name}" for name, many in kinds.items())
    shown = sorted(batch, key=lambda each: -_ORDER.index(each.level))[:_MOST_LINES]
    lines = [each.text for each in batch if each in shown]
    more = sum(kinds.values()) - len(lines)
    if more > 0:
        lines.append(f"... and {more} more, which the journal has")
    level = max((each.level for each in batch), key=_ORDER.index)
    return f"{title}: {counted}", "\n".join(lines), level
