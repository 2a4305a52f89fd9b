"""Replies of the Trader API: every captured one parses, and what the house's models make of them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.errors import BadReply
from models.order_groups import OneCancelsOther, Trigger, orders_of
from models.order_terms import AccountKind, Mode, OrderStatus, OrderType
from models.schwab_order_terms import WireStatus
from models.trading import Order
from schwab_integration import preview_replies
from schwab_integration import trader_replies as replies
from schwab_integration.decoding import exact, moment, parsed, parsed_list
from schwab_integration.parse_accounts import (
    balances_of,
    holdings_of,
    parse_account,
    parse_user_preference,
    terms_of,
)
from schwab_integration.parse_orders import (
    STATUS_OF,
    Owner,
    fills_of,
    order_of,
    orders_within,
    parse_order,
    parse_orders,
    status_of,
    ticket_of,
)
from schwab_integration.parse_preview import parse_preview, preview_of
from schwab_integration.parse_transactions import (
    UNNAMED,
    fees_of,
    parse_transaction,
    parse_transactions,
    trade_of,
)

NOW = datetime(2026, 11, 20, 20, 0, tzinfo=UTC)
OWNER = Owner("hash", Mode.LIVE)

ONE: list[tuple[str, type[msgspec.Struct]]] = [
    ("schwab/account_details", replies.Account),
    ("schwab_captured/account_with_positions", replies.Account),
    ("schwab/order_details", replies.ReportedOrder),
    ("schwab/preferences", replies.UserPreference),
    ("schwab_captured/user_preference", replies.UserPreference),
    ("schwab/preview_order", preview_replies.Preview),
    ("schwab_captured/preview_order_accepted", preview_replies.Preview),
    ("schwab_captured/preview_order_rejected", preview_replies.Preview),
    ("schwab_captured/transaction_single", replies.Transaction),
]
MANY: list[tuple[str, type[msgspec.Struct]]] = [
    ("schwab/account_details_all", replies.Account),
    ("schwab/account_details_1", replies.HeldPosition),
    ("schwab/account_orders", replies.ReportedOrder),
    ("schwab/linked_accounts", replies.AccountNumber),
    ("schwab/transactions", replies.Transaction),
    ("schwab_captured/account_numbers", replies.AccountNumber),
    ("schwab_captured/orders_vertical", replies.ReportedOrder),
    ("schwab_captured/orders_with_close", replies.ReportedOrder),
    ("schwab_captured/orders_iron_condor", replies.ReportedOrder),
    ("schwab_captured/transactions", replies.Transaction),
    ("schwab_captured/transactions_trades", replies.Transaction),
]
CAPTURED = [(name, kind, False) for name, kind in ONE] + [(name, kind, True) for name, kind in MANY]
IDS = [name for name, _, _ in CAPTURED]

NEVER_CAPTURED = {
    # Of the specification alone; nothing reads them.
    "Deliverable": {"api_currency_type", "asset_type"},
    "Instrument": {"factor", "maturity_date", "option_multiplier", "variable_rate"},
    "HeldPosition": {"aged_quantity"},
    "AccountBalances": {
        "cash_available_for_withdrawal",
        "cash_call",
        "cash_debit_call_value",
        "long_non_marginable_market_value",
        "option_buying_power",
        "unsettled_cash",
    },
    "SecuritiesAccount": {"is_foreign"},
    "OrderLeg": {"quantity_type", "div_cap_gains", "to_symbol"},
    "ReportedOrder": {
        "activation_price",
        "child_order_strategies",
        "price_link_basis",
        "price_link_type",
        "release_time",
        "replacing_order_collection",
        "special_instruction",
        "stop_price",
        "stop_price_link_basis",
        "stop_price_link_type",
        "stop_price_offset",
        "stop_type",
        "tax_lot_method",
    },
    "Transaction": {"activity_type", "description", "settlement_date", "user"},
    "TransactionUser": set(replies.TransactionUser.__struct_fields__),
    "PreviewLeg": {"quantity"},
    "PreviewStrategy": {"all_or_none", "settlement_instruction"},
    "ValidationRule": {
        "message",
        "override_name",
        "override_severity",
        "validation_rule_name",
    },
    "ValidationResult": {"accepts", "alerts", "reviews"},
}
"""Fields that no captured reply holds: no test shows their values as the wire writes them. Those of
trailing stops and of orders that hang together are tested by the way there and back."""


def read(data: Path, name: str, kind: type[Any], many: bool) -> Any:
    body = (data / f"{name}.json").read_bytes()
    return (parsed_list if many else parsed)(body, kind, name)


@pytest.mark.parametrize(("name", "kind", "many"), CAPTURED, ids=IDS)
def test_captured_replies_are_read_whole(data: Path, name: str, kind: Any, many: bool) -> None:
    """Every value of the file is in the structs, exactly, and nothing else is."""
    found = read(data, name, kind, many)
    document = json.loads((data / f"{name}.json").read_bytes(), parse_float=Decimal)
    assert_same(document, found.value)
    # A sample whose figures were blotted out is the only one with a word that nobody knows.
    assert dict(found.unknown) == (
        {"Instrument.assetType=000000": 1} if name == "schwab/account_details_1" else {}
    )


def assert_same(document: Any, value: Any) -> None:
    if isinstance(value, msgspec.Struct):
        wires = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        fields = {wire: getattr(value, name) for wire, name in wires}
        assert set(document) <= set(fields)
        for wire, field in fields.items():
            if wire in document:
                assert_same(document[wire], field)
            else:
                assert not given_value(field), wire
    elif isinstance(value, list | tuple):
        for one, other in zip(document, value, strict=True):
            assert_same(one, other)
    elif isinstance(document, str) and not isinstance(value, str):
        assert document == str(value)  # an order id as text
    else:
        assert document == value


def given_value(field: Any) -> bool:
    """Say whether a field holds more than what a reply that leaves it out gives it."""
    return field not in (None, ()) and field != type(field)()


def test_each_field_is_captured_or_listed_as_never_captured(data: Path) -> None:
    seen: dict[str, set[str]] = {}
    for name, kind, many in CAPTURED:
        document = json.loads((data / f"{name}.json").read_bytes())
        note(document, read(data, name, kind, many).value, seen)
    structs = [
        kind
        for kind in (vars(replies) | vars(preview_replies)).values()
        if isinstance(kind, type)
        and issubclass(kind, replies.Reported)
        and kind is not replies.Reported
    ]
    missing = {
        kind.__name__: left
        for kind in structs
        if (left := set(kind.__struct_fields__) - seen.get(kind.__name__, set()))
    }
    assert missing == NEVER_CAPTURED


def note(document: Any, value: Any, seen: dict[str, set[str]]) -> None:
    if isinstance(value, msgspec.Struct):
        names = seen.setdefault(type(value).__name__, set())
        for wire, name in zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True):
            if wire in document:
                names.add(name)
                note(document[wire], getattr(value, name), seen)
    elif isinstance(value, list | tuple):
        for one, other in zip(document, value, strict=True):
            note(one, other, seen)


# Accounts


def the_account(data: Path) -> replies.Account:
    return parse_account((data / "schwab_captured/account_with_positions.json").read_bytes()).value


def test_positions(data: Path) -> None:
    holdings = holdings_of(the_account(data), account_id="hash", mode=Mode.LIVE, at=NOW)
    assert holdings.others == []
    assert len(holdings.positions) == 10
    long, short = holdings.positions[:2]
    assert long.symbol == "META  250131P00510000"
    assert (long.underlying, long.signed_quantity) == ("META", Decimal(1))
    assert (long.average_price, long.multiplier) == (Decimal("1.7466"), Decimal(100))
    assert (long.mark, long.market_value) == (Decimal("0.445"), Decimal("44.5"))
    assert (short.signed_quantity, short.market_value) == (Decimal(-1), Decimal(-75))
    assert (short.average_price, short.updated_at) == (Decimal("2.7733"), NOW)
    assert (short.account_id, short.mode) == ("hash", Mode.LIVE)


def test_positions_of_other_kinds_are_listed() -> None:
    held = [
        {
            "instrument": {"assetType": "COLLECTIVE_INVESTMENT", "symbol": "SPY"},
            "longQuantity": 1.5,
        },
        {"instrument": {"assetType": "EQUITY", "symbol": "BRK/B"}, "shortQuantity": 2},
        {"instrument": {"assetType": "MUTUAL_FUND", "symbol": "SWPPX"}, "longQuantity": 1},
        {"instrument": {"assetType": "FIXED_INCOME", "symbol": "912797KX8"}, "longQuantity": 1},
        {"instrument": {"assetType": "EQUITY", "symbol": "no symbol"}, "longQuantity": 1},
        {"instrument": {"assetType": "EQUITY", "symbol": "F"}, "longQuantity": 1e300},
    ]
    body = {
        "type": "MARGIN",
        "accountNumber": "1",
        "positions": [one | {"averagePrice": 10} for one in held],
    }
    account = parse_account(json.dumps({"securitiesAccount": body}).encode()).value
    holdings = holdings_of(account, account_id="hash", mode=Mode.LIVE, at=NOW)
    assert [(p.symbol, p.signed_quantity) for p in holdings.positions] == [
        ("SPY", Decimal("1.5")),
        ("BRK.B", Decimal(-2)),
    ]
    assert holdings.others == [
        "MUTUAL_FUND SWPPX",
        "FIXED_INCOME 912797KX8",
        "EQUITY no symbol",
        "EQUITY F",
    ]
    assert holdings.positions[0].mark is None


def test_balances_and_terms_of_a_margin_account(data: Path) -> None:
    account = the_account(data)
    balances = balances_of(account, account_id="hash", mode=Mode.LIVE, at=NOW)
    assert (balances.cash, balances.buying_power) == (Decimal("51420.89"), Decimal("88853.04"))
    assert balances.liquidation_value == Decimal("50946.39")
    assert balances.maintenance_requirement == Decimal(7000)
    terms = terms_of(account, account_id="hash", retirement=True, option_level=2)
    assert (terms.kind, terms.closing_only, terms.retirement) == (AccountKind.MARGIN, False, True)


def test_a_cash_account() -> None:
    body = b"""{"securitiesAccount": {"type": "CASH", "accountNumber": "1",
      "isClosingOnlyRestricted": true,
      "initialBalances": {"isInCall": 0, "liquidationValue": 900.5},
      "currentBalances": {"cashAvailableForTrading": 400.25, "totalCash": 500.5,
        "cashAvailableForWithdrawal": 1, "unsettledCash": 100.25, "cashCall": 0}}}"""
    reply = parse_account(body)
    assert not reply.unknown
    balances = balances_of(reply.value, account_id="hash", mode=Mode.LIVE, at=NOW)
    assert (balances.cash, balances.buying_power) == (Decimal("500.5"), Decimal("400.25"))
    assert balances.liquidation_value == Decimal("900.5")
    terms = terms_of(reply.value, account_id="hash")
    assert (terms.kind, terms.closing_only) == (AccountKind.CASH, True)


def test_an_account_without_amounts() -> None:
    body = b'{"securitiesAccount": {"type": "BARTER", "accountNumber": "1"}}'
    account = parse_account(body).value
    with pytest.raises(BadReply, match=r"currentBalances\.cashBalance is no amount"):
        balances_of(account, account_id="hash", mode=Mode.LIVE, at=NOW)
    with pytest.raises(BadReply, match="'BARTER' is neither CASH nor MARGIN"):
        terms_of(account, account_id="hash")


def test_preferences_as_object_or_list(data: Path) -> None:
    body = (data / "schwab_captured/user_preference.json").read_bytes()
    alone = parse_user_preference(body).value
    assert parse_user_preference(b"[" + body + b"]").value == alone
    [streamer] = alone.streamer_info
    assert streamer.streamer_socket_url == "wss://streamer-api.schwab.com/ws"
    assert (streamer.schwab_client_channel, alone.offers[0].mkt_data_permission) == ("N9", "NP")
    assert alone.accounts[0].lot_selection_method == "FIFO"
    with pytest.raises(BadReply):
        parse_user_preference(b"[]")


# Orders


def reported(**fields: Any) -> replies.ReportedOrder:
    leg = {
        "legId": 1,
        "instruction": "BUY",
        "quantity": 2.0,
        "instrument": {"assetType": "EQUITY", "symbol": "QQQ"},
    }
    given = {
        "orderId": 5,
        "orderType": "LIMIT",
        "price": 10.5,
        "quantity": 2.0,
        "status": "WORKING",
        "enteredTime": "2026-11-20T15:00:00+0000",
        "orderLegCollection": [leg],
    }
    return parse_order(json.dumps(given | fields).encode()).value


def test_captured_orders(data: Path) -> None:
    body = (data / "schwab_captured/orders_iron_condor.json").read_bytes()
    orders = [order_of(order, OWNER) for order in parse_orders(body).value]
    statuses = [order.status for order in orders]
    assert statuses.count(OrderStatus.FILLED) == 6
    assert statuses.count(OrderStatus.REJECTED) == 3
    assert statuses.count(OrderStatus.CANCELED) == 3
    assert statuses.count(OrderStatus.REPLACED) == 1
    condor = orders[0]
    assert (condor.status, condor.order_type) == (OrderStatus.WAITING, OrderType.NET_CREDIT)
    assert condor.limit_price == Decimal("-1.85")
    assert condor.underlying == "SPX"
    assert [leg.signed_quantity for leg in condor.legs] == [-1, 1, -1, 1]
    assert orders[2].created_at < orders[2].updated_at


def test_captured_fills(data: Path) -> None:
    body = (data / "schwab_captured/orders_iron_condor.json").read_bytes()
    orders = parse_orders(body).value
    fills = [fill for order in orders for fill in fills_of(order, OWNER)]
    filled = [order for order in orders if order.status == "FILLED"]
    assert len(fills) == 2 * len(filled)  # the canceled and the replaced have executions too
    assert len({fill.execution_id for fill in fills}) == len(fills)
    for order in filled:
        net = sum(fill.signed_quantity * fill.price for fill in fills_of(order, OWNER))
        price = order.price if order.order_type == "NET_DEBIT" else -(order.price or 0)
        assert net == price
    again = [fill for order in parse_orders(body).value for fill in fills_of(order, OWNER)]
    assert again == fills


@pytest.mark.parametrize("status", WireStatus)
def test_each_state(status: WireStatus) -> None:
    found = status_of(reported(status=status))
    assert found is STATUS_OF[status]
    over = {"REJECTED", "CANCELED", "REPLACED", "FILLED", "EXPIRED"}
    assert found.terminal == (status in over)
    assert order_of(reported(status=status), OWNER).status is found


@pytest.mark.parametrize("status", ["DREAMING", "", "💥"])
def test_a_state_that_nobody_documented(status: str) -> None:
    assert order_of(reported(status=status), OWNER).status is OrderStatus.UNKNOWN


@pytest.mark.parametrize(
    ("filled", "expected"),
    [
        (0, OrderStatus.WORKING),
        (1, OrderStatus.PARTIALLY_FILLED),
        (2, OrderStatus.FILLED),
    ],
)
def test_a_partial_fill_is_a_working_order(filled: float, expected: OrderStatus) -> None:
    order = order_of(reported(filledQuantity=filled), OWNER)
    assert (order.status, order.filled_quantity) == (expected, filled)


def test_an_activity_may_repeat_a_leg_or_lack_its_id() -> None:
    part = {"legId": 1, "quantity": 1, "price": 10, "time": "2026-11-20T15:00:01+0000"}
    activity = {"activityType": "EXECUTION", "executionType": "FILL"}
    activities = [
        activity | {"activityId": 7, "executionLegs": [part, part]},
        activity | {"executionLegs": [part]},
        activity | {"executionType": "CANCELED", "executionLegs": [part | {"price": 0}]},
        {"activityType": "ORDER_ACTION", "executionLegs": [part]},
    ]
    fills = fills_of(reported(orderActivityCollection=activities), OWNER)
    assert [fill.execution_id for fill in fills] == [
        "5.7.1",
        "5.7.1.2",
        "5.2026-11-20T15:00:01+0000.1",
    ]
    assert fills[0].client_order_id == "schwab-5"
    stray = [activity | {"executionLegs": [part | {"legId": 9}]}]
    with pytest.raises(BadReply, match="a fill of leg 9"):
        fills_of(reported(orderActivityCollection=stray), OWNER)


def test_orders_that_hang_together() -> None:
    child = json.loads(json.dumps({"orderStrategyType": "SINGLE"}))
    leg = {
        "instruction": "SELL",
        "quantity": 2,
        "instrument": {"assetType": "EQUITY", "symbol": "QQQ"},
    }
    single = child | {"orderType": "MARKET", "quantity": 2, "orderLegCollection": [leg]}
    pair = {"orderStrategyType": "OCO", "childOrderStrategies": [single, single]}
    bracket = reported(orderStrategyType="TRIGGER", childOrderStrategies=[pair])
    ticket = ticket_of(bracket, OWNER)
    assert isinstance(ticket, Trigger)
    assert isinstance(ticket.then, OneCancelsOther)
    assert len(orders_of(ticket)) == len(list(orders_within(bracket))) == 3
    for kind, children in (("TRIGGER", [single] * 2), ("OCO", [single]), ("SINGLE", [single])):
        with pytest.raises(BadReply):
            ticket_of(reported(orderStrategyType=kind, childOrderStrategies=children), OWNER)


NO_MODEL: list[tuple[dict[str, Any], str]] = [
    ({"orderType": "EXERCISE"}, "'EXERCISE' is not among"),
    ({"quantity": 0}, "beyond reason|greater than 0|quantity"),
    ({"price": None}, "price is no amount"),
    ({"duration": "UNKNOWN"}, "'UNKNOWN' is not among"),
    ({"session": "NIGHT"}, "'NIGHT' is not among"),
    ({"orderLegCollection": []}, "at least 1 item"),
    ({"orderLegCollection": [{"instruction": "BUY", "quantity": 1}]}, "a leg of"),
]


@pytest.mark.parametrize(("fields", "sentence"), NO_MODEL)
def test_an_order_that_no_model_can_hold(fields: dict[str, Any], sentence: str) -> None:
    order = reported(**fields)  # kept as reported
    with pytest.raises(BadReply, match=sentence):
        order_of(order, OWNER)


def test_legs_in_units_of_the_order() -> None:
    leg = {"instruction": "BUY_TO_OPEN", "quantity": 6, "instrument": {"assetType": "OPTION"}}
    symbols = ["QQQ   261218C00500000", "QQQ   261218C00510000"]
    legs = [leg | {"instrument": {"assetType": "OPTION", "symbol": symbol}} for symbol in symbols]
    legs[1] = legs[1] | {"instruction": "SELL_TO_OPEN", "quantity": 3}
    order = order_of(reported(orderType="NET_DEBIT", quantity=3, orderLegCollection=legs), OWNER)
    assert [leg.quantity for leg in order.legs] == [2, 1]
    assert order.quantity == 3


# Transactions and previews


def test_fees_and_cash_of_captured_trades(data: Path) -> None:
    body = (data / "schwab_captured/transactions_trades.json").read_bytes()
    transactions = parse_transactions(body).value
    assert len(transactions) == 12
    for one in transactions:
        [traded] = [item for item in one.transfer_items if item.position_effect]
        fees = sum(fees_of(one).values(), Decimal(0))
        assert one.net_amount == (traded.cost or 0) - fees
    futures, put = transactions[:2]
    assert fees_of(futures) == {
        "COMMISSION": Decimal("2.25"),
        "FUTURES_EXCHANGE_FEE": Decimal("0.55"),
        UNNAMED: Decimal("0.02"),
    }
    trade = trade_of(put, account_id="hash", mode=Mode.LIVE, client_order_id="c-1")
    assert trade is not None
    assert (trade.symbol, trade.signed_quantity) == ("MRVL  250321P00090000", Decimal(-1))
    assert (trade.price, trade.fees) == (Decimal("2.2"), Decimal("0.67"))
    assert trade.cash_flow == put.net_amount == Decimal("219.33")
    assert trade.order_id == "1000000000006"
    with pytest.raises(BadReply):  # an option on a future
        trade_of(futures, account_id="hash", mode=Mode.LIVE, client_order_id="c-1")


def test_transactions_that_are_no_trade() -> None:
    body = b'[{"activityId": 1, "type": "DIVIDEND_OR_INTEREST", "netAmount": 5.25}]'
    [one] = parse_transactions(body).value
    assert trade_of(one, account_id="hash", mode=Mode.LIVE, client_order_id="c") is None
    assert fees_of(one) == {}
    with pytest.raises(LookupError):
        parse_transaction(b"[]")


def test_previews(data: Path) -> None:
    def preview(name: str) -> Any:
        return preview_of(parse_preview((data / f"{name}.json").read_bytes()).value)

    taken = preview("schwab_captured/preview_order_accepted")
    assert taken.accepted
    assert (taken.commission, taken.fees) == (Decimal("2.6"), Decimal("2.19"))
    assert taken.order_value == Decimal(-140)  # a credit
    assert taken.buying_power_after == Decimal("339639.46")
    assert [words[:24] for words in taken.messages] == ["Please note that you hav"]
    refused = preview("schwab_captured/preview_order_rejected")
    assert not refused.accepted
    said = "Spread orders for SPX options must be priced in 5-cent increments."
    assert refused.messages[0] == said
    assert not preview("schwab/preview_order").accepted
    assert preview("schwab/preview_order").order_value == Decimal(10)


@pytest.mark.parametrize("named", [True, False])
def test_a_preview_of_shares_and_options_counts_contracts_as_shares(*, named: bool) -> None:
    """100 shares at 50 for 5,000 and five puts sold at 30 for 15,000: the account gets 10,000."""

    def leg(kind: str, instruction: str, quantity: int, mark: float) -> dict[str, Any]:
        asset = {"instrument": {"assetType": kind}} if named else {"assetType": kind}
        return {"instruction": instruction, "quantity": quantity, "markPrice": mark, **asset}

    legs = [leg("EQUITY", "BUY", 100, 50.0), leg("OPTION", "SELL_TO_OPEN", 5, 30.0)]
    strategy = {"orderLegs": legs, "orderBalance": {"orderValue": 10_000.0}}
    told = preview_of(parse_preview(msgspec.json.encode({"orderStrategy": strategy})).value)
    assert told.order_value == Decimal(-10_000)


# Reading


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-10-18T19:59:00+0000", datetime(2024, 10, 18, 19, 59, tzinfo=UTC)),
        ("2024-10-18T15:59:00.123-04:00", datetime(2024, 10, 18, 19, 59, 0, 123000, UTC)),
        ("2024-10-18T19:59:00.123456789Z", datetime(2024, 10, 18, 19, 59, 0, 123456, UTC)),
        ("2024-10-18 19:59:00", datetime(2024, 10, 18, 19, 59, tzinfo=UTC)),
        ("2024-10-18", datetime(2024, 10, 18, tzinfo=UTC)),
        ("1970-01-01T00:00:00+00000", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2024-13-18T19:59:00+0000", None),
        ("9999-12-31T23:59:59-2359", None),
        ("2024-10-18T19:59:00+9999", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_times(text: str | None, expected: datetime | None) -> None:
    assert moment(text) == expected


def test_amounts() -> None:
    assert str(exact(Decimal("1.10"), "f", "w")) == "1.1"
    assert str(exact(Decimal("1E+3"), "f", "w")) == "1000"
    assert str(exact(Decimal("0.0000001"), "f", "w")) == "0"
    assert str(exact(Decimal("1E-9999999999999"), "f", "w")) == "0"
    for bad in (None, Decimal("NaN"), Decimal("1E+12"), Decimal("-1E+9999999999999")):
        with pytest.raises(BadReply, match="f is no amount"):
            exact(bad, "f", "w")


NOT_JSON: list[bytes] = [
    b"",
    b"{",
    b"\xff",
    b"[" * 5000,
    b"[" * 30 + b"]" * 30,
]


@pytest.mark.parametrize("body", NOT_JSON)
@pytest.mark.parametrize("read_one", [parse_account, parse_orders, parse_preview])
def test_what_is_no_reply(body: bytes, read_one: Callable[[bytes], Any]) -> None:
    with pytest.raises(BadReply, match="is not as documented"):
        read_one(body)


def test_null_and_nan_say_nothing() -> None:
    order = reported(filledQuantity=None, remainingQuantity="NaN", orderActivityCollection=None)
    assert (order.filled_quantity, order.remaining_quantity) == (None, None)
    assert isinstance(order_of(order, OWNER), Order)
