"""What the rules find in the repository's real files: the counts that were recorded and explained."""

import json
from pathlib import Path

import pytest

from app.recorded_judgement import judge_file
from utils.paths import backend_folder

TESTS = backend_folder() / "tests" / "data"
COUNTS = json.loads((TESTS / "quality_counts.json").read_text(encoding="utf-8"))
FOLDERS = (backend_folder() / "simulator" / "data", TESTS / "chains")
FILES = [path for folder in FOLDERS for path in sorted(folder.iterdir()) if path.name in COUNTS]

# These hang on a fit, whose last digits are another processor's own.
FITTED = {"off_surface", "negative_time_value", "parity"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_real_file_has_the_counts_that_were_recorded(path: Path) -> None:
    found = judge_file(path)
    assert found is not None
    expected = COUNTS[path.name]
    exact = {rule: count for rule, count in expected.items() if rule not in FITTED}
    assert {rule: n for rule, n in found.counts.items() if rule not in FITTED} == exact
    for rule in FITTED & (expected.keys() | found.counts.keys()):
        assert found.counts.get(rule, 0) == pytest.approx(expected.get(rule, 0), rel=0.1, abs=5)


def test_the_counts_that_are_known_from_elsewhere() -> None:
    assert COUNTS["spxw_options_quotes_2021-01-06.parquet"]["crossed"] == 7
    assert COUNTS["spxw_options_quotes_2021-01-06.parquet"]["locked"] == 64
    assert COUNTS["goog_options_quotes_2015-12-24.parquet"]["no_bid"] == 67_766
    assert len(FILES) >= 25


def test_other_files_are_none_of_its_business(tmp_path: Path) -> None:
    (tmp_path / "notes.parquet").write_bytes(b"")
    assert judge_file(tmp_path / "notes.parquet") is None
