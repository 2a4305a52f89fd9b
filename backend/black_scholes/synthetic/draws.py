"""Random numbers that depend on names, never on the order in which they are asked for.

Two kinds: a stream for a whole session (Philox, keyed by a digest of its names), and one number for
each of many contracts (a 64-bit mix of its integers), so that a contract has the same number
whichever others are asked with it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Floats: TypeAlias = "NDArray[np.float64]"
Words: TypeAlias = "NDArray[np.uint64]"

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def digest(*names: object) -> int:
    """Return 128 bits that name these things; the same in every process and on every machine."""
    text = "\x1f".join(map(str, names)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "big")


def stream(*names: object) -> np.random.Generator:
    """Return the random stream of these names."""
    return np.random.Generator(np.random.Philox(key=digest(*names)))


def words(name: int, *columns: NDArray[np.int64] | int) -> Words:
    """Return 64 random bits for each row of integer columns.

    Args:
        name: A digest that says what the numbers are for.
        columns: Integers, not negative, that tell the rows apart; they broadcast.
    """
    mixed = np.asarray(np.uint64(name & 0xFFFFFFFFFFFFFFFF))
    with np.errstate(over="ignore"):
        for column in columns:
            mixed = _mix(mixed ^ np.asarray(column).astype(np.uint64) * _GOLDEN)
    return mixed


def uniforms(name: int, *columns: NDArray[np.int64] | int) -> Floats:
    """Return a uniform number in (0, 1) for each row of integer columns, as `words`."""
    return ((words(name, *columns) >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53


def normals(name: int, *columns: NDArray[np.int64] | int) -> Floats:
    """Return a standard normal number for each row of integer columns, as `words`."""
    bits = words(name, *columns)
    radius = ((bits >> np.uint64(32)).astype(np.float64) + 0.5) / 2**32
    angle = (bits & np.uint64(0xFFFFFFFF)).astype(np.float64) / 2**32
    return np.asarray(np.sqrt(-2 * np.log(radius)) * np.cos(2 * np.pi * angle))


def _mix(word: Words) -> Words:
    """Return the finished word (the finalizer of SplitMix64, Steele and others 2014)."""
    word = word + _GOLDEN
    word = (word ^ (word >> np.uint64(30))) * _MIX_1
    word = (word ^ (word >> np.uint64(27))) * _MIX_2
    return word ^ (word >> np.uint64(31))
