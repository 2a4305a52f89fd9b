"""Indicators beside published figures and beside the same formulas over whole columns."""

from __future__ import annotations

import numpy as np
import pytest

from models.errors import ConfigError
from strategies.indicators import Atr, Ema, Rsi, Sma, Vwap

PRICES = np.round(100 + np.cumsum(np.random.default_rng(7).normal(0, 1, 60)), 2)
PUBLISHED = (
    44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826,
    45.8931, 46.0328, 45.6140, 46.2820, 46.2820, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439,
)  # fmt: skip
"""Closes of a widely printed example of the index."""


def test_rsi_equals_the_published_example() -> None:
    rsi = Rsi(14)
    values = [rsi.update(each) for each in PUBLISHED]
    assert values[:14] == [None] * 14
    assert values[14:] == pytest.approx([70.53, 66.32, 66.55, 69.41, 66.36, 57.97], abs=0.006)


def test_rsi_at_its_ends() -> None:
    up, flat, down = Rsi(3), Rsi(3), Rsi(3)
    for each in (1.0, 2.0, 3.0, 4.0):
        up.update(each), flat.update(5.0), down.update(-each)
    assert (up.value, flat.value, down.value) == (100.0, 50.0, 0.0)


def test_ema_is_the_weighted_sum_of_what_it_saw() -> None:
    ema = Ema(9)
    for each in PRICES:
        ema.update(each)
    weights = 0.2 * 0.8 ** np.arange(len(PRICES))[::-1]
    weights[0] = 0.8 ** (len(PRICES) - 1)
    assert ema.value == pytest.approx(weights @ PRICES)


def test_sma_and_bands_are_those_of_the_newest_values() -> None:
    sma = Sma(20)
    for number, each in enumerate(PRICES, 1):
        sma.update(each)
        if number < 20:
            assert sma.value is None
            assert sma.band() is None
    last = PRICES[-20:]
    assert sma.value == pytest.approx(last.mean())
    expected = (last.mean() - 2.5 * last.std(), last.mean(), last.mean() + 2.5 * last.std())
    assert sma.band(2.5) == pytest.approx(expected)


def test_atr_takes_gaps_in_and_smooths_as_wilder_does() -> None:
    bars = [(10.0, 8.0, 9.0), (12.0, 11.0, 11.5), (11.0, 7.0, 8.0), (9.0, 8.5, 9.0)]
    atr = Atr(3)
    found = [atr.update(*bar) for bar in bars]
    ranges = [2.0, 3.0, 4.5, 1.0]  # the second and third reach from the close before
    first = sum(ranges[:3]) / 3
    assert found[:2] == [None, None]
    assert found[2:] == pytest.approx([first, first + (ranges[3] - first) / 3])


def test_vwap_weighs_by_volume_and_begins_anew() -> None:
    vwap = Vwap()
    assert vwap.update(5.0, 0.0) is None
    vwap.update(10.0, 100.0)
    assert vwap.update(13.0, 200.0) == pytest.approx(12.0)
    vwap.reset()
    assert vwap.value is None
    assert vwap.update(7.0, 1.0) == 7.0


@pytest.mark.parametrize("kind", [Ema, Sma, Rsi, Atr])
def test_a_length_of_nothing_is_refused(kind: type) -> None:
    with pytest.raises(ConfigError, match="give 1 or more"):
        kind(0)
