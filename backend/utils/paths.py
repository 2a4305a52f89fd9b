"""Where this product keeps its own files."""

import hashlib
import os
import stat
import tempfile
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


def socket_folder(*parts: str, longest: int) -> Path:
    """Return a folder for Unix sockets: of our own files, or of /tmp where that path is too long.

    A socket's path has about 100 bytes. The folder in its place is named after the one of our own
    files, has mode 0700, and is refused where it belongs to somebody else.

    Args:
        parts: As of `state_folder`.
        longest: Bytes that the folder's path may have.

    Raises:
        OSError: The folder cannot be made, or is not ours.
    """
    folder = state_folder(*parts)
    if len(os.fsencode(folder)) <= longest:
        return folder
    name = hashlib.blake2b(os.fsencode(folder), digest_size=8).hexdigest()
    short = Path(tempfile.gettempdir()) / f"options-{os.getuid()}-{name}"
    short.mkdir(mode=0o700, exist_ok=True)
    found = short.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{short} is not a folder of yours alone: remove it")
    return short


def cache_folder() -> Path:
    """Return the folder for what can be computed again; it may not exist yet."""
    import platformdirs  # noqa: PLC0415 - as above

    return platformdirs.user_cache_path("options-backend", appauthor=False)


def backend_folder() -> Path:
    """Return the folder `backend/` that this program runs from."""
    return Path(__file__).resolve().parents[1]
