"""What contracts are worth at an instant, before anybody bids or asks.

European value on the forward, with the surface's volatility. An American call is worth at least
what a call is that ends just before the last dividend, and its exercise now (Black 1975; both are
free of arbitrage like the surface itself). An American put carries the early-exercise premium of
the put on the dividend yield that gives the same forward (`black_scholes.american`), from a table of
its expiration and session. `_market.repair_block` removes what the table leaves of convexity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from black_scholes import american, calculator
from black_scholes._market import NODE_FIRST, NODE_STEP, NODES, repair_block, value_block
from black_scholes.surface import essvi_total_variance
from black_scholes.synthetic.contracts import YEAR_MINUTES, ExpirationTerms
from black_scholes.synthetic.market import since_1970
from black_scholes.synthetic.moving_surface import vol_at
from black_scholes.synthetic.quotes import OPENING_MINUTES, OPENING_WIDTH

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from black_scholes.synthetic.contracts import Contracts
    from black_scholes.synthetic.draws import Floats
    from black_scholes.synthetic.market import Market
    from black_scholes.synthetic.minutes import SessionMinutes

STATE_ROWS = (
    "spot",
    "forward",
    "discount",
    "years",
    "theta",
    "rho",
    "psi",
    "american",
    "ex_forward",
    "ex_discount",
    "ex_theta",
    "ex_rho",
    "ex_psi",
    "rate_node",
    "width",
    "minute",
)
"""What `_market` knows of a state, in its order: `ex_` is the last ex-date's, 0 for none."""

_LEAST_YEARS = 0.5 / YEAR_MINUTES
_RATE_FACTORS = np.array([0.5, 1.0, 2.0])


class Rows(NamedTuple):
    """Contracts, those of one state together.

    Attributes:
        first: Number of each state's first row; one more at the end.
        group: The expiration of each state.
        strike: USD.
        is_call: True for calls.
    """

    first: NDArray[np.int64]
    group: NDArray[np.int64]
    strike: Floats
    is_call: NDArray[np.bool_]


def whole(those: Contracts) -> Rows:
    """Return all contracts, one state an expiration."""
    return Rows(those.first, np.arange(len(those.expirations)), those.strike, those.is_call)


def picked(those: Contracts, rows: NDArray[np.int64]) -> Rows:
    """Return some contracts, a row perhaps more than once, each a state of its own."""
    count = np.arange(len(rows) + 1)
    return Rows(count, those.group[rows], those.strike[rows], those.is_call[rows])


class Worth(NamedTuple):
    """What contracts are worth.

    Attributes:
        states: Of the instants, rows as `STATE_ROWS`.
        price: USD.
        vol: Volatility that makes it, a year.
        delta: Of a call on the same strike.
    """

    states: Floats
    price: Floats
    vol: Floats
    delta: Floats


class SessionValues:
    """Values of the contracts of a session at any instant of it.

    Args:
        market: Of the underlying.
        number: The session's.
        minutes: Its minutes.
        terms: Of the expirations.
    """

    def __init__(
        self, market: Market, number: int, minutes: SessionMinutes, terms: ExpirationTerms
    ) -> None:
        self._market, self._number, self._minutes, self._terms = market, number, minutes, terms
        self._start = since_1970(minutes.start)
        self._opens = self._start + minutes.regular.start
        self._middle, self._table = self._premiums()

    def states(self, group: NDArray[np.int64], at: Floats) -> Floats:
        """Return what `_market` must know of these expirations at these instants.

        Args:
            group: Numbers of expirations.
            at: An instant for each, minutes since 1970 UTC.
        """
        market, terms = self._market, ExpirationTerms(*(column[group] for column in self._terms))
        positions = at - self._start
        spot, elapsed = self._minutes.prices(positions), self._minutes.elapsed(positions)
        vol = vol_at(market.path, market.clock, self._number, np.log(spot), elapsed)
        now = market.clock.at(self._number, elapsed)
        grown = np.exp(terms.rate * at / YEAR_MINUTES)
        years = np.maximum(terms.expires - at, 0.0) / YEAR_MINUTES
        discount = np.exp(-terms.rate * years)
        cash, last = terms.cash * grown, terms.last_cash * grown
        forward = (spot - cash - last) * np.exp(-terms.dividend_yield * years) / discount
        theta, rho, psi = market.surface.at(vol, terms.clock - now)
        paid = (last > 0) & (terms.ex_time >= at)
        ex_years = np.maximum(terms.ex_time - at, 0.0) / YEAR_MINUTES
        ex_discount = np.exp(-terms.rate * ex_years)
        ex_forward = np.where(paid, (spot - cash) / ex_discount, 0.0)
        ex_theta, ex_rho, ex_psi = market.surface.at(vol, terms.ex_clock - now)
        place = np.log2(np.maximum(years, _LEAST_YEARS) / np.sqrt(theta) / self._middle[group])
        last_place = len(_RATE_FACTORS) - 1.0
        opened = np.maximum(at - self._opens, 0.0)
        return np.stack(
            [
                spot,
                forward,
                discount,
                np.maximum(years, _LEAST_YEARS),
                theta,
                rho,
                psi,
                terms.american,
                ex_forward,
                ex_discount,
                ex_theta,
                ex_rho,
                ex_psi,
                np.clip(place + 1.0, 0.0, last_place),
                1 + OPENING_WIDTH * np.exp(-opened / OPENING_MINUTES),
                np.floor(at),
            ]
        )

    def worth(self, rows: Rows, at: Floats) -> Worth:
        """Return what contracts are worth.

        Args:
            rows: The contracts.
            at: An instant for each state, minutes since 1970 UTC.
        """
        states = self.states(rows.group, at)
        price, vol, delta = (np.empty(len(rows.strike)) for _ in range(3))
        value_block(
            rows.first,
            rows.strike,
            rows.is_call,
            states,
            rows.group,
            self._table,
            price,
            vol,
            delta,
        )
        room = np.empty(int(np.diff(rows.first).max(initial=1)), dtype=np.int64)
        repair_block(rows.first, rows.strike, rows.is_call, states, room, price)
        return Worth(states, price, vol, delta)

    def _premiums(self) -> tuple[Floats, Floats]:
        """Return the middle of each expiration's rate nodes, and the table of premiums."""
        count = len(self._terms.rate)
        self._middle = np.ones(count)
        at = np.minimum(self._opens + 195.0, self._terms.expires - 30.0)
        now = self.states(np.arange(count), at)
        _, forward, discount, years, theta, *_ = now
        nodes = NODE_FIRST + NODE_STEP * np.arange(NODES)
        shape = (count, len(_RATE_FACTORS), NODES)
        level = theta[:, None, None] / _RATE_FACTORS[:, None] ** 2
        smile = self._market.surface.smile(level)
        k = nodes * np.sqrt(level)
        vol = np.sqrt(essvi_total_variance(k, *smile) / years[:, None, None])
        # A strike of 1: the premium is a share of the strike.
        spot = np.exp(-k) * (now[0] / forward)[:, None, None]
        carry = (-np.log(forward * discount / now[0]) / years)[:, None, None]
        terms = [
            np.broadcast_to(each, shape)
            for each in (
                spot,
                1.0,
                years[:, None, None],
                self._terms.rate[:, None, None],
                vol,
                carry,
            )
        ]
        wanted = (self._terms.american > 0) & (self._terms.rate > 0)
        share = np.zeros(shape)
        if wanted.any():
            some = [each[wanted] for each in terms]
            early = american.price(*some, is_call=False)
            held = calculator.price(*some, is_call=False)
            share[wanted] = (early - held) / (1.0 - discount[wanted])[:, None, None]
        return years / np.sqrt(theta), share
