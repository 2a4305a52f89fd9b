"""Compile all kernels into the cache, so that no user's first call has to: `python -m black_scholes.warm`."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np

from black_scholes import american, calculator, implied_vol
from black_scholes._jit import cache_folder
from black_scholes.exercise_table import ExerciseTable
from black_scholes.synthetic.chains import option_session
from black_scholes.synthetic.clock import session_numbers
from black_scholes.synthetic.market import market_of
from black_scholes.synthetic.profiles import ANCHOR

if TYPE_CHECKING:
    from pathlib import Path

_WEEK_S = 7 * 24 * 3600.0


def warm() -> None:
    """Call every kernel once with the types that the public functions hand in."""
    strikes = np.array([95.0, 105.0])
    market = 100.0, strikes, 0.5, 0.04
    calls = np.array([True, False])
    prices = calculator.price(*market, 0.2, 0.01, is_call=calls)
    calculator.greeks(*market, 0.2, 0.01, is_call=calls)
    calculator.higher_greeks(*market, 0.2, 0.01, is_call=calls)
    implied_vol.implied_volatility(prices, *market, 0.01, is_call=calls)
    american.implied_volatility(prices + 0.1, *market, 0.01, is_call=calls)
    american.price(*market, 0.2, 0.0, is_call=calls, dividends=[(0.1, 1.0)])
    table = ExerciseTable((0.4, 0.6), 0.04, 0.01)
    table.greeks(100.0, strikes, 0.5, 0.2, is_call=calls)
    american.exercise_boundary(strikes, 0.5, 0.04, 0.2, 0.01, is_call=calls)
    made = option_session(market_of(0, "QQQ"), session_numbers()[ANCHOR])
    if made is not None:
        made.market_at(made.opens)


def forget_old(folder: Path) -> None:
    """Delete caches of other sources that were last written a week before this one."""
    oldest = folder.stat().st_mtime - _WEEK_S
    for other in folder.parent.glob("kernels-*"):
        if other.stat().st_mtime < oldest:
            shutil.rmtree(other, ignore_errors=True)


def main() -> None:
    """Warm the cache, say where it lies, and delete what is out of date."""
    warm()
    folder = cache_folder()
    if folder:
        forget_old(folder)
    print(f"pricing kernels compiled: {folder or 'no folder is writable, nothing kept'}")  # noqa: T201


if __name__ == "__main__":
    main()
