"""What the simulator shows has the keys, the order and the types of what the real service shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


def shape(value: Any) -> Any:
    """Types below a value; keys in their order; of a list its first element's."""
    if isinstance(value, dict):
        return {key: shape(below) for key, below in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def keys(value: dict[str, Any]) -> list[str]:
    return list(value)


def filled_vertical(broker: Any, forms: Any) -> dict[str, Any]:
    near, _, far, *_ = broker.contracts()
    price = round(near["bid"] - far["ask"] - 0.05, 2)
    legs = (near["occ_symbol"], "SELL_TO_OPEN", 1), (far["occ_symbol"], "BUY_TO_OPEN", 1)
    return broker.order(broker.place(forms.spread("NET_CREDIT", price, *legs)))


def test_a_filled_vertical_is_shaped_as_a_captured_one(
    broker: Any, forms: Any, captured: Callable[[str], Any]
) -> None:
    real = captured("schwab_captured/orders_vertical.json")[0]
    ours = filled_vertical(broker, forms)
    assert ours["status"] == "FILLED"
    assert keys(ours) == keys(real)
    assert shape(ours) == shape(real)


@pytest.mark.parametrize("status", ["CANCELED", "REPLACED", "REJECTED"])
def test_an_ended_order_is_shaped_as_a_captured_one(
    status: str, broker: Any, forms: Any, captured: Callable[[str], Any]
) -> None:
    near, _, far, *_ = broker.contracts()
    legs = (near["occ_symbol"], "SELL_TO_OPEN", 1), (far["occ_symbol"], "BUY_TO_OPEN", 1)
    body = forms.spread("NET_CREDIT", round(far["strike"] - near["strike"] - 0.05, 2), *legs)
    if status == "REJECTED":
        body = forms.spread("NET_CREDIT", 0.5, *((s, i, 10_000) for s, i, _ in legs))
    order_id = broker.place(body)
    if status == "CANCELED":
        broker.call(broker.api.cancel, order_id=order_id)
    if status == "REPLACED":
        broker.call(broker.api.replace, body | {"price": "2.9"}, order_id=order_id)
    replies = captured("schwab_captured/orders_iron_condor.json")
    several = {"CANCELED": 1}.get(status, 2)
    real = next(
        one
        for one in replies
        if one["status"] == status and len(one["orderLegCollection"]) == several
    )
    ours = broker.order(order_id)
    assert ours["status"] == status
    assert keys(ours) == keys(real)
    for order in (ours, real):
        order["orderLegCollection"] = []
    assert shape(ours) == shape(real)


def test_an_order_on_a_weekend_is_shaped_as_a_captured_one(
    broker: Any, forms: Any, captured: Callable[[str], Any]
) -> None:
    real = captured("schwab_captured/orders_iron_condor.json")[0]
    call, far_call, *_ = broker.contracts("C")
    put, far_put, *_ = broker.contracts("P")
    broker.pass_time(days=2)
    legs = [
        (call["occ_symbol"], "SELL_TO_OPEN", 1),
        (far_call["occ_symbol"], "BUY_TO_OPEN", 1),
        (put["occ_symbol"], "SELL_TO_OPEN", 1),
        (far_put["occ_symbol"], "BUY_TO_OPEN", 1),
    ]
    body = forms.spread("NET_CREDIT", "0.95", *legs, strategy="IRON_CONDOR")
    ours = broker.order(broker.place(body))
    assert ours["status"] == real["status"] == "PENDING_ACTIVATION"
    assert keys(ours) == keys(real)
    assert shape(ours) == shape(real)


def test_a_cancelled_order_for_shares_is_shaped_as_the_published_one(
    broker: Any, forms: Any, captured: Callable[[str], Any]
) -> None:
    real = captured("schwab/order_details.json")
    order_id = broker.place(forms.limit("AAPL", "BUY", 1, 10))
    broker.call(broker.api.cancel, order_id=order_id)
    ours = broker.order(order_id)
    assert keys(ours) == keys(real)
    assert shape(ours) == shape(real)


def test_a_good_till_cancel_order_says_when_it_is_cancelled(
    broker: Any, forms: Any, captured: Callable[[str], Any]
) -> None:
    real = captured("schwab/account_orders.json")[0]
    form = forms.limit("AAPL", "BUY", 1, 10, duration="GOOD_TILL_CANCEL")
    ours = broker.order(broker.place(form))
    assert [key for key in keys(ours) if key != "tag"] == keys(real)


def test_an_account_with_positions_is_shaped_as_a_captured_one(
    broker: Any, forms: Any, captured: Callable[[str], Any]
) -> None:
    real = captured("schwab_captured/account_with_positions.json")
    filled_vertical(broker, forms)
    ours = broker.ask(broker.api.account, query={"fields": "positions"})
    positions = {}
    for name, account in (("real", real), ("ours", ours)):
        held = account["securitiesAccount"]["positions"]
        positions[name] = [
            shape(next(one for one in held if one[side] > 0))
            for side in ("longQuantity", "shortQuantity")
        ]
        account["securitiesAccount"]["positions"] = []
    assert positions["ours"] == positions["real"]
    assert shape(ours) == shape(real)
    assert keys(ours["securitiesAccount"]) == keys(real["securitiesAccount"])
    for kind in ("initialBalances", "currentBalances", "projectedBalances"):
        assert keys(ours["securitiesAccount"][kind]) == keys(real["securitiesAccount"][kind])


def test_a_holding_of_shares_is_shaped_as_the_published_one(
    broker: Any, forms: Any, captured: Callable[[str], Any]
) -> None:
    real = captured("schwab/account_details_1.json")[0]
    broker.place(forms.order("AAPL", "BUY", 10))
    account = broker.ask(broker.api.account, query={"fields": "positions"})
    ours = account["securitiesAccount"]["positions"][0]
    assert keys(ours) == keys(real)
    assert shape(ours) == shape(real)


@pytest.mark.parametrize("which", ["accepted", "rejected"])
def test_a_preview_is_shaped_as_a_captured_one(
    which: str, broker: Any, forms: Any, captured: Callable[[str], Any]
) -> None:
    real = captured(f"schwab_captured/preview_order_{which}.json")
    day = broker.now.date().replace(day=27)
    put, far_put, *_ = broker.contracts("P", "SPX", day)
    call, far_call, *_ = broker.contracts("C", "SPX", day)
    legs = [
        (put["occ_symbol"], "SELL_TO_OPEN", 1),
        (far_put["occ_symbol"], "BUY_TO_OPEN", 1),
        (call["occ_symbol"], "SELL_TO_OPEN", 1),
        (far_call["occ_symbol"], "BUY_TO_OPEN", 1),
    ]
    price = "1.40" if which == "accepted" else "1.23"
    body = forms.spread("NET_CREDIT", price, *legs, strategy="IRON_CONDOR")
    ours = broker.ask(broker.api.preview, body)
    assert keys(ours) == keys(real)
    assert keys(ours["orderStrategy"]) == keys(real["orderStrategy"])
    assert shape(ours) == shape(real)
    assert ours["orderValidationResult"] == real["orderValidationResult"]
    assert [len(ours["orderStrategy"][key]) for key in ("orderLegs",)] == [4]


def test_a_preview_of_shares_is_shaped_as_the_published_one(
    broker: Any, forms: Any, captured: Callable[[str], Any]
) -> None:
    real = captured("schwab/preview_order.json")
    ours = broker.ask(broker.api.preview, forms.limit("AMD", "BUY", 1, "1.00"))
    assert shape(ours) == shape(real)
    assert ours["orderValidationResult"] == real["orderValidationResult"]


def test_a_trade_is_shaped_as_a_captured_one(
    broker: Any, forms: Any, captured: Callable[[str], Any]
) -> None:
    real = next(
        one
        for one in captured("schwab_captured/transactions_trades.json")
        if one["transferItems"][-1]["instrument"]["symbol"].startswith("MRVL")
    )
    filled_vertical(broker, forms)
    query = forms.dates | {"types": "TRADE"}
    ours = broker.ask(broker.api.transactions, query=query)[0]
    assert keys(ours) == keys(real)
    assert [item.get("feeType") for item in ours["transferItems"]] == [
        item.get("feeType") for item in real["transferItems"]
    ]
    for one, other in zip(ours["transferItems"], real["transferItems"], strict=True):
        assert keys(one) == keys(other)
        assert keys(one["instrument"]) == keys(other["instrument"])


def test_user_preference_is_shaped_as_a_captured_one(
    broker: Any, captured: Callable[[str], Any]
) -> None:
    real = captured("schwab_captured/user_preference.json")
    ours = broker.ask(broker.api.user_preference)
    assert shape(ours) == shape(real)
    assert len(ours["streamerInfo"]) == 1
    assert len(ours["streamerInfo"][0]["schwabClientCustomerId"]) == 64


def test_account_numbers_are_shaped_as_captured_ones(
    broker: Any, captured: Callable[[str], Any]
) -> None:
    ours = broker.ask(broker.api.account_numbers)
    assert shape(ours) == shape(captured("schwab_captured/account_numbers.json"))
    assert [len(one["hashValue"]) for one in ours] == [64, 64]


def test_the_cusip_of_a_contract_is_the_captured_one(captured: Callable[[str], Any]) -> None:
    from models.options import OptionContract  # noqa: PLC0415 - one test's
    from simulator.order_instruments import option_cusip  # noqa: PLC0415 - the same

    instruments = [
        leg["instrument"]
        for name in ("orders_vertical", "orders_iron_condor", "orders_with_close")
        for order in captured(f"schwab_captured/{name}.json")
        for leg in order["orderLegCollection"]
        if leg["orderLegType"] == "OPTION"
    ]
    assert len(instruments) > 20
    for one in instruments:
        assert option_cusip(OptionContract.from_occ(one["symbol"])) == one["cusip"]
