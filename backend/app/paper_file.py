"""The file of a paper account: its whole state once, then one line for each change.

The first line is the state as `PaperAccount.snapshot` has it; each further line has what has changed
since the line before, so that an update costs the same however much an account has done. A line is on
the disk when `keep` returns. A last line that was never finished (a power cut) was told to nobody, and
is passed over; the next run begins the file anew with the whole state.
"""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from app.publish import publish
from models.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from engine.paper_state import AccountState, PaperOrder

_PLAIN: Final = ("cash", "start_cash", "fees", "now_ns", "unsettled", "awaiting")
"""Told whole in each line: they stay small."""

_BY_SYMBOL: Final = ("holdings", "realized", "quotes", "taken")
"""Told by symbol where they are others than before; null where they have gone."""

_GROWING: Final = ("fills", "expired")
"""Only ever added to."""

_encode = msgspec.json.Encoder(decimal_format="string").encode


class PaperFile:
    """Keeps one account; one program at a time does.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begun = False
        self._failed = False
        self._orders = 0
        self._open: dict[str, bytes] = {}
        self._told: dict[str, dict[str, bytes]] = {name: {} for name in _BY_SYMBOL}
        self._lengths = dict.fromkeys(_GROWING, 0)

    def read(self) -> dict[str, Any] | None:
        """Return the state as it was kept last, for `PaperAccount.restore`; None where none was.

        Raises:
            StoreError: It cannot be read.
        """
        if not self._path.exists():
            return None
        try:
            first, *changes = self._path.read_bytes().split(b"\n")
            state: dict[str, Any] = msgspec.json.decode(first)
            for line in changes[:-1]:  # what follows the last line's end is nothing, or torn
                _merge(state, msgspec.json.decode(line))
        except (OSError, msgspec.MsgspecError) as error:
            raise StoreError(f"the paper account {self._path} cannot be read: {error}") from None
        return state

    def keep(self, state: AccountState) -> None:
        """Bring the file up to the account's state.

        Raises:
            StoreError: The disk refuses; from then on nothing more is written.
        """
        if self._failed:
            raise StoreError(f"the paper account {self._path} was not kept: start anew")
        change = self._change(state)
        try:
            if self._begun:
                self._append(_encode(change) + b"\n")
            else:
                publish(self._path, _encode(state) + b"\n")
        except OSError as error:
            self._failed = True
            raise StoreError(
                f"the paper account {self._path} cannot be kept: {error.strerror}"
            ) from None
        self._begun = True

    def _append(self, line: bytes) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            while line:
                line = line[os.write(file, line) :]
            os.fsync(file)
        finally:
            os.close(file)

    def _change(self, state: AccountState) -> dict[str, Any]:
        """Return what has changed since the last time, and remember it."""
        change: dict[str, Any] = {name: getattr(state, name) for name in _PLAIN}
        change["orders"] = self._changed_orders(state.orders)
        for name in _BY_SYMBOL:
            now = {symbol: _encode(value) for symbol, value in getattr(state, name).items()}
            before, self._told[name] = self._told[name], now
            change[name] = {
                symbol: msgspec.Raw(now.get(symbol, b"null"))
                for symbol in {**before, **now}
                if now.get(symbol) != before.get(symbol)
            }
        for name in _GROWING:
            change[name] = getattr(state, name)[self._lengths[name] :]
            self._lengths[name] = len(getattr(state, name))
        return change

    def _changed_orders(self, orders: dict[str, PaperOrder]) -> dict[str, msgspec.Raw]:
        """Return the orders that are new, or were open and are others now; what has ended stays."""
        new = list(islice(orders, self._orders, None))
        self._orders = len(orders)
        before, self._open, changed = self._open, {}, {}
        for order_id in (*before, *new):
            told = _encode(orders[order_id])
            if told != before.get(order_id):
                changed[order_id] = msgspec.Raw(told)
            if not orders[order_id].status.terminal:
                self._open[order_id] = told
        return changed


def _merge(state: dict[str, Any], change: dict[str, Any]) -> None:
    """Bring a state up to date by one line."""
    for name in _PLAIN:
        state[name] = change[name]
    state["orders"] |= change["orders"]
    state["client_order_ids"] |= {
        order["client_order_id"]: order_id for order_id, order in change["orders"].items()
    }
    for name in _BY_SYMBOL:
        for symbol, value in change[name].items():
            if value is None:
                state[name].pop(symbol, None)
            else:
                state[name][symbol] = value
    for name in _GROWING:
        state[name] += change[name]
