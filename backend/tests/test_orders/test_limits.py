import os
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from models.errors import RateLimited
from schwab_integration.config import SchwabSettings
from schwab_integration.limits import market_data_limiter, order_limiter


def settings(**more: object) -> SchwabSettings:
    return SchwabSettings(app_key=SecretStr("key-1"), **more)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTIONS_HOME", str(tmp_path))


def test_two_programs_of_one_app_share_the_120() -> None:
    one, other = (market_data_limiter(settings()) for _ in range(2))
    assert sum(one.try_acquire() == 0 for _ in range(100)) == 100
    assert sum(other.try_acquire() == 0 for _ in range(100)) == 20


def test_an_account_has_limits_of_its_own_with_a_reserve() -> None:
    mine = order_limiter(settings(), "A" * 64)
    assert sum(mine.try_acquire() == 0 for _ in range(120)) == 96
    assert sum(mine.try_acquire(urgent=True) == 0 for _ in range(120)) == 24
    assert order_limiter(settings(), "B" * 64).try_acquire() == 0


def test_an_app_without_order_requests_sends_none() -> None:
    with pytest.raises(RateLimited, match="allows none"):
        order_limiter(settings(order_requests_per_minute=0), "A" * 64).acquire(urgent=True)


def test_no_file_name_shows_a_key_or_an_account(tmp_path: Path) -> None:
    market_data_limiter(settings())
    order_limiter(settings(), "A" * 64)
    names = " ".join(path.name for path in (tmp_path / "limits").iterdir())
    assert "key-1" not in names
    assert "AAAA" not in names


def test_files_of_simulators_of_earlier_days_go(tmp_path: Path) -> None:
    market_data_limiter(settings(base_url="http://127.0.0.1:5001"))
    (old,) = (tmp_path / "limits" / "local").iterdir()
    os.utime(old, (time.time() - 200_000,) * 2)
    market_data_limiter(settings(base_url="http://127.0.0.1:5002"))
    assert not old.exists()
    assert len(list((tmp_path / "limits" / "local").iterdir())) == 1
