"""Wrong arguments: one sentence and status 2, before anything is served."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simulator.commands import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--clock", "2090-01-01"], "--clock must lie between"),
        (["--speed", "-1"], "--speed"),
        (["--speed", "nan"], "--speed"),
        (["--world", "recorded", "--data", "/no/such/folder"], "/no/such/folder is not a folder"),
        (["--port", "65536"], "not a port"),
        (["--port", "http"], "--port"),
        (["--parent-pid", "0"], "0 is no process"),
        (["--world", "real"], "--world"),
        (["exec"], "goes after --"),
        (["exec", "--"], "goes after --"),
        (["exec", "--url", "http://127.0.0.1:1", "--", "true"], "No simulator answers at"),
    ],
)
def test_wrong_arguments_are_status_2(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OPTIONS_HOME", str(tmp_path))
    ports = [] if arguments[0] == "exec" else ["--port", "0"]
    try:
        status = main([*ports, *arguments])
    except SystemExit as ended:  # argparse's way
        status = int(ended.code or 0)
    said = capsys.readouterr()
    assert (status, said.out) == (2, "")
    assert sentence in said.err
