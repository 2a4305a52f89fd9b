"""Kernels are SIMD code, come from the cache, and never from a stale one."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from black_scholes import (
    _boundary,
    _european,
    _grid,
    _inversion,
    _jit,
    _nodes,
    _table,
    american,
    calculator,
    implied_vol,
    warm,
)
from black_scholes.exercise_table import ExerciseTable

BACKEND = Path(__file__).parents[3]
PACKED = re.compile(r"\bv?(?:div|mul)pd\b|\bf(?:div|mul)\s+v\d+\.2d")


@pytest.mark.parametrize(
    ("kernel", "types", "divisions"),
    [
        (_european.greeks_block, 6 * "c" + "b" + 6 * "c", 4),
        (_inversion._advance, "cccbc", 5),
        (_nodes.add_point, 4 * "c" + "n" + 10 * "c", 4),
    ],
    ids=["greeks", "implied volatility", "American boundary"],
)
def test_loops_are_vectorised(
    kernel: numba.core.registry.CPUDispatcher,
    types: str,
    divisions: int,
) -> None:
    named = {"c": numba.float64[::1], "b": numba.boolean[::1], "n": numba.float64}
    fresh = numba.njit(**_jit._OPTIONS)(kernel.py_func)
    fresh.compile(tuple(named[letter] for letter in types))
    code = next(iter(fresh.inspect_asm().values()))
    assert len(PACKED.findall(code)) > 25
    assert len(re.findall(r"\bv?divpd\b|\bfdiv\s+v\d+\.2d", code)) >= divisions


PROBE = """
from black_scholes import _european, calculator
print(repr(float(calculator.price(100, 100, 1, 0.05, 0.2, is_call=True))))
print(sum(_european.price_block.stats.cache_hits.values()))
"""


def probe(backend: Path, cache: Path) -> tuple[float, int]:
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROBE],
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(backend)},
        cwd=cache,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    price, hits = done.stdout.split()
    return float(price), int(hits)


def test_the_cache_serves_the_next_process_until_a_kernel_changes(tmp_path: Path) -> None:
    backend, cache = tmp_path / "backend", tmp_path / "cache"
    cache.mkdir()
    for package in ("black_scholes", "models"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(BACKEND / package, backend / package, ignore=ignored)
    price, hits = probe(backend, cache)
    assert price == pytest.approx(10.450583572, abs=1e-9)
    assert hits == 0
    assert probe(backend, cache) == (price, 1)
    # A constant in another module than the kernel's: numba alone would not notice.
    source = backend / "black_scholes" / "_math.py"
    text = source.read_text()
    assert "0.3989422804014327" in text
    source.write_text(text.replace("0.3989422804014327", "0.4989422804014327"))
    wrong_price, hits = probe(backend, cache)
    assert hits == 0
    assert wrong_price != price


def test_every_byte_of_a_source_counts(tmp_path: Path) -> None:
    source = tmp_path / "_kernel.py"
    source.write_text("a = 1")
    before = _jit.source_digest([source], "1.0")
    source.write_text("a = 2")
    assert (
        len({before, _jit.source_digest([source], "1.0"), _jit.source_digest([source], "2")}) == 3
    )


def test_files_with_kernels_are_found_and_others_are_not() -> None:
    names = {path.name for path in _jit.kernel_sources(BACKEND / "black_scholes")}
    assert {"_jit.py", "_math.py", "_european.py", "_nodes.py", "_grid.py"} <= names
    assert "parity.py" not in names


def test_without_a_writable_folder_there_is_no_cache_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert _jit.cache_folder(tmp_path / "file") is None


def test_no_kind_of_argument_costs_a_second_compilation() -> None:
    strikes = np.linspace(90, 110, 5)
    strikes.flags.writeable = False  # as columns of a data frame are
    for spot in (100, 100.0, np.float32(100), strikes[::-1], strikes):
        market = spot, strikes, 0.5, 0.03
        prices = calculator.price(*market, 0.2, is_call=True)
        calculator.greeks(*market, 0.2, is_call=[True] * 5)
        implied_vol.implied_volatility(prices, *market, is_call=True)
        american.price(*market, 0.2, is_call=False)
        american.price(*market, 0.2, is_call=False, dividends=[(0.1, 1)])
        table = ExerciseTable((0.4, 0.6), 0.03)
        table.implied_volatility(5, 100, 100, 0.5, is_call=False)
        table.greeks(*market[:3], 0.2, is_call=False)
    kernels: list[Any] = [
        _european.price_block,
        _european.greeks_block,
        _inversion.invert_block,
        _boundary.premium_block,
        _grid._pass,
        _table.table_block,
    ]
    assert [len(kernel.signatures) for kernel in kernels] == [1] * len(kernels)


def test_only_caches_a_week_older_than_the_newest_are_forgotten(tmp_path: Path) -> None:
    now, recent, old = (tmp_path / f"kernels-{name}" for name in ("now", "recent", "old"))
    for folder, age in ((now, 0), (recent, 6), (old, 8)):
        folder.mkdir()
        os.utime(folder, (1.7e9 - age * 86400, 1.7e9 - age * 86400))
    warm.forget_old(now)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kernels-now", "kernels-recent"]
