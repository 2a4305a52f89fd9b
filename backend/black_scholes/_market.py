"""Loops that make an option market: worth, repair of what interpolation left, bid and ask.

Rows are contracts, sorted so that those of one state stand together; a state is one expiration at
one instant, and everything that its contracts share is an array over states. European value is that
on the forward, with the total variance of eSSVI (`surface.essvi_total_variance`).
"""

# ruff: noqa: PLR0913, PLR0917 - kernels take columns

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from black_scholes._european import european_price
from black_scholes._jit import inline, kernel, select
from black_scholes._math import INV_SQRT_2PI, exp, log_ratio, mills

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from black_scholes._jit import BoolArray, FloatArray

    IntArray = NDArray[np.int64]

NODE_FIRST, NODE_STEP, NODES = -4.0, 0.25, 57
"""Grid of the table of early-exercise premiums, in at-the-money standard deviations."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_HALF_WORD = np.uint64(0xFFFF)

BOUNDARY = 3.0
"""Price at which ticks get coarser, USD (Penny Interval Program and the rules before it)."""

_DUST = 1e-9  # of a tick: an error of float64 must not move a price to the next tick
_DEEP = 0.035  # of the spot: how deep in the money spreads are wide even on the last day


@inline
def _variance(k: float, theta: float, rho: float, psi: float) -> float:
    bend = psi * k + theta * rho
    root: float = np.sqrt(bend * bend + theta * theta * (1.0 - rho * rho))
    return 0.5 * (theta + rho * psi * k + root)


@kernel
def value_block(
    first: IntArray,
    strike: FloatArray,
    is_call: BoolArray,
    states: FloatArray,
    group: IntArray,
    table: FloatArray,
    price: FloatArray,
    vol: FloatArray,
    delta: FloatArray,
) -> None:
    """Fill what contracts are worth, the volatility that makes it, and the delta of a call.

    Args:
        first: Number of each state's first row; one more at the end.
        strike: USD.
        is_call: True for calls.
        states: One column a state, rows as `black_scholes.synthetic.states.STATE_ROWS`.
        group: Of each state, its rows of `table`.
        table: Premiums over strike times (1 - discount): group, node of the rate, node of k.
        price: Filled, USD.
        vol: Filled.
        delta: Filled, in 0 to 1.
    """
    for s in range(group.size):
        spot, forward, discount, years = states[0, s], states[1, s], states[2, s], states[3, s]
        theta, rho, psi, american = states[4, s], states[5, s], states[6, s], states[7, s]
        share = discount * forward / spot
        inverse_years = 1.0 / years
        for i in range(first[s], first[s + 1]):
            k = log_ratio(strike[i], forward)
            w = _variance(k, theta, rho, psi)
            v = np.sqrt(w)
            price[i] = discount * european_price(forward, strike[i], 1.0, 0.0, v, 0.0, is_call[i])
            vol[i] = np.sqrt(w * inverse_years)
            d1 = -k / select(v > 1e-12, v, 1e-12) + 0.5 * v
            d1 = select(d1 > 37.0, 37.0, select(d1 < -37.0, -37.0, d1))
            below = INV_SQRT_2PI * exp(-0.5 * d1 * d1) * mills(abs(d1))
            delta[i] = share * select(d1 < 0.0, below, 1.0 - below)
        if american == 0.0:
            continue
        ex_forward = states[8, s]
        if ex_forward > 0.0:
            # Exercise just before the last dividend (Black 1975): a call to that day.
            for i in range(first[s], first[s + 1]):
                v = np.sqrt(
                    _variance(
                        log_ratio(strike[i], ex_forward),
                        states[10, s],
                        states[11, s],
                        states[12, s],
                    )
                )
                early = states[9, s] * european_price(
                    ex_forward, strike[i], 1.0, 0.0, v, 0.0, is_call[i]
                )
                price[i] = select(is_call[i] & (early > price[i]), early, price[i])
        _exercise(first[s], first[s + 1], strike, is_call, states[:, s], table[group[s]], price)


@inline
def _cubic(values: FloatArray, place: float) -> float:
    """Return a table's value between its nodes (Catmull and Rom)."""
    last = values.size - 1.0
    x = min(max(place, 0.0), last)
    j = min(int(x), values.size - 2)
    t = x - j
    a, b = values[max(j - 1, 0)], values[j]
    c, d = values[j + 1], values[min(j + 2, values.size - 1)]
    bend: float = 2.0 * a - 5.0 * b + 4.0 * c - d + t * (3.0 * (b - c) + d - a)
    change: float = c - a + t * bend
    value: float = b + 0.5 * t * change
    return value


@inline
def _exercise(
    begin: int,
    end: int,
    strike: FloatArray,
    is_call: BoolArray,
    state: FloatArray,
    table: FloatArray,
    price: FloatArray,
) -> None:
    """Add the premium of puts, and let no contract be worth less than its exercise."""
    spot, forward, discount = state[0], state[1], state[2]
    scale = 1.0 / (np.sqrt(state[4]) * NODE_STEP + 1e-12)
    node = min(int(state[13]), table.shape[0] - 2)
    part = state[13] - node
    for i in range(begin, end):
        if is_call[i]:
            price[i] = max(price[i], spot - strike[i])
            continue
        place = log_ratio(strike[i], forward) * scale - NODE_FIRST / NODE_STEP
        if place > 0.0:
            share = (1.0 - part) * _cubic(table[node], place) + part * _cubic(
                table[node + 1], place
            )
            price[i] += min(max(share, 0.0), 1.0) * strike[i] * (1.0 - discount)
        price[i] = max(price[i], strike[i] - spot)


@inline
def _raise(before: int, begin: int, end: int, strike: FloatArray, price: FloatArray) -> None:
    """Raise every second price from `begin` to what straight lines through those before it say."""
    a, last = before, begin - 4
    for i in range(begin, end, 2):
        while a < last and strike[a + 2] < strike[i]:
            a += 2
        slope = (price[a + 2] - price[a]) / (strike[a + 2] - strike[a])
        price[i] = max(price[i], price[a] + slope * (strike[i] - strike[a]))


@inline
def _flatten(
    begin: int,
    end: int,
    strike: FloatArray,
    is_call: BoolArray,
    spot: float,
    paid: float,
    price: FloatArray,
) -> None:
    """Let what puts are worth above their exercise never rise with the strike.

    Nor may it be more than the call is worth and the dividends that are paid until expiration.
    """
    excess = np.inf
    for i in range(begin, end):
        if not is_call[i] and strike[i] > spot:
            now = strike[i] - spot
            excess = min(excess, price[i] - now)
            if i > begin:
                excess = min(excess, price[i - 1] + paid)
            price[i] = now + excess


@inline
def _bend(
    begin: int,
    end: int,
    strike: FloatArray,
    is_call: BoolArray,
    right: bool,
    stack: IntArray,
    price: FloatArray,
) -> None:
    """Lower the prices of calls, or of puts, to the greatest convex function below them."""
    kept = 0
    for i in range(begin, end):
        if is_call[i] != right:
            continue
        while kept > 1:
            a, b = stack[kept - 2], stack[kept - 1]
            chord = (price[i] - price[a]) * (strike[b] - strike[a])
            if (price[b] - price[a]) * (strike[i] - strike[a]) <= chord:
                break
            kept -= 1
        stack[kept] = i
        kept += 1
    for n in range(kept - 1):
        a, b = stack[n], stack[n + 1]
        slope = (price[b] - price[a]) / (strike[b] - strike[a])
        for i in range(a + 1, b):
            if is_call[i] == right:
                price[i] = price[a] + slope * (strike[i] - strike[a])


@kernel
def repair_block(
    first: IntArray,
    strike: FloatArray,
    is_call: BoolArray,
    states: FloatArray,
    stack: IntArray,
    price: FloatArray,
) -> None:
    """End what the table of premiums and the last ex-date leave of arbitrage.

    Nothing is worth less than the expiration before it, what a put is worth above its exercise
    never rises with the strike, and prices are the greatest convex function below the rest.

    Args:
        first: As `value_block`; in a state of more than one row each strike's call stands before
            its put.
        strike: USD.
        is_call: True for calls.
        states: As `value_block`.
        stack: Room for as many numbers as the longest state has rows.
        price: Changed, USD.
    """
    for s in range(first.size - 1):
        begin, end, spot = first[s], first[s + 1], states[0, s]
        if states[7, s] > 0.0:
            follows = s > 0 and states[7, s - 1] > 0.0 and states[0, s - 1] == spot
            if follows and min(end - begin, begin - first[s - 1]) >= 4:
                for right in range(2):
                    _raise(first[s - 1] + right, begin + right, end, strike, price)
            paid = spot - states[1, s] * states[2, s]
            _flatten(begin, end, strike, is_call, spot, paid, price)
        for right in range(2):
            _bend(begin, end, strike, is_call, right == 0, stack, price)


@inline
def _mixed(word: np.uint64) -> np.uint64:
    """Return the finished word (the finalizer of SplitMix64, Steele and others 2014)."""
    word = word + _GOLDEN
    word = (word ^ (word >> np.uint64(30))) * _MIX_1
    word = (word ^ (word >> np.uint64(27))) * _MIX_2
    return word ^ (word >> np.uint64(31))


@inline
def _bell(word: np.uint64) -> float:
    """Return a nearly normal number: four uniform ones, added up."""
    total = (
        float(word & _HALF_WORD)
        + float((word >> np.uint64(16)) & _HALF_WORD)
        + float((word >> np.uint64(32)) & _HALF_WORD)
        + float(word >> np.uint64(48))
    )
    return (total / 65536.0 - 2.0) * 1.7320508075688772


@inline
def _spread(
    cost: FloatArray, call: bool, strike: float, price: float, state: FloatArray, width: float
) -> float:
    """Return the usual spread from what making this market costs, USD."""
    depth = select(call, state[0] - strike, strike - state[0])
    reach = (depth / (width + _DEEP * state[0]) - 0.2) / 0.75
    inside = min(max(reach, 0.0), 1.0)
    if inside > 0.0:
        inside = exp(1.3 * log_ratio(inside, 1.0))
    extrinsic = max(price - max(depth, 0.0), 0.0)
    far = 1.0 + cost[2] * min(max((state[3] - 0.3) / 0.4, 0.0), 1.0)
    usual: float = cost[0] * far * extrinsic + cost[1] * inside * state[0]
    return usual


@kernel
def quote_block(
    first: IntArray,
    names: NDArray[np.uint64],
    strike: FloatArray,
    is_call: BoolArray,
    states: FloatArray,
    price: FloatArray,
    delta: FloatArray,
    mood: FloatArray,
    luck: FloatArray,
    cost: FloatArray,
    edges: FloatArray,
    quantiles: FloatArray,
    tenor: FloatArray,
    bid: FloatArray,
    ask: FloatArray,
    bid_size: FloatArray,
    ask_size: FloatArray,
) -> None:
    """Fill the market in contracts. A bid of 0 means that nobody bids.

    Args:
        first: As `value_block`.
        names: 64 bits that name the contract.
        strike: USD.
        is_call: True for calls.
        states: As `value_block`; row 14 is how much wider spreads are now, row 15 the minute.
        price: What contracts are worth, USD.
        delta: Of a call on the same strike.
        mood: How much wider each contract's spread is in this session.
        luck: In (0, 1): which quantile of its bucket's spreads a contract has.
        cost: Costs of making a market: part of extrinsic value, part of the spot deep in the
            money, how much more for far expirations; then the small and the large tick, and the
            logarithm of usual sizes.
        edges: Inner edges of the delta buckets, rising.
        quantiles: Spreads in USD: tenor bucket, delta bucket, quantile; of no size to use `cost`.
        tenor: Of each state, its tenor bucket.
        bid: Filled, USD.
        ask: Filled, USD.
        bid_size: Filled, contracts.
        ask_size: Filled, contracts.
    """
    small, large, usual = cost[3], cost[4], cost[5]
    for s in range(first.size - 1):
        state = states[:, s]
        width = state[0] * np.sqrt(state[4])
        minute = np.uint64(int(state[15]))
        for i in range(first[s], first[s + 1]):
            worth = price[i]
            if quantiles.shape[0] == 0:
                usually = small + _spread(cost, is_call[i], strike[i], worth, state, width)
                spread = usually * state[14] * mood[i]
            else:
                size = select(is_call[i], delta[i], 1.0 - delta[i])
                bucket = 0
                while bucket < edges.size and size > edges[bucket]:
                    bucket += 1
                row = quantiles[int(tenor[s]), bucket]
                x = luck[i] * (row.size - 1)
                j = min(int(x), row.size - 2)
                spread = (row[j] + (x - j) * (row[j + 1] - row[j])) * state[14]
            word = _mixed(names[i] ^ (minute + np.uint64(1)) * _GOLDEN)
            lean = 0.3 + 0.4 * float(word >> np.uint64(11)) / 9007199254740992.0
            tick = large if worth >= BOUNDARY else small
            # Rounded outwards by less than a tick: what it is worth lies between bid and ask.
            spread = max(np.floor(spread / tick + 0.5), 1.0) * tick
            low = worth - lean * (spread - tick)
            tick = large if low >= BOUNDARY else small
            under = np.floor(low / tick + _DUST) * tick
            under = max(under, 0.0)
            over = max(under + spread, small)
            if under == 0.0:
                over = max(worth + (1.0 - lean) * (spread - tick), small)
            tick = large if over >= BOUNDARY + _DUST else small
            over = np.ceil(over / tick - _DUST) * tick
            bid[i] = np.round(100.0 * under) / 100.0
            ask[i] = np.round(100.0 * over) / 100.0
            cheap = 1.6 - 0.5 * log_ratio(1.0 + worth, 1.0)
            cheap = usual + max(cheap, -0.8)
            word = _mixed(word)
            ask_size[i] = np.floor(exp(cheap + 0.8 * _bell(word))) + 1.0
            if under > 0.0:
                bid_size[i] = np.floor(exp(cheap + 0.8 * _bell(_mixed(word)))) + 1.0
            else:
                bid_size[i] = 0.0
