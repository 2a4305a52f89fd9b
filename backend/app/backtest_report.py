"""The report of a backtest: one HTML page; figures as JSON, curves and trades as Parquet beside it."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
import numpy as np
import polars as pl

from app.backtest import GREEKS_EVERY
from app.backtest_journal import BacktestJournal
from app.backtest_statistics import drawdown, statistics_of
from app.order_words import instrument, price
from app.publish import publish, publish_rows
from app.quality_charts import Chart, Tick
from app.trading_words import ended_words, money
from engine.attribution import Attributed
from engine.risk import RiskGate
from models.order_terms import Side
from utils.clock import to_time
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from numpy.typing import NDArray

    from app.backtest import BacktestResult, RoundTrip, Sample
    from app.backtest_statistics import Statistics
    from engine.matching import MatchRules
    from models.tables import Frame

    Floats = NDArray[np.float64]

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
        gains: Where the result came from: of each underlying, USD by part (`GAINS`).
        trips: Rows of the table.
        held: What is still held at the end: (instrument, units, paid, mark, open gain).
        denials: (rule, how often, an example).
        parameters: Of the strategy: (name, value).
        limits: Of the risk gate: (name, value, whether it is another than the default).
        assumptions: What was taken for granted, a sentence each.
        left_out: Round trips that the table does not show.
        journal: Length and hash of the run's journal: equal runs have equal ones.
    """

    title: str
    period: str
    market: str
    figures: list[Figure]
    charts: list[Chart]
    gains: list[tuple[str, list[Decimal]]]
    trips: list[dict[str, object]]
    held: list[tuple[str, str, str, str, Decimal | None]]
    denials: list[tuple[str, int, str]]
    parameters: list[tuple[str, str]]
    limits: list[tuple[str, str, bool]]
    assumptions: list[str]
    left_out: int
    journal: str


def build_report(
    result: BacktestResult, assumptions: Sequence[str], journal: BacktestJournal
) -> Report:
    """Return what a person reads of a backtest.

    Args:
        result: Of at least one session.
        assumptions: What was taken for granted beside what holds of every backtest.
        journal: Its decisions, written.
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
        gains=_gains(result),
        trips=[_trip_row(each) for each in result.trips[:_MOST_TRIPS]],
        held=_held(result),
        denials=[(rule, count, examples[rule]) for rule, count in rules.most_common()],
        parameters=[
            (name, _said(value)) for name, value in result.terms.parameters.model_dump().items()
        ],
        limits=_limits(result),
        assumptions=[*_ALWAYS, *_fill_words(result.terms.rules), *assumptions],
        left_out=max(0, len(result.trips) - _MOST_TRIPS),
        journal=f"{journal.count:,} decisions, SHA-256 {journal.digest}",
    )


GAINS = ("delta", "gamma", "theta", "vega", "trading", "residual", "fees")
"""Parts of a result, in the order in which they are shown."""

_ALWAYS = (
    "The strategy sees each minute when it has ended, and nothing of what comes after.",
    "A market order crosses the spread; a package of several legs fills at once or not at all.",
    "Nobody else takes the size that is quoted, and our orders do not move the market.",
    "Fees are Schwab's, as they stood on each day.",
)


def _fill_words(rules: MatchRules) -> list[str]:
    """Return how orders fill, a sentence each."""
    package = "pays the natural price"
    if rules.package_widths is not None:
        package = "trades between the middle and the natural price, by its legs and their width"
    one_sided = "trade with that side" if rules.one_sided_limits else "do not trade"
    late_ms = rules.latency_ns // 1_000_000
    early = (
        ["Written American puts are assigned the evening they are worth no more than exercised."]
        if rules.early_assignment
        else []
    )
    return [
        *early,
        f"An order reaches the venue {late_ms} ms of market time after it is asked for.",
        "It fills at the quotes that stand then, or at later ones.",
        f"A package {package}; where a quote has one side only, limit orders {one_sided}.",
    ]


def _limits(result: BacktestResult) -> list[tuple[str, str, bool]]:
    gate = result.engine.gate
    if not isinstance(gate, RiskGate):
        return []
    usual = type(gate.limits)()
    return [
        (name, _said(value), value != getattr(usual, name))
        for name, value in gate.limits.model_dump().items()
    ]


def _held(result: BacktestResult) -> list[tuple[str, str, str, str, Decimal | None]]:
    engine, names = result.engine, result.engine.names
    held = engine.market.positions(engine.portfolio, names.account_id, names.mode).values()
    return [
        (
            instrument(each.symbol),
            f"{each.signed_quantity.normalize():+f}",
            money(each.average_price),
            money(each.mark),
            each.unrealized_pnl,
        )
        for each in held
    ]


def _said(value: object) -> str:
    """Return a setting as a person writes it."""
    if isinstance(value, tuple | list | set | frozenset):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "-" if value is None else str(value)


def _gains(result: BacktestResult) -> list[tuple[str, list[Decimal]]]:
    """Return where the result came from by underlying, each part and the total in USD."""
    sums: dict[str, Attributed] = {}
    for (_, underlying), gained in result.attribution.days.items():
        sums.setdefault(underlying, Attributed()).add(gained)
    return [
        (name, [*(getattr(gained, part) for part in GAINS), gained.total])
        for name, gained in sorted(sums.items())
    ]


def figures(result: BacktestResult) -> list[Figure]:
    """Return the figures at the top of the page."""
    told = statistics_of(result)
    return [
        Figure("result", f"{told.result:+,.2f} USD", _tone(told.result)),
        Figure("capital", f"{result.terms.cash:,.0f} USD"),
        Figure("of the capital", f"{100 * told.of_capital:+.3f} %", _tone(told.result)),
        Figure(f"{result.ticker} itself", _words(told.underlying_return, "+.2f", 100, " %")),
        Figure("deepest drawdown", f"{told.deepest_drawdown:,.2f} USD"),
        Figure("longest drawdown", _span(told.longest_drawdown_minutes)),
        Figure("round trips", f"{told.round_trips}"),
        Figure("won", _words(told.win_rate, ".0f", 100, " %")),
        Figure("profit factor", _words(told.profit_factor, ".2f")),
        Figure("average win", _words(told.average_win, "+,.2f", 1, " USD")),
        Figure("average loss", _words(told.average_loss, "+,.2f", 1, " USD")),
        Figure("time in the market", f"{100 * told.time_in_market:.1f} %"),
        Figure("fees", f"{told.fees:,.2f} USD"),
        Figure("orders filled", f"{told.filled} of {told.orders}"),
        Figure("denied by the risk gate", f"{told.denied}"),
        *_ratios(told),
    ]


def _ratios(told: Statistics) -> list[Figure]:
    if told.volatility is None:
        return [Figure("Sharpe, Sortino", "need 2 sessions")]
    return [
        Figure("Sharpe, a year", _words(told.sharpe, ".2f")),
        Figure("Sortino, a year", _words(told.sortino, ".2f")),
        Figure("volatility, a year", _words(told.volatility, ".2f", 100, " %")),
    ]


def _words(value: float | None, form: str, times: float = 1, unit: str = "") -> str:
    return "-" if value is None else f"{times * value:{form}}{unit}"


def _span(minutes: int) -> str:
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h of trading"


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
        _chart(
            result.ticker,
            "USD, close of each minute; green: opened, orange: closed",
            samples,
            spot,
            "real",
        ),
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
            f"{instrument(fill.symbol)} at {price(fill.price)}"
            for fill in trip.fills
        ]
        + [ended_words(each) for each in trip.ended],
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
    parts = [*GAINS, "total"]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("backtest.html").render(
        report=report, parts=parts, every=GREEKS_EVERY
    )


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


def gain_rows(result: BacktestResult) -> Frame:
    """Return where gains came from, USD: session, underlying, delta, gamma, ..., total."""
    rows = [
        {"session": day, "underlying": underlying}
        | {part: getattr(gained, part) for part in GAINS}
        | {"total": gained.total}
        for (day, underlying), gained in result.attribution.days.items()
    ]
    money = dict.fromkeys((*GAINS, "total"), pl.Decimal(18, 6))
    return pl.DataFrame(rows, schema={"session": pl.Date, "underlying": pl.String, **money})


def write_report(folder: Path, result: BacktestResult, assumptions: Sequence[str]) -> Path:
    """Write page, figures, journal and Parquet files into a folder, made if need be; return the page.

    Raises:
        OSError: It cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with BacktestJournal(folder / "decisions.jsonl") as journal:
        for decision in result.decisions:
            journal.record(decision)
    publish_rows(folder / "equity.parquet", equity_rows(result))
    publish_rows(folder / "trades.parquet", trade_rows(result))
    publish_rows(folder / "gains.parquet", gain_rows(result))
    report = build_report(result, assumptions, journal)
    publish(folder / "report.json", _json(report, result, journal))
    page = folder / "report.html"
    publish(page, render(report).encode())
    return page


def _json(report: Report, result: BacktestResult, journal: BacktestJournal) -> bytes:
    """Return the report for programs."""
    names = result.engine.names
    told = {
        "strategy": names.strategy,
        "ticker": result.ticker,
        "sessions": [str(each.day) for each in result.market.sessions],
        "source": result.market.source,
        "origin": result.market.origin,
        "cash": str(result.terms.cash),
        "parameters": dict(report.parameters),
        "limits": {name: value for name, value, _ in report.limits},
        "statistics": asdict(statistics_of(result)),
        "gains": {
            name: {part: str(usd) for part, usd in zip((*GAINS, "total"), parts, strict=True)}
            for name, parts in report.gains
        },
        "denied": {rule: count for rule, count, _ in report.denials},
        "assumptions": report.assumptions,
        "journal": {"decisions": journal.count, "sha256": journal.digest},
    }
    return json.dumps(told, indent=2).encode() + b"\n"
