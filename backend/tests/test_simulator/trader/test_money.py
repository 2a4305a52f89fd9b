"""Cash, fees, positions and transactions agree with each other to the cent."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from engine.fees import FeeSchedule, FillTerms
from models.order_terms import Side


def trades(broker: Any, forms: Any, **more: Any) -> list[dict[str, Any]]:
    query = forms.dates | {"types": "TRADE"} | more
    found: list[dict[str, Any]] = broker.ask(broker.api.transactions, query=query)
    return found


def fee_of(trade: dict[str, Any]) -> dict[str, float]:
    return {one["feeType"]: one["amount"] for one in trade["transferItems"] if "feeType" in one}


def test_transactions_add_up_to_the_cash(broker: Any, forms: Any) -> None:
    before = broker.cash()
    near, far = (row["occ_symbol"] for row in broker.contracts()[:2])
    broker.place(forms.order("AAPL", "BUY", 10))
    broker.place(forms.order(near, "BUY_TO_OPEN", 3))
    broker.place(
        forms.spread("NET_CREDIT", "0.05", (near, "SELL_TO_CLOSE", 3), (far, "BUY_TO_OPEN", 3))
    )
    broker.place(forms.order("AAPL", "SELL", 4))
    found = trades(broker, forms)
    assert len(found) == 5
    assert broker.cash() - before == sum(Decimal(str(one["netAmount"])) for one in found)
    for one in found:
        costs = sum(Decimal(str(item["cost"])) for item in one["transferItems"])
        assert costs == Decimal(str(one["netAmount"]))


@pytest.mark.parametrize("quantity", [1, 7, 40])
@pytest.mark.parametrize("instruction", ["BUY_TO_OPEN", "SELL_TO_CLOSE"])
def test_fees_are_those_of_the_engine(
    instruction: str, quantity: int, broker: Any, forms: Any
) -> None:
    symbol = broker.contracts()[0]["occ_symbol"]
    broker.place(forms.order(symbol, "BUY_TO_OPEN", quantity))
    if instruction == "SELL_TO_CLOSE":
        broker.place(forms.order(symbol, instruction, quantity))
    newest = max(one["orderId"] for one in trades(broker, forms))
    found = [one for one in trades(broker, forms) if one["orderId"] == newest]
    total = dict.fromkeys(("COMMISSION", "SEC_FEE", "OPT_REG_FEE", "TAF_FEE"), Decimal(0))
    exact = None
    for one in found:
        for kind, amount in fee_of(one).items():
            total[kind] += Decimal(str(amount))
        item = one["transferItems"][-1]
        terms = FillTerms(
            "option",
            "QQQ",
            Side.SELL if item["amount"] < 0 else Side.BUY,
            Decimal(str(abs(item["amount"]))),
            Decimal(str(item["price"])),
            Decimal(100),
        )
        part = FeeSchedule().exact(terms, broker.now.date())
        exact = part if exact is None else exact.plus(part)
    assert exact is not None
    fees = exact.rounded()
    assert list(total.values()) == [fees.commission, fees.sec, fees.orf, fees.taf]


def test_fees_of_a_captured_trade_are_charged_to_the_cent() -> None:
    """One put sold at 2.20 on 13 January 2025: 0.65, 0.01, 0.01, 0.00."""
    terms = FillTerms("option", "MRVL", Side.SELL, Decimal(1), Decimal("2.20"), Decimal(100))
    fees = FeeSchedule().fees(terms, datetime(2025, 1, 13, tzinfo=UTC).date())
    assert (fees.commission, fees.sec, fees.orf, fees.taf) == (
        Decimal("0.65"),
        Decimal("0.01"),
        Decimal("0.01"),
        Decimal("0.00"),
    )


def test_transactions_are_filtered_and_found_alone(broker: Any, forms: Any) -> None:
    broker.place(forms.order("AAPL", "BUY", 10))
    broker.place(forms.order("BRK/B", "BUY", 1))
    assert [one["transferItems"][-1]["instrument"]["symbol"] for one in trades(broker, forms)] == [
        "BRK/B",
        "AAPL",
    ]
    (one,) = trades(broker, forms, symbol="AAPL")
    assert broker.ask(broker.api.transaction, transaction_id=one["activityId"]) == one
    assert trades(broker, forms, types="DIVIDEND_OR_INTEREST") == []
    assert trades(broker, forms, startDate="2026-12-01T00:00:00Z") == []
    refused = broker.refused(broker.api.transaction, transaction_id="7")
    assert refused == (404, "Transaction not found")


def test_a_short_sale_and_its_cover(broker: Any, forms: Any) -> None:
    broker.place(forms.order("AAPL", "SELL_SHORT", 10))
    assert broker.positions() == {"AAPL": -10.0}
    account = broker.ask(broker.api.account)["securitiesAccount"]
    assert account["currentBalances"]["shortMarketValue"] < 0
    broker.place(forms.order("AAPL", "BUY_TO_COVER", 10))
    assert broker.positions() == {}


def test_both_kinds_of_accounts_show_their_balances(broker: Any, forms: Any) -> None:
    accounts = broker.ask(broker.api.accounts)
    margin, cash = (one["securitiesAccount"] for one in accounts)
    assert (margin["type"], cash["type"]) == ("MARGIN", "CASH")
    assert margin["currentBalances"]["buyingPower"] == 200_000.0
    assert list(cash["currentBalances"]) == [
        "cashAvailableForTrading",
        "cashAvailableForWithdrawal",
        "cashCall",
        "longNonMarginableMarketValue",
        "totalCash",
        "cashDebitCallValue",
        "unsettledCash",
    ]
    assert cash["initialBalances"]["isInCall"] is False
    assert "positions" not in margin
    where = forms.demo.accounts[1].hash
    broker.place(forms.order("AAPL", "BUY", 10), account_hash=where)
    after = broker.ask(broker.api.account, account_hash=where)["securitiesAccount"]
    assert after["currentBalances"]["totalCash"] < 25_000
    assert after["initialBalances"]["cashBalance"] == 25_000.0


def test_initial_balances_are_those_of_the_morning(broker: Any, forms: Any) -> None:
    broker.place(forms.order("AAPL", "BUY", 10))
    broker.now = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
    account = broker.ask(broker.api.account, query={"fields": "positions"})["securitiesAccount"]
    assert account["initialBalances"]["cashBalance"] == account["currentBalances"]["cashBalance"]
    assert account["initialBalances"]["longStockValue"] > 0
    (held,) = account["positions"]
    assert (held["previousSessionLongQuantity"], held["settledLongQuantity"]) == (10.0, 10.0)
    assert held["currentDayCost"] == 0.0


def test_users_see_their_own_accounts_alone(broker: Any, forms: Any) -> None:
    second = forms.second
    seen = broker.ask(broker.api.account_numbers, who=second)
    assert [one["accountNumber"] for one in seen] == ["20000001", "20000002"]
    ticked = second.with_accounts(["20000002"])
    seen = broker.ask(broker.api.account_numbers, who=ticked)
    assert [one["accountNumber"] for one in seen] == ["20000002"]
    reply = broker.call(
        broker.api.place, forms.order(), who=ticked, account_hash=second.accounts[1].hash
    )
    assert reply.status == 201
    closing = second.accounts[1].hash
    query = forms.window
    (shown,) = broker.ask(broker.api.orders, query=query, who=second, account_hash=closing)
    assert shown["status"] == "REJECTED"
    assert broker.ask(broker.api.all_orders, query=query) == []
    assert broker.events() == []
