"""How kernels are compiled: SIMD-friendly options, and a disk cache that cannot go stale.

The vectoriser of LLVM only takes a loop whose body is free of branches and calls. Therefore
`inline` functions are forced into their callers, `select` replaces `if`, and division does not
check for zero (IEEE infinities and NaN are what we want).

Numba's own cache notices a change in the file of a kernel but not in the helpers it inlines, and
it lies beside the source, which may be read-only. So each kernel is cached in a folder of the
user, whose name carries a digest of all kernels' sources and of the versions that matter.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import llvmlite  # type: ignore[import-untyped]
import numba
import numpy as np
import platformdirs
from llvmlite import ir
from numba.core import config as _config
from numba.core import types
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    BoolArray = NDArray[np.bool_]

_F = TypeVar("_F", bound="Callable[..., Any]")

# Their stubs do not know these options, settings and uses.
_njit: Any = numba.njit
_settings: Any = _config
_primitive: Any = intrinsic

# `contract` alone (fused multiply-add): the other fast-math flags would let LLVM assume that there
# are no NaN and no infinities, and our rows may hold both.
_OPTIONS: dict[str, Any] = {"fastmath": {"contract"}, "error_model": "numpy", "nogil": True}


def source_digest(sources: Iterable[Path], *versions: str) -> str:
    """Return a short digest of the contents of source files and of version texts.

    Args:
        sources: Files whose every byte counts.
        versions: Further texts that count, for example a compiler's version.

    Raises:
        OSError: A file cannot be read.
    """
    digest = hashlib.sha256("\0".join(versions).encode())
    for source in sorted(sources):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def kernel_sources(package: Path) -> list[Path]:
    """Return the files of a package that hold kernels, or functions that are merged into them.

    Constants that kernels use must stand in such a file too.
    """
    marks = "@kernel", "@inline", "numba"
    return [
        path
        for path in package.rglob("*.py")
        if any(mark in path.read_text(encoding="utf-8") for mark in marks)
    ]


def cache_folder(base: Path | None = None) -> Path | None:
    """Return the folder for compiled kernels of exactly these sources, or None if none is writable.

    Args:
        base: Where it lies; the folder in NUMBA_CACHE_DIR, or else the user's cache folder, if not
            given.
    """
    if base is None:
        base = Path(_settings.CACHE_DIR or platformdirs.user_cache_path("options-backend"))
    versions = numba.__version__, llvmlite.__version__, np.__version__
    digest = source_digest(kernel_sources(Path(__file__).parent), *versions)
    folder = base / f"kernels-{digest}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Some file systems answer mkdir for an existing folder and still refuse to write.
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None


_CACHE = cache_folder()


def inline(function: _F) -> _F:
    """Compile a scalar function that is merged into every kernel that calls it."""
    compiled: _F = _njit(forceinline=True, **_OPTIONS)(function)
    return compiled


def kernel(function: Callable[..., None]) -> Callable[..., None]:
    """Compile a loop over arrays on its first call, or take it from the cache."""
    compiled: Callable[..., None]
    if _CACHE is None:
        compiled = _njit(**_OPTIONS)(function)
        return compiled
    # Numba reads the setting when the decorator runs; its other users keep theirs.
    before, _settings.CACHE_DIR = _settings.CACHE_DIR, str(_CACHE)
    try:
        compiled = _njit(cache=True, **_OPTIONS)(function)
    finally:
        _settings.CACHE_DIR = before
    return compiled


def _select(_typing: Any, condition: Any, if_true: Any, if_false: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.select(*arguments)

    return types.float64(condition, if_true, if_false), generate


def _bits_of(_typing: Any, value: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.uint64(value), generate


def _float_of(_typing: Any, bits: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(bits), generate


select: Callable[[bool, float, float], float] = _primitive(_select)
"""Choose between two float64, both of which are computed: no branch reaches the vectoriser."""

bits_of: Callable[[float], np.uint64] = _primitive(_bits_of)
"""Reinterpret a float64 as the uint64 with the same bits."""

float_of: Callable[[np.uint64], float] = _primitive(_float_of)
"""Reinterpret a uint64 as the float64 with the same bits."""
