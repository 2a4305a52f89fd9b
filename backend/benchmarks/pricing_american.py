"""American options: price in the everyday and the precise scheme, and implied volatility.

The peer's time contains the building of its objects, as every caller from Python pays for it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import QuantLib as ql  # noqa: N813 - the name that its users know
from pricing_cases import Options, american_mix
from pricing_timing import Figure, promise, rate, table
from scipy.optimize import brentq

from black_scholes import american, calculator
from black_scholes.implied_vol import ImpliedVolatility, Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SCORED = 1000
TWICE = 200  # of them priced by a second reference
PEER_ROWS = 2000
PEER_VOLS = 300
_TODAY = ql.Date(1, 1, 2025)
_DAYS = ql.Actual365Fixed()


class QuantLibOption:
    """One option; a year stands for the time left, for the library knows whole days only."""

    def __init__(self, row: tuple[Any, ...], engine: Callable[[Any], Any]) -> None:
        spot, strike, self.years, rate_, vol, paid, is_call = row
        ql.Settings.instance().evaluationDate = _TODAY
        curves = [
            ql.YieldTermStructureHandle(ql.FlatForward(_TODAY, float(x * self.years), _DAYS))
            for x in (paid, rate_)
        ]
        self.width = ql.SimpleQuote(float(vol * self.years**0.5))
        surface = ql.BlackConstantVol(_TODAY, ql.NullCalendar(), ql.QuoteHandle(self.width), _DAYS)
        process = ql.BlackScholesMertonProcess(
            ql.QuoteHandle(ql.SimpleQuote(float(spot))),
            *curves,
            ql.BlackVolTermStructureHandle(surface),
        )
        kind = ql.Option.Call if is_call else ql.Option.Put
        self.option = ql.VanillaOption(
            ql.PlainVanillaPayoff(kind, float(strike)), ql.AmericanExercise(_TODAY, _TODAY + 365)
        )
        self.option.setPricingEngine(engine(process))

    def price(self, vol: float | None = None) -> float:
        """Return the price, at another volatility if given."""
        if vol is not None:
            self.width.setValue(float(vol * self.years**0.5))
        return float(self.option.NPV())


def _finest(process: Any) -> Any:
    return ql.QdFpAmericanEngine(process, ql.QdFpTanhSinhIterationScheme(16, 24, 1e-11))


def _other_finest(process: Any) -> Any:
    return ql.QdFpAmericanEngine(process, ql.QdFpLegendreScheme(64, 20, 40, 200))


def _fast(process: Any) -> Any:
    return ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.fastScheme())


def _accurate(process: Any) -> Any:
    return ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.accurateScheme())


def _quantlib(options: Options, engine: Callable[[Any], Any]) -> Array:
    return np.array([QuantLibOption(row, engine).price() for row in zip(*options, strict=True)])


def _ours(options: Options, *, precise: bool = False) -> Array:
    return american.price(*options.numbers, is_call=options.is_call, precise=precise)


def price_section(count: int, runs: int) -> bool:
    """Time prices and print their errors against QuantLib's finest engine."""
    options = american_mix(count)
    scored = options.head(SCORED)
    exact = _quantlib(scored, _finest)
    apart = np.abs(exact[:TWICE] - _quantlib(options.head(TWICE), _other_finest)).max()
    ways: list[tuple[str, Callable[[Options], Array], int]] = [
        ("ours", _ours, count),
        ("QuantLib QdFp fast", lambda some: _quantlib(some, _fast), PEER_ROWS),
        ("ours, precise", lambda some: _ours(some, precise=True), max(count // 4, 1)),
        ("QuantLib QdFp accurate", lambda some: _quantlib(some, _accurate), PEER_ROWS // 2),
    ]
    figures, worst = [], []
    for name, work, size in ways:
        some = options.head(min(size, count))
        error = np.abs(work(scored) - exact)
        worst.append(error.max())
        speed = rate(partial(work, some), some.spot.size, runs)
        remark = f"worst {error.max():.1e} $, rms {np.sqrt((error**2).mean()):.0e}"
        figures.append(Figure(name, speed, remark))
    title = f"American price (errors: {SCORED} options; two references differ by {apart:.0e} $)"
    table(title, figures)
    everyday, precise = (figures[i].rate / figures[i + 1].rate for i in (0, 2))
    return all(
        (
            promise(f"everyday 5.2x QdFp fast: {everyday:.1f}x", kept=everyday >= 5.2),
            promise(f"within 0.3 cent: {worst[0]:.1e} $", kept=worst[0] <= 0.003),
            promise(f"precise 3.75x QdFp accurate: {precise:.1f}x", kept=precise >= 3.75),
            promise(f"within 2e-5 $: {worst[2]:.1e} $", kept=worst[2] <= 2e-5),
        )
    )


def volatility_section(count: int, runs: int) -> bool:
    """Time implied volatilities; the peer is QuantLib's fast engine in Brent's method."""
    options = american_mix(count, seed=23)
    prices = _ours(options)
    vega = calculator.greeks(*options.numbers, is_call=options.is_call).vega
    side = np.where(options.is_call, 1.0, -1.0)
    gain = np.maximum(side * (options.spot - options.strike), 0.0)
    # A hundredth of a cent more or less would not hide a thousandth of the volatility.
    solvable = (prices > gain + 1e-4) & (1e-3 * vega * options.vol > 1e-4)
    s, k, t, r = options.market

    def invert() -> ImpliedVolatility:
        return american.implied_volatility(
            prices, s, k, t, r, options.dividend_yield, is_call=options.is_call
        )

    found = invert()
    failed = int((found.status[solvable] != Status.OK).sum())
    error = np.abs(found.vol - options.vol)[solvable]
    picked = np.flatnonzero(solvable)[:PEER_VOLS]
    rows = [tuple(column[i] for column in options) for i in picked]

    def peer() -> list[float]:
        vols = []
        for row, price in zip(rows, prices[picked], strict=True):
            option = QuantLibOption(row, _fast)
            vols.append(brentq(lambda x, o=option, p=price: o.price(x) - p, 1e-3, 5.0, xtol=1e-8))
        return vols

    peer_error = np.median(np.abs(np.array(peer()) - options.vol[picked]))
    figures = [
        Figure("ours", rate(invert, count, runs), f"median error {np.median(error):.0e}"),
        Figure(
            "QuantLib QdFp fast in Brent's method",
            rate(peer, len(rows), runs),
            f"median error {peer_error:.0e}",
        ),
    ]
    table(f"American implied volatility ({int(solvable.sum())} of {count} are solvable)", figures)
    ratio = figures[0].rate / figures[1].rate
    return all(
        (
            promise(f"at least 8x: {ratio:.1f}x", kept=ratio >= 8),
            promise(f"no failure where solvable: {failed}", kept=failed == 0),
            promise(f"nothing wrong by 1e-6: {error.max():.0e}", kept=float(error.max()) < 1e-6),
        )
    )
