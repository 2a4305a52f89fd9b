"""The page of a session's findings: what the quality rules found, when, and where on the smiles.

One HTML file without anything from outside, and the same figures as JSON beside it.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
import polars as pl

from app.quality_charts import Chart
from black_scholes.surface import Svi, WingedSvi
from utils import market_calendar
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from models.tables import Frame

SEVERITIES = ("error", "warning", "info")
"""Worst first."""

_FIRST = ("ts", "occ_symbol", "bid", "ask")
"""Columns of a sample that stand before the others."""

ODD = "off_surface|parity|butterfly|calendar|frozen|crossed|strike_order"
"""Flags, as a pattern, of quotes that a smile's picture marks."""

_BIN = 15  # minutes of a column of the heat map
_CELL, _LEFT, _TOP = 24, 168, 22  # pixels
_SHADES = 5
_SHOWN = (0, 7, 30, 180)  # days to expiration of the smiles that are shown
_WIDTHS = (-3.5, 2.5)  # at-the-money standard deviations that a smile shows


@dataclass(frozen=True, slots=True)
class SessionFindings:
    """What is stored of one judged session.

    Attributes:
        ticker: Underlying.
        dataset: As in coverage.
        session: Exchange day.
        source: Who made the rows.
        origin: Where they came from.
        findings: Rows of `QUALITY_FINDINGS`.
        figures: The row of `SESSION_FIGURES`, empty without one.
        expirations: Rows of `EXPIRATION_FIGURES`.
        quotes: Rows of `OPTION_QUOTES` at the moment of the fits that has most flags.
        rows: Quotes stored, and of these flagged; kept out.
    """

    ticker: str
    dataset: str
    session: date
    source: str
    origin: str
    findings: Frame
    figures: dict[str, Any]
    expirations: Frame
    quotes: Frame
    rows: tuple[int, int, int]

    @property
    def broken(self) -> list[dict[str, Any]]:
        """Rules that were broken, the worst and most frequent first."""
        found = self.findings.filter(pl.col("count") > 0).to_dicts()
        return sorted(
            found,
            key=lambda each: (SEVERITIES.index(each["severity"]), -each["count"], each["rule"]),
        )

    def counted(self, severity: str) -> int:
        """Return how often rules of a severity were broken."""
        return int(self.findings.filter(severity=severity)["count"].sum())

    def as_object(self) -> dict[str, Any]:
        """Return everything as one JSON object, quotes left out."""
        accepted, flagged, quarantined = self.rows
        return {
            "ticker": self.ticker,
            "dataset": self.dataset,
            "session": self.session.isoformat(),
            "source": self.source,
            "origin": self.origin,
            "rows": {"accepted": accepted, "flagged": flagged, "quarantined": quarantined},
            "counts": {severity: self.counted(severity) for severity in SEVERITIES},
            "findings": [
                each
                | {
                    "session": each["session"].isoformat(),
                    "samples": json.loads(each["samples"]),
                    "by_minute": json.loads(each["by_minute"]),
                }
                for each in self.findings.sort("rule").to_dicts()
            ],
            "figures": {
                name: value.isoformat() if hasattr(value, "isoformat") else value
                for name, value in self.figures.items()
            },
        }


@dataclass(frozen=True, slots=True)
class Tile:
    """A quarter of an hour of a rule: place, shade (0 to 5) and text."""

    x: int
    y: int
    shade: int
    text: str


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Rules by quarters of an hour.

    Attributes:
        names: (rule, severity, baseline) of each row.
        hours: (text, place) of the labels above.
        tiles: Cells that are not empty.
        width: Pixels.
        height: Pixels.
    """

    names: tuple[tuple[str, str, int], ...]
    hours: tuple[tuple[str, int], ...]
    tiles: tuple[Tile, ...]
    width: int
    height: int


def heat_map(found: SessionFindings) -> HeatMap | None:
    """Return when each rule was broken, None where no finding has a minute."""
    timed = [(each, json.loads(each["by_minute"])) for each in found.broken]
    timed = [(each, minutes) for each, minutes in timed if minutes]
    if not timed:
        return None
    session = market_calendar.session(found.session)
    opens = session.open.astimezone(NEW_YORK)
    start = opens.hour * 60 + opens.minute
    bins = math.ceil((session.regular_minutes + 15) / _BIN)
    tiles = []
    for row, (each, minutes) in enumerate(timed):
        counts = np.zeros(bins, np.int64)
        for text, count in minutes.items():
            hour, minute = (int(part) for part in text.split(":"))
            # A minute is named by its end: 9:45 ends the first quarter.
            counts[min(max((hour * 60 + minute - start - 1) // _BIN, 0), bins - 1)] += count
        shades = np.ceil(_SHADES * np.sqrt(counts / counts.max())).astype(int)
        for column in np.flatnonzero(counts):
            begins = start + int(column) * _BIN
            text = f"{each['rule']}, {begins // 60}:{begins % 60:02d}: {counts[column]:,} times"
            x, y = _LEFT + int(column) * _CELL, _TOP + row * _CELL
            tiles.append(Tile(x, y, int(shades[column]), text))
    hours = [
        (f"{minute // 60}:00", _LEFT + (minute - start) * _CELL // _BIN)
        for minute in range(-(-start // 60) * 60, start + bins * _BIN, 60)
    ]
    return HeatMap(
        tuple(
            (each["rule"], each["severity"], _TOP + row * _CELL + 16)
            for row, (each, _) in enumerate(timed)
        ),
        tuple(hours),
        tuple(tiles),
        _LEFT + bins * _CELL + 28,
        _TOP + len(timed) * _CELL + 4,
    )


def smile_charts(found: SessionFindings) -> list[Chart]:
    """Return the smiles of a few expirations at the quotes' moment: quotes, fit, what is flagged."""
    if found.quotes.is_empty() or found.expirations.is_empty():
        return []
    last = found.expirations.filter(pl.col("ts") == found.quotes["ts"][0])
    days = (last["expiration"] - found.session).dt.total_days().to_numpy()
    chosen = sorted({int(np.argmin(np.abs(days - wanted))) for wanted in _SHOWN})
    rows = [last.row(place, named=True) for place in chosen]
    charts = (_smile_chart(row, found) for row in rows)
    return [chart for chart in charts if chart is not None]


def _smile_chart(row: dict[str, Any], found: SessionFindings) -> Chart | None:
    smile = smile_of(row)
    width = float(np.sqrt(smile.total_variance(0.0)))
    root = f"{row['root']:<6}"
    quotes = found.quotes.filter(
        pl.col("expiration") == row["expiration"],
        pl.col("occ_symbol").str.starts_with(root),
        pl.col("implied_volatility").is_not_null(),
        pl.col("vega_per_point") > 0,
    )
    out = (pl.col("right") == "C") == (pl.col("strike") >= pl.col("forward"))
    odd = pl.col("flags").fill_null("").str.contains(ODD)
    quotes = quotes.filter(out | odd)
    if quotes.is_empty():
        return None
    z = np.log(quotes["strike"].to_numpy() / row["forward"]) / width
    vol = 100.0 * quotes["implied_volatility"].to_numpy()
    half = (0.5 * (quotes["ask"] - quotes["bid"]) / quotes["vega_per_point"]).to_numpy()
    half = np.minimum(half, 0.5 * vol)
    line = np.linspace(*_WIDTHS, 121)
    fit = 100.0 * smile.vol(line * width)
    inside = (z >= _WIDTHS[0]) & (z <= _WIDTHS[1])
    if not inside.any():
        return None
    low, high = float(fit.min()), float(fit.max())
    spread = np.quantile(vol[inside], [0.02, 0.98])
    low, high = min(low, float(spread[0])), max(high, float(spread[1]))
    room = 0.12 * (high - low) + 0.5
    is_odd = quotes.select(odd)["flags"].to_numpy()
    moment = row["ts"].astimezone(NEW_YORK)
    days = (row["expiration"] - found.session).days
    chart = Chart(
        f"{row['expiration']:%d %b %Y}",
        f"{days} d, {moment:%H:%M}: {int(is_odd.sum())} odd of {quotes.height}",
        _WIDTHS,
        (low - room, high + room),
    )
    chart.add_bars("quote", z[~is_odd], (vol - half)[~is_odd], (vol + half)[~is_odd])
    chart.add_line("fit", line, fit)
    bottom, top = chart.y_range
    chart.add_dots("odd", z[is_odd], np.clip(vol[is_odd], bottom + 0.1, top - 0.1))
    return chart.grid(y_unit="%")


def smile_of(row: dict[str, Any]) -> WingedSvi:
    """Return the smile that a row of `EXPIRATION_FIGURES` holds."""
    told = json.loads(row["smile"])
    core = Svi(told["a"], told["b"], told["rho"], told["m"], told["sigma"], row["year_fraction"])
    at, side, height = (np.array(told[name], dtype=np.float64) for name in ("at", "side", "height"))
    return WingedSvi(core, at, side, height, told["width"])


def render(found: SessionFindings, *, place: str) -> str:
    """Return the page.

    Args:
        found: What is stored.
        place: Where the data lies, without user or password.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    broken = found.broken
    most = max((each["count"] for each in broken), default=1)
    return environment.get_template("findings.html").render(
        found=found,
        broken=[
            each | {"bar": max(100.0 * math.sqrt(each["count"] / most), 1.0)} for each in broken
        ],
        silent=sorted(found.findings.filter(pl.col("count") == 0)["rule"]),
        severities=[(severity, found.counted(severity)) for severity in SEVERITIES],
        map=heat_map(found),
        smiles=smile_charts(found),
        samples=[(each, _table(json.loads(each["samples"]))) for each in broken],
        tiles=list(_figures(found.figures)),
        place=place,
    )


def _table(samples: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return the columns that say something in samples, and their cells."""
    names = sorted(
        samples[0] if samples else {},
        key=lambda name: (_FIRST.index(name) if name in _FIRST else 9, name),
    )
    kept = [
        name
        for name in names
        if name != "session" and any(sample[name] is not None for sample in samples)
    ]
    return [name.lstrip("_").replace("_", " ") for name in kept], [
        [_cell(sample[name]) for name in kept] for sample in samples
    ]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1 else f"{value:,.2f}"
    text = str(value)
    return text[11:16] + " UTC" if len(text) > 18 and text[10] == "T" else text


def _figures(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the session's figures that exist: name and text."""
    for name, column, text in (
        ("Spot", "spot", "{:,.2f}"),
        ("30-day implied", "month_volatility", "{:.1%}"),
        ("Realised today", "realized_volatility", "{:.1%}"),
        ("Yang-Zhang, 20 d", "yang_zhang_20", "{:.1%}"),
        ("Put/call volume", "put_call_volume", "{:.2f}"),
        ("Put/call interest", "put_call_open_interest", "{:.2f}"),
        ("Gamma, $ per 1 %", "gamma_exposure", "{:,.0f}"),
        ("Gamma flip", "gamma_flip", "{:,.2f}"),
        ("Call wall", "call_wall", "{:,.0f}"),
        ("Put wall", "put_wall", "{:,.0f}"),
    ):
        if row.get(column) is not None:
            yield name, text.format(row[column])
