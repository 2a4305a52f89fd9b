"""The file of a paper account: what is read back is what was there, and an update stays small."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

sys.path.append(str(Path(__file__).parents[1] / "engine"))  # lives of accounts stand there

from paper_walk import Walk

from app.paper_file import PaperFile
from models.errors import StoreError

if TYPE_CHECKING:
    from engine.paper_state import AccountState

encode = msgspec.json.Encoder(decimal_format="string").encode


def plain(state: AccountState) -> Any:
    return msgspec.json.decode(encode(state))


@pytest.mark.parametrize("seed", range(6))
def test_a_random_life_is_read_back_at_every_update(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "walk.account.json"
    walk, file = Walk(random.Random(seed)), PaperFile(path)
    assert file.read() is None
    for step in range(250):
        walk.step()
        if step % 3:
            file.keep(walk.account.state)
        if step % 3 and step % 10 == 0:
            assert PaperFile(path).read() == plain(walk.account.state)
        if step % 120 == 119:  # the next run begins the file anew
            file = PaperFile(path)
            walk.account.restore(file.read() or {})
    walk.expire()
    file.keep(walk.account.state)
    again = Walk(random.Random(seed)).account
    again.restore(PaperFile(path).read() or {})
    assert again.snapshot() == walk.account.snapshot()


def test_a_line_that_was_never_finished_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "walk.account.json"
    walk, file = Walk(random.Random(3)), PaperFile(path)
    for _ in range(40):
        walk.step()
        file.keep(walk.account.state)
    whole = path.read_bytes()
    last = whole[: whole.rindex(b"\n", 0, -1) + 1]
    for size in range(len(last), len(whole), 97):
        path.write_bytes(whole[:size])
        before = PaperFile(path).read()
        path.write_bytes(last)
        assert before == PaperFile(path).read()


def test_an_update_costs_the_same_after_a_long_life(tmp_path: Path) -> None:
    path = tmp_path / "walk.account.json"
    walk, file = Walk(random.Random(5)), PaperFile(path)
    for _ in range(1200):
        walk.step()
        file.keep(walk.account.state)
    lines = path.read_bytes().split(b"\n")[1:-1]
    early, late = (sorted(map(len, part))[len(part) // 2] for part in (lines[:300], lines[-300:]))
    assert len(walk.account.state.orders) > 100
    assert late < 3 * early


def test_the_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "walk.account.json"
    walk = Walk(random.Random(1))
    for _ in range(30):
        walk.step()
    path.write_bytes(encode(walk.account.snapshot()))  # the whole state, without a line's end
    assert PaperFile(path).read() == plain(walk.account.state)


def test_a_disk_that_refuses_ends_it_with_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "walk.account.json"
    walk, file = Walk(random.Random(1)), PaperFile(path)
    with pytest.raises(StoreError, match="cannot be kept: No such file"):
        file.keep(walk.account.state)
    with pytest.raises(StoreError, match="was not kept"):
        file.keep(walk.account.state)
    path.parent.mkdir()
    path.write_bytes(b'{"cash"')
    with pytest.raises(StoreError, match="cannot be read"):
        PaperFile(path).read()
