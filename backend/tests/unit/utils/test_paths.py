"""Where the product keeps its own files."""

import stat
from pathlib import Path

import pytest

from utils.paths import backend_folder, state_folder


def test_options_home_replaces_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTIONS_HOME", str(tmp_path / "home"))
    assert state_folder() == tmp_path / "home"
    assert state_folder("postgres", "18") == tmp_path / "home" / "postgres" / "18"
    assert (tmp_path / "home" / "postgres" / "18").is_dir()


def test_the_folder_is_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTIONS_HOME", str(tmp_path))
    assert stat.S_IMODE(state_folder("secrets").stat().st_mode) == 0o700


def test_a_tilde_is_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OPTIONS_HOME", "~/state")
    assert state_folder() == tmp_path / "state"


def test_the_default_is_the_platforms_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPTIONS_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    folder = state_folder("lake")
    assert folder.parts[-2:] == ("options-backend", "lake")
    assert tmp_path in folder.parents


def test_backend_is_where_the_program_lies() -> None:
    assert (backend_folder() / "utils" / "paths.py").is_file()
