import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from msgspec import structs

from models.errors import AuthError, ConfigError, TokenExpired
from schwab_integration.token_store import Token, TokenStore

MakeToken = Callable[..., Token]


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return TokenStore(tmp_path / "new" / "token.json")


def test_what_is_written_is_read(store: TokenStore, make_token: MakeToken) -> None:
    store.write(make_token())
    assert store.read() == make_token()


def test_files_are_the_owners_alone(store: TokenStore, make_token: MakeToken) -> None:
    old = os.umask(0)  # even where everything would be open
    try:
        with store.locked():
            store.write(make_token())
    finally:
        os.umask(old)
    folder = store.path.parent
    assert folder.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == {"token.json": 0o600, "token.json.lock": 0o600}


def test_writing_over_an_open_file_closes_it(store: TokenStore, make_token: MakeToken) -> None:
    store.write(make_token())
    store.path.chmod(0o644)
    store.write(make_token("access-2"))
    assert store.path.stat().st_mode & 0o777 == 0o600


def test_no_token_says_what_to_run(store: TokenStore) -> None:
    with pytest.raises(TokenExpired, match=r"run python sys_testing/reauth_schwab\.py"):
        store.read()


@pytest.mark.parametrize("text", [b"", b"{}", b"nonsense", b'{"access_token":"a"}', b"\xff\xfe"])
def test_a_damaged_file_says_what_to_run(
    store: TokenStore, make_token: MakeToken, text: bytes
) -> None:
    store.write(make_token())
    store.path.write_bytes(text)
    with pytest.raises(TokenExpired, match="reauth_schwab") as caught:
        store.read()
    assert "access" not in str(caught.value)


def test_a_full_disk_leaves_the_old_token(
    store: TokenStore, make_token: MakeToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(make_token())

    def full(_: int) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(ConfigError, match="No space left"):
            store.write(make_token("access-2"))
    assert store.read() == make_token()
    assert [path.name for path in store.path.parent.iterdir()] == ["token.json"]


def test_a_token_never_shows_itself(make_token: MakeToken) -> None:
    shown = f"{make_token('hush-hush', refresh='quiet')!r} {make_token('hush-hush')}"
    assert "hush" not in shown
    assert "quiet" not in shown
    assert "access until 2026-11-20 20:30:00" in shown


def test_threads_take_turns(store: TokenStore, make_token: MakeToken) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(5):
            with store.locked():
                inside.append(1)
                most.append(len(inside))
                store.write(make_token())
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(most) == 20


def test_a_lock_that_is_never_given_up_is_an_error(tmp_path: Path) -> None:
    slept: list[float] = []
    store = TokenStore(tmp_path / "token.json", lock_timeout_s=0.1, sleep=slept.append)
    with store.locked(), pytest.raises(AuthError, match="another process"), store.locked():
        pass
    assert sum(slept) == pytest.approx(0.1)
    with store.locked():  # free again
        pass


def test_a_killed_process_gives_the_lock_up(tmp_path: Path) -> None:
    path = tmp_path / "token.json"
    script = (
        "import sys, pathlib\n"
        "from schwab_integration.token_store import TokenStore\n"
        "with TokenStore(pathlib.Path(sys.argv[1])).locked():\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout
        assert child.stdout.readline() == b"held\n"
        impatient = TokenStore(path, lock_timeout_s=0.05)
        with pytest.raises(AuthError), impatient.locked():
            pass
        child.kill()
        child.wait()
    with TokenStore(path, lock_timeout_s=5).locked():
        pass


def test_how_long_a_token_is_good(make_token: MakeToken) -> None:
    token = make_token(lives=timedelta(minutes=5))
    now = token.access_expires_at - timedelta(minutes=5)
    assert token.good_for(timedelta(minutes=4), now)
    assert not token.good_for(timedelta(minutes=5), now)


def test_the_token_of_another_app_is_noticed(tmp_path: Path, make_token: MakeToken) -> None:
    path = tmp_path / "token.json"
    theirs = structs.replace(make_token("quiet-1", refresh="quiet-2"), app="mark-1")
    TokenStore(path, app="mark-1").write(theirs)
    assert TokenStore(path, app="mark-1").read() == theirs
    assert TokenStore(path).read() == theirs
    with pytest.raises(AuthError, match="another app than SCHWAB_APP_KEY") as caught:
        TokenStore(path, app="mark-2").read()
    assert "quiet" not in str(caught.value)


def test_a_file_from_before_marks_serves_any_app(tmp_path: Path, make_token: MakeToken) -> None:
    path = tmp_path / "token.json"
    TokenStore(path).write(make_token())
    assert TokenStore(path, app="mark-1").read() == make_token()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.99])
def test_a_file_cut_off_anywhere_is_one_sentence(
    store: TokenStore, make_token: MakeToken, share: float
) -> None:
    store.write(make_token("quiet-1", refresh="quiet-2"))
    whole = store.path.read_bytes()
    store.path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(TokenExpired, match="does not hold a whole Schwab token") as caught:
        store.read()
    assert "quiet" not in str(caught.value)
