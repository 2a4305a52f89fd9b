"""How replies and frames are spoilt: bytes and structure, the same from the same seed.

A test asks `spoilt(document, count)` for that many spoilt copies. `make prove` runs
a million over all targets, the gate a few hundred of each.
"""

import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, TypeAlias

import pytest

Spoilt: TypeAlias = Callable[[bytes, int], Iterator[bytes]]

VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    7.5,
    1e300,
    -1e-300,
    10**30,
    2**63,
    "",
    "NaN",
    "Infinity",
    "1E+999999999",
    "-999",
    "2025-13-45",
    "2025-02-03T04:05:06+0000",
    "QQQ   261218C00500000",
    "QQQ   269918C00500000",
    "💥",
    "x" * 300,
    [],
    {},
    [{}],
    [None],
    [[[]]],
    {"orderId": 1},
]
"""What stands where something else stood."""

JUNK = [
    b"",
    b"\x00",
    b"\xff",
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"1",
    b"e9",
    b"null",
    b"\\u",
]


def places(node: Any) -> list[tuple[Any, Any]]:
    """Return (container, key) of every value in a document."""
    found: list[tuple[Any, Any]] = []
    pairs: Any = ()
    if isinstance(node, dict):
        pairs = node.items()
    elif isinstance(node, list):
        pairs = enumerate(node)
    for key, value in pairs:
        found.append((node, key))
        found += places(value)
    return found


def spoil_structure(body: bytes, rng: random.Random) -> bytes:
    """Drop, replace, rename, swap or repeat one to three values."""
    document = json.loads(body)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        spots = places(document)
        if not spots:
            break
        container, key = rng.choice(spots)
        other, its_key = rng.choice(spots)
        match rng.randrange(6):
            case 0:
                del container[key]
            case 1 if isinstance(container, dict):
                container[rng.choice(("newField", str(key).upper(), ""))] = container.pop(key)
            case 2 if isinstance(container, list):
                container.extend(deepcopy(container[key]) for _ in range(rng.choice((1, 2, 30))))
            case 3:
                container[key] = deepcopy(other[its_key])
            case 4:
                container[key] = str(container[key])
            case _:
                container[key] = deepcopy(rng.choice(VALUES))
    return json.dumps(document).encode()


def spoil_bytes(body: bytes, rng: random.Random) -> bytes:
    """Cut out, put in or replace some bytes, or end early."""
    at = rng.randrange(len(body))
    if rng.random() < 0.1:
        return body[:at]
    junk = rng.choice(JUNK) if rng.random() < 0.7 else rng.randbytes(rng.randrange(1, 6))
    return body[:at] + junk + body[at + rng.choice((0, 1, 1, 2, 8, 40)) :]


@pytest.fixture
def spoilt() -> Spoilt:
    def copies(document: bytes, count: int) -> Iterator[bytes]:
        rng = random.Random(f"{len(document)}-{count}")
        for _ in range(count):
            way = spoil_structure if rng.random() < 0.7 else spoil_bytes
            yield way(document, rng)

    return copies
