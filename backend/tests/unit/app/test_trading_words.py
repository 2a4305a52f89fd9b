"""What a session says in words."""

from __future__ import annotations

from decimal import Decimal

from app.trading_words import gains_words
from engine.attribution import Attributed


def test_gains_name_their_parts_over_all_underlyings() -> None:
    gains = [
        Attributed(delta=Decimal("12.355"), theta=Decimal(-3), fees=Decimal("-0.65")),
        Attributed(delta=Decimal(-2), vega=Decimal("1.5")),
    ]
    assert gains_words(gains).plain == "gained by delta +10.36 theta -3.00 vega +1.50 fees -0.65"
