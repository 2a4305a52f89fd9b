"""Every uncertain statement of the streamer is told to its users."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from simulator import activity_facts, stream_facts

if TYPE_CHECKING:
    from types import ModuleType

FIDELITY = Path(__file__).parents[4] / "docs" / "schwab_fidelity.md"
WIRE_FACTS = {"BOOKS", "FIELDS", "KEY_LIMIT", "SCREENERS", "SCREENER_KEY_LIMIT", "TYPE_CHECKING"}


@pytest.mark.parametrize("facts", [activity_facts, stream_facts])
def test_every_constant_has_a_row_in_the_fidelity_document(facts: ModuleType) -> None:
    document = FIDELITY.read_text()
    names = {name for name in vars(facts) if name.isupper() and name[0] != "_"} - WIRE_FACTS
    assert len(names) > 10
    assert sorted(name for name in names if f"`{name}`" not in document) == []
