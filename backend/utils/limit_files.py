"""Where programs count their requests together: a file for each service, kind and user."""

import hashlib
import time
from pathlib import Path
from urllib.parse import urlsplit

from utils.paths import state_folder

_LOCAL_LIFE_S = 172_800.0
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def limit_file(provider: str, base_url: str, kind: str, key: str) -> Path:
    """Return a file named after whose requests are counted; no name shows a key or an account.

    Args:
        provider: The service.
        base_url: Where it is; those of this machine have a folder that is swept.
        kind: Which requests.
        key: Whose: an API key, or an account's hash.

    Raises:
        OSError: The folder cannot be made.
    """
    text = f"{base_url}\n{kind}\n{key}"
    name = f"{provider}-{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.limit"
    if urlsplit(base_url).hostname not in _LOOPBACK:
        return state_folder("limits") / name
    folder = state_folder("limits", "local")
    _sweep(folder)
    return folder / name


def _sweep(folder: Path) -> None:
    """Remove what simulators of earlier days left: each had a port, and so a file, of its own."""
    for path in folder.glob("*.limit"):
        try:
            if time.time() - path.stat().st_mtime > _LOCAL_LIFE_S:
                path.unlink()
        except FileNotFoundError:
            continue
