"""Who trades what: volume, trades and open interest of each contract in a session.

A contract's trades are spread over the session by a fixed rule, so that at any instant it is known
how many there have been and when the last one was, without counting from the open.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from black_scholes.synthetic.clock import SESSIONS_A_YEAR, all_sessions
from black_scholes.synthetic.draws import Floats, digest, normals, uniforms
from black_scholes.synthetic.names import is_fund_or_index
from black_scholes.synthetic.profiles import profile_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from black_scholes.synthetic.contracts import Contracts
    from black_scholes.synthetic.market import Market
    from black_scholes.synthetic.minutes import SessionMinutes

_CLOCK = np.linspace(0.0, 1.0, 391)
_BUSY = _CLOCK + 0.9 * _CLOCK * (1 - _CLOCK) * (1 - 2 * _CLOCK)
"""Part of the day's volume that has traded by each part of the day: a U in its rate."""

_INTEREST = {"S": 0.30, "Q": 0.06, "M": 0.035, "W": 0.035}
"""Open interest of an expiration's calls or puts over a day's volume in the nearest expiration."""

_HELD_STOCKS = 2.2
"""How much more of a company's options is held, over what a day trades, than of a fund's."""


class Flow(NamedTuple):
    """Activity of contracts in one session, one row a contract.

    Attributes:
        volume: Contracts traded in the whole session.
        trades: Number of trades that make it.
        phase: In [0, 1): where the first trade falls.
        warp: Above 1: trades later in the day than others.
        open_interest: Contracts, of the close before.
    """

    volume: NDArray[np.int64]
    trades: NDArray[np.int64]
    phase: Floats
    warp: Floats
    open_interest: NDArray[np.int64]

    def done(self, part: Floats) -> NDArray[np.int64]:
        """Return how many trades there have been when this part of the day has passed."""
        busy = np.interp(part, _CLOCK, _BUSY) ** self.warp
        return np.floor(self.trades * busy + self.phase).astype(np.int64)

    def time_of(self, trade: NDArray[np.int64]) -> Floats:
        """Return the part of the day at which a contract's trade of this number (from 1) was."""
        share = np.clip((trade - self.phase) / np.maximum(self.trades, 1), 0.0, 1.0)
        return np.interp(share ** (1 / self.warp), _BUSY, _CLOCK)

    def volume_of(self, trades: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the contracts that the first so many trades moved."""
        return self.volume * trades // np.maximum(self.trades, 1)

    def rows(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> Flow:
        """Return some of the rows."""
        return Flow(*(column[keep] for column in self))  # type: ignore[arg-type]


def flow(market: Market, minutes: SessionMinutes, those: Contracts) -> Flow:
    """Return the activity of whole expirations in a session."""
    seed, ticker, path, number = market.seed, market.ticker, market.path, minutes.number
    regular = minutes.bars.low[minutes.regular], minutes.bars.high[minutes.regular]
    low, high = float(regular[0].min()), float(regular[1].max())
    before = math.exp(path.close[max(number - 1, 0)])
    settles = np.array([each.settles for each in those.expirations])[those.group]
    left = np.maximum(settles - number, 0)
    width = before * path.vol[number] * np.sqrt((left + 0.6) / SESSIONS_A_YEAR)
    liking = _round_numbers(those) * _own_taste(ticker, those.names, number)
    today = liking * _near(those, low, high, width)
    held = _round_numbers(those) * _held_taste(ticker, those.names)
    held *= _near(those, before, before, 2.5 * width + 0.02 * before)
    usual = profile_of(ticker).contracts * 2
    volume = usual * math.exp(path.turnover[number]) * _tenor(ticker, those, number)
    draw = uniforms(digest(seed, "round", ticker), those.names, number)
    traded = np.floor(_shares(today, those) * volume + draw).astype(np.int64)
    interest = usual * _interest(those, number) * (1 if is_fund_or_index(ticker) else _HELD_STOCKS)
    per_trade = 2 + 12 * uniforms(digest(seed, "trade", ticker), those.names)
    return Flow(
        volume=traded,
        trades=np.ceil(traded / per_trade).astype(np.int64),
        phase=uniforms(digest(seed, "phase", ticker), those.names, number),
        warp=np.exp(0.2 * normals(digest(seed, "warp", ticker), those.names, number)),
        open_interest=np.floor(_shares(held, those) * interest).astype(np.int64),
    )


def _near(those: Contracts, low: float, high: float, width: Floats) -> Floats:
    """Return how much strikes are sought for where the price moves between low and high.

    Out of the money the interest fades slowly, in the money fast.
    """
    away = np.where(those.is_call, those.strike - high, low - those.strike) / width
    inside = np.where(those.is_call, low - those.strike, those.strike - high) / width
    out: Floats = np.exp(-0.5 * (np.maximum(away, 0) / 0.9) ** 2) + 0.04 * np.exp(
        -np.maximum(away, 0) / 2.5
    )
    return np.where(inside > 0, 0.55 * np.exp(-inside / 0.35) + 0.0005, out)


def _round_numbers(those: Contracts) -> Floats:
    """Return how much more round strikes are traded."""
    liking = np.ones(len(those.strike))
    for multiple, factor in ((5.0, 1.5), (10.0, 1.4), (50.0, 1.6), (100.0, 1.3)):
        liking[those.strike % multiple == 0] *= factor
    return liking


def _own_taste(ticker: str, names: NDArray[np.int64], number: int) -> Floats:
    lasting = normals(digest("taste", ticker), names)
    return np.asarray(np.exp(0.5 * lasting + 0.4 * normals(digest("day", ticker), names, number)))


def _held_taste(ticker: str, names: NDArray[np.int64]) -> Floats:
    return np.asarray(np.exp(1.1 * normals(digest("held", ticker), names)))


def _shares(weights: Floats, those: Contracts) -> Floats:
    """Return each contract's part of its expiration."""
    return np.asarray(weights / np.bincount(those.group, weights)[those.group])


def _tenor(ticker: str, those: Contracts, number: int) -> Floats:
    """Return the volume of each contract's expiration over that of the nearest one."""
    daily = ticker in {"QQQ", "SPY", "IWM", "SPX", "XSP"}
    factors = []
    for each in those.expirations:
        ahead = (each.settles - number) / (1 if daily else 4)
        fading = 1 / (1 + 7.0 * ahead) ** 1.05
        standard = each.expiration.kind == "S"
        factors.append(fading * (2.6 if standard else 1.0) + (0.0012 if standard else 0.0))
    return np.array(factors)[those.group]


def _interest(those: Contracts, number: int) -> Floats:
    """Return the open interest of each contract's expiration over a usual day's volume."""
    day = all_sessions()[number].day
    factors = []
    for each in those.expirations:
        age = 1 - min((each.expiration.day - day).days, each.lead) / each.lead
        factors.append(_INTEREST[each.expiration.kind] * (0.06 + 0.94 * age**0.8))
    return np.array(factors)[those.group]
