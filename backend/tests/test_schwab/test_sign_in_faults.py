"""The sign-in while the token endpoint fails: what our client says and keeps."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from msgspec import structs
from pydantic import SecretStr

from models.errors import AuthError, ProviderError, TokenExpired, Unavailable
from schwab_integration.auth import (
    SchwabAuth,
    authorization_url,
    code_of_redirect,
    exchange_code,
    token_store,
)
from schwab_integration.config import SchwabSettings
from schwab_integration.diagnosis import diagnose
from simulator.pytest_plugin import running
from utils.clock import wall_clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from simulator.pytest_plugin import MarketSimulator


@pytest.fixture(scope="module")
def market() -> Iterator[MarketSimulator]:
    with running([]) as simulator:
        yield simulator


@pytest.fixture
def settings(market: MarketSimulator, tmp_path: Path) -> Iterator[SchwabSettings]:
    """Settings of somebody whose access token must be renewed."""
    made = SchwabSettings(
        app_key=SecretStr(market.status.app_key),
        app_secret=SecretStr(market.status.app_secret),
        base_url=market.status.schwab,
        token_file=tmp_path / "token.json",
    )
    exchange_code(made, code_for(made))
    age(made)
    yield made
    market.clear_faults()


def code_for(settings: SchwabSettings) -> str:
    reply = httpx2.get(authorization_url(settings), trust_env=False)
    return code_of_redirect(reply.headers["location"])


def age(settings: SchwabSettings) -> None:
    store = token_store(settings)
    store.write(structs.replace(store.read(), access_expires_at=wall_clock()))


def renewed(settings: SchwabSettings) -> str:
    auth = SchwabAuth(settings)
    try:
        return auth.access_token()
    finally:
        auth.close()


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "status", "status": 503},
        {"fault": "status", "status": 429},
        {"fault": "reset"},
        {"fault": "lost_reply"},
    ],
)
def test_a_passing_failure_keeps_the_sign_in(
    market: MarketSimulator, settings: SchwabSettings, fault: dict[str, Any]
) -> None:
    market.fault(target="schwab.oauth", count=1, **fault)
    before = token_store(settings).read()
    with pytest.raises(ProviderError):
        renewed(settings)
    assert token_store(settings).read().refresh_token == before.refresh_token
    assert renewed(settings)
    stored = token_store(settings).read()
    assert stored.renewing_at is None
    assert stored.good_for(timedelta(minutes=29), wall_clock())


def test_a_failure_at_the_code_leaves_the_old_sign_in(
    market: MarketSimulator, settings: SchwabSettings
) -> None:
    before = token_store(settings).read()
    code = code_for(settings)
    market.fault(target="schwab.oauth", count=1, fault="status", status=503)
    with pytest.raises(Unavailable):
        exchange_code(settings, code)
    assert token_store(settings).read() == before


def test_a_code_is_refused_the_second_time_and_the_old_sign_in_stays(
    settings: SchwabSettings,
) -> None:
    code = code_for(settings)
    first = exchange_code(settings, code)
    with pytest.raises(AuthError, match="works once, for 30 seconds") as caught:
        exchange_code(settings, code)
    assert code not in str(caught.value)
    assert token_store(settings).read() == first


def test_a_sign_in_elsewhere_ends_ours_with_a_sentence(settings: SchwabSettings) -> None:
    elsewhere = settings.model_copy(
        update={"token_file": settings.token_path().with_name("elsewhere.json")}
    )
    exchange_code(elsewhere, code_for(elsewhere))
    with pytest.raises(TokenExpired, match=r"run python sys_testing/reauth_schwab\.py"):
        renewed(settings)
    age(elsewhere)
    assert renewed(elsewhere)


def test_a_clock_that_is_off_is_diagnosed(
    market: MarketSimulator, settings: SchwabSettings
) -> None:
    market.fault(target="schwab.market_data", fault="clock_skew", skew_s=-300)
    found = diagnose(settings)
    assert found.clock_skew_s == pytest.approx(300, abs=10)
    assert re.fullmatch(r"This machine's clock is \d+ s fast: set it \(NTP\)\.", found.next_step)
    assert (found.state, found.live_call) == ("healthy", "ok")


def test_a_revoked_access_token_is_renewed_by_the_diagnosis(
    market: MarketSimulator, settings: SchwabSettings
) -> None:
    renewed(settings)
    before = token_store(settings).read().access_token
    market.fault(target="schwab.market_data", fault="status", status=401, count=1)
    assert diagnose(settings).live_call == "ok"
    assert token_store(settings).read().access_token != before


def test_a_sign_in_that_was_revoked_is_expired(
    market: MarketSimulator, settings: SchwabSettings
) -> None:
    market.fault(target="schwab.market_data", fault="revoke_token", count=1)
    found = diagnose(settings)
    assert found.state == "expired"
    assert "run python sys_testing/reauth_schwab.py" in found.next_step
