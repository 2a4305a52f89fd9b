"""The file of risk limits while a run goes on: it may be tightened, never loosened."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from app.limits_file import read_limits
from engine.limits import loosened
from models.decisions import LimitsRead
from models.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.core import Engine
    from engine.limits import RiskLimits
    from engine.risk import RiskGate
    from models.decisions import Decision


class LimitsWatch:
    """Reads a file of limits again when it changes."""

    def __init__(
        self,
        path: Path | None,
        gate: RiskGate,
        record: Callable[[Decision], None],
        look_s: float = 1.0,
    ) -> None:
        """Take the file as it is now as known.

        Args:
            path: The file; None watches nothing.
            gate: Whose limits it has.
            record: Takes what came of a change.
            look_s: Wall seconds between two looks.
        """
        self._path = path
        self._gate = gate
        self._record = record
        self._look_s = look_s
        self._looked = time.monotonic()
        self._seen = self._mark()

    def look(self, engine: Engine) -> None:
        """Read the file again if it has changed; looser or broken limits are refused."""
        if self._path is None or time.monotonic() - self._looked < self._look_s:
            return
        self._looked = time.monotonic()
        mark = self._mark()
        if mark != self._seen:
            self._seen = mark
            self._read(self._path, engine)

    def _read(self, path: Path, engine: Engine) -> None:
        now = self._gate.limits
        try:
            new = read_limits(path).limits
        except ConfigError as error:
            self._say(engine, f"the old ones stay: {error}", taken=False)
            return
        looser = loosened(now, new)
        if looser:
            said = (
                f"{', '.join(looser)} would be looser, and limits are only tightened while a run "
                "goes on: the old ones stay until the next run"
            )
            self._say(engine, said, taken=False)
            return
        changed = _changed(now, new)
        if changed:
            self._gate.limits = new
            self._say(engine, f"tightened: {changed}", taken=True)

    def _say(self, engine: Engine, message: str, *, taken: bool) -> None:
        self._record(
            LimitsRead(
                event=engine.number,
                at_ns=engine.market.now_ns,
                taken=taken,
                message=message,
                limits=msgspec.Raw(self._gate.limits.model_dump_json().encode()),
            )
        )

    def _mark(self) -> tuple[int, int] | None:
        """Return what tells one state of the file from another; None where it is missing."""
        try:
            found = self._path.stat() if self._path else None
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size) if found else None


def _changed(now: RiskLimits, new: RiskLimits) -> str:
    return ", ".join(
        f"{name} {getattr(now, name)} -> {getattr(new, name)}"
        for name in type(now).model_fields
        if getattr(now, name) != getattr(new, name)
    )
