"""Indicators that strategies update value by value: each keeps what it needs and nothing else.

Each has a `value`, None until it has seen enough. Formulas are those of J. Welles Wilder, "New
Concepts in Technical Trading Systems" (1978), for RSI and ATR, and the usual ones for the others.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

from models.errors import ConfigError


def _checked(length: int) -> int:
    if length < 1:
        raise ConfigError(f"an indicator over {length} values: give 1 or more")
    return length


class Ema:
    """Exponential average; the weight of a new value is 2 / (length + 1), it starts at the first.

    Attributes:
        value: The average; None before the first value.
    """

    def __init__(self, length: int) -> None:
        """Begin without values.

        Raises:
            ConfigError: The length is below 1.
        """
        self._weight = 2 / (_checked(length) + 1)
        self.value: float | None = None

    def update(self, value: float) -> float:
        """Take a value, and return the average."""
        before = value if self.value is None else self.value
        self.value = before + (value - before) * self._weight
        return self.value


class Band(NamedTuple):
    """Bollinger's bands.

    Attributes:
        low: Middle less the width.
        middle: Average.
        high: Middle and the width.
    """

    low: float
    middle: float
    high: float


class Sma:
    """Average of the newest values, and their deviation.

    Attributes:
        value: The average; None before there are enough values.
    """

    def __init__(self, length: int) -> None:
        """Begin without values.

        Raises:
            ConfigError: The length is below 1.
        """
        self._values: deque[float] = deque(maxlen=_checked(length))
        self.value: float | None = None

    def update(self, value: float) -> float | None:
        """Take a value, and return the average."""
        self._values.append(value)
        if len(self._values) == self._values.maxlen:
            self.value = math.fsum(self._values) / len(self._values)
        return self.value

    def band(self, widths: float = 2.0) -> Band | None:
        """Return Bollinger's bands: so many deviations (of all values, not of a sample) around it."""
        if self.value is None:
            return None
        middle = self.value
        squares = math.fsum((each - middle) ** 2 for each in self._values)
        away = widths * math.sqrt(squares / len(self._values))
        return Band(middle - away, middle, middle + away)


class _Smoothed:
    """Wilder's average: the plain one of the first values, then 1 / length of each new one."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._count = 0
        self._total = 0.0

    def update(self, value: float) -> float | None:
        self._count += 1
        if self._count <= self._length:
            self._total += value / self._length
        else:
            self._total += (value - self._total) / self._length
        return self._total if self._count >= self._length else None


class Rsi:
    """Relative strength index, 0 to 100.

    Attributes:
        value: None before `length` changes were seen.
    """

    def __init__(self, length: int = 14) -> None:
        """Begin without values.

        Raises:
            ConfigError: The length is below 1.
        """
        self._up, self._down = _Smoothed(_checked(length)), _Smoothed(length)
        self._last: float | None = None
        self.value: float | None = None

    def update(self, value: float) -> float | None:
        """Take a value, and return the index; without any loss it is 100, without any change 50."""
        if self._last is not None:
            change = value - self._last
            up, down = self._up.update(max(change, 0.0)), self._down.update(max(-change, 0.0))
            if up is not None and down is not None:
                self.value = 100 * up / (up + down) if up + down else 50.0
        self._last = value
        return self.value


class Atr:
    """Average true range, in the price's unit.

    Attributes:
        value: None before `length` bars were seen.
    """

    def __init__(self, length: int = 14) -> None:
        """Begin without bars.

        Raises:
            ConfigError: The length is below 1.
        """
        self._average = _Smoothed(_checked(length))
        self._close: float | None = None
        self.value: float | None = None

    def update(self, high: float, low: float, close: float) -> float | None:
        """Take a bar, and return the average."""
        before = close if self._close is None else self._close
        wide = high - low
        if self._close is not None:
            wide = max(wide, abs(high - before), abs(low - before))
        self._close = close
        self.value = self._average.update(wide)
        return self.value


class Vwap:
    """Average price by volume; `reset` begins anew, as at the opening of a session.

    Attributes:
        value: None before any volume.
    """

    def __init__(self) -> None:
        """Begin without volume."""
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self._paid = self._volume = 0.0
        self.value: float | None = None

    def update(self, price: float, volume: float) -> float | None:
        """Take a trade, or a bar at its typical price (high + low + close) / 3; return the average."""
        self._paid += price * volume
        self._volume += volume
        if self._volume:
            self.value = self._paid / self._volume
        return self.value
