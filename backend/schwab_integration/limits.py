"""Schwab's request limits, kept by all programs of one user together.

Market data: 120 requests a minute for an app. Orders: as many placing, replacing, cancelling and
previewing requests a minute to one account as were registered with the app (0 to 120), and 4,000 a
day. The day is taken as any 24 hours, since nobody says when Schwab's begins.
"""

from schwab_integration.config import PROVIDER, SchwabSettings
from utils.limit_files import limit_file
from utils.shared_limit import MachineTime, SharedRateLimiter, Window

_MINUTE_S = 61.0
"""A second more than a minute: Schwab counts when requests arrive, and they overtake each other."""

_DAY_S = 86_460.0


def market_data_limiter(
    settings: SchwabSettings, *, machine: MachineTime | None = None
) -> SharedRateLimiter:
    """Return the limiter of market data, one for each app and host.

    Raises:
        ConfigError: Its file cannot be used.
    """
    return SharedRateLimiter(
        limit_file(PROVIDER, settings.base_url, "data", settings.app_key.get_secret_value()),
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
        limit_file(PROVIDER, settings.base_url, "orders", account_id),
        [
            Window(minute, _MINUTE_S, reserved=minute * share // 100),
            Window(day, _DAY_S, reserved=day * share // 100),
        ],
        provider=PROVIDER,
        machine=machine,
    )
