"""Cash, fees, positions and transactions agree with each other to the cent."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from engine.fees import FeeSchedule, FillTerms
from models.order_terms import Side
from schwab_integration.parse_transactions import parse_transaction, settlement_of


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


@pytest.mark.parametrize(
    ("ticker", "right", "instruction", "outcome"),
    [
        ("QQQ", "C", "BUY_TO_OPEN", "exercised"),
        ("QQQ", "P", "SELL_TO_OPEN", "assigned"),
        ("SPX", "C", "BUY_TO_OPEN", "cash"),
        ("QQQ", "C", "BUY_TO_OPEN", "worthless"),
    ],
)
def test_what_an_expiration_does_is_among_the_transactions(
    ticker: str, right: str, instruction: str, outcome: str, broker: Any, forms: Any
) -> None:
    """Cash, position and shares change as they say, and our client reads what the venue means."""
    day = broker.now.date().replace(day=20)
    chain = broker.world.chain(ticker, broker.now, day, day).filter(pl.col("right") == right)
    in_the_money = (right == "C") is (outcome != "worthless")
    wanted = broker.last(ticker) * (0.96 if in_the_money else 1.04)
    symbol = chain.sort((pl.col("strike") - wanted).abs())["occ_symbol"][0]
    broker.place(forms.order(symbol, instruction, 1))
    assert set(broker.positions()) == {symbol}
    cash = broker.cash()
    broker.now = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
    held = broker.positions()
    kinds = "TRADE,RECEIVE_AND_DELIVER"
    found = trades(broker, forms, types=kinds)
    ended = [one for one in found if "orderId" not in one]
    assert broker.cash() - cash == sum(Decimal(str(one["netAmount"])) for one in ended)
    removal = next(one for one in ended if one["type"] == "RECEIVE_AND_DELIVER")
    assert removal in trades(broker, forms, types="RECEIVE_AND_DELIVER", symbol=symbol)
    number = removal["activityId"]
    assert broker.ask(broker.api.transaction, transaction_id=number) == removal
    (meant,) = broker.exchange.accounts_of(forms.demo)[0].paper.state.expired
    read = settlement_of(parse_transaction(json.dumps(removal).encode()).value)
    assert read is not None
    assert (read.symbol, read.quantity, read.outcome) == (symbol, meant.quantity, outcome)
    assert read.shares == meant.shares
    assert read.cash * read.quantity == (meant.cash if outcome == "cash" else 0)
    assert held == ({ticker: float(meant.shares)} if meant.shares else {})
