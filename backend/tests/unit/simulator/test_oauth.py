"""The token endpoint: grants, lifetimes on the wall's clock, and Schwab's refusals."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64decode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from simulator.oauth import App, OAuthError, TokenDesk

if TYPE_CHECKING:
    from collections.abc import Callable

APP = App()
CALLBACK = APP.callbacks[0]
BASIC = "Basic " + b64encode(f"{APP.key}:{APP.secret}".encode()).decode()


class Wall:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 3, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def desk(wall: Wall) -> TokenDesk:
    return TokenDesk(APP, wall)


def code_of(desk: TokenDesk, callback: str = CALLBACK) -> str:
    target = desk.authorize(APP.key, callback, None)
    assert target is not None
    return parse_qs(urlsplit(target).query)["code"][0]


def by_code(desk: TokenDesk, code: str, callback: str = CALLBACK) -> dict:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": callback}
    return desk.grant(BASIC, form)


def refresh(desk: TokenDesk, token: str) -> dict:
    return desk.grant(BASIC, {"grant_type": "refresh_token", "refresh_token": token})


def refusal(call: Callable[..., Any], *args: Any) -> OAuthError:
    with pytest.raises(OAuthError) as refused:
        call(*args)
    return refused.value


def test_the_redirect_carries_code_session_and_state(desk: TokenDesk) -> None:
    target = desk.authorize(APP.key, CALLBACK, "a state")
    assert target is not None
    assert target.startswith(f"{CALLBACK}?code=C0.")
    assert "%40&session=" in target
    query = parse_qs(urlsplit(target).query)
    assert query["code"][0].endswith("@")
    assert query["state"] == ["a state"]
    assert "state" not in parse_qs(urlsplit(desk.authorize(APP.key, CALLBACK, None) or "").query)


@pytest.mark.parametrize(
    ("client", "callback"),
    [
        ("another", CALLBACK),
        (APP.key, f"{CALLBACK}/"),
        (APP.key, CALLBACK.replace("127.0.0.1", "localhost")),
        (APP.key, ""),
    ],
)
def test_an_unregistered_app_or_callback_gets_no_code(
    desk: TokenDesk, client: str, callback: str
) -> None:
    assert desk.authorize(client, callback, None) is None


def test_a_code_buys_tokens_of_the_known_shape(desk: TokenDesk) -> None:
    granted = by_code(desk, code_of(desk))
    assert list(granted) == [
        "expires_in",
        "token_type",
        "scope",
        "refresh_token",
        "access_token",
        "id_token",
    ]
    assert (granted["expires_in"], granted["token_type"], granted["scope"]) == (
        1800,
        "Bearer",
        "api",
    )
    assert granted["refresh_token"].endswith("@")
    assert granted["access_token"].startswith("I0.")
    assert granted["access_token"].endswith("@")
    header, claims, _ = granted["id_token"].split(".")
    assert json.loads(urlsafe_b64decode(header + "==")) == {"alg": "HS256", "typ": "JWT"}
    assert json.loads(urlsafe_b64decode(claims + "=="))["aud"] == APP.key


def test_a_code_works_once(desk: TokenDesk) -> None:
    code = code_of(desk)
    by_code(desk, code)
    again = refusal(by_code, desk, code)
    assert (again.status, again.body["error"]) == (400, "unsupported_token_type")


def test_a_code_lives_30_seconds(desk: TokenDesk, wall: Wall) -> None:
    code, late = code_of(desk), code_of(desk)
    wall.pass_(seconds=29.9)
    by_code(desk, code)
    wall.pass_(seconds=0.1)
    assert refusal(by_code, desk, late).status == 400


def test_the_callback_of_the_exchange_must_be_that_of_the_code(desk: TokenDesk) -> None:
    assert refusal(by_code, desk, code_of(desk), APP.callbacks[1]).status == 400


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !!!",
        "Bearer " + BASIC.split()[1],
        "Basic " + b64encode(f"{APP.key}:wrong".encode()).decode(),
    ],
)
def test_wrong_credentials_are_an_invalid_client(desk: TokenDesk, header: str) -> None:
    refused = refusal(desk.grant, header, {"grant_type": "refresh_token"})
    assert refused.status == 401
    assert refused.body == {"error": "invalid_client", "error_description": "Unauthorized"}


def test_another_grant_type_is_refused(desk: TokenDesk) -> None:
    assert refusal(desk.grant, BASIC, {"grant_type": "password"}).status == 400
    assert refusal(desk.grant, BASIC, {}).body["error"] == "unsupported_grant_type"


def test_an_access_token_lives_30_minutes(desk: TokenDesk, wall: Wall) -> None:
    bearer = f"Bearer {by_code(desk, code_of(desk))['access_token']}"
    assert desk.app_key_of(bearer) == APP.key
    wall.pass_(minutes=29, seconds=59)
    assert desk.app_key_of(bearer) == APP.key
    wall.pass_(seconds=1)
    assert desk.app_key_of(bearer) is None


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer I0.none@", "Basic I0.none@"])
def test_without_a_living_token_nobody_calls(desk: TokenDesk, header: str) -> None:
    assert desk.app_key_of(header) is None


def test_a_refresh_keeps_the_refresh_token_and_the_older_access_token(desk: TokenDesk) -> None:
    first = by_code(desk, code_of(desk))
    second = refresh(desk, first["refresh_token"])
    assert second["refresh_token"] == first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    for granted in (first, second):
        assert desk.app_key_of(f"Bearer {granted['access_token']}") == APP.key


def test_a_refresh_token_lives_7_days_from_the_sign_in_however_often_it_is_used(
    desk: TokenDesk, wall: Wall
) -> None:
    token = by_code(desk, code_of(desk))["refresh_token"]
    for _ in range(6):
        wall.pass_(days=1)
        refresh(desk, token)
    wall.pass_(days=1)
    refused = refusal(refresh, desk, token)
    assert refused.status == 400
    assert refused.body["error"] == "unsupported_token_type"
    inner = inner_of(refused)
    assert inner == {
        "error_description": "Refresh token is invalid, expired or revoked",
        "error": "invalid_grant",
    }


def test_an_unknown_refresh_token_is_refused_in_schwabs_words(desk: TokenDesk) -> None:
    refused = refusal(refresh, desk, "nonsense@")
    assert refused.status == 400
    assert refused.body["error"] == "unsupported_token_type"
    inner = inner_of(refused)
    assert inner["error"] == "refresh_token_authentication_error"
    assert inner["error_description"].startswith(
        "Exception while authenticating refresh token [tokenDigest="
    )


def test_a_new_sign_in_ends_older_refresh_tokens(desk: TokenDesk) -> None:
    old = by_code(desk, code_of(desk))
    new = by_code(desk, code_of(desk))
    refused = refusal(refresh, desk, old["refresh_token"])
    assert inner_of(refused)["error"] == "refresh_token_authentication_error"
    assert desk.app_key_of(f"Bearer {old['access_token']}") == APP.key
    refresh(desk, new["refresh_token"])


def test_rotation_can_be_switched_on(wall: Wall) -> None:
    desk = TokenDesk(APP, wall, rotate=True)
    first = by_code(desk, code_of(desk))
    wall.pass_(days=3)
    second = refresh(desk, first["refresh_token"])
    assert second["refresh_token"] != first["refresh_token"]
    assert refusal(refresh, desk, first["refresh_token"]).status == 400
    wall.pass_(days=4)
    assert inner_of(refusal(refresh, desk, second["refresh_token"]))["error"] == "invalid_grant"


def test_the_demo_app_satisfies_the_clients_checks() -> None:
    assert len(APP.key) % 2 == len(APP.secret) % 2 == 0
    assert len(APP.key) + len(APP.secret) >= 32
    assert APP.secret not in repr(APP)


def inner_of(refused: OAuthError) -> dict:
    """Read the JSON that Schwab puts into the description of the outer error."""
    text = refused.body["error_description"]
    assert text.startswith('400 Bad Request: "{')
    return json.loads(text.removeprefix('400 Bad Request: "').removesuffix('"'))


@pytest.mark.parametrize("header", ["Basic \u00e9", "Basic ???", "Basic", ""])
def test_a_header_that_is_no_base64_is_a_wrong_app(desk: TokenDesk, header: str) -> None:
    refused = refusal(desk.grant, header, {"grant_type": "refresh_token"})
    assert (refused.status, refused.body["error"]) == (401, "invalid_client")


def test_a_long_life_does_not_fill_the_memory(desk: TokenDesk, wall: Wall) -> None:
    """A simulator runs for weeks: what can no longer be used is forgotten."""
    for _ in range(50):
        code_of(desk)
        by_code(desk, code_of(desk))
        wall.pass_(hours=1)
    kept = [vars(desk)[name] for name in ("_codes", "_access", "_refresh")]
    assert max(map(len, kept)) <= 2
