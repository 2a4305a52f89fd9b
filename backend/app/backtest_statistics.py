"""What a backtest amounts to in figures: gains, risks, and ratios of both."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.order_terms import OrderStatus
from utils.clock import to_ns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from app.backtest import BacktestResult

    Floats = NDArray[np.float64]

_LEAST_DAYS = 2
"""Daily returns that a ratio needs at least to be a number at all."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures of a run; None where there is nothing to take them from.

    Attributes:
        result: USD gained, open gains and all fees included.
        of_capital: The same as a share of the money at the beginning.
        underlying_return: What the ticker itself did from the first minute to the last, a share.
        deepest_drawdown: USD below the highest worth before, 0 or negative.
        longest_drawdown_minutes: Minutes of trading from a peak until it was reached again, or the end.
        round_trips: From holding nothing to holding nothing again.
        win_rate: Share of them that gained.
        profit_factor: USD won by USD lost.
        average_win: USD.
        average_loss: USD, negative.
        time_in_market: Share of the minutes in which something was held.
        fees: USD.
        orders: Sent.
        filled: Of them, wholly.
        denied: Tickets that the risk gate refused.
        sharpe: Mean by deviation of daily returns, a year of 252 days, no risk-free rate.
        sortino: Mean by downside deviation, the same.
        volatility: Deviation of daily returns, a year.
    """

    result: float
    of_capital: float
    underlying_return: float | None
    deepest_drawdown: float
    longest_drawdown_minutes: int
    round_trips: int
    win_rate: float | None
    profit_factor: float | None
    average_win: float | None
    average_loss: float | None
    time_in_market: float
    fees: float
    orders: int
    filled: int
    denied: int
    sharpe: float | None
    sortino: float | None
    volatility: float | None


def statistics_of(result: BacktestResult) -> Statistics:
    """Return the figures of a run."""
    engine = result.engine
    gained = float(engine.worth())
    worth = np.array([sample.worth for sample in result.samples])
    spots = [sample.spot for sample in result.samples]
    gains = [float(each.gained) for each in result.trips]
    won, lost = [each for each in gains if each > 0], [each for each in gains if each < 0]
    states = [state.order.status for state in engine.book.states.values()]
    sharpe, sortino, volatility = _ratios(daily_returns(result))
    return Statistics(
        result=gained,
        of_capital=gained / float(result.terms.cash),
        underlying_return=spots[-1] / spots[0] - 1 if spots else None,
        deepest_drawdown=float(drawdown(worth).min(initial=0.0)),
        longest_drawdown_minutes=_longest(drawdown(worth) < 0),
        round_trips=len(gains),
        win_rate=len(won) / len(gains) if gains else None,
        profit_factor=sum(won) / -sum(lost) if lost else None,
        average_win=sum(won) / len(won) if won else None,
        average_loss=sum(lost) / len(lost) if lost else None,
        time_in_market=_time_in_market(result),
        fees=sum((float(each.fees) for each in engine.portfolio.holdings.values()), 0.0),
        orders=len(states),
        filled=states.count(OrderStatus.FILLED),
        denied=len(result.denied),
        sharpe=sharpe,
        sortino=sortino,
        volatility=volatility,
    )


def _ratios(returns: Floats) -> tuple[float | None, float | None, float | None]:
    """Return Sharpe, Sortino and volatility, a year."""
    if len(returns) < _LEAST_DAYS:
        return None, None, None
    import empyrical  # noqa: PLC0415 - pandas: 0.5 s that one session need not pay

    found = (
        float(empyrical.sharpe_ratio(returns)),
        float(empyrical.sortino_ratio(returns)),
        float(empyrical.annual_volatility(returns)),
    )
    sharpe, sortino, volatility = (each if math.isfinite(each) else None for each in found)
    return sharpe, sortino, volatility


def daily_returns(result: BacktestResult) -> Floats:
    """Return what each session gained as a share of the capital at its beginning."""
    ends = [to_ns(session.close) for session in result.market.sessions]
    times = np.array([sample.time_ns for sample in result.samples])
    worth = np.array([sample.worth for sample in result.samples])
    at = np.searchsorted(times, ends, side="right") - 1
    capital = float(result.terms.cash) + np.concatenate([[0.0], worth[at[at >= 0]]])
    returns: Floats = capital[1:] / capital[:-1] - 1.0
    return returns


def drawdown(worth: Floats) -> Floats:
    """Return how far each worth lies below the highest before it, USD, 0 or negative."""
    below: Floats = worth - np.maximum.accumulate(np.maximum(worth, 0.0)) if worth.size else worth
    return below


def _longest(flags: NDArray[np.bool_]) -> int:
    """Return the length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _time_in_market(result: BacktestResult) -> float:
    """Return the share of the minutes at whose end something was held."""
    times = np.array([sample.time_ns for sample in result.samples])
    if not times.size:
        return 0.0
    opened = np.array([each.opened_ns for each in result.trips], np.int64)
    closed = np.array([each.closed_ns for each in result.trips], np.int64)
    if result.open_since_ns is not None:
        opened = np.append(opened, result.open_since_ns)
    begun = np.searchsorted(opened, times, side="right")
    ended = np.searchsorted(closed, times, side="right")
    return float(np.mean(begun > ended))
