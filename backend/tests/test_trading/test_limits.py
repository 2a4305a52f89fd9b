"""The file of risk limits: what it refuses, and how it is tightened while a run goes on."""

from __future__ import annotations

import itertools
import os
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from risk_world import World

from app.limits_file import read_limits
from app.limits_watch import LimitsWatch
from engine.limits import DayTrades, Flatten, RiskLimits, loosened
from models.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from models.decisions import LimitsRead


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("max_age_s: 61", "max_age_s: Input should be less than or equal to 60"),
        ("price_collar: 1.01", "price_collar: Input should be less than or equal to 1"),
        ("no_openings_minutes: -1", "greater than or equal to 0"),
        ("flatten: sometimes", "flatten: Input should be 'all', 'shorts'"),
        ("day_trades: never", "day_trades: Input should be 'auto', 'legacy_pdt'"),
        ("max_buying_power: 2", "max_buying_power: Input should be less than or equal to 1"),
    ],
)
def test_a_file_that_is_looser_than_allowed_is_one_sentence(
    tmp_path: Path, content: str, sentence: str
) -> None:
    path = tmp_path / "limits.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError) as found:
        read_limits(path)
    assert sentence in str(found.value)


TIGHTER = {
    "max_contracts": 9, "max_shares": 999, "max_notional": 1, "max_open_orders": 9,
    "max_positions": 19, "max_loss": 1, "max_buying_power": "0.9", "max_delta_usd": 1,
    "max_gamma_usd": 1, "max_vega_usd": 1, "max_theta_usd": 1, "max_shock_loss": 1,
    "least_day_sigma": 0.02, "max_daily_loss": 1, "max_drawdown": 1, "price_collar": "0.2",
    "max_spread": "0.4", "max_spread_usd": "0.2", "max_age_s": 9, "max_underlying_age_s": 1,
    "no_openings_minutes": 31, "flatten": "all", "flatten_minutes": 11, "pin_distance": 0.003,
    "max_orders_per_s": 9, "max_orders_per_minute": 59, "max_attempts_per_minute": 119,
    "duplicate_s": 2, "day_trades": "legacy_pdt", "least_sign_in_hours": 25,
    "restricted": ("GME",),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(RiskLimits.model_fields))
def test_each_limit_knows_which_way_is_tighter(name: str) -> None:
    loose = {"naked_shorts": True, "delayed_quotes": True}
    now = RiskLimits.model_validate({name: loose[name]} if name in loose else {})
    new = RiskLimits.model_validate({name: TIGHTER[name]} if name in TIGHTER else {})
    assert loosened(now, new) == []
    assert loosened(new, now) == [name]


def test_choices_are_ordered() -> None:
    def limits(**given: Any) -> RiskLimits:
        return RiskLimits.model_validate(given)

    for field, ranks in (
        ("flatten", [Flatten.ALL, Flatten.SHORTS, Flatten.IN_THE_MONEY, Flatten.NONE]),
        ("day_trades", [DayTrades.LEGACY_PDT, DayTrades.INTRADAY_MARGIN, DayTrades.OFF]),
    ):
        for strict, loose in itertools.pairwise(ranks):
            assert loosened(limits(**{field: strict}), limits(**{field: loose})) == [field]
            assert loosened(limits(**{field: loose}), limits(**{field: strict})) == []


class Watched:
    """A run whose limits file is watched, without waiting for time to pass."""

    def __init__(self, path: Path) -> None:
        self.path, self.world, self.said = path, World(RiskLimits()), []
        self.changes = 0
        self.write("max_loss: 2500")
        self.watch = LimitsWatch(path, self.world.gate, self.said.append, look_s=0)

    def write(self, content: str) -> None:
        self.changes += 1
        self.path.write_text(content)
        os.utime(self.path, ns=(self.changes * 10**9, self.changes * 10**9))

    def after(self, content: str | None) -> LimitsRead:
        if content is None:
            self.path.unlink()
        else:
            self.write(content)
        before = len(self.said)
        self.watch.look(self.world.engine)
        self.watch.look(self.world.engine)
        (read,) = self.said[before:]
        return read


def test_limits_are_tightened_and_never_loosened_while_a_run_goes_on(tmp_path: Path) -> None:
    run = Watched(tmp_path / "limits.yaml")
    read = run.after("max_loss: 1000")
    assert (read.taken, read.message) == (True, "tightened: max_loss 2500 -> 1000")
    assert run.world.gate.limits.max_loss == Decimal(1000)

    read = run.after("max_loss: 1000.01\nmax_shares: 5")
    assert not read.taken
    assert "max_loss would be looser" in read.message
    assert run.world.gate.limits.max_loss == Decimal(1000)
    assert run.world.gate.limits.max_shares == 1000, "nothing of a refused file counts"

    for content, sentence in (("max_loss: [", "is no YAML"), (None, "No such file")):
        read = run.after(content)
        assert not read.taken
        assert sentence in read.message
        assert run.world.gate.limits.max_loss == Decimal(1000)

    assert run.after("max_loss: 1000\nmax_shares: 5").taken
    assert run.world.gate.limits.max_shares == 5


def test_a_plain_off_is_the_word_and_not_false(tmp_path: Path) -> None:
    path = tmp_path / "limits.yaml"
    path.write_text("day_trades: off\n")
    assert read_limits(path).limits.day_trades == "off"
    path.write_text("flatten: off\n")
    with pytest.raises(ConfigError, match="flatten"):
        read_limits(path)
