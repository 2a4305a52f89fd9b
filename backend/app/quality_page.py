"""The quality page: a synthetic chain beside a real one, in figures and pictures.

One HTML file without anything from outside, and the same figures as JSON beside it. Figures come
from `black_scholes.chain_quality`; the bars that they must meet stand here.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
import numpy as np
import polars as pl

from app.quality_charts import Chart
from black_scholes.chain_likeness import (
    DAY_BUCKETS,
    DELTA_BUCKETS,
    LEAST_SAMPLE,
    Likeness,
    compare,
    ks_distance,
    spreads_by_bucket,
)
from black_scholes.chain_quality import ChainQuality, chain_quality
from black_scholes.chain_smiles import ChainQuotes, ChainVols, chain_vols, quoted_smiles
from models.symbols import exercise_style_of
from utils import market_calendar
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from black_scholes.chain_likeness import Buckets
    from models.tables import Frame

PENNY_CLASSES = frozenset({"SPY", "QQQ", "IWM"})
"""Underlyings whose options are quoted in cents at all prices."""

REFIT_BAR = 0.5
"""Volatility points."""
SPREAD_BAR = 0.15
"""KS distance of spreads, per delta and day bucket."""
SKEW_BAR = 0.2
"""Of the real skew."""
ZERO_BID_BAR = 5.0
"""Percentage points."""

_DAYS = 365.0
_SHOWN_DAYS = (1, 7, 30, 90, 180, 365)
_REACH = 3.2  # at-the-money widths that a smile's picture shows to the left; to the right less
_GRID_DAYS = (1, 3, 7, 14, 30, 60, 120, 180, 360, 720, 1080)


@dataclass(frozen=True, slots=True)
class PagedChain:
    """One side of the page.

    Attributes:
        title: As "QQQ, real".
        note: When and where it comes from.
        quotes: The chain.
        vols: Its volatilities.
        quality: Its figures.
        spreads: Its spreads by bucket, dollars.
        spot: Dollars.
    """

    title: str
    note: str
    quotes: ChainQuotes
    vols: ChainVols
    quality: ChainQuality
    spreads: Buckets
    spot: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    Attributes:
        group: What it belongs to.
        name: What is measured, with the unit.
        synthetic: Of the synthetic chain.
        real: Of the real one; None where it has none.
        bar: What is wanted, in words; empty where it is only shown.
        passed: Whether the synthetic chain meets the bar; None without one.
    """

    group: str
    name: str
    synthetic: float
    real: float | None
    bar: str = ""
    passed: bool | None = None


def paged_chain(  # noqa: PLR0913 - what a chain is told by
    title: str, quotes: Frame, spot: float, at: datetime, *, rate: float = 0.04, note: str = ""
) -> PagedChain:
    """Return one side of the page.

    Args:
        title: As "QQQ, real".
        quotes: Rows of one snapshot: occ_symbol, underlying, expiration, strike, right, bid, ask of
            `OPTION_QUOTES`.
        spot: Dollars.
        at: Moment of the quotes, aware.
        rate: Expected rate, continuous.
        note: Where the chain comes from.

    Raises:
        ValueError: No expiration has enough quotes for a smile.
    """
    quotes = quotes.filter(pl.col("expiration").is_in(_alive(quotes, at)))
    days = quotes["expiration"].to_numpy().astype("datetime64[D]")
    moment = np.array([int(at.timestamp()) * 1_000_000_000])
    underlying = str(quotes["underlying"][0])
    root = str(quotes["occ_symbol"][0])[:6].rstrip()
    columns = ChainQuotes(
        expiration=days.astype(np.int64),
        years=market_calendar.year_fractions(moment, days),
        strike=quotes["strike"].to_numpy(),
        is_call=(quotes["right"] == "C").to_numpy(),
        bid=_numbers(quotes["bid"]),
        ask=_numbers(quotes["ask"]),
    )
    american = exercise_style_of(root) == "A"
    vols = chain_vols(columns, spot, rate=rate, rate_error=0.005, american_style=american)
    quality = chain_quality(
        columns, spot, penny=underlying in PENNY_CLASSES, vols=vols, american_style=american
    )
    spreads = spreads_by_bucket(columns, vols)
    local = at.astimezone(NEW_YORK)
    told = f"{local:%Y-%m-%d %H:%M} New York, spot {spot:,.2f}"
    return PagedChain(title, f"{told}. {note}".strip(), columns, vols, quality, spreads, spot)


def _alive(quotes: Frame, at: datetime) -> list[date]:
    """Return the expirations that are still to come."""
    listed: list[date] = quotes["expiration"].unique().sort().to_list()
    return [day for day in listed if market_calendar.year_fraction(at, day) > 0]


def _numbers(series: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return series.cast(pl.Float64).fill_null(math.nan).to_numpy()


def figures(synthetic: PagedChain, real: PagedChain) -> list[Figure]:
    """Return the table of figures, with the bars that the synthetic chain must meet."""
    likeness = compare(synthetic.quality, synthetic.spreads, real.quality, real.spreads)
    return [
        *_likeness_figures(likeness, synthetic.quality, real.quality),
        *_sound_figures(synthetic.quality, real.quality),
        *_shape_figures(synthetic.quality, real.quality),
    ]


def _likeness_figures(likeness: Likeness, ours: ChainQuality, real: ChainQuality) -> list[Figure]:
    group = "Beside the real chain"
    refit, zero_bids = 100 * ours.refit_error, 100 * abs(likeness.zero_bids)
    skew = likeness.median_skew_error
    far = [x for x in likeness.spread_distance.values() if x > SPREAD_BAR]
    return [
        Figure(
            group, "Re-fit error, volatility points rms", refit, 100 * real.refit_error,
            f"at most {REFIT_BAR:g}", refit <= REFIT_BAR,
        ),
        Figure(
            group, "Spreads: worst KS distance of any bucket", likeness.worst_spread_distance, None,
            f"at most {SPREAD_BAR:g}", not far,
        ),
        Figure(
            group, f"Spreads: buckets above it, of {len(likeness.spread_distance)}", len(far), None,
            "none", not far,
        ),
        Figure(
            group, "25-delta skew: median error, % of the real", 100 * skew, None,
            f"at most {100 * SKEW_BAR:g}", skew <= SKEW_BAR,
        ),
        Figure(
            group, "No bid, % of contracts", 100 * ours.quotes.zero_bids,
            100 * real.quotes.zero_bids, f"within {ZERO_BID_BAR:g} points",
            zero_bids <= ZERO_BID_BAR,
        ),
    ]  # fmt: skip


def _sound_figures(ours: ChainQuality, real: ChainQuality) -> list[Figure]:
    group = "Free of arbitrage"
    rules = [
        ("Butterflies in the fitted smiles", ours.arbitrage.butterfly, real.arbitrage.butterfly),
        ("Calendars in the fitted smiles", ours.arbitrage.calendar, real.arbitrage.calendar),
        ("Verticals in the fitted smiles", ours.arbitrage.vertical, real.arbitrage.vertical),
        (
            "Vertical spreads that pay at the quotes",
            ours.arbitrage.vertical_quotes,
            real.arbitrage.vertical_quotes,
        ),
        ("American parity bounds broken", ours.parity.american, real.parity.american),
        ("Mids outside intrinsic bounds", ours.quotes.outside, real.quotes.outside),
    ]
    rows = [
        Figure(group, name, mine.broken, theirs.broken, "none", mine.broken == 0)
        for name, mine, theirs in rules
    ]
    convex, theirs = ours.arbitrage.convexity, real.arbitrage.convexity
    rows.append(
        Figure(
            group,
            "Mids not convex by more than a tick, %",
            100 * convex.share,
            100 * theirs.share,
        )
    )
    rows.append(
        Figure(
            group,
            "Call and put agree within their spreads, %",
            100 * ours.parity.within,
            100 * real.parity.within,
            "at least 95",
            ours.parity.within >= 0.95,
        )
    )
    return rows


def _shape_figures(ours: ChainQuality, real: ChainQuality) -> list[Figure]:
    group = "Quotes and shape"
    steepest = max(max(point.wings) for point in ours.smiles)
    return [
        Figure(group, "Contracts with an offer", ours.contracts, real.contracts),
        Figure(group, "Expirations with a smile", len(ours.smiles), len(real.smiles)),
        Figure(
            group, "Prices on the tick grid, %", 100 * ours.quotes.on_tick,
            100 * real.quotes.on_tick, "all", ours.quotes.on_tick == 1.0,
        ),
        Figure(
            group, "Locked quotes, %", 100 * ours.quotes.locked, 100 * real.quotes.locked,
            "none", ours.quotes.locked == 0.0,
        ),
        Figure(
            group, "Crossed quotes, %", 100 * ours.quotes.crossed, 100 * real.quotes.crossed,
            "none", ours.quotes.crossed == 0.0,
        ),
        Figure(
            group, "Steepest wing, slope of total variance", steepest,
            max(max(point.wings) for point in real.smiles), "below 2 (Lee)", steepest < 2.0,
        ),
    ]  # fmt: skip


def smile_charts(synthetic: PagedChain, real: PagedChain) -> list[Chart]:
    """Return smiles of a few expirations of the real chain, with the synthetic ones nearest."""
    ours = np.array([point.years for point in synthetic.quality.smiles])
    theirs = np.array([point.years for point in real.quality.smiles])
    chosen: dict[int, int] = {}
    for days in _SHOWN_DAYS:
        place = int(np.argmin(np.abs(np.log(np.maximum(theirs, 1e-3) * _DAYS / days))))
        chosen.setdefault(place, int(np.argmin(np.abs(np.log(ours / theirs[place])))))
    return [_smile_chart(synthetic, mine, real, place) for place, mine in chosen.items()]


def _smile_chart(synthetic: PagedChain, mine: int, real: PagedChain, place: int) -> Chart:
    sides = (("real", real, place), ("ours", synthetic, mine))
    rows = []
    for style, chain, i in sides:
        smile = list(quoted_smiles(chain.quotes, chain.vols).values())[i]
        fit = chain.quality.fits[i]
        width = float(np.sqrt(fit.total_variance(0.0)))
        z = np.linspace(-_REACH, 0.7 * _REACH, 121)
        z = z[(z * width >= smile.k.min()) & (z * width <= smile.k.max())]
        rows.append((style, smile, width, z, 100 * fit.vol(z * width)))
    lowest = min(float(vol.min()) for *_, vol in rows)
    highest = max(float(vol.max()) for *_, vol in rows)
    room = 0.12 * (highest - lowest) + 0.5
    years = [chain.quality.smiles[i].years for _, chain, i in sides]
    chart = Chart(
        title=_days(years[0]),
        note="" if _days(years[0]) == _days(years[1]) else f"beside {_days(years[1])}",
        x_range=(-_REACH, 0.7 * _REACH),
        y_range=(lowest - room, highest + room),
    )
    for style, smile, width, z, vol in rows:
        bid = np.nan_to_num(100 * smile.bid)
        chart.add_bars(style, smile.k / width, bid, 100 * smile.ask)
        chart.add_line(style, z, vol)
    return chart.grid(y_unit="%")


def _days(years: float) -> str:
    days = years * _DAYS
    return (
        f"{days * 24 * 60:.0f} minutes"
        if days < 0.1
        else (f"{days:.1f} days" if days < 3 else f"{days:.0f} days")
    )


def term_charts(synthetic: PagedChain, real: PagedChain) -> list[Chart]:
    """Return the term structures of at-the-money volatility and of the 25-delta skew."""
    charts = []
    for title, note, of in (
        ("At-the-money volatility", "by days to expiration", "at_money"),
        ("25-delta skew", "put less call, volatility points", "skew"),
    ):
        found = []
        for style, chain in (("real", real), ("ours", synthetic)):
            points = [p for p in chain.quality.smiles if p.years * _DAYS >= 0.5]
            x = np.log([p.years * _DAYS for p in points])
            found.append((style, x, 100 * np.array([getattr(p, of) for p in points])))
        low = min(float(y.min()) for *_, y in found)
        high = max(float(y.max()) for *_, y in found)
        low = min(low, 0.0) if of == "skew" else low
        room = 0.1 * (high - low) + 0.2
        chart = Chart(
            title, note,
            (min(float(x[0]) for _, x, _ in found) - 0.1,
             max(float(x[-1]) for _, x, _ in found) + 0.1),
            (low - room, high + room), width=516.0, height=240.0,
        )  # fmt: skip
        for style, x, y in found:
            chart.add_line(style, x, y)
            chart.add_dots(style, x, y)
        chart.grid(y_unit="%" if of == "at_money" else "")
        chart.days_grid(_GRID_DAYS)
        charts.append(chart)
    return charts


def spread_charts(synthetic: PagedChain, real: PagedChain) -> list[list[Chart | None]]:
    """Return distributions of spreads: a row for each delta bucket, a column for each of days."""
    rows: list[list[Chart | None]] = []
    for delta in DELTA_BUCKETS:
        row: list[Chart | None] = []
        for days in DAY_BUCKETS:
            ours, theirs = synthetic.spreads[delta, days], real.spreads[delta, days]
            if min(ours.size, theirs.size) < LEAST_SAMPLE:
                row.append(None)
                continue
            distance = ks_distance(ours, theirs)
            edge = float(max(np.quantile(ours, 0.95), np.quantile(theirs, 0.95))) * 1.05
            chart = Chart(
                f"{distance:.2f}", "far" if distance > SPREAD_BAR else "near",
                (0.0, edge), (0.0, 1.02), width=176.0, height=118.0,
            )  # fmt: skip
            chart.add_steps("real", theirs)
            chart.add_steps("ours", ours)
            chart.x_ticks = chart.grid().x_ticks[::2]
            chart.y_ticks = [tick for tick in chart.y_ticks if tick.text in {"0", "0.5", "1"}]
            row.append(chart)
        rows.append(row)
    return rows


def render(synthetic: PagedChain, real: PagedChain) -> str:
    """Return the page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    table = figures(synthetic, real)
    return environment.get_template("quality_page.html").render(
        synthetic=synthetic,
        real=real,
        figures=table,
        passed=sum(row.passed is True for row in table),
        judged=sum(row.passed is not None for row in table),
        smiles=smile_charts(synthetic, real),
        terms=term_charts(synthetic, real),
        spreads=list(zip(DELTA_BUCKETS.items(), spread_charts(synthetic, real), strict=True)),
        day_names=list(DAY_BUCKETS),
        spread_bar=SPREAD_BAR,
        number=_number,
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:,.2f}"


def to_json(synthetic: PagedChain, real: PagedChain) -> str:
    """Return all figures of the page as JSON."""
    likeness = compare(synthetic.quality, synthetic.spreads, real.quality, real.spreads)
    return json.dumps(
        {
            "synthetic": _side(synthetic),
            "real": _side(real),
            "figures": [asdict(row) for row in figures(synthetic, real)],
            "spread_distance": {
                f"{delta}, {days}": value
                for (delta, days), value in likeness.spread_distance.items()
            },
            "skew_ratio": {f"{1000 * y:.3f}": x for y, x in likeness.skew_ratio.items()},
        },
        indent=1,
    )


def _side(chain: PagedChain) -> dict[str, object]:
    return {
        "title": chain.title,
        "note": chain.note,
        "spot": chain.spot,
        "smiles": [point._asdict() for point in chain.quality.smiles],
    }


def write_quality_page(path: Path, synthetic: PagedChain, real: PagedChain) -> Sequence[Path]:
    """Write the page, and its figures as JSON beside it.

    Args:
        path: Of the HTML file.
        synthetic: The chain that is judged.
        real: The standard.

    Returns:
        The two files.
    """
    beside = path.with_suffix(".json")
    path.write_text(render(synthetic, real), encoding="utf-8")
    beside.write_text(to_json(synthetic, real), encoding="utf-8")
    return path, beside
