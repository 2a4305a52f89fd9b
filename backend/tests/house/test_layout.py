"""The layout that house rules fix: which files may stand where, whose names these are."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

BACKEND = Path(__file__).resolve().parents[2]
ROOT_FILES = {"main.py", "trading_main.py", "etl_pipeline.py"}
PACKAGES = sorted(path.parent.name for path in BACKEND.glob("*/__init__.py"))
TOP_LEVEL_IMPORTS_ALLOWED = {"app", "models"}


def test_only_the_three_commands_stand_in_the_root() -> None:
    assert {path.name for path in BACKEND.glob("*.py")} <= ROOT_FILES


@pytest.mark.parametrize("path", sorted(BACKEND.glob("*.py")), ids=lambda path: path.name)
def test_a_root_file_imports_the_application_alone(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    roots = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots.add((node.module or "").split(".")[0])
    ours = {root for root in roots if (BACKEND / root).exists()}
    assert ours <= TOP_LEVEL_IMPORTS_ALLOWED


def test_our_package_names_are_not_taken_by_a_library(tmp_path: Path) -> None:
    script = f"import {', '.join(PACKAGES)}\nfor name in {PACKAGES}: print(vars()[name].__file__)"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    for line in done.stdout.splitlines():
        assert Path(line).is_relative_to(BACKEND), line


def test_tests_are_no_package() -> None:
    assert not list((BACKEND / "tests").rglob("__init__.py"))


def test_every_package_says_what_it_is() -> None:
    for package in PACKAGES:
        tree = ast.parse((BACKEND / package / "__init__.py").read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), package
