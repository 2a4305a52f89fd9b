"""Elementary functions without branches or calls, so that loops over them become SIMD code.

Numba's wheels carry no vector mathematics library, hence these polynomials. They are Chebyshev
fits, computed with 60 digits; the error of each fit is below 2e-16 relative, rounding adds about as
much again. All take and return float64.
"""

from __future__ import annotations

import numpy as np

from black_scholes._jit import bits_of, float_of, inline, select

_LN2_HIGH = 0.693147180559663  # 41 bits: an integer times it is exact
_LN2_LOW = 2.8235290563031577e-13
_LOG2_E = 1.4426950408889634
_ROUND = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to an integer, kept in the low bits
_ROUND_BITS = np.uint64(0x4338000000000000)
_INTEGER = 4503599627370496.0  # 2**52: or-ing its bits turns a small integer into a float
_INTEGER_BITS = np.uint64(0x4330000000000000)
_ONE_BITS = np.uint64(0x3FF0000000000000)
_HALF_EXPONENT = np.uint64(1 << 51)
_BIAS = np.uint64(2048 << 52)
_SHIFT = np.uint64(52)
_BIAS_VALUE = np.uint64(2048)
_MAX_EXPONENT = 709.0

INV_SQRT_2PI = 0.3989422804014327
SQRT_2PI = 2.5066282746310002
LOG_SQRT_2PI = 0.9189385332046727


@inline
def exp_and_less_one(x: float) -> tuple[float, float]:
    """Return e**x and e**x - 1, each to full relative accuracy.

    Cody and Waite's reduction to |r| <= ln(2)/2, then a polynomial of degree 11. e**x is 0 below
    -708 (no subnormals), its value at 709 above it, NaN for NaN.
    """
    bounded = select(x > _MAX_EXPONENT, _MAX_EXPONENT, select(x < -708.0, -708.0, x))
    shifted = bounded * _LOG2_E + _ROUND
    n = shifted - _ROUND
    r = (bounded - n * _LN2_HIGH) - n * _LN2_LOW
    r2 = r * r
    r4 = r2 * r2
    low = 0.5000000000000019 + r * 0.1666666666666668
    middle = (0.04166666666648666 + r * 0.00833333333331949) + r2 * (
        0.0013888888952696516 + r * 0.00019841269890340666
    )
    high = (2.4801485074105115e-05 + r * 2.7557240604663896e-06) + r2 * (
        2.763279054211718e-07 + r * 2.511015364692893e-08
    )
    less_one = r + r2 * (low + r2 * (middle + r4 * high))
    power = float_of(((bits_of(shifted) - _ROUND_BITS) << _SHIFT) + _ONE_BITS)
    value = power + power * less_one
    return select(x < -708.0, 0.0, value), power * less_one + (power - 1.0)


@inline
def exp(x: float) -> float:
    """Return e**x, see `exp_and_less_one`."""
    value, _ = exp_and_less_one(x)
    return value


@inline
def log_ratio(a: float, b: float) -> float:
    """Return ln(a/b) of positive normal numbers, to full relative accuracy also when a is near b.

    Dividing first would round a/b, and the logarithm near 1 would magnify that. Instead a is scaled
    by a power of two into [2b/3, 3b/2], where a - b is exact or nearly so, and
    ln(a/b) = 2 artanh((a - b)/(a + b)). Anything else than positive normal numbers gives nonsense.
    """
    difference = bits_of(a) - bits_of(b) + (_BIAS + _HALF_EXPONENT)
    exponent = difference >> _SHIFT
    scaled = float_of(bits_of(a) - ((exponent - _BIAS_VALUE) << _SHIFT))
    n = float_of(exponent | _INTEGER_BITS) - (_INTEGER + 2048.0)
    s = (scaled - b) / (scaled + b)
    y = s * s
    y2 = y * y
    series = (0.6666666666667618 + y * 0.39999999995074775) + y2 * (
        (0.2857142954158218 + y * 0.2222212855686877)
        + y2 * ((0.18186713855809228 + y * 0.15243693657565766) + y2 * 0.15414996019010888)
    )
    return n * _LN2_HIGH + (2.0 * s + (s * y * series + n * _LN2_LOW))


@inline
def mills(a: float) -> float:
    """Return Mills' ratio N(-a)/n(a) for a >= 0, N and n being the normal distribution and density.

    m(a) (a + 5) is smooth in 1/(a + 5) from 0 to infinity: one division and a polynomial of degree
    21, fitted for a <= 38.5, beyond which n(a) is no longer a float64.
    """
    r = 1.0 / (a + 5.0)
    u = 1.2597402597402598 - 11.2987012987013 * r
    u2 = u * u
    u4 = u2 * u2
    u8 = u4 * u4
    p0 = (2.1374621857341083 - u * 1.7586975368776052) + u2 * (
        1.2126769801270192 - u * 0.6937114359047866
    )
    p1 = (0.321476067758075 - u * 0.11463401034099499) + u2 * (
        0.027514481792769028 - u * 0.002125007350137678
    )
    p2 = (-0.0013052863189567379 + u * 0.00047779546234811773) + u2 * (
        1.1757136099661513e-05 - u * 4.400472244951861e-05
    )
    p3 = (4.496787994922769e-06 + u * 3.9108025975765405e-06) + u2 * (
        -7.155399010754833e-07 - u * 3.9527486641791154e-07
    )
    p4 = (8.363156711358318e-08 + u * 4.619542448400783e-08) + u2 * (
        -8.029670960417809e-09 - u * 5.425002547228286e-09
    )
    p5 = 4.940530397346611e-10 + u * 4.3112899155008336e-10
    return r * ((p0 + u4 * p1) + u8 * ((p2 + u4 * p3) + u8 * (p4 + u4 * p5)))
