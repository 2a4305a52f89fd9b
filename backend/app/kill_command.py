"""Stopping trading from outside the program that trades: it obeys, or it is ended and done for it.

A run that is alive sees the switch by itself, cancels and says so. One that hangs is killed: its
journals survive that by design, and `kill_takeover` takes the account up from them.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from app import cli
from app.kill_switch import ALL, KillSwitch, killed_now, known_accounts
from models.errors import ConfigError, TradingError
from utils.journal_chain import head_path, read_head
from utils.paths import state_folder

if TYPE_CHECKING:
    from pathlib import Path

    from app.kill_switch import Killed

GRACE_S = 1.5
"""How long a run has to begin to obey before it counts as hanging ..."""

PATIENCE_S = 20.0
"""... and to end what it has begun."""


def stop(accounts: list[str], wish: Killed) -> list[str]:
    """Stop trading of accounts, or of all, and return a sentence for each.

    Args:
        accounts: Names or hashes; empty for all.
        wish: By whom, why, and whether what is held is closed.

    Raises:
        TradingError: An account could not be stopped whole; nothing leaves all the same.
    """
    if not accounts:
        KillSwitch(ALL).engage(wish)
    for account in accounts:
        KillSwitch(account).engage(wish)
    said = [] if accounts else ["all accounts: nothing leaves any more"]
    failed = []
    for account in accounts or [each for each in known_accounts() if running(each)]:
        try:
            said.append(f"{account}: {carry_out(account)}")
        except TradingError as error:
            failed.append(f"{account}: {error}")
    if failed:
        raise ConfigError(
            "nothing leaves any more, but not all that works is cancelled: " + "; ".join(failed)
        )
    return said


def find_accounts(wanted: str | None) -> list[str]:
    """Return the account that a person means, by its name, or the beginning of its hash.

    Raises:
        ConfigError: None or several fit.
    """
    if wanted is None:
        return []
    known = known_accounts()
    if wanted in known:
        return [wanted]
    fitting = [each for each in known if each.startswith(wanted.upper())]
    if len(fitting) != 1:
        names = ", ".join(each[:16] for each in known) or "none has traded yet"
        raise ConfigError(f"--account {wanted} names no account that has traded here: {names}")
    return fitting


def carry_out(account_id: str) -> str:
    """Have the wish that stands carried out, by the run or instead of it; return one sentence.

    Raises:
        TradingError: The account cannot be taken up, or the broker does not answer.
    """
    switch = KillSwitch(account_id)
    found = switch.engaged()
    if found is None:
        return "trading is allowed"
    begun_at = time.monotonic()
    until = begun_at + GRACE_S
    while running(account_id) and time.monotonic() < until:
        if switch.begun(found):
            until = max(until, begun_at + PATIENCE_S)
        done = switch.obeyed()
        if done is not None and done.at == found.at:
            return f"stopped, {done.cancelled} orders cancelled by the running session"
        time.sleep(0.05)
    with switch.alone():
        done = switch.obeyed()
        if done is not None and done.at == found.at:
            return f"stopped, {done.cancelled} orders cancelled"
        hung = _end(account_id)
        from app.kill_takeover import take_over  # noqa: PLC0415 - heavy: the switch comes first

        count = take_over(account_id, found)
        switch.obey(found, count)
    words = f"the session (process {hung}) did not answer and was ended; " if hung else ""
    return f"{words}stopped, {count} orders cancelled"


def running(account_id: str) -> bool:
    """Return whether a program has the account's journal open."""
    try:
        file = os.open(_journal(account_id), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _journal(account_id: str) -> Path:
    return state_folder("journals") / f"{account_id}.jsonl"


def _end(account_id: str) -> int | None:
    """End the program that has the account's journal open, and return its number, or None."""
    head = read_head(head_path(_journal(account_id)))
    if head is None or not running(account_id):
        return None
    with suppress(ProcessLookupError):
        os.kill(head.pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while running(account_id):
        if time.monotonic() > until:
            raise ConfigError(f"the process {head.pid} that trades {account_id} cannot be ended")
        time.sleep(0.02)
    return head.pid


def run_kill(wanted: str | None, *, flatten: bool) -> int:
    """Stop trading because a person says so; return the exit status.

    Raises:
        TradingError: Not all of it could be done.
    """
    wish = killed_now("command", "a person said so", flatten=flatten)
    for said in stop(find_accounts(wanted), wish):
        print(said)
    return cli.OK
