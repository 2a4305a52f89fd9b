"""The bounds of the machine: memory, and the arithmetic that our formulas cannot do without.

The arithmetic bound of an option is what its exponentials, logarithms, Mills' ratios, roots and
divisions cost one after another, our own inlined functions timed alone in the same run on arrays
that stay in the first-level cache; the products, selects and tests between them count as nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numba
import numpy as np
from pricing_timing import rate

from black_scholes import _math

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SIZE = 512  # three arrays of float64 in a cache of 32 KB
ROUNDS = 2000
_njit: Any = numba.njit

# What one option takes, counted in _european.greeks_block and in _inversion: there _prepare with
# its seed, three steps, _finish. Divisions within a function here belong to that function.
GREEKS = {"exp and e^x - 1": 2, "exp": 1, "log ratio": 1, "Mills": 2, "sqrt": 1, "divide": 3}
INVERSION = {
    "exp and e^x - 1": 2,
    "exp": 3 + 1,
    "log ratio": 3 + 3,
    "Mills": 3 * 2 + 2,
    "sqrt": 3 + 3,
    "divide": 7 + 3 * 7 + 3,
}


class Bounds(NamedTuple):
    """What the machine can do at most."""

    memory: float
    """Bytes per second that a copy reads and writes."""
    seconds: dict[str, float]
    """CPU seconds of one call of each function."""

    def show(self, reached: float, bytes_moved: int, counts: Mapping[str, int]) -> None:
        """Print both bounds of an option and the shares of them that a rate reaches.

        Args:
            reached: Options per CPU second.
            bytes_moved: Bytes that an option reads and writes.
            counts: How often an option takes each function.
        """
        seconds = sum(count * self.seconds[name] for name, count in counts.items())
        memory = self.memory / bytes_moved
        parts = ", ".join(
            f"{count} {name} {self.seconds[name] * 1e9:.2f}" for name, count in counts.items()
        )
        print(
            f"  memory bound {memory / 1e6:.0f} M/s ({bytes_moved} bytes an option): "
            f"{reached / memory:.0%} reached\n"
            f"  arithmetic bound {1e-6 / seconds:.1f} M/s ({seconds * 1e9:.1f} ns an option): "
            f"{reached * seconds:.0%} reached\n"
            f"    ns: {parts}"
        )


def _loop(function: Callable[[float, float], float]) -> Callable[..., None]:
    """Compile a loop that stays in the cache; the shift keeps rounds from being merged."""
    inlined: Any = _njit(forceinline=True, fastmath={"contract"}, error_model="numpy")(function)

    @_njit(fastmath={"contract"}, error_model="numpy")  # type: ignore[untyped-decorator]
    def run(a: Any, b: Any, out: Any) -> None:
        for turn in range(ROUNDS):
            shift = 1e-9 * turn
            for i in range(a.size):
                out[i] = inlined(a[i] + shift, b[i])

    loop: Callable[..., None] = run
    return loop


def _exp_and_less_one(a: float, _: float) -> float:
    value, less_one = _math.exp_and_less_one(a)
    return value + less_one


def bounds(memory: float, runs: int) -> Bounds:
    """Time each function alone.

    Args:
        memory: Bytes per second of a copy.
        runs: How often to time each.
    """
    rng = np.random.default_rng(5)
    a, b = rng.uniform(0.5, 2.0, (2, SIZE))
    out = np.empty(SIZE)
    functions: dict[str, Callable[[float, float], float]] = {
        "exp and e^x - 1": _exp_and_less_one,
        "exp": lambda a, _: _math.exp(a),
        "log ratio": _math.log_ratio,
        "Mills": lambda a, _: _math.mills(a),
        "sqrt": lambda a, _: np.sqrt(a),
        "divide": lambda a, b: b / a,
    }
    seconds = {}
    for name, function in functions.items():
        loop = _loop(getattr(function, "py_func", function))
        seconds[name] = 1 / rate(lambda run=loop: run(a, b, out), SIZE * ROUNDS, runs)  # type: ignore[misc]
    return Bounds(memory, seconds)
