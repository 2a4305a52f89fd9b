"""European options: price with greeks, and implied volatility, beside the peers."""
# ruff: noqa: PLR0913, PLR0917 - the formulas have that many variables

from __future__ import annotations

import math
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import fast_vollib
import mpmath
import numba
import numpy as np
import polars as pl
import polars_vol  # type: ignore[import-untyped]
import pyvolr
import QuantLib as ql  # noqa: N813 - the name that its users know
from fast_vollib.jackel import numpy_backend as jackel
from pricing_bound import GREEKS, INVERSION, Bounds
from pricing_cases import Options, exact_greeks, exact_volatility, hard_cases, mixed
from pricing_timing import Figure, promise, rate, table
from py_lets_be_rational.exceptions import (  # type: ignore[import-untyped]
    AboveMaximumException,
    BelowIntrinsicException,
)
from scipy.special import ndtr
from vollib.black_scholes_merton import black_scholes_merton as vollib_price
from vollib.black_scholes_merton.greeks import analytical
from vollib.black_scholes_merton.implied_volatility import implied_volatility as vollib_iv

from black_scholes import calculator, implied_vol

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Volatilities = Callable[[Options, Array], Array]

EPSILON = 2.0**-52
POLARS_VOL = "polars-vol, halley (no yield: spot S e^(-qT))"
BYTES = 6 * 8 + 1 + 2 * 6 * 8  # read, written, and written lines fetched first
VOL_BYTES = 6 * 8 + 1 + 2 * (2 * 8 + 1)
VECTORIZED = """
not among the peers: py_vollib_vectorized 0.1.1. On Python 3.11 with numba 0.68.1 it installs and
imports, but its price and volatility end in numba's TypingError (a price: "cannot type infer
runaway recursion"), with py_vollib 1.0.12 and with 1.0.1; the numba it was made for has no 3.11."""


def _our_greeks(options: Options) -> dict[str, Array]:
    return calculator.greeks(*options.numbers, is_call=options.is_call)._asdict()


@numba.njit(error_model="numpy")
def _loop(s: Any, k: Any, t: Any, r: Any, v: Any, q: Any, call: Any, out: Any) -> None:
    for i in range(s.size):
        root = math.sqrt(t[i])
        d1 = (math.log(s[i] / k[i]) + (r[i] - q[i] + 0.5 * v[i] * v[i]) * t[i]) / (v[i] * root)
        d2 = d1 - v[i] * root
        carry, discount = math.exp(-q[i] * t[i]), math.exp(-r[i] * t[i])
        density = math.exp(-0.5 * d1 * d1) * 0.3989422804014327
        sign = 1.0 if call[i] else -1.0
        n1 = 0.5 * math.erfc(-sign * d1 * 0.7071067811865476)
        n2 = 0.5 * math.erfc(-sign * d2 * 0.7071067811865476)
        held, owed = s[i] * carry * n1, k[i] * discount * n2
        out[0, i] = sign * (held - owed)
        out[1, i] = sign * carry * n1
        out[2, i] = carry * density / (s[i] * v[i] * root)
        decay = s[i] * carry * density * v[i] / (2 * root)
        out[3, i] = sign * (q[i] * held - r[i] * owed) - decay
        out[4, i] = s[i] * carry * density * root
        out[5, i] = sign * t[i] * owed


def _plain_loop(options: Options) -> dict[str, Array]:
    out = np.empty((6, options.spot.size))
    loop: Any = _loop
    loop(*options, out)
    return dict(zip(calculator.Greeks._fields, out, strict=True))


def _scipy_greeks(options: Options) -> dict[str, Array]:
    s, k, t, r, v, q, call = options
    root = np.sqrt(t)
    d1 = (np.log(s / k) + (r - q + 0.5 * v * v) * t) / (v * root)
    d2 = d1 - v * root
    carry, discount = np.exp(-q * t), np.exp(-r * t)
    density = np.exp(-0.5 * d1 * d1) * 0.3989422804014327
    sign = np.where(call, 1.0, -1.0)
    n1, n2 = ndtr(sign * d1), ndtr(sign * d2)
    held, owed = s * carry * n1, k * discount * n2
    vega = s * carry * density * root
    return {
        "price": sign * (held - owed),
        "delta": sign * carry * n1,
        "gamma": carry * density / (s * v * root),
        "theta": sign * (q * held - r * owed) - 0.5 * vega * v / t,
        "vega": vega,
        "rho": sign * t * owed,
    }


def _fast_vollib_greeks(options: Options) -> dict[str, Array]:
    flag = np.where(options.is_call, "c", "p")
    merton: dict[str, Any] = {"return_as": "numpy", "backend": "numba"}
    price = fast_vollib.fast_black_scholes_merton(flag, *options.numbers, **merton)
    greeks: Any = fast_vollib.get_all_greeks
    found = greeks(
        flag,
        *options.numbers[:5],
        q=options.dividend_yield,
        model="black_scholes_merton",
        return_as="dict",
        backend="numba",
    )
    # It reports theta per day and vega and rho per point.
    return {
        "price": price,
        "delta": found["delta"],
        "gamma": found["gamma"],
        "theta": found["theta"] * 365,
        "vega": found["vega"] * 100,
        "rho": found["rho"] * 100,
    }


def _pyvolr_greeks(options: Options) -> dict[str, Array]:
    flag = np.where(options.is_call, 1, -1).astype(np.int8)
    found: Any = pyvolr.bs.greeks(flag, *options.numbers)
    price: Any = pyvolr.bs.price(flag, *options.numbers)
    return {"price": price, **{name: found[name] for name in calculator.Greeks._fields[1:]}}


def _without_yield(options: Options) -> Options:
    """Return options of the same prices on an equivalent spot S e^(-qT) that pays nothing."""
    spot = options.spot * np.exp(-options.dividend_yield * options.years)
    return options._replace(spot=spot, dividend_yield=np.zeros_like(spot))


def _polars_vol_greeks(options: Options) -> dict[str, Array]:
    frame = pl.DataFrame(options._asdict())
    terms = "strike", "spot", "vol", "years", "rate", "is_call"
    found = frame.select(greeks=polars_vol.black_scholes_with_greeks(*terms)).unnest("greeks")
    columns = {name: found[name].to_numpy() for name in calculator.Greeks._fields[1:]}
    return {"price": found["model_price"].to_numpy(), **columns}


def _vollib_greeks(options: Options) -> dict[str, Array]:
    rows = []
    for s, k, t, r, v, q, call in zip(*options, strict=True):
        flag = "c" if call else "p"
        terms = flag, s, k, t, r, v, q
        rows.append(
            (
                vollib_price(*terms),
                analytical.delta(*terms),
                analytical.gamma(*terms),
                analytical.theta(*terms) * 365,
                analytical.vega(*terms) * 100,
                analytical.rho(*terms) * 100,
            )
        )
    return dict(zip(calculator.Greeks._fields, np.array(rows).T, strict=True))


def _quantlib_greeks(options: Options) -> dict[str, Array]:
    rows = []
    for s, k, t, r, v, q, call in zip(*options, strict=True):
        payoff = ql.PlainVanillaPayoff(ql.Option.Call if call else ql.Option.Put, float(k))
        forward = float(s * np.exp((r - q) * t))
        one = ql.BlackCalculator(payoff, forward, float(v * np.sqrt(t)), float(np.exp(-r * t)))
        spot, years = float(s), float(t)
        rows.append(
            (
                one.value(),
                one.delta(spot),
                one.gamma(spot),
                one.theta(spot, years),
                one.vega(years),
                one.rho(years),
            )
        )
    return dict(zip(calculator.Greeks._fields, np.array(rows).T, strict=True))


def _greek_errors(found: dict[str, Array], exact: dict[str, list[mpmath.mpf]]) -> str:
    worst = []
    for name in calculator.Greeks._fields:
        least = 1e-10 if name in {"delta", "gamma"} else 1e-8
        worst.append(
            max(
                float(abs(mpmath.mpf(float(a)) / b - 1))
                for a, b in zip(found[name], exact[name], strict=True)
                if abs(b) > least
            )
        )
    return f"worst price {worst[0]:.0e}, greeks {max(worst[1:]):.0e}"


def greeks_section(count: int, runs: int, bounds: Bounds) -> bool:
    """Time price with five greeks and print errors on 2,000 hard cases."""
    options = mixed(count)
    cases, _ = hard_cases(400)
    exact = exact_greeks(cases)
    out = calculator.greeks(*options.numbers, is_call=options.is_call)

    def reused() -> None:
        calculator.greeks(*options.numbers, is_call=options.is_call, out=out)

    peers: list[tuple[str, Any, int]] = [
        ("ours", _our_greeks, count),
        ("numba, a plain loop with math.erfc", _plain_loop, count),
        ("scipy.special.ndtr with numpy", _scipy_greeks, count),
        ("fast-vollib, numba", _fast_vollib_greeks, count),
        ("pyvolr", _pyvolr_greeks, count),
        ("QuantLib BlackCalculator", _quantlib_greeks, min(count, 20_000)),
        ("vollib", _vollib_greeks, min(count, 5_000)),
    ]
    columns, plain_loop = np.empty((6, count)), partial[Any](_loop, *options)
    figures = [
        Figure("ours, into arrays of the caller", rate(reused, count, runs), ""),
        Figure("plain loop, into such arrays", rate(lambda: plain_loop(columns), count, runs), ""),
    ]
    for name, work, size in peers:
        some = options.head(size)
        speed_of = rate(partial(work, some), size, runs)
        figures.append(Figure(name, speed_of, _greek_errors(work(cases), exact)))
    plain, plain_cases = _without_yield(options), _without_yield(cases)
    speed = rate(partial(_polars_vol_greeks, plain), count, runs)
    errors = _greek_errors(_polars_vol_greeks(plain_cases), exact_greeks(plain_cases))
    figures.append(Figure("polars-vol", speed, f"{errors}; knows no yield: spot S e^(-qT)"))
    table("price + 5 greeks, mixed options (errors: 2,000 hard cases, relative)", figures)
    bounds.show(figures[0].rate, BYTES, GREEKS)
    # Like with like: both without new arrays, then both with them.
    ours, loop = figures[0].rate, figures[1].rate
    fresh, fast = (
        next(figure for figure in figures if figure.name == name)
        for name in ("ours", "fast-vollib, numba")
    )
    worst = float(fresh.remark.rsplit(" ", 1)[1])
    return all(
        (
            promise(f"at least 4x a plain numba loop: {ours / loop:.1f}x", kept=ours >= 4 * loop),
            promise(
                f"at least 8.3x fast-vollib: {fresh.rate / fast.rate:.1f}x",
                kept=fresh.rate >= 8.3 * fast.rate,
            ),
            promise(f"greeks within 1e-13: {worst:.0e}", kept=worst <= 1e-13),
        )
    )


def _our_vols(options: Options, prices: Array) -> Array:
    s, k, t, r = options.market
    return implied_vol.implied_volatility(
        prices, s, k, t, r, options.dividend_yield, is_call=options.is_call
    ).vol


def _fast_vollib_vols(options: Options, prices: Array) -> Array:
    flag = np.where(options.is_call, "c", "p")
    invert: Any = fast_vollib.fast_implied_volatility
    found: Array = invert(
        prices,
        *options.market,
        flag,
        q=options.dividend_yield,
        model="black_scholes_merton",
        return_as="numpy",
        backend="numba",
        on_error="ignore",
    )
    return found


def _jackel_vols(options: Options, prices: Array) -> Array:
    flag = np.where(options.is_call, "c", "p")
    s, k, t, r = options.market
    found: Array = jackel.implied_volatility(
        "black_scholes_merton", prices, s, k, t, r, flag, options.dividend_yield, "ignore"
    )
    return found


def _pyvolr_vols(options: Options, prices: Array) -> Array:
    flag = np.where(options.is_call, 1, -1).astype(np.int8)
    market = *options.market, options.dividend_yield
    found: Any = pyvolr.bs.implied_vol(prices, flag, *market, on_error="ignore")
    return np.asarray(found)


def _polars_vol_vols(options: Options, prices: Array) -> Array:
    frame = pl.DataFrame({**options._asdict(), "price": prices})
    terms = "price", "strike", "spot", "years", "rate", "is_call"
    vol = polars_vol.implied_vol(*terms, method="halley")
    return frame.select(vol=vol)["vol"].to_numpy()


def _vollib_vols(options: Options, prices: Array) -> Array:
    found = []
    for price, s, k, t, r, q, call in zip(
        prices, *options.market, options.dividend_yield, options.is_call, strict=True
    ):
        try:
            vol = vollib_iv(price, s, k, t, r, q, "c" if call else "p")
        except (AboveMaximumException, BelowIntrinsicException):
            vol = np.nan
        found.append(vol)
    return np.array(found)


def volatility_section(count: int, runs: int, bounds: Bounds) -> bool:
    """Time implied volatility and count what is wrong on 2,000 hard cases."""
    options = mixed(count)
    prices = calculator.price(*options.numbers, is_call=options.is_call)
    cases, _ = hard_cases(400)
    case_prices = np.array([float(x) for x in exact_greeks(cases)["price"]])
    exact, condition = exact_volatility(cases, case_prices)
    solvable = (condition * EPSILON < 1e-8) & (case_prices > 1e-300)
    ways: list[tuple[str, Volatilities, int]] = [
        ("ours", _our_vols, count),
        ("fast-vollib, its default for numba", _fast_vollib_vols, count),
        ("fast-vollib, jackel", _jackel_vols, count),
        ("pyvolr", _pyvolr_vols, count),
        (POLARS_VOL, _polars_vol_vols, count),
        ("vollib (Let's be rational)", _vollib_vols, min(count, 5_000)),
    ]
    figures, counts = [], []
    for name, work, size in ways:
        some, some_prices = options.head(size), np.ascontiguousarray(prices[:size])
        scored = cases
        if name == POLARS_VOL:
            some, scored = _without_yield(some), _without_yield(cases)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            speed = rate(partial(work, some, some_prices), size, runs)
            found = work(scored, case_prices)
        error = np.array(
            [float(abs(mpmath.mpf(float(a)) / b - 1)) for a, b in zip(found, exact, strict=True)]
        )
        failed = int(np.isnan(found[solvable]).sum())
        wrong = int((error[solvable] > 1e-6).sum())
        units = float(np.nanmax((error / (EPSILON * np.maximum(condition, 1)))[solvable]))
        counts.append((failed, wrong, units))
        remark = (
            f"of {solvable.sum()} solvable: {failed} none, {wrong} wrong; {units:.3g} floor units"
        )
        figures.append(Figure(name, speed, remark))
    table("implied volatility, mixed options (errors: hard cases)", figures)
    bounds.show(figures[0].rate, VOL_BYTES, INVERSION)
    print(VECTORIZED)
    peers = zip(figures[1:], counts[1:], strict=True)
    accurate = max(figure.rate for figure, (none, bad, _) in peers if not none + bad)
    ratio = figures[0].rate / accurate
    failed, wrong, units = counts[0]
    return all(
        (
            promise(f"8.9x the fastest peer without failures: {ratio:.1f}x", kept=ratio >= 8.9),
            promise(f"no failures, nothing wrong: {failed}, {wrong}", kept=not failed + wrong),
            promise(f"within 10 floor units: {units:.1f}", kept=units <= 10),
        )
    )
