"""How far the market expects the underlying to move until an expiration, from its smile.

The distribution function of the price at expiration is that of the digital options, which a smile
gives in closed form: P(S > K) = N(d2) - n(d2) w' / (2 sqrt(w)), undiscounted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from black_scholes._smile import digital

if TYPE_CHECKING:
    from black_scholes.surface import Smile

_WIDTHS = np.linspace(-6.0, 6.0, 1201)
_LOW, _HIGH = 0.15865525393145707, 0.8413447460685429  # N(-1), N(1)


class MoveRange(NamedTuple):
    """Between these two prices the underlying ends with a probability of 68.3 %.

    Attributes:
        low: Dollars.
        high: Dollars.
    """

    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Dollars to each side, in the mean: one standard deviation of a normal distribution."""
        return 0.5 * (self.high - self.low)


def expected_move(smile: Smile, forward: float) -> MoveRange:
    """Return the range of one standard deviation by the smile's own distribution.

    Args:
        smile: Of the expiration, free of butterflies.
        forward: Dollars.
    """
    width = float(np.sqrt(smile.derivatives(0.0).w))
    k = _WIDTHS * width
    w, slope, _ = smile.derivatives(k)
    above = np.empty_like(k)
    digital(k, w, slope, above)
    # Without butterflies it falls; rounding must not turn it.
    below = np.maximum.accumulate(1.0 - above)
    low, high = np.interp([_LOW, _HIGH], below, k)
    return MoveRange(float(forward * np.exp(low)), float(forward * np.exp(high)))
