"""The journals' key: whole or not there, whoever is killed, and the same for all who begin at once."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from models.errors import ConfigError
from utils.journal_key import KEY_BYTES, journal_key, key_path, read_key

if TYPE_CHECKING:
    from pathlib import Path

DIES = """
import os, signal
from utils import journal_key
setattr(journal_key.os, {call!r}, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
journal_key.journal_key()
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPTIONS_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("call", ["fdopen", "fsync", "link"])
@pytest.mark.usefixtures("home")
def test_a_kill_while_it_is_made_leaves_none(call: str) -> None:
    program = DIES.format(call=call)
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not key_path().exists()
    made = journal_key()
    assert len(made) == KEY_BYTES
    assert journal_key() == read_key(key_path()) == made


def test_all_who_begin_at_once_have_the_same(home: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        made = set(pool.map(lambda _: journal_key(), range(64)))
    assert len(made) == 1
    assert [each.name for each in home.iterdir()] == ["journal.key"]
    assert key_path().stat().st_mode & 0o777 == 0o600


def test_where_it_cannot_be_made_one_sentence_says_so(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("utils.journal_key.os.fsync", full)
    with pytest.raises(ConfigError, match="cannot be made: No space left on device"):
        journal_key()
    assert list(home.iterdir()) == []
