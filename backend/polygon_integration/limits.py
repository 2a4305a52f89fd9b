"""Polygon's request limit, kept by all programs of one key together: 5 a minute on the free plan."""

from typing import Final

from polygon_integration.config import PROVIDER, PolygonSettings
from utils.limit_files import limit_file
from utils.rate_limit import Limiter, RateLimiter
from utils.shared_limit import SharedRateLimiter, Window

_MINUTE_S: Final = 61.0
"""A second more than a minute: requests are counted when they arrive, and they overtake each other."""

_MOST_SHARED: Final = 10_000
"""Requests a minute; above it no plan limits, and each program keeps to itself."""


def rest_limiter(settings: PolygonSettings) -> Limiter:
    """Return the limiter of REST requests, one for each key and host.

    Raises:
        ConfigError: Its file cannot be used.
    """
    limit = settings.requests_per_minute
    if limit > _MOST_SHARED:
        return RateLimiter(limit)
    path = limit_file(PROVIDER, settings.base_url, "rest", settings.key())
    return SharedRateLimiter(path, [Window(limit, _MINUTE_S)], provider=PROVIDER)
