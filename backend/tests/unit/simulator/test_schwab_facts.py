"""Every uncertain statement of the simulator is told to its users."""

from __future__ import annotations

from pathlib import Path

from simulator import schwab_facts, trader_facts

FIDELITY = Path(__file__).parents[4] / "docs" / "schwab_fidelity.md"


def test_every_constant_has_a_row_in_the_fidelity_document() -> None:
    document = FIDELITY.read_text()
    names = [
        name for facts in (schwab_facts, trader_facts) for name in vars(facts) if name.isupper()
    ]
    assert len(names) > 50
    assert [name for name in names if f"`{name}`" not in document] == []
