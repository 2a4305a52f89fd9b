"""Two hundred and more worked examples of fees across the days on which rates change, to the cent.

The expected amounts come from a list of rates of their own and whole-number arithmetic: nothing of
`engine.fees` is in them.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from engine.fees import FeeSchedule, FillTerms, Product
from models.order_terms import Side

SEED = 18

# In ten-millionths of a dollar: a million of the sale in cents, a contract or share in ten-millionths.
SEC_CENTS_A_MILLION = {
    "2014-03-18": 2210, "2016-02-16": 2180, "2019-04-16": 2070, "2020-02-18": 2210,
    "2021-02-25": 510, "2022-05-14": 2290, "2023-02-27": 800, "2024-05-22": 2780,
    "2025-05-14": 0, "2026-04-04": 2060,
}  # fmt: skip
TAF_CONTRACT = {"2023-01-01": 24_400, "2024-01-01": 27_900, "2026-01-01": 32_900}
TAF_SHARE = {
    "2023-01-01": (1_450, 727), "2024-01-01": (1_660, 830), "2026-01-01": (1_950, 979),
}  # fmt: skip
INDEX_CENTS = {"SPXW": (47, 56), "NDX": (45, 45), "VIX": (30, 30), "RUT": (18, 18), "XSP": (0, 0)}


class Example(NamedTuple):
    product: Product
    root: str
    sold: bool
    quantity: int
    cents: int
    on: date


def half_up(amount: int, unit: int) -> int:
    return (2 * amount + unit) // (2 * unit)


def newest(table: dict[str, object], on: date) -> object:
    return table[max(day for day in table if day <= on.isoformat())]


def worked(each: Example) -> tuple[int, int, int, int, int]:
    """Return commission, section 31, regulatory, activity and exchange fee in cents."""
    share = each.product == "equity"
    weight = 1 if share else 100
    rate = int(str(newest(dict(SEC_CENTS_A_MILLION), each.on)))
    taxed = each.sold and each.product != "index_option"
    sec = half_up(each.quantity * each.cents * weight * rate, 10**8) if taxed else 0
    if share:
        taf_rate, cap = newest(dict(TAF_SHARE), each.on)  # type: ignore[misc]
        taf = min(half_up(each.quantity * taf_rate, 10**5), cap) if each.sold else 0
        return 0, sec, 0, taf, 0
    taf_each = int(str(newest(dict(TAF_CONTRACT), each.on)))
    taf = half_up(each.quantity * taf_each, 10**5) if taxed else 0
    index = 0
    if each.product == "index_option":
        below, above = INDEX_CENTS[each.root]
        index = each.quantity * (above if each.cents >= 100 else below)
    return 65 * each.quantity, sec, each.quantity, taf, index


def examples() -> list[Example]:
    chance = random.Random(SEED)
    changes = {*SEC_CENTS_A_MILLION, *TAF_CONTRACT}
    days = [date.fromisoformat(day) for day in sorted(changes) if day >= "2023-01-02"]
    around = [day + timedelta(days=off) for day in days for off in (-1, 0, 1)]
    made = []
    for on in around:
        for sold in (True, False):
            for quantity in (1, chance.randrange(2, 20), chance.randrange(20, 5_000)):
                cents = chance.choice([1, 99, 100, chance.randrange(2, 20_000)])
                made.append(Example("option", "QQQ", sold, quantity, cents, on))
                made.append(Example("equity", "QQQ", sold, quantity * 10, cents + 100, on))
                root = chance.choice(list(INDEX_CENTS))
                made.append(Example("index_option", root, sold, quantity, cents, on))
    return made


def test_each_worked_example_is_exact() -> None:
    schedule = FeeSchedule()
    wrong, kinds = [], Counter(each.product for each in examples())
    for each in examples():
        side = Side.SELL if each.sold else Side.BUY
        terms = FillTerms(
            each.product,
            each.root,
            side,
            Decimal(each.quantity),
            Decimal(each.cents) / 100,
            Decimal(1 if each.product == "equity" else 100),
        )
        got = schedule.fees(terms, each.on)
        parts = (got.commission, got.sec, got.orf, got.taf, got.index)
        if tuple(int(part * 100) for part in parts) != worked(each) or got.nfa:
            wrong.append((each, parts, worked(each)))
    days = len({each.on for each in examples()})
    print(
        f"seed {SEED}: {len(examples())} examples on {days} days {dict(kinds)}, {len(wrong)} wrong"
    )
    assert len(examples()) >= 200
    assert wrong == []
