"""Every endpoint of the Trader API over real sockets: statuses, headers, tokens, limits."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

LOCATION = re.compile(
    r"https://api\.schwabapi\.com/trader/v1/accounts/([0-9A-F]{64})/orders/(\d{13})"
)


@pytest.fixture(scope="module")
def simulator(start: Callable[..., Any]) -> Any:
    return start()


@pytest.fixture
def token(simulator: Any) -> str:
    return str(simulator.token())


@pytest.fixture
def account(simulator: Any, token: str) -> str:
    return str(simulator.ask("GET", "/accounts/accountNumbers", token).json()[0]["hashValue"])


def placed(reply: Any) -> str:
    assert (reply.status_code, reply.content) == (201, b"")
    found = LOCATION.fullmatch(reply.headers["Location"])
    assert found is not None
    return found[2]


def test_accounts_are_told_with_and_without_a_slash(simulator: Any, token: str) -> None:
    plain = simulator.ask("GET", "/accounts", token)
    slashed = simulator.ask("GET", "/accounts/", token, params={"fields": "positions"})
    assert plain.status_code == slashed.status_code == 200
    assert [one["securitiesAccount"]["accountNumber"] for one in slashed.json()] == [
        "10000001",
        "10000002",
    ]
    assert re.fullmatch(r"[0-9a-f-]{36}", plain.headers["Schwab-Client-CorrelId"])


def test_one_account_is_told(simulator: Any, token: str, account: str) -> None:
    reply = simulator.ask("GET", f"/accounts/{account}", token)
    assert reply.json()["securitiesAccount"]["type"] == "MARGIN"


def test_an_order_is_placed_shown_replaced_cancelled_and_listed(
    simulator: Any, token: str, account: str, forms: Any
) -> None:
    where = f"/accounts/{account}/orders"
    first = placed(
        simulator.ask("POST", where, token, json=forms.limit("AAPL", "BUY", 1, "100.00"))
    )
    assert simulator.ask("GET", f"{where}/{first}", token).json()["orderId"] == int(first)
    body = forms.limit("AAPL", "BUY", 2, 101)
    second = placed(simulator.ask("PUT", f"{where}/{first}", token, json=body))
    gone = simulator.ask("DELETE", f"{where}/{second}", token)
    assert (gone.status_code, gone.content) == (200, b"")
    again = simulator.ask("DELETE", f"{where}/{second}", token)
    assert again.status_code == 400
    assert "cannot be canceled" in again.json()["message"]
    listed = simulator.ask("GET", where, token, params=forms.window | {"maxResults": 2}).json()
    assert [(one["orderId"], one["status"]) for one in listed] == [
        (int(second), "CANCELED"),
        (int(first), "REPLACED"),
    ]
    params = forms.window | {"status": "REPLACED"}
    everywhere = simulator.ask("GET", "/orders", token, params=params).json()
    assert int(first) in [one["orderId"] for one in everywhere]
    assert {one["status"] for one in everywhere} == {"REPLACED"}


def test_trades_are_told_alone_and_together(
    simulator: Any, token: str, account: str, forms: Any
) -> None:
    placed(simulator.ask("POST", f"/accounts/{account}/orders", token, json=forms.order()))
    where = f"/accounts/{account}/transactions"
    found = simulator.ask("GET", where, token, params=forms.dates | {"types": "TRADE"}).json()
    alone = simulator.ask("GET", f"{where}/{found[0]['activityId']}", token).json()
    assert alone == found[0]


def test_an_order_is_previewed(simulator: Any, token: str, account: str, forms: Any) -> None:
    where = f"/accounts/{account}/previewOrder"
    reply = simulator.ask("POST", where, token, json=forms.order())
    assert reply.status_code == 200
    assert reply.json()["orderStrategy"]["status"] == "ACCEPTED"


def test_user_preference_names_the_streamer_of_this_simulator(simulator: Any, token: str) -> None:
    preference = simulator.ask("GET", "/userPreference", token).json()
    (streamer,) = preference["streamerInfo"]
    assert streamer["streamerSocketUrl"] == simulator.said["streamer"]


def test_a_wrong_token_is_refused_in_the_known_words(simulator: Any) -> None:
    reply = simulator.ask("GET", "/accounts", "nonsense")
    assert reply.status_code == 401
    (error,) = reply.json()["errors"]
    assert (error["status"], error["detail"]) == (401, "Client not authorized")


def test_an_unknown_path_is_not_found(simulator: Any, token: str) -> None:
    reply = simulator.ask("GET", "/nothing/here", token)
    assert (reply.status_code, reply.json()) == (404, {"message": "Resource not found"})


def test_another_user_sees_other_accounts(simulator: Any, account: str) -> None:
    theirs = simulator.token("second")
    numbers = simulator.ask("GET", "/accounts/accountNumbers", theirs).json()
    assert [one["accountNumber"] for one in numbers] == ["20000001", "20000002"]
    assert simulator.ask("GET", f"/accounts/{account}", theirs).status_code == 404


def test_the_market_goes_on_though_nobody_asks(start: Callable[..., Any], forms: Any) -> None:
    quick = start("--speed", "60", "--clock", "2026-11-19T15:58")
    token = quick.token()
    account = quick.ask("GET", "/accounts/accountNumbers", token).json()[0]["hashValue"]
    where = f"/accounts/{account}/orders"
    order = placed(quick.ask("POST", where, token, json=forms.limit("AAPL", "BUY", 1, "1.00")))
    deadline = time.monotonic() + 20
    status = ""
    while status != "EXPIRED" and time.monotonic() < deadline:
        status = quick.ask("GET", f"{where}/{order}", token).json()["status"]
    assert status == "EXPIRED"


def test_order_requests_have_a_limit_by_account(start: Callable[..., Any], forms: Any) -> None:
    strict = start("--orders-per-minute", "2")
    token = strict.token()
    first, second = (
        one["hashValue"] for one in strict.ask("GET", "/accounts/accountNumbers", token).json()
    )
    body = forms.limit("AAPL", "BUY", 1, "1.00")
    statuses = [
        strict.ask("POST", f"/accounts/{first}/orders", token, json=body).status_code
        for _ in range(3)
    ]
    assert statuses == [201, 201, 429]
    refused = strict.ask("DELETE", f"/accounts/{first}/orders/1", token)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert strict.ask("GET", f"/accounts/{first}", token).status_code == 200
    other = strict.ask("POST", f"/accounts/{second}/orders", token, json=body)
    assert other.status_code == 201


def test_an_app_without_the_product_is_refused_everything(start: Callable[..., Any]) -> None:
    without = start("--without-trader-product")
    token = without.token()
    reply = without.ask("GET", "/accounts", token)
    assert reply.status_code == 401
    assert reply.json()["errors"][0]["detail"] == "Client not authorized"
