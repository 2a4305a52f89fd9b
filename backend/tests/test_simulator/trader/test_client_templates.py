"""Every order that the three clients' own builders make is taken as it stands."""

from __future__ import annotations

import inspect
import json
import warnings
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

with warnings.catch_warnings():  # schwab-py imports a part of websockets that is deprecated
    warnings.simplefilter("ignore", DeprecationWarning)
    import schwab.orders.common
    import schwab.orders.equities
    import schwab.orders.options
    import schwaby.orders.common
    import schwaby.orders.equities
    import schwaby.orders.options

PRICES = {"price": "100.00", "stop_price": "90.00", "net_debit": "0.40", "net_credit": "0.40"}


def templates(*modules: ModuleType) -> Iterator[Any]:
    for module in modules:
        for name, made in vars(module).items():
            if inspect.isfunction(made) and name.split("_")[0] in {
                "equity",
                "option",
                "bull",
                "bear",
            }:
                yield pytest.param(made, id=f"{module.__name__.split('.')[0]} {name}")


def arguments(made: Callable[..., Any], near: str, far: str) -> dict[str, Any]:
    """Fill in what a builder asks for, by the names of its parameters."""
    symbols = [near, far] if made.__name__.split("_")[0] in {"bull", "bear"} else [near]
    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(made).parameters.items():
        if name == "symbol" or name.endswith("_symbol"):
            given[name] = symbols.pop(0)
        elif name == "quantity":
            given[name] = 1
        elif name == "stop_price_link_type":
            given[name] = schwaby.orders.common.StopPriceLinkType.VALUE
        elif name in PRICES:
            given[name] = PRICES[name]
        elif parameter.default is inspect.Parameter.empty:
            given[name] = 1.5
    return given


@pytest.mark.parametrize(
    "made",
    list(
        templates(
            schwab.orders.equities,
            schwab.orders.options,
            schwaby.orders.equities,
            schwaby.orders.options,
        )
    ),
)
def test_a_template_is_taken(made: Callable[..., Any], broker: Any) -> None:
    shares = made.__name__.startswith("equity")
    right = "P" if "put" in made.__name__ else "C"
    near, far = (row["occ_symbol"] for row in broker.contracts(right)[:2])
    symbol = "AAPL" if shares else near
    given = arguments(made, symbol, far)
    body = made(**given).build()
    order_id = broker.place(body)
    shown = broker.order(order_id)
    assert shown["orderType"] == body["orderType"]
    assert (
        shown["orderLegCollection"][0]["instruction"]
        == (body["orderLegCollection"][0]["instruction"])
    )
    if "price" in body:
        assert shown["price"] == float(body["price"])
    if "stopPriceOffset" in body:
        assert shown["stopPriceOffset"] == float(body["stopPriceOffset"])


@pytest.mark.parametrize("client", [schwab, schwaby], ids=["schwab-py", "schwaby"])
def test_pairs_and_triggers_of_the_builders_are_taken(client: Any, broker: Any) -> None:
    make, common = client.orders.equities, client.orders.common
    first = make.equity_buy_limit("AAPL", 1, "100.00")
    take = make.equity_sell_limit("AAPL", 1, "900.00")
    also = make.equity_sell_limit("AAPL", 1, "950.00")
    both = common.one_cancels_other(take, also)
    whole = common.first_triggers_second(first, both).build()
    json.dumps(whole)
    shown = broker.order(broker.place(whole))
    assert shown["orderStrategyType"] == "TRIGGER"
    assert shown["childOrderStrategies"][0]["orderStrategyType"] == "OCO"
    assert [one["status"] for one in shown["childOrderStrategies"][0]["childOrderStrategies"]] == [
        "AWAITING_PARENT_ORDER",
        "AWAITING_PARENT_ORDER",
    ]


SCHWABDEV: dict[str, Callable[[str, str], dict[str, Any]]] = {
    "limit with numbers": lambda _near, _far: {
        "orderType": "LIMIT",
        "session": "NORMAL",
        "duration": "DAY",
        "orderStrategyType": "SINGLE",
        "price": 10.0,
        "orderLegCollection": [
            {
                "instruction": "BUY",
                "quantity": 1,
                "instrument": {"symbol": "INTC", "assetType": "EQUITY"},
            }
        ],
    },
    "option with text": lambda near, _far: {
        "complexOrderStrategyType": "NONE",
        "orderType": "LIMIT",
        "session": "NORMAL",
        "price": "1.00",
        "duration": "DAY",
        "orderStrategyType": "SINGLE",
        "orderLegCollection": [
            {
                "instruction": "BUY_TO_OPEN",
                "quantity": 1,
                "instrument": {"symbol": near, "assetType": "OPTION"},
            }
        ],
    },
    "spread": lambda near, far: {
        "orderType": "NET_DEBIT",
        "session": "NORMAL",
        "price": "0.10",
        "duration": "DAY",
        "orderStrategyType": "SINGLE",
        "orderLegCollection": [
            {
                "instruction": "BUY_TO_OPEN",
                "quantity": 2,
                "instrument": {"symbol": near, "assetType": "OPTION"},
            },
            {
                "instruction": "SELL_TO_OPEN",
                "quantity": 2,
                "instrument": {"symbol": far, "assetType": "OPTION"},
            },
        ],
    },
    "trailing stop": lambda _near, _far: {
        "complexOrderStrategyType": "NONE",
        "orderType": "TRAILING_STOP",
        "session": "NORMAL",
        "stopPriceLinkBasis": "BID",
        "stopPriceLinkType": "VALUE",
        "stopPriceOffset": 10,
        "duration": "DAY",
        "orderStrategyType": "SINGLE",
        "orderLegCollection": [
            {
                "instruction": "BUY",
                "quantity": 10,
                "instrument": {"symbol": "INTC", "assetType": "EQUITY"},
            }
        ],
    },
}


@pytest.mark.parametrize("name", SCHWABDEV)
def test_the_dictionaries_that_users_of_schwabdev_write_are_taken(name: str, broker: Any) -> None:
    near, far = (row["occ_symbol"] for row in broker.contracts()[:2])
    body = SCHWABDEV[name](near, far)
    shown = broker.order(broker.place(body))
    assert shown["status"] in {"WORKING", "AWAITING_STOP_CONDITION"}
    if name == "spread":
        assert (shown["quantity"], shown["complexOrderStrategyType"]) == (2.0, "CUSTOM")
