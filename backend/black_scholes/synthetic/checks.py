"""Whether the worth of a session's contracts allows arbitrage, in dollars.

Checked on prices alone, before rounding: they are never below exercise nor above what the option
can pay; they fall (calls) or rise (puts) with the strike, by no more than the strike does, and are
convex in it; more time is worth no less (American options); and call and put of one strike differ
by no more than exercise and dividends allow (American), or by exactly the forward (European).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from black_scholes.surface import Violations

if TYPE_CHECKING:
    from black_scholes.synthetic.draws import Floats
    from black_scholes.synthetic.worth import Rows, Worth

TOLERANCE = 1e-5
"""USD, a thousandth of a tick: what floats and the table of premiums leave of an equality."""


def arbitrage(
    rows: Rows, worth: Worth, price: Floats | None = None, tolerance: float = TOLERANCE
) -> dict[str, Violations]:
    """Return the violations of each rule, the worst in dollars.

    Args:
        rows: Whole expirations, each strike's call before its put.
        worth: What they are worth at one instant.
        price: Other prices to check than what they are worth, for example rounded ones.
        tolerance: USD by which a rule may be broken.
    """
    price = worth.price if price is None else price
    slack: dict[str, list[Floats]] = {
        name: [] for name in ("bounds", "vertical", "butterfly", "calendar", "parity")
    }
    before: tuple[Floats, Floats] | None = None
    for s in range(len(rows.group)):
        part = slice(rows.first[s], rows.first[s + 1])
        strike = rows.strike[part][::2]
        prices = price[part].reshape(-1, 2).T
        state = worth.states[:, s]
        for name, values in _of_one(strike, prices, state).items():
            slack[name].append(values)
        if state[7] > 0 and state[0] == worth.states[0, -1]:  # not those that have stopped
            if before is not None:
                _, left, right = np.intersect1d(before[0], strike, return_indices=True)
                slack["calendar"].append((prices[:, right] - before[1][:, left]).ravel())
            before = strike, prices
    return {
        name: _counted(np.concatenate([np.empty(0), *values]), tolerance)
        for name, values in slack.items()
    }


def _of_one(strike: Floats, prices: Floats, state: Floats) -> dict[str, Floats]:
    """Return the slack of each rule in one expiration, negative where it is broken."""
    spot, forward, discount, american = state[0], state[1], state[2], state[7]
    call, put = prices
    steps = np.diff(strike)
    falls, rises = -np.diff(call), np.diff(put)
    limit = steps * (1.0 if american else discount)
    # How far a price lies under the straight line between its neighbours.
    reach = steps[1:] * steps[:-1] / (steps[1:] + steps[:-1])
    bends = [np.diff(np.diff(each) / steps) * reach for each in prices]
    share = discount * forward
    floor_call, floor_put = share - discount * strike, discount * strike - share
    if american:
        floor_call, floor_put = spot - strike, strike - spot
        # S - PV(D) - K <= C - P <= S - K e^(-rT)
        parity = [call - put - (share - strike), spot - discount * strike - (call - put)]
    else:
        parity = [-np.abs(call - put - (share - discount * strike))]
    return {
        "bounds": np.concatenate(
            [
                call - np.maximum(floor_call, 0.0),
                put - np.maximum(floor_put, 0.0),
                (spot if american else share) - call,
                strike * (1.0 if american else discount) - put,
            ]
        ),
        "vertical": np.concatenate([falls, rises, limit - falls, limit - rises]),
        "butterfly": np.concatenate(bends),
        "parity": np.concatenate(parity),
    }


def _counted(slack: Floats, tolerance: float) -> Violations:
    broken = slack[~(slack >= -tolerance)]
    return Violations(broken.size, float(np.max(-broken, initial=0.0)), slack.size)
