"""Users, their accounts, and tokens that belong to one of them."""

from __future__ import annotations

import re
from base64 import b64encode
from urllib.parse import parse_qs, urlsplit

import pytest

from simulator.oauth import App, OAuthError, TokenDesk
from simulator.users import DEMO, SECOND, USERS, User
from utils.clock import wall_clock

APP = App()
BASIC = "Basic " + b64encode(f"{APP.key}:{APP.secret}".encode()).decode()


@pytest.fixture
def desk() -> TokenDesk:
    return TokenDesk(APP, wall_clock)


def tokens_of(desk: TokenDesk, user: User | None = None) -> dict[str, str]:
    target = desk.authorize(APP.key, APP.callbacks[0], None, user)
    assert target
    code = parse_qs(urlsplit(target).query)["code"][0]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": APP.callbacks[0]}
    return desk.grant(BASIC, form)


def bearer(tokens: dict[str, str]) -> str:
    return f"Bearer {tokens['access_token']}"


def refreshed(desk: TokenDesk, tokens: dict[str, str]) -> dict[str, str]:
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    return desk.grant(BASIC, form)


def test_numbers_and_hashes_have_schwabs_shape_and_are_unique() -> None:
    accounts = [account for user in USERS for account in user.accounts]
    assert all(re.fullmatch(r"\d{8}", account.number) for account in accounts)
    assert all(re.fullmatch(r"[0-9A-F]{64}", account.hash) for account in accounts)
    assert all(re.fullmatch(r"[0-9a-f]{64}", user.customer_id) for user in USERS)
    assert len({account.hash for account in accounts}) == len(accounts) == 4


def test_the_kinds_of_account_are_all_there() -> None:
    demo, second = ([account.terms for account in user.accounts] for user in USERS)
    assert [terms.kind for terms in demo] == ["MARGIN", "CASH"]
    assert second[0].retirement
    assert second[1].closing_only


def test_a_password_is_not_shown() -> None:
    assert DEMO.password not in repr(DEMO)


@pytest.mark.parametrize(
    ("login", "password", "whose"),
    [
        ("demo", "demo-password", DEMO),
        (" Demo ", "demo-password", DEMO),
        ("second", "second-password", SECOND),
        ("demo", "second-password", None),
        ("demo", "", None),
        ("", "", None),
        ("nobody", "", None),
        ("demo", "käse", None),
    ],
)
def test_name_and_password_must_belong_together(
    desk: TokenDesk, login: str, password: str, whose: User | None
) -> None:
    assert desk.user_with(login, password) == whose


def test_a_token_belongs_to_its_user_after_a_refresh_too(desk: TokenDesk) -> None:
    for user in USERS:
        tokens = tokens_of(desk, user)
        assert desk.user_of(bearer(tokens)) == user
        assert desk.user_of(bearer(refreshed(desk, tokens))) == user


def test_without_a_user_the_first_one_signs_in(desk: TokenDesk) -> None:
    assert desk.user_of(bearer(tokens_of(desk))) == DEMO


def test_an_app_sees_the_ticked_accounts_alone(desk: TokenDesk) -> None:
    tokens = tokens_of(desk, DEMO.with_accounts(["10000002"]))
    seen = desk.user_of(bearer(tokens))
    assert seen
    assert [account.number for account in seen.accounts] == ["10000002"]
    assert seen.customer_id == DEMO.customer_id


def test_a_sign_in_of_one_user_leaves_the_others_tokens_alone(desk: TokenDesk) -> None:
    first, other = tokens_of(desk, DEMO), tokens_of(desk, SECOND)
    tokens_of(desk, DEMO)
    assert refreshed(desk, other)
    with pytest.raises(OAuthError):
        refreshed(desk, first)


def test_revoking_ends_one_users_tokens(desk: TokenDesk) -> None:
    demo, second = tokens_of(desk, DEMO), tokens_of(desk, SECOND)
    desk.revoke("demo")
    assert desk.user_of(bearer(demo)) is None
    with pytest.raises(OAuthError):
        refreshed(desk, demo)
    assert desk.user_of(bearer(second)) == SECOND
    assert refreshed(desk, second)


def test_access_tokens_alone_can_be_revoked(desk: TokenDesk) -> None:
    tokens = tokens_of(desk)
    desk.revoke("demo", refresh=False)
    assert desk.user_of(bearer(tokens)) is None
    assert desk.user_of(bearer(refreshed(desk, tokens))) == DEMO
