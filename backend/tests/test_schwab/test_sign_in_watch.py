"""When warnings go out: ahead, once, again after a new sign-in, whatever fails between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from models.errors import AuthError, ConfigError, Unavailable
from schwab_integration.sign_in_watch import SignInWatch
from schwab_integration.token_store import Token, TokenStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
END = START + timedelta(days=7)


class Bench:
    """A token, a clock, and a mailbox."""

    def __init__(self, folder: Path, renew: Callable[[], Token] | None = None) -> None:
        self.now = START
        self.store = TokenStore(folder / "token.json")
        self.store.write(Token("a", "r", START + timedelta(minutes=30), END))
        self.sent: list[tuple[datetime, str]] = []
        self.texts: list[str] = []
        self.out_of_order = False
        self.renew = renew
        self.watch = self.another()

    def another(self) -> SignInWatch:
        return SignInWatch(self.store, self.notify, renew=self.renew, clock=lambda: self.now)

    def notify(self, title: str, text: str) -> None:
        if self.out_of_order:
            raise Unavailable("no mail today", provider="warnings")
        self.sent.append((self.now, title))
        self.texts.append(text)

    def signed_in_again(self) -> Token:
        token = Token("b", "s", self.now + timedelta(minutes=30), self.now + timedelta(days=7))
        self.store.write(token)
        return token


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_whole_week_warns_at_24_6_and_1_hours_and_at_the_end(bench: Bench) -> None:
    while bench.now < END + timedelta(hours=3):
        bench.watch.look()
        waits = bench.watch.wait_s()
        assert 0 < waits <= 900
        bench.now += timedelta(seconds=waits)
    hours = [(END - at) / timedelta(hours=1) for at, _ in bench.sent]
    assert hours == [24, 6, 1, 0]
    assert [title for _, title in bench.sent] == [
        "Schwab: the sign-in ends in 24 hours",
        "Schwab: the sign-in ends in 6 hours",
        "Schwab: the sign-in ends in 60 minutes",
        "Schwab: the sign-in has ended",
    ]


def test_who_starts_late_gets_one_warning_and_not_the_missed_ones(bench: Bench) -> None:
    bench.now = END - timedelta(minutes=30)
    assert bench.watch.look().health == "soon"
    assert len(bench.sent) == 1
    bench.now = END
    assert bench.watch.look().health == "expired"
    assert len(bench.sent) == 2


def test_another_process_does_not_repeat_a_warning(bench: Bench) -> None:
    bench.now = END - timedelta(hours=5)
    assert bench.watch.look().warned
    assert not bench.another().look().warned
    assert len(bench.sent) == 1


def test_a_warning_that_failed_stays_due(bench: Bench) -> None:
    bench.now = END - timedelta(hours=5)
    bench.out_of_order = True
    with pytest.raises(Unavailable):
        bench.watch.look()
    bench.out_of_order = False
    assert bench.watch.look().warned


def test_a_new_sign_in_warns_anew(bench: Bench) -> None:
    bench.now = END - timedelta(hours=5)
    bench.watch.look()
    bench.signed_in_again()
    assert bench.watch.look().health == "healthy"
    bench.now += timedelta(days=7) - timedelta(hours=5)
    assert bench.watch.look().warned
    assert len(bench.sent) == 2


def test_a_renewal_of_the_access_token_changes_nothing(bench: Bench) -> None:
    bench.now = END - timedelta(hours=5)
    bench.watch.look()
    token = bench.store.read()
    bench.store.write(structs.replace(token, access_token="c", access_expires_at=bench.now))
    assert not bench.watch.look().warned


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b'{"hours": "x"}'])
def test_a_state_file_cut_in_half_costs_one_warning_at_most(bench: Bench, text: bytes) -> None:
    bench.now = END - timedelta(hours=5)
    bench.watch.look()
    bench.store.path.with_name("token.json.warned").write_bytes(text)
    assert bench.watch.look().warned
    assert not bench.watch.look().warned


def test_without_a_token_there_is_nothing_to_warn_of(bench: Bench) -> None:
    bench.store.path.unlink()
    found = bench.watch.look()
    assert (found.health, found.warned) == ("expired", False)
    assert "no Schwab token yet" in found.sentence
    assert bench.watch.wait_s() == 900


def test_signing_in_by_itself_tells_so_and_is_healthy(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.renew = bench.signed_in_again
    bench.now = END - timedelta(hours=23)
    found = bench.another().look()
    assert (found.health, found.warned) == ("healthy", True)
    assert [title for _, title in bench.sent] == ["Schwab: signed in again"]


def test_signing_in_by_itself_is_tried_once_at_each_warning(tmp_path: Path) -> None:
    tried: list[int] = []

    def refused() -> Token:
        tried.append(1)
        raise AuthError("the page asks for a second factor")

    bench = Bench(tmp_path, refused)
    for hours in (24, 23, 20, 6, 5, 1, 0.5, 0, -1):
        bench.now = END - timedelta(hours=hours)
        bench.watch.look()
    assert len(tried) == len(bench.sent) == 4
    assert all("second factor" in text for text in bench.texts)


def test_a_warning_that_fails_does_not_try_the_password_again(tmp_path: Path) -> None:
    """A wrong password that is tried every quarter of an hour locks the account."""
    tried: list[int] = []

    def refused() -> Token:
        tried.append(1)
        raise AuthError("wrong password")

    bench = Bench(tmp_path, refused)
    bench.out_of_order = True
    for hours in (23.9, 23.6, 23.4):
        bench.now = END - timedelta(hours=hours)
        with pytest.raises(Unavailable):
            bench.watch.look()
    assert len(tried) == 1
    bench.out_of_order = False
    assert bench.watch.look().warned
    assert len(tried) == 1


def test_what_another_watch_has_renewed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.now = END - timedelta(hours=23)
    watch = bench.watch
    alone = watch._alone

    def after_another() -> AbstractContextManager[None]:
        bench.signed_in_again()
        return alone()

    watch._alone = after_another  # type: ignore[method-assign]
    found = watch.look()
    assert (found.health, found.warned) == ("healthy", False)
    assert bench.sent == []


def test_a_folder_that_cannot_be_written_is_one_sentence(bench: Bench) -> None:
    bench.now = END - timedelta(hours=5)
    bench.store.path.with_name("token.json.warned.lock").mkdir()
    with pytest.raises(ConfigError, match="cannot be made"):
        bench.watch.look()
