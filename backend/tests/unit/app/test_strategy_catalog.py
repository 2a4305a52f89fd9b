"""Strategies by name or file, and their parameters."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from app.strategy_catalog import find_strategy, read_parameters, strategy_names
from models.errors import ConfigError
from ports.strategy import Strategy
from strategies.ema_cross import EmaCross, EmaCrossParameters

if TYPE_CHECKING:
    from pathlib import Path

MINE = """
from ports.strategy import Needs, Parameters, Strategy


class Mine(Strategy):
    name = "mine"

    def needs(self):
        return Needs(("QQQ",))
"""


def test_each_of_ours_can_be_made_with_its_defaults() -> None:
    assert strategy_names() == ["covered_call", "ema_cross", "zero_dte_iron_condor"]
    for name in strategy_names():
        kind = find_strategy(name)
        made = kind(read_parameters(kind, None, [], symbol="SPY"))
        assert isinstance(made, Strategy)
        assert made.needs().symbols == ("SPY",)


def test_what_is_given_wins_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "parameters.yaml"
    file.write_text("fast: 7\nslow: 9\nsymbol: IWM\n")
    found = read_parameters(EmaCross, file, ["slow=11", "quantity=2.5"], symbol="SPY")
    assert found == EmaCrossParameters(symbol="IWM", fast=7, slow=11, quantity=Decimal("2.5"))


def test_a_file_of_the_users_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    kind = find_strategy(str(path))
    assert kind.name == "mine"
    made = kind(read_parameters(kind, None, [], symbol="SPY"))
    assert made.needs().symbols == ("QQQ",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x = 1", "it holds none"),
        ("import nothing_such", "cannot be run: ModuleNotFoundError"),
        (f"{MINE}\nclass Other(Mine):\n    name = 'other'\n", "it holds Mine, Other"),
    ],
)
def test_a_file_that_holds_no_strategy(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(content)
    with pytest.raises(ConfigError, match=words):
        find_strategy(str(path))
