"""What the tests of the Schwab adapter share."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from schwab_integration.auth import SchwabAuth
from schwab_integration.client import SchwabClient
from schwab_integration.config import SchwabSettings
from schwab_integration.token_store import Token, TokenStore
from utils.http import Patience
from utils.rate_limit import RateLimiter

DATA = Path(__file__).parents[1] / "data"
NOW = datetime(2026, 11, 20, 20, 0, tzinfo=UTC)


@pytest.fixture
def data() -> Path:
    """The folder of real replies."""
    return DATA


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., SchwabSettings]:
    def make(base_url: str = "http://127.0.0.1:1", **more: Any) -> SchwabSettings:
        given: dict[str, Any] = {
            "app_key": SecretStr("the-app-key"),
            "app_secret": SecretStr("the-app-secret"),
            "token_file": tmp_path / "tokens" / "schwab.json",
            "base_url": base_url,
        }
        return SchwabSettings(**(given | more))

    return make


@pytest.fixture
def make_token() -> Callable[..., Token]:
    def make(
        access: str = "access-1", *, lives: timedelta = timedelta(minutes=30), refresh: str = "r-1"
    ) -> Token:
        return Token(access, refresh, NOW + lives, NOW + timedelta(days=7))

    return make


@pytest.fixture
def granted() -> Callable[..., bytes]:
    """The body with which the token endpoint grants."""

    def body(access: str, refresh: str = "r-1") -> bytes:
        reply = {
            "expires_in": 1800,
            "token_type": "Bearer",
            "scope": "api",
            "refresh_token": refresh,
            "access_token": access,
            "id_token": "eyJ",
        }
        return json.dumps(reply).encode()

    return body


@pytest.fixture
def connect(
    make_settings: Callable[..., SchwabSettings], make_token: Callable[..., Token]
) -> Iterator[Callable[..., SchwabClient]]:
    """Return a client of a server, with a good token and without waits."""
    clients: list[SchwabClient] = []

    def open_client(url: str, *, patience: Patience | None = None, **more: Any) -> SchwabClient:
        settings = make_settings(url, **more)
        store = TokenStore(settings.token_path())
        store.write(make_token())
        client = SchwabClient(
            settings,
            auth=SchwabAuth(settings, store=store, clock=lambda: NOW),
            limiter=RateLimiter(100_000),
            patience=patience or Patience(read_s=10, first_wait_s=0.001, longest_wait_s=5),
        )
        clients.append(client)
        return client

    yield open_client
    for client in clients:
        client.close()
