"""The library's session table, kept in a cache: reading it there saves each command half a second.

The facts are those of `exchange_calendars`; the cache's name carries its version and the span, so
that another version or span is read anew.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import warnings
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from utils.paths import cache_folder

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from numpy.typing import NDArray


class SessionTable(NamedTuple):
    """Sessions, oldest first.

    Attributes:
        days: datetime64[D].
        opens_ns: Nanoseconds since 1970, UTC.
        closes_ns: Nanoseconds since 1970, UTC.
    """

    days: NDArray[np.datetime64]
    opens_ns: NDArray[np.int64]
    closes_ns: NDArray[np.int64]


def session_table(first: date, last: date) -> SessionTable:
    """Return the sessions of the New York stock market in [first, last], from the cache if there."""
    path = cache_folder() / f"xnys-{first}-{last}-{version('exchange_calendars')}.npy"
    columns = _kept(path)
    if columns is None:
        columns = _asked(first, last)
        _keep(path, columns)
    return SessionTable(columns[0].astype("datetime64[D]"), columns[1], columns[2])


def _asked(first: date, last: date) -> NDArray[np.int64]:
    """Return day numbers, opens and closes, one row each, as the library gives them."""
    import exchange_calendars  # noqa: PLC0415 - brings pandas: 0.5 s that a warm cache saves

    with warnings.catch_warnings():
        # The library itself calls what pandas will change: nothing that our caller could mend.
        warnings.simplefilter("ignore", DeprecationWarning)
        table = exchange_calendars.get_calendar("XNYS", start=first, end=last).schedule
    days = table.index.to_numpy().astype("datetime64[D]").view(np.int64)
    opens = table["open"].dt.tz_convert(None).to_numpy("datetime64[ns]").view(np.int64)
    closes = table["close"].dt.tz_convert(None).to_numpy("datetime64[ns]").view(np.int64)
    return np.stack([days, opens, closes])


def _kept(path: Path) -> NDArray[np.int64] | None:
    """Return what the cache holds; None where there is none, or a broken one."""
    try:
        columns = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    sound = columns.dtype == np.int64 and columns.ndim == 2 and len(columns) == 3
    return columns if sound else None


def _keep(path: Path, columns: NDArray[np.int64]) -> None:
    """Write the cache in one step; a folder that cannot be written costs the next process time."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            np.save(file, columns)
        os.replace(file.name, path)  # noqa: PTH105 - the file's name is a string
