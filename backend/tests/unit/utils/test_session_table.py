"""The cached session table is the library's, whatever happens to the cache."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from utils import session_table as module
from utils.session_table import SessionTable, session_table

SPAN = date(2015, 1, 1), date(2016, 12, 31)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def _equal(one: SessionTable, other: SessionTable) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_cache_gives_what_the_library_gave(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = session_table(*SPAN)
    assert len(asked.days) == 252 + 252
    (file,) = folder.iterdir()
    assert "2015-01-01-2016-12-31" in file.name
    monkeypatch.setattr(module, "_asked", None)  # a second question may not reach the library
    assert _equal(session_table(*SPAN), asked)


@pytest.mark.parametrize("broken", [b"", b"no table", b"\x93NUMPY\x01\x00"])
def test_a_broken_cache_is_read_anew(folder: Path, broken: bytes) -> None:
    asked = session_table(*SPAN)
    (file,) = folder.iterdir()
    file.write_bytes(broken)
    assert _equal(session_table(*SPAN), asked)
    assert file.read_bytes() != broken


def test_a_cache_of_another_shape_is_read_anew(folder: Path) -> None:
    asked = session_table(*SPAN)
    (file,) = folder.iterdir()
    np.save(file, np.zeros(3))
    assert _equal(session_table(*SPAN), asked)


def test_without_a_folder_it_works_all_the_same(folder: Path) -> None:
    folder.write_text("a file where the folder would be", encoding="utf-8")
    assert len(session_table(*SPAN).days) == 504
