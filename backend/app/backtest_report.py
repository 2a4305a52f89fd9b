"""The report of a backtest: one HTML page, and its curves and trades as Parquet beside it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
import numpy as np
import polars as pl

from app.publish import publish, publish_rows
from app.quality_charts import Chart, Tick
from app.trading_words import instrument
from models.order_terms import OrderStatus, Side
from utils.clock import to_ns, to_time
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from app.backtest import BacktestResult, RoundTrip, Sample
    from models.tables import Frame

    Floats = NDArray[np.float64]

_LEAST_DAYS = 2
"""Daily returns that a Sharpe ratio needs at least to be a number at all."""

_MOST_TRIPS = 500
"""Round trips that the page lists; the Parquet file has all."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure at the top of the page.

    Attributes:
        name: What it is.
        value: With its unit.
        tone: good, bad or empty.
    """

    name: str
    value: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a person reads.

    Attributes:
        title: Strategy and ticker.
        period: First to last session.
        market: Which data.
        figures: At the top.
        charts: Pictures.
        trips: Rows of the table.
        denials: (rule, how often, an example).
        assumptions: What was taken for granted, a sentence each.
        left_out: Round trips that the table does not show.
    """

    title: str
    period: str
    market: str
    figures: list[Figure]
    charts: list[Chart]
    trips: list[dict[str, object]]
    denials: list[tuple[str, int, str]]
    assumptions: list[str]
    left_out: int


def build_report(result: BacktestResult, assumptions: Sequence[str]) -> Report:
    """Return what a person reads of a backtest.

    Args:
        result: Of at least one session.
        assumptions: What was taken for granted beside what holds of every backtest.
    """
    names = result.engine.names
    sessions = result.market.sessions
    first, last = sessions[0].day, sessions[-1].day
    period = f"{first}" if first == last else f"{first} to {last}, {len(sessions)} sessions"
    rules = Counter(each.rule for each in result.denied)
    examples = {each.rule: each.message for each in reversed(result.denied)}
    return Report(
        title=f"{names.strategy} on {result.ticker}",
        period=period,
        market=f"{result.market.source}, {result.market.origin}",
        figures=figures(result),
        charts=_charts(result),
        trips=[_trip_row(each) for each in result.trips[:_MOST_TRIPS]],
        denials=[(rule, count, examples[rule]) for rule, count in rules.most_common()],
        assumptions=[*_ALWAYS, *assumptions],
        left_out=max(0, len(result.trips) - _MOST_TRIPS),
    )


_ALWAYS = (
    "The strategy sees each minute when it has ended, and nothing of what comes after.",
    "An order fills at the quotes that stand when it is placed, or at later ones.",
    "A market order crosses the spread, a limit order waits until the natural price meets it.",
    "A package of several legs fills at once or not at all.",
    "Nobody else takes the size that is quoted, and our orders do not move the market.",
    "Fees are Schwab's, as they stood on each day.",
)


def figures(result: BacktestResult) -> list[Figure]:
    """Return the figures at the top of the page."""
    engine = result.engine
    gained = float(engine.worth())
    fees = sum((float(each.fees) for each in engine.portfolio.holdings.values()), 0.0)
    worth = np.array([sample.worth for sample in result.samples])
    won = [each for each in result.trips if each.gained > 0]
    states = [state.order.status for state in engine.book.states.values()]
    found = [
        Figure("result", f"{gained:+,.2f} USD", _tone(gained)),
        Figure("of the capital", f"{100 * gained / float(result.cash):+.3f} %", _tone(gained)),
        Figure("deepest drawdown", f"{drawdown(worth).min(initial=0.0):,.2f} USD"),
        Figure("round trips", f"{len(result.trips)}"),
        Figure("won", f"{100 * len(won) / len(result.trips):.0f} %" if result.trips else "-"),
        Figure("fees", f"{fees:,.2f} USD"),
        Figure("orders filled", f"{states.count(OrderStatus.FILLED)} of {len(states)}"),
        Figure("denied by the risk gate", f"{len(result.denied)}"),
    ]
    return found + _daily_figures(daily_returns(result))


def _daily_figures(returns: Floats) -> list[Figure]:
    if len(returns) < _LEAST_DAYS:
        return [Figure("Sharpe, Sortino", "need 2 sessions")]
    import empyrical  # noqa: PLC0415 - pandas: 0.5 s that one session need not pay

    sharpe = float(empyrical.sharpe_ratio(returns))
    sortino = float(empyrical.sortino_ratio(returns))
    volatility = float(empyrical.annual_volatility(returns))
    return [
        Figure("Sharpe, a year", _ratio(sharpe)),
        Figure("Sortino, a year", _ratio(sortino)),
        Figure("volatility, a year", f"{100 * volatility:.2f} %"),
    ]


def _ratio(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "-"


def daily_returns(result: BacktestResult) -> Floats:
    """Return what each session gained as a share of the capital at its beginning."""
    ends = [to_ns(session.close) for session in result.market.sessions]
    times = np.array([sample.time_ns for sample in result.samples])
    worth = np.array([sample.worth for sample in result.samples])
    at = np.searchsorted(times, ends, side="right") - 1
    capital = float(result.cash) + np.concatenate([[0.0], worth[at[at >= 0]]])
    returns: Floats = capital[1:] / capital[:-1] - 1.0
    return returns


def drawdown(worth: Floats) -> Floats:
    """Return how far each worth lies below the highest before it, USD, 0 or negative."""
    below: Floats = worth - np.maximum.accumulate(np.maximum(worth, 0.0)) if worth.size else worth
    return below


def _tone(value: float) -> str:
    return "good" if value > 0 else "bad" if value < 0 else ""


def _charts(result: BacktestResult) -> list[Chart]:
    samples = result.samples
    if len(samples) < 2:
        return []
    worth = np.array([sample.worth for sample in samples])
    spot = np.array([sample.spot for sample in samples])
    charts = [
        _chart("Gained", "USD, fees paid", samples, worth, "ours", zero=True),
        _chart("Below the peak", "USD", samples, drawdown(worth), "bad", zero=True),
        _chart(result.ticker, "USD, close of each minute", samples, spot, "real"),
    ]
    _mark_trips(charts[-1], result.trips, samples)
    known = [sample for sample in samples if sample.greeks is not None]
    if len(known) > 1:
        for name, note in (
            ("delta", "shares that the position moves like"),
            ("gamma", "change of delta a USD"),
            ("theta_per_day", "USD a calendar day"),
            ("vega_per_point", "USD a point of volatility"),
        ):
            values = np.array([getattr(sample.greeks, name) for sample in known])
            if not values.any():
                continue
            title = name.split("_", maxsplit=1)[0].capitalize()
            charts.append(_chart(title, note, known, values, "real", zero=True, over=samples))
    return charts


def _chart(  # noqa: PLR0913 - a picture's own parts
    title: str,
    note: str,
    samples: Sequence[Sample],
    values: Floats,
    style: str,
    *,
    zero: bool = False,
    over: Sequence[Sample] | None = None,
) -> Chart:
    """Return a curve over the run's minutes, sessions side by side without the nights between."""
    shown = over or samples
    places = {sample.time_ns: place for place, sample in enumerate(shown)}
    x = np.array([places[sample.time_ns] for sample in samples], float)
    low, high = float(values.min()), float(values.max())
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    room = 0.06 * (high - low) or 1.0
    chart = Chart(
        title, note, (0.0, float(len(shown) - 1)), (low - room, high + room), width=560, height=220
    )
    gaps = np.flatnonzero(np.diff(x) > 30)  # what was not looked at for so long is not joined
    for part in np.split(np.arange(len(x)), gaps + 1):
        chart.add_line(style, x[part], values[part])
        if len(part) == 1:
            chart.add_dots(style, x[part], values[part])
    chart.grid()
    chart.x_ticks = _time_ticks(chart, shown)
    return chart


def _time_ticks(chart: Chart, samples: Sequence[Sample]) -> list[Tick]:
    times = [to_time(sample.time_ns).astimezone(NEW_YORK) for sample in samples]
    one_day = times[0].date() == times[-1].date()
    step = timedelta(minutes=30 if len(samples) < 250 else 60)
    ticks: list[Tick] = []
    seen = None
    for place, at in enumerate(times):
        key = (
            at.replace(minute=at.minute // 30 * 30 if step.seconds == 1800 else 0)
            if one_day
            else at.date()
        )
        if key != seen and (seen is not None or not one_day):
            ticks.append(Tick(chart.x(place), f"{at:%H:%M}" if one_day else f"{at:%d %b}"))
        seen = key
    keep = max(1, math.ceil(len(ticks) / 8))
    return ticks[::keep]


def _mark_trips(chart: Chart, trips: Sequence[RoundTrip], samples: Sequence[Sample]) -> None:
    """Put a point on the price where a round trip begins, and one where it ends."""
    times = np.array([sample.time_ns for sample in samples])
    spot = np.array([sample.spot for sample in samples])
    for style, name in (("good", "opened_ns"), ("ours", "closed_ns")):
        at = [int(np.searchsorted(times, getattr(each, name))) for each in trips]
        at = [place for place in at if place < len(times)]
        chart.add_dots(style, np.array(at, float), spot[at])


def _trip_row(trip: RoundTrip) -> dict[str, object]:
    opened, closed = to_time(trip.opened_ns), to_time(trip.closed_ns)
    return {
        "opened": f"{opened.astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S}",
        "held": _duration(closed - opened),
        "fills": [
            f"{'+' if fill.side is Side.BUY else '-'}{fill.quantity.normalize():f} "
            f"{instrument(fill.symbol)} at {fill.price}"
            for fill in trip.fills
        ],
        "fees": f"{sum(fill.fees for fill in trip.fills):.2f}",
        "gained": f"{trip.gained:+,.2f}",
        "tone": _tone(float(trip.gained)),
    }


def _duration(span: timedelta) -> str:
    minutes = span.total_seconds() / 60
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h" if minutes < 60 * 48 else f"{span.days} days"


def render(report: Report) -> str:
    """Return the page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("backtest.html").render(report=report)


def equity_rows(result: BacktestResult) -> Frame:
    """Return the run minute by minute: ts, worth, spot, delta, gamma, theta_per_day, ..."""
    greeks = ("delta", "gamma", "theta_per_day", "vega_per_point")
    samples = result.samples
    columns: dict[str, object] = {
        "ts": [to_time(sample.time_ns) for sample in samples],
        "worth": [sample.worth for sample in samples],
        "spot": [sample.spot for sample in samples],
    } | {
        name: [None if s.greeks is None else getattr(s.greeks, name) for s in samples]
        for name in greeks
    }
    floats = dict.fromkeys(("worth", "spot", *greeks), pl.Float64)
    return pl.DataFrame(columns, schema={"ts": pl.Datetime("us", "UTC"), **floats})


def trade_rows(result: BacktestResult) -> Frame:
    """Return every fill of every round trip: trip, ts, symbol, signed_quantity, price, fees."""
    rows = [
        {
            "trip": number,
            "ts": to_time(fill.time_ns),
            "symbol": fill.symbol,
            "signed_quantity": fill.quantity if fill.side is Side.BUY else -fill.quantity,
            "price": fill.price,
            "fees": fill.fees,
        }
        for number, trip in enumerate(result.trips, 1)
        for fill in trip.fills
    ]
    schema = {
        "trip": pl.Int32(),
        "ts": pl.Datetime("us", "UTC"),
        "symbol": pl.String(),
        "signed_quantity": pl.Decimal(18, 6),
        "price": pl.Decimal(18, 6),
        "fees": pl.Decimal(18, 6),
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def write_report(folder: Path, result: BacktestResult, assumptions: Sequence[str]) -> Path:
    """Write page and Parquet files into a folder, made if need be; return the page.

    Raises:
        OSError: It cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    publish_rows(folder / "equity.parquet", equity_rows(result))
    publish_rows(folder / "trades.parquet", trade_rows(result))
    page = folder / "report.html"
    publish(page, render(build_report(result, assumptions)).encode())
    return page
