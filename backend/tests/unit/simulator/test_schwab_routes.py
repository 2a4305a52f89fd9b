"""What the HTTP surface answers where the world itself fails."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.applications import Starlette
from starlette.testclient import TestClient

from simulator.login_pages import LoginPages
from simulator.oauth import DEMO_APP_KEY, DEMO_APP_SECRET, DEMO_CALLBACK, App, TokenDesk
from simulator.rate_limit import RateLimit
from simulator.schwab_market_data import MarketData
from simulator.schwab_routes import SchwabRoutes
from utils.clock import wall_clock


def client_of(world: Any, noon: Any) -> TestClient:
    desk = TokenDesk(App(), wall_clock)
    limit = RateLimit(0, time.monotonic)
    schwab = SchwabRoutes(MarketData(world, lambda: noon), desk, limit)
    pages = LoginPages(desk, wall_clock, admin_token="", auto_approve=True)
    application = Starlette(
        routes=[*pages.routes(), *schwab.routes()],
        exception_handlers=SchwabRoutes.failure_answers(),
    )
    client = TestClient(application, raise_server_exceptions=False)
    query = {"client_id": DEMO_APP_KEY, "redirect_uri": DEMO_CALLBACK}
    page = client.get("/v1/oauth/authorize", params=query, follow_redirects=False)
    code = parse_qs(urlsplit(page.headers["location"]).query)["code"][0]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": DEMO_CALLBACK}
    granted = client.post("/v1/oauth/token", data=form, auth=(DEMO_APP_KEY, DEMO_APP_SECRET))
    client.headers["Authorization"] = f"Bearer {granted.json()['access_token']}"
    return client


class BrokenWorld:
    def instrument(self, ticker: str) -> Any:
        raise RuntimeError(f"secret insides of {ticker}")


def test_a_failure_of_our_own_is_500_in_schwabs_form(noon: Any) -> None:
    reply = client_of(BrokenWorld(), noon).get("/marketdata/v1/quotes?symbols=QQQ")
    (error,) = reply.json()["errors"]
    assert reply.status_code == error["status"] == 500
    assert error["title"] == "Internal Server Error"
    assert "insides" not in reply.text
    assert reply.headers["schwab-client-correlid"]


def test_a_world_that_works_answers(world: Any, noon: Any) -> None:
    reply = client_of(world, noon).get("/marketdata/v1/quotes?symbols=QQQ")
    assert reply.json()["QQQ"]["symbol"] == "QQQ"
