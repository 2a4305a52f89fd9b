"""Schwab's request limits, kept by all programs of one user together.

Market data: 120 requests a minute for an app. Orders: as many placing, replacing, cancelling and
previewing requests a minute to one account as were registered with the app (0 to 120), and 4,000 a
day. The day is taken as any 24 hours, since nobody says when Schwab's begins.
"""

import hashlib
import time
from pathlib import Path
from urllib.parse import urlsplit

from schwab_integration.config import PROVIDER, SchwabSettings
from utils.paths import state_folder
from utils.shared_limit import MachineTime, SharedRateLimiter, Window

_MINUTE_S = 61.0
"""A second more than a minute: Schwab counts when requests arrive, and they overtake each other."""

_DAY_S = 86_460.0
_LOCAL_LIFE_S = 172_800.0
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def market_data_limiter(
    settings: SchwabSettings, *, machine: MachineTime | None = None
) -> SharedRateLimiter:
    """Return the limiter of market data, one for each app and host.

    Raises:
        ConfigError: Its file cannot be used.
    """
    return SharedRateLimiter(
        _file(settings, "data", settings.app_key.get_secret_value()),
        [Window(settings.requests_per_minute, _MINUTE_S)],
        provider=PROVIDER,
        machine=machine,
    )


def order_limiter(
    settings: SchwabSettings, account_id: str, *, machine: MachineTime | None = None
) -> SharedRateLimiter:
    """Return the limiter of one account's order requests.

    Args:
        settings: The limits as registered.
        account_id: Hash of the account.
        machine: Its time.

    Raises:
        ConfigError: Its file cannot be used.
    """
    minute, day = settings.order_requests_per_minute, settings.orders_per_day
    share = settings.urgent_percent
    return SharedRateLimiter(
        _file(settings, "orders", account_id),
        [
            Window(minute, _MINUTE_S, reserved=minute * share // 100),
            Window(day, _DAY_S, reserved=day * share // 100),
        ],
        provider=PROVIDER,
        machine=machine,
    )


def _file(settings: SchwabSettings, kind: str, key: str) -> Path:
    """Return a file named after whose requests are counted; no name shows a key or an account."""
    text = f"{settings.base_url}\n{kind}\n{key}"
    name = f"{PROVIDER}-{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.limit"
    if urlsplit(settings.base_url).hostname not in _LOOPBACK:
        return state_folder("limits") / name
    folder = state_folder("limits", "local")
    _sweep(folder)
    return folder / name


def _sweep(folder: Path) -> None:
    """Remove what simulators of earlier days left: each had a port, and so a file, of its own."""
    for path in folder.glob("*.limit"):
        try:
            if time.time() - path.stat().st_mtime > _LOCAL_LIFE_S:
                path.unlink()
        except FileNotFoundError:
            continue
