"""A broker whose market stands still until it is moved, in process and behind real sockets."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import polars as pl
import pytest
import requests

from simulator.exchange import Exchange
from simulator.generated import GeneratedWorld
from simulator.trader_api import Call, TraderApi
from simulator.users import DEMO, SECOND, USERS
from simulator.wire_errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from simulator.order_records import AccountEvent
    from simulator.trader_api import Reply
    from simulator.users import User

BACKEND = Path(__file__).resolve().parents[3]
DATA = BACKEND / "tests" / "data"
PATIENCE_S = 20.0
MORNING = datetime(2026, 11, 19, 15, 30, tzinfo=UTC)
"""A Thursday, half past ten in New York."""
EXPIRATION = date(2026, 12, 18)
WINDOW = {"fromEnteredTime": "2026-11-01T00:00:00.000Z", "toEnteredTime": "2026-12-31T00:00:00Z"}
DATES = {"startDate": "2026-11-01T00:00:00.000Z", "endDate": "2026-12-31T00:00:00.000Z"}


def order(
    symbol: str = "AAPL",
    instruction: str = "BUY",
    quantity: float | str = 10,
    **more: Any,
) -> dict[str, Any]:
    """A market order of one leg; `more` changes its fields."""
    asset = "OPTION" if len(symbol) == 21 else "EQUITY"
    return {
        "orderType": "MARKET",
        "session": "NORMAL",
        "duration": "DAY",
        "orderStrategyType": "SINGLE",
        "orderLegCollection": [
            {
                "instruction": instruction,
                "quantity": quantity,
                "instrument": {"symbol": symbol, "assetType": asset},
            }
        ],
        **more,
    }


def limit(symbol: str, instruction: str, quantity: float, price: object, **more: Any) -> Any:
    return order(symbol, instruction, quantity, orderType="LIMIT", price=price, **more)


def pair(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return {"orderStrategyType": "OCO", "childOrderStrategies": [first, second]}


def spread(
    kind: str, price: object, *legs: tuple[str, str, int], strategy: str | None = "VERTICAL"
) -> dict[str, Any]:
    given = {
        "orderType": kind,
        "session": "NORMAL",
        "duration": "DAY",
        "orderStrategyType": "SINGLE",
        "price": price,
        "orderLegCollection": [
            {
                "instruction": instruction,
                "quantity": quantity,
                "instrument": {"symbol": symbol, "assetType": "OPTION"},
            }
            for symbol, instruction, quantity in legs
        ],
    }
    return given | ({"complexOrderStrategyType": strategy} if strategy else {})


@dataclass
class Broker:
    """The whole Trader API in process; time moves when a test moves it."""

    now: datetime = MORNING
    seconds: float = 0.0
    world: GeneratedWorld = field(default_factory=lambda: GeneratedWorld(7))

    def __post_init__(self) -> None:
        self.exchange = Exchange(self.world, lambda: self.now, USERS, seconds=lambda: self.seconds)
        self.api = TraderApi(self.exchange, "ws://127.0.0.1:1/ws")
        self.queue = self.exchange.subscribe("demo")

    def call(
        self,
        operation: Callable[[Call], Reply],
        body: Any = None,
        *,
        who: User = DEMO,
        **given: Any,
    ) -> Reply:
        path = {"account_hash": who.accounts[0].hash} | {
            name: str(value) for name, value in given.items() if name != "query"
        }
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return operation(Call(who, path, given.get("query", {}), raw if body is not None else b""))

    def ask(self, operation: Callable[[Call], Reply], body: Any = None, **given: Any) -> Any:
        reply = self.call(operation, body, **given)
        assert reply.status == 200
        return json.loads(reply.body)

    def refused(
        self, operation: Callable[[Call], Reply], body: Any = None, **given: Any
    ) -> tuple[int, str]:
        with pytest.raises(Refusal) as caught:
            self.call(operation, body, **given)
        return caught.value.status, caught.value.body["message"]

    def place(self, body: Any, *, acknowledged: bool = True, **given: Any) -> int:
        reply = self.call(self.api.place, body, **given)
        assert (reply.status, reply.body) == (201, b"")
        if acknowledged:
            self.seconds += 1
        return int(reply.location.rsplit("/", 1)[1])

    def order(self, order_id: int, **given: Any) -> dict[str, Any]:
        shown: dict[str, Any] = self.ask(self.api.order, order_id=order_id, **given)
        return shown

    def status(self, order_id: int, **given: Any) -> str:
        return str(self.order(order_id, **given)["status"])

    def positions(self, **given: Any) -> dict[str, float]:
        held = self.ask(self.api.account, query={"fields": "positions"}, **given)
        return {
            one["instrument"]["symbol"]: one["longQuantity"] - one["shortQuantity"]
            for one in held["securitiesAccount"].get("positions", [])
        }

    def cash(self, **given: Any) -> Decimal:
        current = self.ask(self.api.account, **given)["securitiesAccount"]["currentBalances"]
        return Decimal(str(current.get("cashBalance", current.get("totalCash"))))

    def pass_time(self, **time: float) -> None:
        self.now += timedelta(**time)
        self.exchange.advance()

    def last(self, ticker: str = "AAPL") -> float:
        quote = self.world.quote(ticker, self.now)
        assert quote is not None
        return quote.last

    def contracts(
        self, right: str = "C", ticker: str = "QQQ", expiration: date = EXPIRATION
    ) -> list[dict[str, Any]]:
        """Contracts out of the money, the nearest first."""
        chain = self.world.chain(ticker, self.now, expiration, expiration)
        chain = chain.filter(pl.col("right") == right)
        if right == "C":
            rows = chain.filter(pl.col("strike") > self.last(ticker)).sort("strike")
        else:
            below = chain.filter(pl.col("strike") < self.last(ticker))
            rows = below.sort("strike", descending=True)
        return rows.to_dicts()

    def events(self) -> list[AccountEvent]:
        found = []
        while not self.queue.empty():
            found.append(self.queue.get_nowait())
        return found


@pytest.fixture
def broker() -> Broker:
    return Broker()


@dataclass(frozen=True)
class Running:
    """A simulator in a process of its own."""

    said: dict[str, Any]

    def ask(self, method: str, path: str, token: str, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.request(
            method,
            f"{self.said['http']}/trader/v1{path}",
            headers=headers,
            timeout=PATIENCE_S,
            **more,
        )

    def token(self, user: str = "demo") -> str:
        query = {"client_id": self.said["app_key"], "redirect_uri": self.said["callback_url"]}
        headers = {"X-Simulator-Admin": self.said["admin_token"], "X-Simulator-User": user}
        shown = requests.get(
            f"{self.said['http']}/v1/oauth/authorize?{urlencode(query)}",
            headers=headers,
            allow_redirects=False,
            timeout=PATIENCE_S,
        )
        basic = b64encode(f"{self.said['app_key']}:{self.said['app_secret']}".encode()).decode()
        granted = requests.post(
            f"{self.said['http']}/v1/oauth/token",
            data={
                "grant_type": "authorization_code",
                "redirect_uri": self.said["callback_url"],
                "code": parse_qs(urlsplit(shown.headers["location"]).query)["code"][0],
            },
            headers={"Authorization": f"Basic {basic}"},
            timeout=PATIENCE_S,
        )
        return str(granted.json()["access_token"])


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[..., Running]]:
    """Start a simulator with more options; it ends with the module."""
    started: list[subprocess.Popen[str]] = []

    def begin(*options: str) -> Running:
        command = [sys.executable, "-m", "simulator", "--port", "0", "--speed", "0"]
        process = subprocess.Popen(
            [*command, "--clock", "2026-11-19T10:30", *options],
            cwd=BACKEND,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        return Running(json.loads(process.stdout.readline()))

    yield begin
    for process in started:
        process.terminate()
        process.wait(PATIENCE_S)
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture
def captured() -> Callable[[str], Any]:
    """Read a captured reply, as schwab_captured/user_preference.json."""
    return lambda name: json.loads((DATA / name).read_text())


@pytest.fixture
def forms() -> type[Forms]:
    return Forms


class Forms:
    """Order bodies, for tests that cannot import this file."""

    order = staticmethod(order)
    limit = staticmethod(limit)
    pair = staticmethod(pair)
    spread = staticmethod(spread)
    window = WINDOW
    dates = DATES
    demo = DEMO
    second = SECOND
