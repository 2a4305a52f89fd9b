import base64
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from msgspec import structs
from pydantic import SecretStr

from models.errors import AuthError, BadReply, ConfigError, TokenExpired, Unavailable
from schwab_integration.auth import (
    SchwabAuth,
    authorization_url,
    code_of_redirect,
    exchange_code,
    refusal,
)
from schwab_integration.config import SchwabSettings
from schwab_integration.token_store import Token, TokenStore
from utils.http import Reply
from utils.settings import load

START = datetime.fromisoformat("2026-11-20T20:00:00+00:00")

DEAD = json.dumps(
    {
        "error": "unsupported_token_type",
        "error_description": '400 Bad Request: "{"error_description":"Exception while '
        'authenticating refresh token [tokenDigest=x]","error":'
        '"refresh_token_authentication_error"}"',
    }
).encode()
EXPIRED = json.dumps(
    {
        "error": "unsupported_token_type",
        "error_description": '400 Bad Request: "{"error_description":"Refresh token is invalid, '
        'expired or revoked","error":"invalid_grant"}"',
    }
).encode()


class Now:
    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def opened(
    make_settings: Any, now: Now, request: pytest.FixtureRequest
) -> Callable[[str], SchwabAuth]:
    def make(url: str) -> SchwabAuth:
        auth = SchwabAuth(make_settings(url), clock=now)
        request.addfinalizer(auth.close)
        return auth

    return make


@pytest.fixture
def store(make_settings: Any) -> TokenStore:
    return TokenStore(make_settings().token_path())


def forms(server: Any) -> list[dict[str, str]]:
    return [dict(parse_qsl(came.body.decode())) for came in server.received]


def test_the_sign_in_page(make_settings: Any) -> None:
    url = authorization_url(make_settings("https://api.schwabapi.com"), state="s1")
    assert url.startswith("https://api.schwabapi.com/v1/oauth/authorize?")
    assert parse_qs(urlsplit(url).query) == {
        "response_type": ["code"],
        "client_id": ["the-app-key"],
        "redirect_uri": ["https://127.0.0.1:8182"],
        "state": ["s1"],
    }


def test_the_code_of_a_redirect() -> None:
    url = "https://127.0.0.1:8182/?code=C0.abc%40&session=1-2&state=s1\n"
    assert code_of_redirect(url) == "C0.abc@"
    assert code_of_redirect(url, state="s1") == "C0.abc@"
    with pytest.raises(AuthError, match="another sign-in"):
        code_of_redirect(url, state="s2")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "must begin with"),
        ("https://[", "is no URL"),
        ("https://elsewhere.example/?code=x&state=s1", "must begin with https://127.0.0.1:8182"),
        ("http://127.0.0.1:8182/?code=x&state=s1", "must begin with"),
        ("https://127.0.0.1:8182/other?code=x&state=s1", "must begin with"),
        ("https://127.0.0.1:8182/?state=s1", "no code"),
        ("https://127.0.0.1:8182/?code=secret&code=other&state=s1", "no code"),
        ("https://127.0.0.1:8182/?code=secret", "another sign-in"),
        ("https://127.0.0.1:8182/?code=secret&state=s2", "another sign-in"),
        ("https://127.0.0.1:8182/?error=access_denied&state=s1", "access was denied"),
        ("https://127.0.0.1:8182/?error=server_error&state=s1", "answered server_error"),
        ("https://127.0.0.1:8182/?error=secret%20text&state=s1", "answered an error"),
    ],
)
def test_a_wrong_redirect_is_one_sentence(url: str, sentence: str) -> None:
    with pytest.raises(AuthError, match=sentence) as caught:
        code_of_redirect(url, state="s1", callback="https://127.0.0.1:8182")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("code", ["C0.abc%40", "C0.abc@"])
def test_a_code_buys_tokens(
    serve: Any, answer: Any, granted: Any, make_settings: Any, now: Now, code: str
) -> None:
    server = serve(lambda _: answer(body=granted("a-1")))
    settings = make_settings(server.url)
    token = exchange_code(settings, code, clock=now)
    assert token == TokenStore(settings.token_path()).read()
    assert token.access_expires_at == START + timedelta(minutes=30)
    assert token.refresh_expires_at == START + timedelta(days=7)
    (came,) = server.received
    assert (came.method, came.path) == ("POST", "/v1/oauth/token")
    pair = base64.b64decode(came.headers["authorization"].removeprefix("Basic "))
    assert pair == b"the-app-key:the-app-secret"
    assert came.headers["content-type"] == "application/x-www-form-urlencoded"
    assert forms(server) == [
        {
            "grant_type": "authorization_code",
            "code": "C0.abc@",
            "redirect_uri": "https://127.0.0.1:8182",
        }
    ]


@pytest.mark.parametrize("body", [DEAD, b'{"error":"invalid_grant"}', b'{"error":"other"}'])
def test_a_refused_code_says_why(
    serve: Any, answer: Any, make_settings: Any, store: TokenStore, body: bytes
) -> None:
    server = serve(lambda _: answer(status=400, body=body))
    with pytest.raises(AuthError, match=r"30 seconds.*https://127.0.0.1:8182"):
        exchange_code(make_settings(server.url), "C0.abc@")
    assert len(server.received) == 1
    assert not store.path.exists()


def test_a_good_token_asks_nobody(
    opened: Any, store: TokenStore, make_token: Any, serve: Any, answer: Any
) -> None:
    server = serve(lambda _: answer(status=500))
    store.write(make_token("a-1"))
    auth = opened(server.url)
    assert auth.access_token() == "a-1"
    assert auth.access_token() == "a-1"
    assert not server.received
    assert auth.refresh_expires_at() == START + timedelta(days=7)


def test_an_old_token_is_renewed_before_it_dies(
    opened: Any, store: TokenStore, make_token: Any, serve: Any, answer: Any, granted: Any, now: Now
) -> None:
    server = serve(lambda _: answer(body=granted("a-2", "r-2")))
    store.write(make_token("a-1"))
    auth = opened(server.url)
    assert auth.access_token() == "a-1"
    now.at = START + timedelta(minutes=28, seconds=1)
    assert auth.access_token() == "a-2"
    assert forms(server) == [{"grant_type": "refresh_token", "refresh_token": "r-1"}]
    stored = store.read()
    assert (stored.access_token, stored.refresh_token) == ("a-2", "r-2")
    assert stored.access_expires_at == now.at + timedelta(minutes=30)
    assert stored.refresh_expires_at == START + timedelta(days=7)  # never extended


def test_a_token_that_another_process_renewed_is_taken(
    opened: Any, store: TokenStore, make_token: Any, serve: Any, answer: Any, now: Now
) -> None:
    server = serve(lambda _: answer(status=500))
    store.write(make_token("a-1"))
    auth = opened(server.url)
    assert auth.access_token() == "a-1"
    now.at = START + timedelta(hours=1)
    store.write(make_token("theirs", lives=timedelta(hours=2), refresh="r-9"))
    assert auth.access_token() == "theirs"
    assert auth.renew("a-1") == "theirs"
    assert not server.received


def test_a_refresh_token_that_another_process_renewed_is_used(
    opened: Any, store: TokenStore, make_token: Any, serve: Any, answer: Any, granted: Any, now: Now
) -> None:
    server = serve(lambda _: answer(body=granted("a-3")))
    store.write(make_token("a-1"))
    auth = opened(server.url)
    auth.access_token()
    now.at = START + timedelta(hours=1)
    store.write(make_token("a-2", refresh="r-9"))  # old by now as well
    assert auth.access_token() == "a-3"
    assert forms(server)[0]["refresh_token"] == "r-9"


@pytest.mark.parametrize("body", [DEAD, EXPIRED, b'{"error":"invalid_grant"}'])
def test_a_dead_refresh_token_names_the_command(
    opened: Any, store: TokenStore, make_token: Any, serve: Any, answer: Any, now: Now, body: bytes
) -> None:
    server = serve(lambda _: answer(status=400, body=body))
    store.write(make_token("a-1"))
    now.at = START + timedelta(days=8)
    with pytest.raises(TokenExpired, match=r"python sys_testing/reauth_schwab\.py"):
        opened(server.url).access_token()
    assert len(server.received) == 1
    assert store.read() == make_token("a-1")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, b"<html>Access Denied ... /v1/oauth/token</html>"),
        (500, b"<html>Whitelabel Error Page</html>"),
        (503, b""),
        (429, b"{}"),
        (400, b'{"error":"unsupported_token_type","error_description":"something else"}'),
        (400, b'{"error":"invalid_request"}'),
    ],
)
def test_everything_else_passes(status: int, body: bytes) -> None:
    error = refusal("POST /v1/oauth/token", Reply(status, {}, body))
    assert not isinstance(error, AuthError)
    assert getattr(error, "retryable", False)


def test_wrong_app_keys_are_named() -> None:
    error = refusal("x", Reply(401, {}, b'{"error":"invalid_client"}'))
    assert type(error) is AuthError
    assert "SCHWAB_APP_KEY" in str(error)


@pytest.mark.parametrize("known", [True, False])
def test_a_passing_failure_leaves_the_old_token_in_use(
    opened: Any, store: TokenStore, make_token: Any, serve: Any, answer: Any, now: Now, known: bool
) -> None:
    """Of a program that runs, or of one that has just started."""
    server = serve(lambda _: answer(status=503))
    store.write(make_token("a-1"))
    auth = opened(server.url)
    if known:
        auth.access_token()
    now.at = START + timedelta(minutes=29)
    assert auth.access_token() == "a-1"
    now.at = START + timedelta(minutes=31)
    with pytest.raises(Unavailable):
        auth.access_token()
    assert len(server.received) == 2  # a lost reply may have replaced the token: asked once each


def test_a_grant_without_tokens_is_a_bad_reply(
    opened: Any, store: TokenStore, make_token: Any, serve: Any, answer: Any, now: Now
) -> None:
    server = serve(lambda _: answer(body=b"<html>"))
    store.write(make_token("a-1"))
    now.at = START + timedelta(hours=1)
    with pytest.raises(BadReply):
        opened(server.url).access_token()
    kept = store.read()
    assert kept.renewing_at == now.at  # the replacement of the refresh token may be lost
    assert structs.replace(kept, renewing_at=None) == make_token("a-1")


def test_a_rejected_token_is_renewed_once_for_all_threads(
    opened: Any, store: TokenStore, make_token: Any, serve: Any, answer: Any, granted: Any
) -> None:
    server = serve(lambda _: answer(body=granted(f"a-{len(server.received) + 1}")))
    store.write(make_token("a-1"))
    auth = opened(server.url)
    results: list[str] = []
    threads = [threading.Thread(target=lambda: results.append(auth.renew("a-1"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == ["a-2"] * 8
    assert len(server.received) == 1


CHILD = """
import sys
from schwab_integration.auth import SchwabAuth
from schwab_integration.config import SchwabSettings

auth = SchwabAuth(SchwabSettings())
print("loaded", flush=True)
sys.stdin.readline()
print(auth.access_token())
auth.close()
"""


def children_environment(url: str, path: Path) -> dict[str, str]:
    return {
        "SCHWAB_APP_KEY": "key",
        "SCHWAB_APP_SECRET": "secret",
        "SCHWAB_BASE_URL": url,
        "SCHWAB_TOKEN_FILE": str(path),
        "PATH": "/usr/bin:/bin",
    }


def test_processes_renew_once_with_a_rotating_refresh_token(
    serve: Any, answer: Any, granted: Any, store: TokenStore, make_token: Any
) -> None:
    """The server kills a refresh token as soon as it is used: two refreshes would lose."""
    alive = {"r-1"}

    def token_endpoint(came: Any) -> Any:
        used = dict(parse_qsl(came.body.decode()))["refresh_token"]
        if used not in alive:
            return answer(status=400, body=DEAD)
        alive.clear()
        alive.add(f"r-{len(server.received) + 1}")
        return answer(body=granted(f"a-{len(server.received) + 1}", *alive))

    server = serve(token_endpoint)
    old = make_token("a-1")
    long_ago = START - timedelta(days=30)
    store.write(Token("a-1", "r-1", long_ago, old.refresh_expires_at))
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD],
            env=children_environment(server.url, store.path),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for child in children:  # all are loaded when the first is let go
        assert child.stdout
        assert child.stdout.readline() == "loaded\n"
    for child in children:
        assert child.stdin
        child.stdin.write("go\n")
        child.stdin.flush()
    printed = [child.communicate(timeout=60)[0] for child in children]
    assert [child.returncode for child in children] == [0] * 4
    assert printed == ["a-2\n"] * 4
    assert len(server.received) == 1
    assert store.read().refresh_token == "r-2"


CRASH = """
import os
from schwab_integration.auth import SchwabAuth
from schwab_integration.config import SchwabSettings
from schwab_integration.token_store import TokenStore

settings = SchwabSettings()

class Dies(TokenStore):
    def write(self, token):
        if token.renewing_at is None:
            os._exit(9)
        super().write(token)

SchwabAuth(settings, store=Dies(settings.token_path())).access_token()
"""


def test_a_crash_between_reply_and_write_leaves_a_usable_token(
    serve: Any, answer: Any, granted: Any, store: TokenStore, make_token: Any, opened: Any, now: Now
) -> None:
    server = serve(lambda _: answer(body=granted("a-2")))
    now.at = START + timedelta(hours=1)
    old = Token("a-1", "r-1", START - timedelta(days=30), START + timedelta(days=7))
    store.write(old)
    done = subprocess.run(
        [sys.executable, "-c", CRASH],
        env=children_environment(server.url, store.path),
        check=False,
        timeout=60,
    )
    assert done.returncode == 9
    assert len(server.received) == 1
    assert structs.replace(store.read(), renewing_at=None) == old
    assert opened(server.url).access_token() == "a-2"  # the lock is free, the old token still buys
    assert [form["refresh_token"] for form in forms(server)] == ["r-1", "r-1"]


def test_missing_keys_are_named(make_settings: Any, store: TokenStore, make_token: Any) -> None:
    settings: SchwabSettings = make_settings(app_secret=SecretStr(""))
    assert not settings.configured
    store.write(make_token(lives=timedelta(0)))
    auth = SchwabAuth(settings, clock=lambda: START)
    with pytest.raises(ConfigError, match="SCHWAB_APP_KEY and SCHWAB_APP_SECRET"):
        auth.access_token()
    auth.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1", "https://127.0.0.1/", "127.0.0.1"])
def test_a_callback_that_schwab_cannot_have_registered(url: str) -> None:
    with pytest.raises(ConfigError, match="SCHWAB_CALLBACK_URL"):
        load(SchwabSettings, callback_url=url)


def test_settings_show_no_secret(make_settings: Any) -> None:
    assert "the-app" not in repr(make_settings())
    assert make_settings().configured


def test_addresses_and_paths_however_they_are_written(make_settings: Any) -> None:
    settings = make_settings(
        "https://api.schwabapi.com/", ca_file="~/ca.pem", token_file="~/t.json"
    )
    assert authorization_url(settings).startswith("https://api.schwabapi.com/v1/oauth/")
    assert settings.ca_file == Path.home() / "ca.pem"
    assert settings.token_path() == Path.home() / "t.json"
