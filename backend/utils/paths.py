"""Where this product keeps its own files."""

import os
from pathlib import Path


def state_folder(*parts: str) -> Path:
    """Return a folder of ours under the user's data folder, made if need be with mode 0700.

    `OPTIONS_HOME` replaces the platform's default (`~/.local/share/options-backend` on Linux).

    Args:
        parts: Names below the root, for example "postgres".

    Raises:
        OSError: The folder cannot be made.
    """
    home = os.environ.get("OPTIONS_HOME")
    if home:
        root = Path(home).expanduser()
    else:
        import platformdirs  # noqa: PLC0415 - not needed where OPTIONS_HOME is set

        root = platformdirs.user_data_path("options-backend", appauthor=False)
    folder = root.joinpath(*parts)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def cache_folder() -> Path:
    """Return the folder for what can be computed again; it may not exist yet."""
    import platformdirs  # noqa: PLC0415 - as above

    return platformdirs.user_cache_path("options-backend", appauthor=False)


def backend_folder() -> Path:
    """Return the folder `backend/` that this program runs from."""
    return Path(__file__).resolve().parents[1]
