"""The README is true: each command in it is run here, in order, as a user would run it."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

BACKEND = Path(__file__).resolve().parents[2]
README = BACKEND.parent / "README.md"

RUN_BY_THE_GATE = {
    "make run",
    "make test",
    "cd backend",
    "python -m venv .venv",
    "source .venv/bin/activate",
    "pip install -r requirements.txt",
}
"""`.ci/run` itself calls these."""

COLLECTED = {
    "pytest tests/ -v",
    "pytest tests/test_schwab/ -v",
    "pytest tests/test_supabase/ -v",
    "pytest tests/integration/ -v",
    "pytest tests/test_live_trading_workflow.py -v",
}
"""Running them here would run this test inside itself: that they find tests is shown instead."""

SERVERS = {"python -m simulator"}
"""These run until they are stopped."""


WITHOUT_AN_APP = {"python sys_testing/token_diagnostics.py"}
"""On a fresh machine these end with status 2: no app is registered."""


def _commands() -> list[str]:
    """Return every command of the README: the lines of its `sh` blocks, the cells of its table."""
    text = README.read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.strip()]
    cells = re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE)
    return [*lines, *cells]


@pytest.fixture
def user(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A user's environment: nothing of ours set but the folder for our files."""
    ours = ("SCHWAB_", "SUPABASE_", "SIMULATOR_", "OPTIONS_", "POLYGON_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    environment["OPTIONS_HOME"] = str(tmp_path / "home")
    environment["OPTIONS_ENV_FILE"] = str(tmp_path / "no.env")
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    yield environment
    subprocess.run(
        [sys.executable, "main.py", "--stop-database"],
        cwd=BACKEND,
        env=environment,
        capture_output=True,
        check=True,
    )


def _start_and_stop(command: list[str], environment: dict[str, str]) -> None:
    command = [*command, "--port", "0"]
    with subprocess.Popen(
        command, cwd=BACKEND, env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        ready = json.loads(server.stdout.readline())
        server.terminate()
    assert ready["event"] == "ready"
    assert server.returncode == 0


@pytest.mark.timeout(900)
def test_every_command_of_the_readme_works(user: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "your_script.py"
    script.write_text("print('hello from your script')\n", encoding="utf-8")
    named: dict[str, str] = {}  # what capitals stand for: what the paper session left
    for command in _commands():
        if command in RUN_BY_THE_GATE:
            continue
        words = [
            named.get(word, word) if word.isupper() else word.replace("your_script.py", str(script))
            for word in shlex.split(command)
        ]
        words = [str(tmp_path / word) if word == "trades.csv" else word for word in words]
        words[0] = {
            "python": sys.executable,
            "pytest": str(Path(sys.executable).parent / "pytest"),
        }[words[0]]
        if command in SERVERS:
            _start_and_stop(words, user)
            continue
        if command in COLLECTED:
            words += ["--collect-only", "-q"]
        done = subprocess.run(
            words, cwd=BACKEND, env=user, capture_output=True, text=True, check=False
        )
        expected = 2 if command in WITHOUT_AN_APP else 0
        assert done.returncode == expected, f"{command}\n{done.stdout}\n{done.stderr}"
        if "--mode paper" in command:
            (journal,) = (tmp_path / "home" / "journals").glob("*.jsonl")
            named = {"FILE": str(journal), "NAME": journal.stem}


def test_the_readme_names_every_command_we_run_elsewhere() -> None:
    commands = set(_commands())
    assert commands >= RUN_BY_THE_GATE | COLLECTED | SERVERS


def test_every_picture_of_the_readme_is_there() -> None:
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README.read_text(encoding="utf-8"))
    assert pictures
    assert all((README.parent / picture).is_file() for picture in pictures)


def test_the_imports_of_the_readme_work_from_any_folder(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
