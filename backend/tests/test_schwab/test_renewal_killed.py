"""Renewing in real processes that are killed, against a simulator that keeps or rotates tokens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from msgspec import structs
from pydantic import SecretStr

from models.errors import TokenExpired
from schwab_integration.auth import (
    SchwabAuth,
    authorization_url,
    code_of_redirect,
    exchange_code,
    token_store,
)
from schwab_integration.config import SchwabSettings
from utils.clock import wall_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BACKEND = Path(__file__).resolve().parents[2]

DIES_BEFORE_STORING = """
import os, signal, sys
from schwab_integration.auth import SchwabAuth, token_store
from schwab_integration.config import SchwabSettings
from schwab_integration.token_store import TokenStore

class Dies(TokenStore):
    def write(self, token):
        if token.renewing_at is None:
            os.kill(os.getpid(), signal.SIGKILL)
        super().write(token)

settings = SchwabSettings()
SchwabAuth(settings, store=Dies(settings.token_path(), app=settings.app_mark)).access_token()
"""

RENEWS = """
from schwab_integration.auth import SchwabAuth
from schwab_integration.config import SchwabSettings

auth = SchwabAuth(SchwabSettings())
for _ in range(5):
    auth.renew(auth.access_token())
print("renewed", flush=True)
"""


def started(home: Path, *arguments: str) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "simulator", "--port", "0", "--auto-approve", *arguments]
    command += ["--parent-pid", str(os.getpid())]
    environment = {**os.environ, "OPTIONS_HOME": str(home)}
    with subprocess.Popen(
        command, cwd=BACKEND, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        yield json.loads(process.stdout.readline())
        process.terminate()


@pytest.fixture(scope="module")
def keeping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A simulator that returns the same refresh token, as Schwab is seen to do."""
    yield from started(tmp_path_factory.mktemp("keeping"))


@pytest.fixture(scope="module")
def rotating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    yield from started(tmp_path_factory.mktemp("rotating"), "--rotate-refresh-tokens")


@pytest.fixture
def signed_in(tmp_path: Path) -> Callable[[dict[str, Any]], SchwabSettings]:
    """Sign in; the access token is stored as one that must be renewed."""

    def sign_in(simulator: dict[str, Any]) -> SchwabSettings:
        settings = SchwabSettings(
            app_key=SecretStr(simulator["app_key"]),
            app_secret=SecretStr(simulator["app_secret"]),
            base_url=simulator["schwab"],
            token_file=tmp_path / "token.json",
        )
        reply = httpx2.get(authorization_url(settings), trust_env=False)
        token = exchange_code(settings, code_of_redirect(reply.headers["location"]))
        store = token_store(settings)
        store.write(structs.replace(token, access_expires_at=wall_clock()))
        return settings

    return sign_in


def child(script: str, settings: SchwabSettings) -> subprocess.Popen[str]:
    environment = os.environ | {
        "SCHWAB_APP_KEY": settings.app_key.get_secret_value(),
        "SCHWAB_APP_SECRET": settings.app_secret.get_secret_value(),
        "SCHWAB_BASE_URL": settings.base_url,
        "SCHWAB_TOKEN_FILE": str(settings.token_file),
    }
    return subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=BACKEND,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def killed(settings: SchwabSettings) -> None:
    with child(DIES_BEFORE_STORING, settings) as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, said
    assert token_store(settings).read().renewing_at is not None


def test_a_process_killed_before_storing_costs_nothing_at_schwab(
    keeping: dict[str, Any], signed_in: Callable[..., SchwabSettings]
) -> None:
    settings = signed_in(keeping)
    killed(settings)
    auth = SchwabAuth(settings)
    assert auth.access_token()
    auth.close()
    stored = token_store(settings).read()
    assert stored.renewing_at is None
    assert stored.good_for(timedelta(minutes=29), wall_clock())


def test_where_the_refresh_token_rotates_the_error_says_what_was_lost(
    rotating: dict[str, Any], signed_in: Callable[..., SchwabSettings]
) -> None:
    settings = signed_in(rotating)
    killed(settings)
    begun = token_store(settings).read().renewing_at
    auth = SchwabAuth(settings)
    for _ in range(2):  # it is said each time, and the file stays as it is
        with pytest.raises(TokenExpired, match="never stored: it probably carried the replacement"):
            auth.access_token()
        assert token_store(settings).read().renewing_at == begun
    auth.close()


def test_processes_take_turns_where_the_refresh_token_rotates(
    rotating: dict[str, Any], signed_in: Callable[..., SchwabSettings]
) -> None:
    settings = signed_in(rotating)
    children = [child(RENEWS, settings) for _ in range(3)]
    for process in children:
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out, err) == (0, "renewed\n", "")
    auth = SchwabAuth(settings)  # has read nothing yet: it takes what the others left
    assert auth.access_token() == token_store(settings).read().access_token
    auth.close()


def test_a_refresh_token_that_another_process_renewed_is_picked_up(
    rotating: dict[str, Any], signed_in: Callable[..., SchwabSettings]
) -> None:
    settings = signed_in(rotating)
    auth = SchwabAuth(settings)
    first = auth.access_token()
    before = token_store(settings).read().refresh_token
    with child(RENEWS, settings) as process:
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert token_store(settings).read().refresh_token != before
    assert auth.renew(first) == token_store(settings).read().access_token
    auth.close()
