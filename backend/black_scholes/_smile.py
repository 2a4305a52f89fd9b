"""Loops over smiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from black_scholes._jit import kernel, select
from black_scholes._math import INV_SQRT_2PI, exp, mills

if TYPE_CHECKING:
    from black_scholes._jit import FloatArray


@kernel
def digital(k: FloatArray, w: FloatArray, slope: FloatArray, value: FloatArray) -> None:
    """Fill value with -dC/dK of the undiscounted call; all arrays have one length.

    Args:
        k: ln(strike / forward).
        w: Total variance.
        slope: dw/dk.
        value: N(d2) - n(d2) slope / (2 sqrt(w)).
    """
    for i in range(value.size):
        v = np.sqrt(w[i])
        d2 = -k[i] / v - 0.5 * v
        density = INV_SQRT_2PI * exp(-0.5 * (d2 * d2))
        below = density * mills(abs(d2))
        cumulative = select(d2 < 0.0, below, 1.0 - below)
        value[i] = cumulative - density * slope[i] / (2.0 * v)
