"""Files that appear whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import io
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from models.errors import ConfigError

if TYPE_CHECKING:
    from models.tables import Frame

FORMATS: Final = (".parquet", ".csv")
"""Endings of files of rows."""


def check_target(path: Path) -> None:
    """Refuse a file that could not be written, before anything is downloaded.

    Raises:
        ConfigError: Its ending is none of `FORMATS`, it is a folder, or it has none to lie in.
    """
    if path.suffix not in FORMATS:
        raise ConfigError(f"{path}: the file's name must end in {' or '.join(FORMATS)}")
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: name a file")
    if not path.parent.is_dir():
        raise ConfigError(f"{path.parent} is no folder: make it first")
    if not os.access(path.parent, os.W_OK):
        raise ConfigError(f"{path.parent} cannot be written to")


def publish(path: Path, content: bytes) -> None:
    """Put a file in its place by one rename; one that is there stays until then.

    Args:
        path: Its place. What an earlier run left there when it was killed is removed.
        content: Of the whole file.

    Raises:
        OSError: It cannot be written; nothing of it is left.
    """
    for left in path.parent.glob(f".{path.name}.*.part"):
        left.unlink(missing_ok=True)
    part = None
    try:
        number, part = tempfile.mkstemp(".part", f".{path.name}.", path.parent)
        with os.fdopen(number, "wb") as file:
            os.fchmod(number, 0o666 & ~_umask())
            file.write(content)
            file.flush()
            os.fsync(number)
        Path(part).replace(path)
    except BaseException as error:
        if part:
            Path(part).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


def publish_rows(path: Path, rows: Frame) -> None:
    """Put rows in a file as its ending says: Parquet (zstd), or CSV with times in UTC.

    Raises:
        OSError: It cannot be written; nothing of it is left.
    """
    content = io.BytesIO()
    if path.suffix == ".csv":
        rows.write_csv(content, datetime_format="%Y-%m-%dT%H:%M:%S%.fZ")
    else:
        rows.write_parquet(content, compression="zstd")
    publish(path, content.getvalue())


def size_of(path: Path) -> str:
    """Return a file's size for people."""
    size = 0.0
    with suppress(FileNotFoundError):
        size = path.stat().st_size
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
