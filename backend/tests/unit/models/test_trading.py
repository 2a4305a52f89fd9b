"""Orders, fills, positions, signals and balances: exact money, round trips, errors that say why."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.base import Model, read
from models.errors import DataError
from models.tables import ACCOUNT_SNAPSHOTS, ORDERS, POSITIONS, SIGNALS, TRADES, Table
from models.trading import (
    AssetType,
    Balances,
    Leg,
    Mode,
    Order,
    OrderStatus,
    OrderType,
    Position,
    PositionEffect,
    Side,
    SignalAction,
    TimeInForce,
    Trade,
    TradingHours,
    TradingSignal,
    underlying_of,
)

NOW = datetime(2025, 12, 1, 15, 30, tzinfo=UTC)
CALL, UPPER = "QQQ   251219C00500000", "QQQ   251219C00510000"

ORDER: dict[str, Any] = {
    "client_order_id": "c-1",
    "account_id": "4F3A",
    "mode": "paper",
    "legs": [{"symbol": CALL, "side": "BUY"}],
    "order_type": "LIMIT",
    "limit_price": "3.25",
    "quantity": 2,
    "created_at": NOW,
}
SPREAD = ORDER | {
    "legs": [{"symbol": CALL, "side": "BUY"}, {"symbol": UPPER, "side": "SELL"}],
    "order_type": "NET_DEBIT",
}
TRADE: dict[str, Any] = {
    "execution_id": "x-1",
    "client_order_id": "c-1",
    "account_id": "4F3A",
    "mode": "live",
    "symbol": CALL,
    "session": "2025-12-01",
    "ts": NOW,
    "signed_quantity": -2,
    "price": "3.2",
    "fees": "1.32",
}
POSITION: dict[str, Any] = {
    "account_id": "4F3A",
    "mode": "live",
    "symbol": CALL,
    "signed_quantity": -2,
    "average_price": "3.20",
    "updated_at": NOW,
}
SIGNAL: dict[str, Any] = {
    "signal_id": "s-1",
    "strategy": "ema_cross",
    "mode": "backtest",
    "symbol": "QQQ",
    "ts": NOW,
    "action": "open",
    "legs": [{"symbol": "QQQ", "side": "BUY", "quantity": 100}],
    "detail": {"fast": 1.5, "why": ["crossed"]},
}
BALANCES: dict[str, Any] = {
    "account_id": "4F3A",
    "mode": "live",
    "ts": NOW,
    "cash": "-12.345678",
    "liquidation_value": 100_000,
    "buying_power": "200000.00",
}
GOOD: list[tuple[type[Model], dict[str, Any]]] = [
    (Order, ORDER),
    (Order, SPREAD),
    (Trade, TRADE),
    (Position, POSITION),
    (TradingSignal, SIGNAL),
    (Balances, BALANCES),
]

money = st.decimals(-(10**11), 10**11, places=6, allow_nan=False, allow_infinity=False)
positive = st.decimals("0.000001", 10**11, places=6, allow_nan=False, allow_infinity=False)
moments = st.datetimes(
    datetime(1998, 1, 1),  # noqa: DTZ001 - hypothesis wants naive bounds
    datetime(2045, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5))]),
)


@pytest.mark.parametrize(("model", "fields"), GOOD)
def test_json_round_trips(model: type[Model], fields: dict[str, Any]) -> None:
    value = model.model_validate(fields)
    text = value.model_dump_json()
    assert model.model_validate_json(text) == value
    assert model.model_validate_json(text).model_dump_json() == text
    assert model.model_validate(value.model_dump(mode="json")) == value


@given(quantity=money.filter(bool), price=positive, fees=money, ts=moments)
def test_random_trades_keep_every_digit(
    quantity: Decimal, price: Decimal, fees: Decimal, ts: datetime
) -> None:
    fields = {"signed_quantity": quantity, "price": price, "fees": fees, "ts": ts}
    trade = Trade.model_validate(TRADE | fields)
    again = Trade.model_validate_json(trade.model_dump_json())
    assert again == trade
    assert (again.signed_quantity, again.price, again.fees) == (quantity, price, fees)
    assert again.ts == ts
    assert again.ts.tzinfo == UTC


@given(
    order_type=st.sampled_from(OrderType),
    effect=st.sampled_from(PositionEffect),
    terms=st.fixed_dictionaries(
        {
            "time_in_force": st.sampled_from(TimeInForce),
            "hours": st.sampled_from(TradingHours),
            "mode": st.sampled_from(Mode),
        }
    ),
    price=positive,
)
def test_random_orders_of_every_kind(
    order_type: OrderType, effect: PositionEffect, terms: dict[str, Any], price: Decimal
) -> None:
    net = order_type.name.startswith("NET")
    trailing = order_type.name.startswith("TRAILING")
    limited = "LIMIT" in order_type.name or order_type is OrderType.NET_DEBIT
    credit = order_type is OrderType.NET_CREDIT
    fields = (SPREAD if net else ORDER) | terms
    fields |= {
        "order_type": order_type,
        "limit_price": price if limited and not trailing else -price if credit else None,
        "stop_price": price if "STOP" in order_type.name and not trailing else None,
        "trail": {"offset": price, "limit_offset": price if limited else None}
        if trailing
        else None,
    }
    fields["legs"] = [leg | {"position_effect": effect} for leg in fields["legs"]]
    order = Order.model_validate(fields)
    assert Order.model_validate_json(order.model_dump_json()) == order


@pytest.mark.parametrize(
    ("model", "table"),
    [
        (Order, ORDERS),
        (Trade, TRADES),
        (Position, POSITIONS),
        (TradingSignal, SIGNALS),
        (Balances, ACCOUNT_SNAPSHOTS),
    ],
)
def test_fields_have_the_names_of_the_table(model: type[Model], table: Table) -> None:
    assert set(table.column_names) <= set(model.model_fields)
    missing = {
        column.name
        for column in table.columns
        if not column.nullable and column.name not in model.model_fields
    }
    assert not missing


@pytest.mark.parametrize(("model", "fields"), GOOD)
def test_values_are_frozen_and_unknown_fields_refused(
    model: type[Model], fields: dict[str, Any]
) -> None:
    value = model.model_validate(fields)
    name = next(iter(fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(value, name, "other")
    with pytest.raises(DataError, match=rf"{model.__name__}\.colour: Extra inputs"):
        read(model, fields | {"colour": "blue"})


@pytest.mark.parametrize(
    ("model", "fields", "change", "sentence"),
    [
        (Order, ORDER, {"limit_price": 3.25}, r"Order\.limit_price: money is exact"),
        (Order, ORDER, {"quantity": 0.1}, r"Order\.quantity: money is exact"),
        (Order, ORDER, {"quantity": True}, r"Order\.quantity: money is exact"),
        (Order, ORDER, {"quantity": 0}, r"Order\.quantity: .*greater than 0"),
        (Order, ORDER, {"quantity": "NaN"}, r"Order\.quantity: .*finite"),
        (Order, ORDER, {"limit_price": "1.1234567"}, r"limit_price: .*6 decimal places"),
        (Order, ORDER, {"account_id": "12345678"}, "never its number"),
        (Order, ORDER, {"time_in_force": "FOREVER"}, r"time_in_force: .*'GOOD_TILL_CANCEL'"),
        (Order, ORDER, {"legs": []}, r"Order\.legs: "),
        (Order, ORDER, {"legs": [{"symbol": CALL, "side": "HOLD"}]}, r"legs\.0\.side: "),
        (Order, ORDER, {"legs": [{"symbol": "qqq", "side": "BUY"}]}, r"legs\.0\.symbol: "),
        (Order, ORDER, {"legs": [{"symbol": CALL[:-1] + "X", "side": "BUY"}]}, "not an option"),
        (Order, ORDER, {"legs": ORDER["legs"] * 2}, "LIMIT does not fit 2 leg"),
        (Order, SPREAD, {"legs": ORDER["legs"] * 2}, "one symbol twice"),
        (Order, SPREAD, {"legs": ORDER["legs"]}, "NET_DEBIT does not fit 1 leg"),
        (Order, SPREAD, {"limit_price": "-1"}, "limit_price does not fit NET_DEBIT"),
        (Order, SPREAD, {"order_type": "NET_CREDIT"}, "limit_price does not fit NET_CREDIT"),
        (Order, SPREAD, {"order_type": "NET_ZERO"}, "limit_price does not fit NET_ZERO"),
        (Order, ORDER, {"limit_price": None}, "limit_price does not fit LIMIT"),
        (Order, ORDER, {"limit_price": "-3"}, "limit_price does not fit LIMIT"),
        (Order, ORDER, {"order_type": "MARKET"}, "limit_price does not fit MARKET"),
        (Order, ORDER, {"stop_price": 3}, "stop_price does not fit LIMIT"),
        (Order, ORDER, {"order_type": "STOP_LIMIT"}, "stop_price does not fit STOP_LIMIT"),
        (Order, ORDER, {"filled_quantity": 3}, "filled_quantity is above"),
        (Order, ORDER, {"filled_quantity": 2}, "status FILLED goes with"),
        (Order, ORDER, {"status": "FILLED"}, "status FILLED goes with"),
        (Order, ORDER, {"updated_at": NOW - timedelta(1)}, "updated_at is before"),
        (Order, ORDER, {"created_at": "2025-12-01T15:30:00"}, r"created_at: .*timezone"),
        (Trade, TRADE, {"signed_quantity": 0}, "nothing was traded"),
        (Trade, TRADE, {"price": "-1"}, r"Trade\.price: .*greater than or equal to 0"),
        (Trade, TRADE, {"execution_id": ""}, r"Trade\.execution_id: "),
        (Position, POSITION, {"multiplier": 0}, r"Position\.multiplier: "),
        (TradingSignal, SIGNAL, {"action": "hold"}, "none with hold"),
        (TradingSignal, SIGNAL, {"legs": []}, "legs go with open and close"),
        (Balances, BALANCES, {"cash": "1e13"}, r"Balances\.cash: .*12 digits"),
        (Balances, BALANCES, {"mode": "demo"}, r"Balances\.mode: .*'rehearsal'"),
    ],
)
def test_a_validation_error_says_which_field_and_why(
    model: type[Model], fields: dict[str, Any], change: dict[str, Any], sentence: str
) -> None:
    assert model.model_validate(fields)
    with pytest.raises(DataError, match=sentence) as found:
        read(model, fields | change)
    assert "\n" not in str(found.value)


def test_a_sentence_counts_the_findings_and_shows_no_value() -> None:
    with pytest.raises(DataError) as found:
        read(Balances, BALANCES | {"cash": "hush-hush", "ts": "hush-hush"})
    assert "hush" not in str(found.value)
    assert "(and 1 more)" in str(found.value)


def test_reading_json_text() -> None:
    text = Position.model_validate(POSITION).model_dump_json()
    assert read(Position, text).symbol == CALL
    with pytest.raises(DataError, match="Invalid JSON"):
        read(Position, text[:-5])
    with pytest.raises(DataError, match="money is exact"):
        read(Position, text.replace('"3.20"', "3.2"))


def test_an_order_and_its_legs() -> None:
    order = Order.model_validate(SPREAD | {"quantity": 5, "filled_quantity": 2})
    assert order.underlying == "QQQ"
    assert order.strategy == "manual"
    assert order.status is OrderStatus.NEW
    assert order.remaining_quantity == 3
    assert order.updated_at == order.created_at
    assert [leg.signed_quantity for leg in order.legs] == [1, -1]
    assert {leg.asset_type for leg in order.legs} == {AssetType.OPTION}
    assert {leg.multiplier for leg in order.legs} == {Decimal(100)}
    filled = order.model_copy(update={"filled_quantity": Decimal(5), "status": OrderStatus.FILLED})
    assert Order.model_validate(filled.model_dump()) == filled
    assert hash(order) == hash(Order.model_validate_json(order.model_dump_json()))


def test_a_share_leg() -> None:
    leg = Leg(symbol="BRK.B", side=Side.SELL, quantity=Decimal(100))
    assert leg.asset_type is AssetType.EQUITY
    assert leg.multiplier == 1
    assert leg.underlying == "BRK.B"
    assert leg.signed_quantity == -100


def test_market_orders_may_have_legs() -> None:
    assert Order.model_validate(SPREAD | {"order_type": "MARKET", "limit_price": None})


def test_terminal_states() -> None:
    terminal = {status.value for status in OrderStatus if status.terminal}
    assert terminal == {"DENIED", "FILLED", "CANCELED", "REPLACED", "REJECTED", "EXPIRED"}


def test_what_a_trade_moves() -> None:
    trade = Trade.model_validate(TRADE)
    assert trade.notional == Decimal(-640)
    assert trade.cash_flow == Decimal("638.68")
    assert trade.session == date(2025, 12, 1)
    bought = Trade.model_validate(TRADE | {"signed_quantity": 3, "symbol": "QQQ"})
    assert bought.cash_flow == Decimal("-10.92")


def test_what_a_position_is_worth() -> None:
    position = Position.model_validate(POSITION | {"mark": "2.70"})
    assert position.cost_basis == Decimal(-640)
    assert position.market_value == Decimal(-540)
    assert position.unrealized_pnl == Decimal(100)
    without = Position.model_validate(POSITION)
    assert without.market_value is None
    assert without.unrealized_pnl is None


def test_a_signal() -> None:
    signal = TradingSignal.model_validate(SIGNAL)
    assert signal.action is SignalAction.OPEN
    assert TradingSignal.model_validate(SIGNAL | {"action": "hold", "legs": []}).legs == ()


@pytest.mark.parametrize(
    ("symbol", "underlying"),
    [(CALL, "QQQ"), ("SPXW  251219P05000000", "SPX"), ("BRK.B", "BRK.B")],
)
def test_underlying_of(symbol: str, underlying: str) -> None:
    assert underlying_of(symbol) == underlying
