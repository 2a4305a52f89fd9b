"""Every uncertain statement of the simulated Polygon is told to its users."""

from __future__ import annotations

from pathlib import Path

from simulator.polygon import facts

FIDELITY = Path(__file__).parents[4] / "docs" / "polygon_fidelity.md"


def test_every_constant_has_a_row_in_the_fidelity_document() -> None:
    document = FIDELITY.read_text()
    names = [name for name in vars(facts) if name.isupper()]
    assert len(names) > 30
    assert [name for name in names if f"`{name}`" not in document] == []
