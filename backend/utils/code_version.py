"""Which program this is: its version and a digest of its source."""

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from utils.paths import backend_folder

_DISTRIBUTION = "options-backend"
_TRADING = ("models", "utils", "ports", "engine", "schwab_integration")


@cache
def code_version() -> str:
    """Return the version and twelve digits of a digest over the source that trades.

    Two programs with the same text run the same code; a changed file changes it.
    """
    return f"{_version()}+{_digest(backend_folder())}"


def _version() -> str:
    try:
        return version(_DISTRIBUTION)
    except PackageNotFoundError:
        return "0"


def _digest(root: Path) -> str:
    digest = hashlib.sha256()
    for package in _TRADING:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
