"""Which contracts to watch when only so many quotes can be had at once (pure).

Quotes of options have no wildcard and a connection carries at most 1,000 of them, while a chain of
QQQ has 10,000 contracts: the roster takes today's expiration first and the strikes next to the
money first, and moves with the market.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date

    from models.tables import Frame

MOST_QUOTES: Final = 1000
"""Contracts whose quotes one connection carries."""

_HYSTERESIS: Final = 0.10
"""A contract that is watched stays until it is beyond the place that this fraction more would
have: strikes at the edge do not come and go with each tick of the underlying."""


def roster(
    contracts: Frame,
    price: float,
    today: date,
    *,
    most: int = MOST_QUOTES,
    watched: Collection[str] = (),
) -> list[str]:
    """Return the OCC symbols to watch, most wanted first.

    A contract's rank is its distance from the money in units that grow with the root of time: a
    strike 1 % away that expires today ranks with one 3 % away that expires in a week or so.

    Args:
        contracts: occ_symbol, expiration, strike of what is listed.
        price: USD, of the underlying.
        today: New York's date; expirations before it are left out.
        most: How many.
        watched: What is watched now: it stays while it is near the edge.

    Returns:
        At most `most` symbols; those of `watched` that stay are among them.
    """
    days = (pl.col("expiration") - pl.lit(today)).dt.total_days()
    distance = (pl.col("strike") / price).log().abs() / (days + 1).sqrt()
    ranked = (
        contracts.filter(pl.col("expiration") >= today)
        .unique("occ_symbol")
        .with_columns(distance=distance + days * 1e-4)
        .sort("distance", "occ_symbol")["occ_symbol"]
        .to_list()
    )
    near_edge = set(ranked[: round(most * (1 + _HYSTERESIS))])
    near_edge &= set(watched)
    staying = [symbol for symbol in ranked if symbol in near_edge]
    wanted = dict.fromkeys([*ranked[: max(0, round(most * (1 - _HYSTERESIS)))], *staying, *ranked])
    return list(wanted)[:most]
