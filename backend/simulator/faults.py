"""Faults on demand: what shall go wrong, where, how often. Deterministic by seed.

A fault is armed for a target, a dotted name of what the simulator does, and covers all that begins
with it: `schwab.trader` covers `schwab.trader.place`. Whoever serves asks `Faults.take` before it
acts and does what the fault says; what each kind means stands in docs/simulator.md.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping  # noqa: TC003 - msgspec reads the annotations at run time
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

import msgspec

from models.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection


class FaultKind(StrEnum):
    """What goes wrong."""

    LATENCY = "latency"
    STATUS = "status"
    RESET = "reset"
    LOST_REPLY = "lost_reply"
    HALF_BODY = "half_body"
    CLOCK_SKEW = "clock_skew"
    REVOKE_TOKEN = "revoke_token"  # noqa: S105 - a kind's name
    SILENT = "silent"
    HALF_FRAME = "half_frame"
    DUPLICATE = "duplicate"
    GAP = "gap"
    REORDER = "reorder"
    DUPLICATE_FILL = "duplicate_fill"
    MISSING_FILL = "missing_fill"
    STALE = "stale"
    EMPTY = "empty"
    DISAGREE = "disagree"
    RENAMED = "renamed"


ROOTS = ("schwab", "polygon", "s3")
"""What a target begins with."""

_TARGET = re.compile(rf"(?:{'|'.join(ROOTS)})(?:\.[a-z0-9_]+)*")

_Seconds = Annotated[float, msgspec.Meta(ge=-86400 * 365, le=86400 * 365)]


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that goes wrong.

    Attributes:
        target: Where: `schwab.trader.place`, or the beginning of such a name.
        fault: What.
        status: HTTP status of `status`.
        retry_after_s: Seconds in the header Retry-After of `status`; None for no header.
        delay_s: Seconds that `latency` waits and that `silent` lasts (None: until it is cleared).
        skew_s: Seconds that `clock_skew` adds to every time told.
        by: By how much the prices of `disagree` are off, relative: 0.01 is 1 % too high.
        rate: Probability that a chance is taken, above 0 to 1.
        count: How often it happens at most; None for always.
        match: What else must fit, as {"method": "POST", "path": "*/orders"}; `*` stands for any
            text.
    """

    target: str
    fault: FaultKind
    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 503
    retry_after_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] | None = None
    delay_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] | None = None
    skew_s: _Seconds = 0.0
    by: Annotated[float, msgspec.Meta(ge=-0.99, le=99)] = 0.01
    rate: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    count: Annotated[int, msgspec.Meta(ge=1)] | None = None
    match: Mapping[str, str] = msgspec.field(default_factory=dict)


class FaultReport(msgspec.Struct, frozen=True, kw_only=True):
    """An armed fault and what became of it.

    Attributes:
        id: Its number, from 1.
        fault: What was asked.
        left: How often it can still happen; None for always.
        fired: How often it happened.
    """

    id: int
    fault: Fault
    left: int | None
    fired: int


@dataclass(slots=True)
class _Armed:
    number: int
    fault: Fault
    left: int | None
    chance: random.Random
    fired: int = 0

    def report(self) -> FaultReport:
        return FaultReport(id=self.number, fault=self.fault, left=self.left, fired=self.fired)

    def covers(self, target: str, kinds: Collection[str], known: Mapping[str, str]) -> bool:
        wanted = self.fault.target
        return (
            self.fault.fault in kinds
            and self.left != 0
            and (target == wanted or target.startswith(f"{wanted}."))
            and all(
                fnmatchcase(known.get(name, ""), pattern)
                for name, pattern in self.fault.match.items()
            )
        )


class Faults:
    """The armed faults of one simulator.

    The same seed, faults and sequence of chances give the same failures.

    Args:
        seed: Of the draws of faults with a rate.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._armed: list[_Armed] = []
        self._count = 0

    def arm(self, fault: Fault) -> FaultReport:
        """Arm a fault; of several that fit a chance, the one armed first is taken.

        Raises:
            ConfigError: The target is none.
        """
        if not _TARGET.fullmatch(fault.target):
            raise ConfigError(
                f"{fault.target!r} is no target of faults: it begins with one of "
                f"{', '.join(ROOTS)}, as schwab.trader.place."
            )
        self._count += 1
        chance = random.Random(f"{self._seed}:{self._count}")  # noqa: S311 - reproducible draws
        self._armed.append(_Armed(self._count, fault, fault.count, chance))
        return self._armed[-1].report()

    def clear(self, number: int | None = None) -> int:
        """Disarm one fault, or all; return how many there were."""
        kept = [one for one in self._armed if number is not None and one.number != number]
        cleared = len(self._armed) - len(kept)
        self._armed = kept
        return cleared

    def reports(self) -> list[FaultReport]:
        """Return all faults that were not cleared, in the order in which they were armed."""
        return [one.report() for one in self._armed]

    def take(self, target: str, kinds: Collection[str] | None = None, **known: str) -> Fault | None:
        """Return the fault that shall happen now, which counts as happened; mostly None.

        Args:
            target: What is about to be done.
            kinds: Kinds that the caller can do; None for all.
            known: What `match` of a fault is compared with.
        """
        possible: Collection[str] = tuple(FaultKind) if kinds is None else kinds
        for one in self._armed:
            if not one.covers(target, possible, known):
                continue
            if one.fault.rate < 1 and one.chance.random() >= one.fault.rate:
                continue
            one.fired += 1
            one.left = None if one.left is None else one.left - 1
            return one.fault
        return None

    def lasting(self, target: str, kind: str, **known: str) -> Fault | None:
        """Return the fault of a lasting state, such as silence, which is not used up by looking."""
        return next((one.fault for one in self._armed if one.covers(target, (kind,), known)), None)


def parse_fault(text: str) -> Fault:
    """Read `TARGET:FAULT[:name=value,...]`, as `schwab.trader.place:lost_reply:count=1`.

    Names are those of `Fault`, and `match.` before any other.

    Raises:
        ConfigError: It is none.
    """
    target, _, rest = text.partition(":")
    kind, _, options = rest.partition(":")
    given: dict[str, object] = {"target": target, "fault": kind}
    match: dict[str, str] = {}
    for option in filter(None, options.split(",")):
        name, _, value = option.partition("=")
        if name.startswith("match."):
            match[name.removeprefix("match.")] = value
        else:
            given[name] = value
    try:
        return msgspec.convert(given | {"match": match}, Fault, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"--fault {text!r} cannot be read: {error}.") from None
