"""Where the marks of the quality page's pictures stand: plain geometry, in pixels.

The template draws them; nothing here knows of HTML.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_LEFT, _RIGHT, _TOP, _BOTTOM = 38.0, 10.0, 10.0, 24.0
_LEAST_STROKE = 3.0
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid: its place in pixels and its text."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A vertical stroke, from a bid to an ask."""

    x: float
    top: float
    bottom: float


@dataclass(slots=True)
class Chart:
    """One picture.

    Attributes:
        title: Above it.
        note: Beside the title.
        x_range: Values at the left and the right edge.
        y_range: Values at the lower and the upper edge.
        width: Pixels.
        height: Pixels.
        x_ticks: Grid lines across x; made by `grid`.
        y_ticks: Grid lines across y.
        x_label: Of the axis.
        y_label: Of the axis.
        lines: (style, SVG path).
        bars: (style, strokes).
        dots: (style, places).
    """

    title: str
    note: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    width: float = 340.0
    height: float = 216.0
    x_label: str = ""
    y_label: str = ""
    x_ticks: list[Tick] = field(default_factory=list)
    y_ticks: list[Tick] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    bars: list[tuple[str, list[Bar]]] = field(default_factory=list)
    dots: list[tuple[str, list[tuple[float, float]]]] = field(default_factory=list)

    @property
    def frame(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom edge of the plot."""
        return _LEFT, _TOP, self.width - _RIGHT, self.height - _BOTTOM

    def x(self, value: float) -> float:
        """Return the pixel of a value on the x axis."""
        left, _, right, _ = self.frame
        low, high = self.x_range
        return round(left + (value - low) / (high - low) * (right - left), 1)

    def y(self, value: float) -> float:
        """Return the pixel of a value on the y axis."""
        _, top, _, bottom = self.frame
        low, high = self.y_range
        return round(bottom - (value - low) / (high - low) * (bottom - top), 1)

    def _inside(self, x: Floats, y: Floats) -> NDArray[np.bool_]:
        wide = (x >= self.x_range[0]) & (x <= self.x_range[1]) & np.isfinite(y)
        inside: NDArray[np.bool_] = wide & (y >= self.y_range[0]) & (y <= self.y_range[1])
        return inside

    def add_line(self, style: str, x: Floats, y: Floats) -> None:
        """Draw a line through the points that lie in the picture."""
        kept = self._inside(x, y)
        points = [f"{self.x(a)},{self.y(b)}" for a, b in zip(x[kept], y[kept], strict=True)]
        if len(points) > 1:
            self.lines.append((style, "M" + "L".join(points)))

    def add_steps(self, style: str, sample: Floats) -> None:
        """Draw the distribution function of a sorted sample."""
        x = np.concatenate([np.repeat(sample, 2), [self.x_range[1]]])
        rank = np.arange(sample.size + 1) / sample.size
        y = np.concatenate([np.repeat(rank, 2)[1:-1], [1.0]])
        self.add_line(style, np.minimum(x, self.x_range[1]), y)

    def add_bars(self, style: str, x: Floats, low: Floats, high: Floats) -> None:
        """Draw strokes from low to high, cut at the picture's edges."""
        kept = (x >= self.x_range[0]) & (x <= self.x_range[1])
        kept &= (high >= self.y_range[0]) & (low <= self.y_range[1])
        bars = []
        for a, b, c in zip(x[kept], low[kept], high[kept], strict=True):
            top, bottom = self.y(min(c, self.y_range[1])), self.y(max(b, self.y_range[0]))
            # A quote of one tick would be too thin to see.
            middle = 0.5 * (top + bottom)
            half = max(0.5 * (bottom - top), _LEAST_STROKE)
            bars.append(Bar(self.x(a), round(middle - half, 1), round(middle + half, 1)))
        self.bars.append((style, bars))

    def add_dots(self, style: str, x: Floats, y: Floats) -> None:
        """Draw points."""
        kept = self._inside(x, y)
        self.dots.append(
            (style, [(self.x(a), self.y(b)) for a, b in zip(x[kept], y[kept], strict=True)])
        )

    def grid(self, *, x_unit: str = "", y_unit: str = "") -> Chart:
        """Make the grid lines at round numbers and return the chart."""
        self.x_ticks = [Tick(self.x(v), f"{v:g}{x_unit}") for v in round_numbers(*self.x_range, 5)]
        self.y_ticks = [Tick(self.y(v), f"{v:g}{y_unit}") for v in round_numbers(*self.y_range, 5)]
        return self

    def days_grid(self, days: Sequence[int]) -> None:
        """Make the grid lines of an x axis that holds the logarithm of days."""
        low, high = self.x_range
        self.x_ticks = [
            Tick(self.x(math.log(day)), _days_text(day))
            for day in days
            if low <= math.log(day) <= high
        ]


def _days_text(days: int) -> str:
    if days < 30:
        return f"{days} d"
    return f"{days // 30} m" if days < 360 else f"{days // 360} y"


def round_numbers(low: float, high: float, count: int) -> list[float]:
    """Return about `count` round numbers from low to high."""
    rough = (high - low) / count
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * each for each in _STEPS if unit * each >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]
