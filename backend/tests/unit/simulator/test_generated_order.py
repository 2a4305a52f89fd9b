"""The generated world has one answer to one question: in any order, in any process."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from black_scholes.synthetic import (
    chains,
    contracts,
    draws,
    ladders,
    market,
    minutes,
    paths,
)
from simulator import generated_bars
from simulator.generated import GeneratedWorld

BACKEND = Path(__file__).parents[3]
NOON = datetime(2026, 11, 20, 17, 0, 20, tzinfo=UTC)
QUESTIONS = (
    "QQQ bars",
    "QQQ chain",
    "SPX chain",
    "ABC bars",
    "ABC chain",
    "QQQ daily",
    "QQQ quote",
)

CHILD = """
import sys
sys.path.insert(0, {folder!r})
from test_generated_order import answers
import json
print(json.dumps(answers({seed}, {questions!r})))
"""


def frame_hash(frame: pl.DataFrame) -> str:
    """Return a digest of every byte of a frame's columns."""
    text = frame.with_columns(pl.selectors.float().reinterpret(signed=False)).write_csv()
    return hashlib.sha256(text.encode()).hexdigest()


def answers(seed: int, questions: tuple[str, ...]) -> dict[str, str]:
    """Return the digest of each answer, asked in the order given."""
    world, found = GeneratedWorld(seed), {}
    for question in questions:
        ticker, what = question.split()
        if what == "quote":
            found[question] = repr(world.quote(ticker, NOON))
        elif what == "chain":
            found[question] = frame_hash(
                world.chain(ticker, NOON, NOON.date(), NOON.date() + timedelta(days=30))
            )
        else:
            days, interval = (3, "1m") if what == "bars" else (200, "1d")
            found[question] = frame_hash(
                world.bars(ticker, NOON - timedelta(days=days), NOON, interval)
            )
    return found


@pytest.fixture
def _forgetful() -> None:
    """Empty every cache of the generated world, so that a test does not read its own answers."""
    for module in (paths, generated_bars, minutes, ladders, chains, contracts, market):
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


@pytest.mark.usefixtures("_forgetful")
def test_another_order_and_another_process_give_the_same_bytes() -> None:
    here = answers(7, QUESTIONS)
    code = CHILD.format(folder=str(Path(__file__).parent), seed=7, questions=QUESTIONS[::-1])
    child = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=BACKEND,
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        timeout=120,
    )
    assert json.loads(child.stdout) == here


@pytest.mark.usefixtures("_forgetful")
def test_another_seed_gives_another_world() -> None:
    one, other = answers(7, QUESTIONS), answers(8, QUESTIONS)
    assert all(one[each] != other[each] for each in QUESTIONS)


@pytest.mark.usefixtures("_forgetful")
def test_a_contract_does_not_depend_on_its_neighbours() -> None:
    world = GeneratedWorld(7)
    wide = world.chain("QQQ", NOON, date(2026, 11, 20), date(2028, 12, 31))
    narrow = GeneratedWorld(7).chain("QQQ", NOON, date(2026, 12, 4), date(2026, 12, 11))
    between = pl.col("expiration").is_between(date(2026, 12, 4), date(2026, 12, 11))
    assert narrow.height > 500
    assert wide.filter(between).equals(narrow)


@pytest.mark.usefixtures("_forgetful")
def test_a_session_does_not_depend_on_those_asked_before() -> None:
    world, day = GeneratedWorld(7), timedelta(days=1)
    alone = world.bars("QQQ", NOON - day, NOON, "1m")
    together = GeneratedWorld(7).bars("QQQ", NOON - 30 * day, NOON, "1m")
    assert together.tail(alone.height).equals(alone)


def test_draws_are_named_and_uniform() -> None:
    rows = np.arange(200_000)
    uniform, normal = draws.uniforms(1, rows, 5), draws.normals(2, rows)
    assert draws.digest("QQQ", 7) == 0x9E0DB5E75CB5CB514A89E10A2F79B9A7
    assert draws.digest("a", "b") != draws.digest("ab")
    assert np.array_equal(draws.uniforms(1, rows[::-1], 5)[::-1], uniform)
    assert abs(uniform.mean() - 0.5) < 0.005
    assert abs(np.corrcoef(uniform[1:], uniform[:-1])[0, 1]) < 0.01
    assert abs(normal.mean()) < 0.01
    assert abs(normal.std() - 1) < 0.01
    assert (uniform > 0).all()
    assert (uniform < 1).all()


def test_streams_repeat() -> None:
    one, other = draws.stream("a", 1), draws.stream("a", 1)
    assert np.array_equal(one.standard_normal(100), other.standard_normal(100))
