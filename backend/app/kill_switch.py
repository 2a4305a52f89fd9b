"""The kill switch: a file that stands until a person takes it away, read before any order leaves.

The file is the switch. Whoever wants trading to stop writes it: the command, the guard's HTTP
endpoint, a signal, the risk gate, or a person with `touch`. Every sender of orders looks for it in
the moment in which bytes would leave, whatever the strategy's loop is doing; the loop sees it within
the next events, cancels what works and says so in the journal.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from app import cli
from app.publish import publish
from models.errors import ConfigError
from models.events import Halt
from models.order_terms import PositionEffect
from utils.clock import wall_clock
from utils.paths import state_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.core import Engine
    from engine.risk import RiskGate
    from models.order_groups import OrderTicket

ALL = "ALL"
"""Name of the switch of all accounts."""

PLAIN = "KILL"
"""Name of a file in the state folder that stops all accounts, whatever is in it."""

_LOOK_S = 0.02


class Killed(msgspec.Struct, frozen=True):
    """Why nothing leaves.

    Attributes:
        at: When, ISO 8601.
        by: Who: command, http, signal, file, or the rule of the gate.
        reason: One sentence.
        flatten: Whether what is held is to be closed.
    """

    at: str
    by: str
    reason: str
    flatten: bool = False


class Obeyed(msgspec.Struct, frozen=True):
    """What a program did on it.

    Attributes:
        at: Of the `Killed` that it obeyed.
        cancelled: How many orders it cancelled.
        pid: Which program.
    """

    at: str
    cancelled: int
    pid: int


def killed_now(by: str, reason: str, *, flatten: bool = False) -> Killed:
    """Return the wish of this moment."""
    return Killed(wall_clock().isoformat(), by, reason, flatten)


class KillSwitch:
    """The switch of one account, and of all of them."""

    def __init__(self, account_id: str) -> None:
        """Name the files.

        Args:
            account_id: Hash or name of the account; `ALL` for all.
        """
        folder = state_folder("kill")
        self._own = folder / f"{account_id}.json"
        self._begun = folder / f"{account_id}.begun"
        self._done = folder / f"{account_id}.done"
        self._lock = folder / f"{account_id}.lock"
        self._files = (self._own, folder / f"{ALL}.json", state_folder() / PLAIN)

    def engaged(self) -> Killed | None:
        """Return why nothing leaves, or None. A file that cannot be read counts."""
        for file in self._files:
            try:
                content = file.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                return Killed("", "file", f"{file} cannot be read: {error.strerror}")
            try:
                return msgspec.json.decode(content, type=Killed)
            except msgspec.DecodeError:
                at = str(file.stat().st_mtime_ns) if file.exists() else ""
                return Killed(at, "file", f"the file {file.name} lies in the state folder")
        return None

    def engage(self, wish: Killed) -> Killed:
        """Stop trading, and return what counts: who came first, unless this one flattens too."""
        found = self.engaged()
        if found is None or (wish.flatten and not found.flatten):
            publish(self._own, msgspec.json.encode(wish))
            found = wish
        return found

    def release(self) -> bool:
        """Let trading go on, and return whether it was stopped; another file may stop it still."""
        stood = self._own.exists()
        self._own.unlink(missing_ok=True)
        if self._own.name == f"{ALL}.json":
            stood = stood or self._files[2].exists()
            self._files[2].unlink(missing_ok=True)
        return stood

    def refusal(self, ticket: OrderTicket) -> str:
        """Return why a ticket may not leave now; empty where it may: asked as bytes would leave."""
        found = self.engaged()
        if found is None:
            return ""
        from models.order_groups import orders_of  # noqa: PLC0415 - the switch itself must be quick

        legs = [leg for order in orders_of(ticket) for leg in order.legs]
        closing = all(leg.position_effect is PositionEffect.CLOSING for leg in legs)
        if found.flatten and closing:
            return ""
        return f"trading is stopped by {found.by}: {found.reason}"

    def obeyed(self) -> Obeyed | None:
        """Return what a program did on the newest wish, or None."""
        try:
            return msgspec.json.decode(self._done.read_bytes(), type=Obeyed)
        except (OSError, msgspec.DecodeError):
            return None

    def begin(self, found: Killed) -> None:
        """Say that a wish is being carried out: who waits for it has patience."""
        publish(self._begun, found.at.encode())

    def begun(self, found: Killed) -> bool:
        """Return whether a program is carrying a wish out, or has done so."""
        try:
            return self._begun.read_text() == found.at
        except OSError:
            return False

    def obey(self, found: Killed, cancelled: int) -> None:
        """Say that a wish was carried out."""
        publish(self._done, msgspec.json.encode(Obeyed(found.at, cancelled, os.getpid())))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep every other program that carries a wish out from doing it twice."""
        lock = os.open(self._lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def refuse_stopped(account_id: str) -> None:
    """Refuse to begin a run on an account whose trading is stopped.

    Raises:
        ConfigError: It is; the sentence says by whom, and how it goes on.
    """
    found = KillSwitch(account_id).engaged()
    if found is not None:
        raise ConfigError(
            f"trading of {account_id} is stopped by {found.by}: {found.reason}; when you have looked "
            "at it, `python trading_main.py --resume-trading` (with --account NAME for one account) "
            "lets it go on"
        )


class SwitchFollower:
    """Has a run obey its switch."""

    def __init__(self, engine: Engine, gate: RiskGate, account_id: str) -> None:
        """Take a run.

        Args:
            engine: Of the run.
            gate: Its gate: what it stops by itself stays stopped, too.
            account_id: Its account.
        """
        self.switch = KillSwitch(account_id)
        self.found: Killed | None = None
        self._engine = engine
        self._gate = gate
        self._looked = 0.0

    def follow(self) -> None:
        """Look at the switch, if it is time to, and tell the engine what has changed."""
        if self._gate.halted is not None and self.found is None:
            self.switch.engage(killed_now("risk gate", self._gate.halted))
        elif time.monotonic() - self._looked < _LOOK_S:
            return
        self._looked = time.monotonic()
        found = self.switch.engaged()
        if found == self.found:
            return
        engine, self.found = self._engine, found
        working = len(engine.book.working())
        reason = "" if found is None else found.reason
        by, flatten = ("a person", False) if found is None else (found.by, found.flatten)
        if found is not None:
            self.switch.begin(found)
        engine.on(Halt(time_ns=engine.market.now_ns, by=by, reason=reason, flatten=flatten))
        if found is not None:
            self.switch.obey(found, working)


def run_state(account: str | None) -> int:
    """Say whether trading is stopped, of one account or of all; return the exit status."""
    for name in [account] if account else [ALL, *known_accounts()]:
        print(state_words(name))
    return cli.OK


def run_resume(account: str | None) -> int:
    """Let trading of one account, or of all, go on; return the exit status.

    Raises:
        ConfigError: It is not stopped.
    """
    print(resume(account or ALL))
    return cli.OK


def resume(account_id: str) -> str:
    """Let trading of an account, or of `ALL`, go on; return one sentence.

    Raises:
        ConfigError: It is not stopped.
    """
    switch = KillSwitch(account_id)
    if not switch.release():
        raise ConfigError(f"trading of {account_id} is not stopped")
    left = switch.engaged()
    if left is not None:
        return (
            f"{account_id} is let go on, but trading is still stopped by {left.by}: {left.reason}"
        )
    return f"trading of {account_id} may go on"


def state_words(account_id: str) -> str:
    """Return one sentence about the switch of an account."""
    found = KillSwitch(account_id).engaged()
    if found is None:
        return f"{account_id}: trading is allowed"
    done = KillSwitch(account_id).obeyed()
    words = f"{account_id}: STOPPED by {found.by} at {found.at}: {found.reason}"
    if done is not None and done.at == found.at:
        words += f"; {done.cancelled} orders were cancelled"
    return words


def known_accounts() -> list[str]:
    """Return the accounts that have a journal."""
    names = {path.name for path in _journals().glob("*.jsonl")}
    return sorted(
        name.removesuffix(".jsonl") for name in names if not name.endswith(".orders.jsonl")
    )


def _journals() -> Path:
    return state_folder("journals")
