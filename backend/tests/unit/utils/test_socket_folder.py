"""Where Unix sockets lie when our own folder's path is too long for them."""

import os
from pathlib import Path

import pytest

from utils.paths import socket_folder


def test_a_short_home_is_used_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTIONS_HOME", str(tmp_path))
    assert socket_folder("streams", longest=4096) == tmp_path / "streams"


def test_a_long_home_has_a_short_stand_in_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("OPTIONS_HOME", str(tmp_path / ("x" * 90)))
    found = socket_folder("streams", longest=80)
    assert found.parent == tmp_path
    assert found == socket_folder("streams", longest=80)
    assert found.stat().st_mode & 0o777 == 0o700
    assert found.stat().st_uid == os.getuid()
    monkeypatch.setenv("OPTIONS_HOME", str(tmp_path / ("y" * 90)))
    assert socket_folder("streams", longest=80) != found


def test_a_folder_that_others_can_enter_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("OPTIONS_HOME", str(tmp_path / ("x" * 90)))
    socket_folder("streams", longest=80).chmod(0o755)
    with pytest.raises(PermissionError, match="yours alone"):
        socket_folder("streams", longest=80)
