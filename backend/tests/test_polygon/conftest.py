"""What the tests of the Polygon adapter share."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from polygon_integration.client import PolygonClient
from polygon_integration.config import PolygonSettings
from utils.http import Patience
from utils.rate_limit import RateLimiter

EXAMPLES = Path(__file__).parents[1] / "data" / "polygon_examples"
KEY = "a-key-that-nobody-may-see"


@pytest.fixture(scope="session")
def mocks() -> dict[str, Any]:
    """Request -> body of the vendor's own test replies."""
    found: dict[str, Any] = json.loads((EXAMPLES / "rest_mocks.json").read_bytes())
    return found


@pytest.fixture
def make_client() -> Iterator[Callable[[str], PolygonClient]]:
    """A client of a server at this address; quick to give up."""
    clients: list[PolygonClient] = []

    def make(url: str) -> PolygonClient:
        settings = PolygonSettings(api_key=SecretStr(KEY), base_url=url)
        client = PolygonClient(
            settings,
            limiter=RateLimiter(10_000),
            patience=Patience(attempts=2, first_wait_s=0.001, longest_wait_s=0.01),
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()
