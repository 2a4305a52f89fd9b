"""The clock of a simulator that waits for a listener."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from app.simulated_market import SimulatorStatus
from app.trading_feed import SimulatedClock

NOON = datetime(2026, 11, 20, 17, tzinfo=UTC)


def test_it_asks_while_the_market_stands_and_then_no_more() -> None:
    words = dict.fromkeys(SimulatorStatus.__struct_fields__, "")
    told: dict[str, Any] = words | {"now": NOON, "speed": 60.0, "held": True}
    status = msgspec.convert(told, SimulatorStatus)
    asked: list[SimulatorStatus] = []
    wall = NOON

    def ask() -> SimulatorStatus:
        asked.append(status)
        return status

    clock = SimulatedClock(status, ask, lambda: wall)
    wall += timedelta(seconds=9)
    assert (clock(), len(asked)) == (NOON, 1)
    status = msgspec.structs.replace(status, held=False)
    assert (clock(), len(asked)) == (NOON, 2)
    wall += timedelta(seconds=9)
    assert (clock(), len(asked)) == (NOON + timedelta(minutes=9), 2)
