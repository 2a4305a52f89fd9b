"""What is refused, with which status and which sentence; nothing of it is taken."""

from __future__ import annotations

from typing import Any

import pytest

ORDERS: dict[str, tuple[dict[str, Any], str]] = {
    "a duration that shares do not have": (
        {"duration": "IMMEDIATE_OR_CANCEL"},
        "Invalid value 'IMMEDIATE_OR_CANCEL'",
    ),
    "a duration that does not exist": ({"duration": "FOREVER"}, "Invalid value 'FOREVER'"),
    "an order type that does not exist": ({"orderType": "GUESS"}, "Invalid value 'GUESS'"),
    "an order type that is only read": ({"orderType": "UNKNOWN"}, "Invalid value 'UNKNOWN'"),
    "a session that does not exist": ({"session": "NIGHT"}, "Invalid value 'NIGHT'"),
    "no session": ({"session": None}, "session is required"),
    "no strategy": ({"orderStrategyType": None}, "orderStrategyType is required"),
    "no legs": ({"orderLegCollection": []}, "orderLegCollection is required"),
    "a destination in the field of replies": (
        {"requestedDestination": "AUTO"},
        "requestedDestination is not allowed in a request",
    ),
    "a limit order without a price": ({"orderType": "LIMIT"}, "price is required"),
    "a stop order without a stop": ({"orderType": "STOP"}, "stopPrice is required"),
    "a trailing stop without a distance": (
        {"orderType": "TRAILING_STOP"},
        "stopPriceOffset is required",
    ),
    "a price of three decimals": (
        {"orderType": "LIMIT", "price": "10.123"},
        "price 10.123 has more than 2 decimals",
    ),
    "a small price of five decimals": (
        {"orderType": "LIMIT", "price": 0.12345},
        "price 0.12345 has more than 4 decimals",
    ),
    "a negative price": ({"orderType": "LIMIT", "price": "-1"}, "price must not be negative"),
    "a price that is a word": ({"orderType": "LIMIT", "price": "high"}, "price must be a number"),
    "a price that is no number": ({"orderType": "LIMIT", "price": [1]}, "price must be a number"),
    "a spread of one leg": (
        {"orderType": "NET_DEBIT", "price": "1.00"},
        "orderType NET_DEBIT does not fit an order of 1 leg(s)",
    ),
    "a trigger without a child": (
        {"orderStrategyType": "TRIGGER"},
        "childOrderStrategies must hold one order for TRIGGER",
    ),
}

LEGS: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown symbol": ({"symbol": "NOSUCH"}, "Instrument not found for symbol NOSUCH"),
    "an index": ({"symbol": "$SPX"}, "Instrument not found for symbol $SPX"),
    "a contract that is not listed": (
        {"symbol": "QQQ   261218C09999000", "assetType": "OPTION", "instruction": "BUY_TO_OPEN"},
        "Instrument not found for symbol QQQ   261218C09999000",
    ),
    "a contract on nothing": (
        {"symbol": "NOSUC 261218C00100000", "assetType": "OPTION", "instruction": "BUY_TO_OPEN"},
        "Instrument not found for symbol NOSUC 261218C00100000",
    ),
    "a negative quantity": ({"quantity": -1}, "quantity must be a positive whole number"),
    "a quantity of 0": ({"quantity": 0}, "quantity must be a positive whole number"),
    "a fraction": ({"quantity": 1.5}, "quantity must be a positive whole number"),
    "an instruction of options": (
        {"instruction": "BUY_TO_OPEN"},
        "instruction BUY_TO_OPEN does not fit assetType EQUITY",
    ),
    "an asset that is not traded": ({"assetType": "FUTURE"}, "Invalid value 'FUTURE'"),
    "dollars": ({"quantityType": "DOLLARS"}, "Invalid value 'DOLLARS'"),
}


@pytest.mark.parametrize("case", ORDERS)
def test_an_order_that_is_malformed_is_refused(case: str, broker: Any, forms: Any) -> None:
    changed, sentence = ORDERS[case]
    status, message = broker.refused(broker.api.place, forms.order("AAPL", "BUY", 1, **changed))
    assert status == 400
    assert message.startswith(sentence)
    assert broker.ask(broker.api.orders, query=forms.window) == []


@pytest.mark.parametrize("case", LEGS)
def test_a_leg_that_is_malformed_is_refused(case: str, broker: Any, forms: Any) -> None:
    changed, sentence = LEGS[case]
    body = forms.order("AAPL", "BUY", 1)
    (leg,) = body["orderLegCollection"]
    for name, value in changed.items():
        (leg["instrument"] if name in {"symbol", "assetType"} else leg)[name] = value
    status, message = broker.refused(broker.api.place, body)
    assert status == 400
    assert message.startswith(sentence)


def test_a_pair_with_fields_of_its_own_is_refused(broker: Any, forms: Any) -> None:
    pair = forms.pair(forms.limit("AAPL", "BUY", 1, 1), forms.limit("AAPL", "BUY", 1, 2))
    refused = broker.refused(broker.api.place, pair | {"session": "NORMAL"})
    assert refused == (400, "session is not allowed for orderStrategyType OCO")
    lonely = {"orderStrategyType": "OCO", "childOrderStrategies": [forms.order()]}
    assert broker.refused(broker.api.place, lonely)[0] == 400


def test_orders_that_hang_too_deep_are_refused(broker: Any, forms: Any) -> None:
    body = forms.order()
    for _ in range(200):
        body = forms.order(orderStrategyType="TRIGGER", childOrderStrategies=[body])
    assert broker.refused(broker.api.place, body)[0] == 400


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b'{"price": NaN}', b"1"])
def test_a_body_that_is_no_order_is_refused(body: bytes, broker: Any) -> None:
    status, message = broker.refused(broker.api.place, body)
    assert status == 400
    assert message.startswith("The request body") or message.endswith("is required")


def test_a_plain_account_number_is_refused(broker: Any) -> None:
    refused = broker.refused(broker.api.account, account_hash="10000001")
    assert refused == (400, "Invalid account number")


def test_the_account_of_somebody_else_is_not_found(broker: Any, forms: Any) -> None:
    theirs = forms.second.accounts[0].hash
    assert broker.refused(broker.api.account, account_hash=theirs)[0] == 404
    assert broker.refused(broker.api.place, forms.order(), account_hash=theirs)[0] == 404
    assert broker.refused(broker.api.account, account_hash="A" * 64)[0] == 404


def test_an_order_of_another_account_is_not_found(broker: Any, forms: Any) -> None:
    order_id = broker.place(forms.order())
    other = forms.demo.accounts[1].hash
    for operation in (broker.api.order, broker.api.cancel):
        refused = broker.refused(operation, order_id=order_id, account_hash=other)
        assert refused == (404, "Order not found")
    for unknown in ("0", "999", "x", "9" * 40, "-1"):
        assert broker.refused(broker.api.order, order_id=unknown)[0] == 404


TIMES = {
    "": "fromEnteredTime is required",
    "2024-10-08T16:30:31.469502+00Z": (
        "'2024-10-08T16:30:31.469502+00Z' is not a valid value for fromEnteredTime"
    ),
    "2026-11-01": "'2026-11-01' is not a valid value for fromEnteredTime",
    "2026-13-01T00:00:00Z": "'2026-13-01T00:00:00Z' is not a valid value for fromEnteredTime",
    "yesterday": "'yesterday' is not a valid value for fromEnteredTime",
}


@pytest.mark.parametrize("given", TIMES)
def test_a_time_that_is_none_is_refused_in_the_known_sentence(given: str, broker: Any) -> None:
    query = {"fromEnteredTime": given, "toEnteredTime": "2026-12-01T00:00:00Z"}
    refused = broker.refused(broker.api.orders, query={k: v for k, v in query.items() if v})
    assert refused == (400, TIMES[given])


@pytest.mark.parametrize(
    "given",
    ["2026-11-19T15:30:00Z", "2026-11-19T15:30:00.000Z", "2026-11-19T10:30:00.000-0500"],
)
def test_times_are_read_in_the_forms_that_clients_send(given: str, broker: Any, forms: Any) -> None:
    broker.place(forms.order())
    query = {"fromEnteredTime": given, "toEnteredTime": given}
    assert len(broker.ask(broker.api.orders, query=query)) == 1


def test_lists_have_bounds(broker: Any) -> None:
    old = {"fromEnteredTime": "2026-08-01T00:00:00Z", "toEnteredTime": "2026-11-30T00:00:00Z"}
    assert broker.ask(broker.api.orders, query=old) == []
    assert broker.refused(broker.api.all_orders, query=old)[0] == 400
    longer = old | {"fromEnteredTime": "2025-11-01T00:00:00Z"}
    assert broker.refused(broker.api.orders, query=longer)[0] == 400
    dates = {"startDate": "2025-11-01T00:00:00Z", "endDate": "2026-11-30T00:00:00Z"}
    assert broker.refused(broker.api.transactions, query=dates | {"types": "TRADE"})[0] == 400
    swapped = {"fromEnteredTime": old["toEnteredTime"], "toEnteredTime": old["fromEnteredTime"]}
    assert broker.refused(broker.api.orders, query=swapped)[0] == 400


def test_words_of_queries_are_checked(broker: Any, forms: Any) -> None:
    query = forms.window | {"status": "DONE"}
    assert broker.refused(broker.api.orders, query=query) == (400, "Invalid value 'DONE'")
    assert broker.refused(broker.api.account, query={"fields": "orders"})[0] == 400
    assert broker.refused(broker.api.transactions, query=forms.dates) == (
        400,
        "types is required",
    )
    query = forms.dates | {"types": "TRADE,GIFT"}
    assert broker.refused(broker.api.transactions, query=query) == (400, "Invalid value 'GIFT'")
    for most in ("0", "-1", "many"):
        assert (
            broker.refused(broker.api.orders, query=forms.window | {"maxResults": most})[0] == 400
        )
