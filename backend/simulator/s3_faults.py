"""Flat files that look well and are wrong: too old, without rows, with gaps, twice, other prices, other header."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from simulator.data_faults import LOST_ONE_IN
from simulator.faults import FaultKind

if TYPE_CHECKING:
    from simulator.faults import Fault, Faults

TARGET: Final = "s3.data"
KINDS: Final = (
    FaultKind.STALE,
    FaultKind.EMPTY,
    FaultKind.DUPLICATE,
    FaultKind.GAP,
    FaultKind.DISAGREE,
    FaultKind.RENAMED,
)
_PRICES = ("open", "close", "high", "low", "price", "ask_price", "bid_price")
_NEW_NAME = "{}_v2"


def wrong_now(faults: Faults, key: str) -> Fault | None:
    """Return what is wrong with a file as long as the fault is armed; of several the first kind."""
    found = (faults.lasting(TARGET, kind, key=key) for kind in KINDS)
    return next(filter(None, found), None)


def wrong_text(text: str, fault: Fault) -> str:
    """Return a file's text with rows gone or twice, at other prices, or under another header.

    An older session's file is another one: who has the files takes that (`FaultKind.STALE`).
    """
    header, _, rest = text.partition("\n")
    match fault.fault:
        case FaultKind.EMPTY:
            return f"{header}\n"
        case FaultKind.DUPLICATE:
            twice = "".join(f"{line}\n{line}\n" for line in rest.splitlines())
            return f"{header}\n{twice}"
        case FaultKind.GAP:
            lines = enumerate(rest.splitlines(keepends=True), 1)
            return f"{header}\n{''.join(line for n, line in lines if n % LOST_ONE_IN)}"
        case FaultKind.RENAMED:
            names = (_NEW_NAME.format(n) if n in _PRICES else n for n in header.split(","))
            return f"{','.join(names)}\n{rest}"
        case FaultKind.DISAGREE:
            frame = pl.read_csv(text.encode(), infer_schema=False)
            changed = [
                (pl.col(name).cast(pl.Float64) * (1 + fault.by)).round(6)
                for name in frame.columns
                if name in _PRICES
            ]
            return frame.with_columns(changed).write_csv()
        case _:
            return text
