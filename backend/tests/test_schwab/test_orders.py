"""Orders to the wire: golden files, ticks, names of strategies, and the way back."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import spreads
from models.errors import DataError
from models.options import OptionContract
from models.order_groups import OneCancelsOther, OrderTicket, Trigger
from models.order_terms import (
    Mode,
    OrderType,
    PositionEffect,
    Side,
    TimeInForce,
    TradingHours,
    TrailBasis,
    TrailUnit,
)
from models.schwab_order_terms import ComplexStrategy, WireOrderType
from models.spreads import Terms
from models.trading import Leg, Order, Trail
from schwab_integration.complex_strategies import strategy_of
from schwab_integration.orders import to_json, to_wire
from schwab_integration.parse_orders import Owner, order_of, parse_order, parse_orders, ticket_of
from schwab_integration.ticks import TickClass

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
TERMS = Terms(client_order_id="c-1", account_id="hash", mode=Mode.REHEARSAL, created_at=NOW)
OWNER = Owner("hash", Mode.REHEARSAL, client_order_id=lambda _: "c-1", at=NOW)
CAPTURED = ("orders_vertical", "orders_with_close", "orders_iron_condor")
SENT = ("session", "duration", "orderType", "complexOrderStrategyType", "orderStrategyType")


def occ(right: str, strike: float, day: str = "261218", root: str = "QQQ") -> str:
    return f"{root:<6}{day}{right}{round(strike * 1000):08d}"


def wire_of(ticket: OrderTicket, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(to_json(to_wire(ticket, **more)))
    return found


# Golden files: the captured orders, built by us, have the captured fields.


@pytest.mark.parametrize("name", CAPTURED)
def test_captured_orders_built_again(data: Path, name: str) -> None:
    body = (data / "schwab_captured" / f"{name}.json").read_bytes()
    reported = parse_orders(body).value
    for captured, order in zip(json.loads(body), reported, strict=True):
        built = wire_of(order_of(order, OWNER))
        assert {key: built[key] for key in SENT} == {key: captured[key] for key in SENT}
        assert Decimal(built["price"]) == Decimal(str(captured["price"]))
        assert built.get("quantity", captured["quantity"]) == captured["quantity"]
        assert [legs_sent(leg) for leg in built["orderLegCollection"]] == [
            legs_sent(leg) for leg in captured["orderLegCollection"]
        ]


def legs_sent(leg: dict[str, Any]) -> tuple[Any, ...]:
    instrument = leg["instrument"]
    return leg["instruction"], leg["quantity"], instrument["symbol"], instrument["assetType"]


def test_a_golden_iron_condor() -> None:
    legs = spreads.iron_condor(
        put_buy="SPXW  250131P05950000",
        put_sell="SPXW  250131P05960000",
        call_sell="SPXW  250131C06210000",
        call_buy="SPXW  250131C06220000",
    )
    order = spreads.order(TERMS, legs, quantity=Decimal(2), limit_price=Decimal("-1.85"))
    assert wire_of(order) == {
        "orderStrategyType": "SINGLE",
        "orderType": "NET_CREDIT",
        "session": "NORMAL",
        "duration": "DAY",
        "complexOrderStrategyType": "IRON_CONDOR",
        "quantity": 2,
        "price": "1.85",
        "orderLegCollection": [
            {
                "instruction": instruction,
                "quantity": 2,
                "instrument": {"symbol": symbol, "assetType": "OPTION"},
            }
            for instruction, symbol in (
                ("SELL_TO_OPEN", "SPXW  250131P05960000"),
                ("BUY_TO_OPEN", "SPXW  250131P05950000"),
                ("SELL_TO_OPEN", "SPXW  250131C06210000"),
                ("BUY_TO_OPEN", "SPXW  250131C06220000"),
            )
        ],
    }


def test_a_golden_bracket() -> None:
    entry = spreads.order(TERMS, [spreads.leg("QQQ", Side.BUY)], limit_price=Decimal(500))
    ticket = spreads.bracket(
        entry,
        take_profit=spreads.closing_order(entry, "c-2", limit_price=Decimal(520)),
        stop_loss=spreads.closing_order(entry, "c-3", stop_price=Decimal("480.5")),
    )
    wire = wire_of(ticket)
    [oco] = wire.pop("childOrderStrategies")
    assert (wire["orderStrategyType"], wire["price"]) == ("TRIGGER", "500.00")
    children = oco.pop("childOrderStrategies")
    assert oco == {"orderStrategyType": "OCO"}  # more fields at the top of an OCO give 400
    target, stop = children
    assert (target["orderStrategyType"], target["price"]) == ("SINGLE", "520.00")
    assert (stop["orderType"], stop["stopPrice"]) == ("STOP", "480.50")
    assert stop["orderLegCollection"][0]["instruction"] == "SELL"


def test_a_golden_trailing_stop() -> None:
    trail = Trail(offset=Decimal("2.5"), unit=TrailUnit.PERCENT, basis=TrailBasis.BID)
    order = single(OrderType.TRAILING_STOP, trail=trail)
    wire = wire_of(order)
    assert {key: value for key, value in wire.items() if key.startswith("stop")} == {
        "stopPriceLinkBasis": "BID",
        "stopPriceLinkType": "PERCENT",
        "stopPriceOffset": "2.50",
    }
    limited = Trail(offset=Decimal(3), limit_offset=Decimal("0.25"))
    wire = wire_of(single(OrderType.TRAILING_STOP_LIMIT, trail=limited))
    assert (wire["price"], wire["priceLinkBasis"]) == ("0.25", "TRIGGER")


def single(order_type: OrderType, symbol: str = "QQQ", **more: Any) -> Order:
    leg = more.pop("leg", None) or spreads.leg(symbol, Side.SELL)
    fields = TERMS.model_dump() | {"legs": (leg,), "quantity": Decimal(1)} | more
    return Order(order_type=order_type, **fields)


def test_shares_of_classes_are_spelled_as_schwab_does() -> None:
    order = single(OrderType.MARKET, "BRK.B", hours=TradingHours.EXTENDED)
    wire = wire_of(order)
    assert wire["orderLegCollection"][0]["instrument"]["symbol"] == "BRK/B"
    assert wire["session"] == "SEAMLESS"


@pytest.mark.parametrize(
    ("symbol", "side", "effect", "instruction"),
    [
        ("QQQ", "BUY", "OPENING", "BUY"),
        ("QQQ", "SELL", "CLOSING", "SELL"),
        ("QQQ", "SELL", "OPENING", "SELL_SHORT"),
        ("QQQ", "BUY", "CLOSING", "BUY_TO_COVER"),
        (occ("C", 500), "BUY", "OPENING", "BUY_TO_OPEN"),
        (occ("C", 500), "SELL", "CLOSING", "SELL_TO_CLOSE"),
        (occ("C", 500), "SELL", "OPENING", "SELL_TO_OPEN"),
        (occ("C", 500), "BUY", "CLOSING", "BUY_TO_CLOSE"),
    ],
)
def test_instructions(symbol: str, side: str, effect: str, instruction: str) -> None:
    leg = Leg(symbol=symbol, side=Side(side), position_effect=PositionEffect(effect))
    wire = wire_of(single(OrderType.MARKET, leg=leg))
    assert wire["orderLegCollection"][0]["instruction"] == instruction


@pytest.mark.parametrize("order_type", OrderType)
def test_each_type_of_order_has_its_word(order_type: OrderType) -> None:
    assert WireOrderType(order_type)


# What is refused, one sentence each.

REFUSED: list[tuple[Order, str]] = [
    (
        single(OrderType.LIMIT, limit_price=Decimal("10.005")),
        r"limit_price 10\.005 is off the tick of 0\.01: QQQ can be priced at 10\.00 or 10\.01",
    ),
    (
        single(OrderType.LIMIT, limit_price=Decimal("0.12345")),
        r"0\.12345 is off the tick of 0\.0001: QQQ can be priced at 0\.1234 or 0\.1235",
    ),
    (
        single(OrderType.STOP, stop_price=Decimal("10.005")),
        r"stop_price 10\.005 is off",
    ),
    (
        single(OrderType.LIMIT, occ("C", 200, root="AAPL"), limit_price=Decimal("3.07")),
        r"3\.07 is off the tick of 0\.05: AAPL .* can be priced at 3\.05 or 3\.10",
    ),
    (
        single(OrderType.LIMIT, occ("C", 6000, root="SPXW"), limit_price=Decimal("3.05")),
        r"off the tick of 0\.10: SPXW .* can be priced at 3\.00 or 3\.10",
    ),
    (
        single(OrderType.LIMIT, occ("C", 6000, root="SPXW"), limit_price=Decimal("0.03")),
        r"off the tick of 0\.05: SPXW .* can be priced at 0\.05$",
    ),
    (
        spreads.order(
            TERMS,
            spreads.vertical(buy=occ("C", 6000, root="SPXW"), sell=occ("C", 6010, root="SPXW")),
            limit_price=Decimal("1.23"),
        ),
        r"limit_price 1\.23 is off the tick of 0\.05: 2 legs together can be priced at 1\.20",
    ),
    (
        single(OrderType.MARKET, occ("C", 500), quantity=Decimal("1.5")),
        r"options trade in whole contracts: 1\.5 of QQQ .* is none",
    ),
    (
        single(OrderType.MARKET, leg=Leg(symbol="QQQ", side=Side.BUY)),
        "the leg QQQ does not say whether it opens or closes a position",
    ),
    (single(OrderType.MARKET, "SPX"), "SPX is an index and cannot be traded itself"),
]


@pytest.mark.parametrize(("order", "sentence"), REFUSED)
def test_what_is_refused(order: Order, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        to_wire(order)
    assert "\n" not in str(caught.value)


def test_a_class_that_is_named() -> None:
    order = single(OrderType.LIMIT, occ("C", 200, root="ABCD"), limit_price=Decimal("2.07"))
    assert wire_of(order)["price"] == "2.07"
    with pytest.raises(DataError, match=r"2\.05 or 2\.10"):
        to_wire(order, tick_classes={"ABCD": TickClass.NICKEL})
    dear = single(OrderType.LIMIT, occ("C", 500), limit_price=Decimal("31.07"))
    assert wire_of(dear)["price"] == "31.07"  # QQQ moves by cents throughout


@given(st.integers(1, 100_000))
def test_every_cent_leaves_as_it_is(cents: int) -> None:
    price = Decimal(cents) / 100
    wire = wire_of(single(OrderType.LIMIT, limit_price=price))
    assert wire["price"] == f"{cents // 100}.{cents % 100:02d}"


# Names of strategies


def legs_of(*parts: tuple[int, str] | tuple[int, str, str]) -> list[Leg]:
    return [
        Leg(
            symbol=part[1],
            side=Side.BUY if part[0] > 0 else Side.SELL,
            quantity=Decimal(abs(part[0])),
            position_effect=PositionEffect(part[2] if len(part) == 3 else "OPENING"),
        )
        for part in parts
    ]


C = {strike: occ("C", strike) for strike in (480, 490, 500, 510, 520)}
P = {strike: occ("P", strike) for strike in (480, 490, 500, 510, 520)}
LATE = {strike: occ("C", strike, "270115") for strike in (490, 500, 510)}
LATE_PUTS = {strike: occ("P", strike, "270115") for strike in (470, 480, 490)}
CLOSE = "CLOSING"
NAMED: list[tuple[str, Sequence[Leg]]] = [
    ("NONE", legs_of((1, C[500]))),
    ("VERTICAL", legs_of((1, C[500]), (-1, C[510]))),
    ("VERTICAL", legs_of((-1, P[500], CLOSE), (1, P[490], CLOSE))),
    ("BACK_RATIO", legs_of((2, C[510]), (-1, C[500]))),
    ("CALENDAR", legs_of((1, LATE[500]), (-1, C[500]))),
    ("DIAGONAL", legs_of((1, LATE[510]), (-1, C[500]))),
    ("STRADDLE", legs_of((1, C[500]), (1, P[500]))),
    ("STRANGLE", legs_of((-1, C[510]), (-1, P[490]))),
    ("COLLAR_SYNTHETIC", legs_of((-1, C[510]), (1, P[490]))),
    ("BUTTERFLY", legs_of((1, C[490]), (-2, C[500]), (1, C[510]))),
    ("BUTTERFLY", legs_of((1, C[490]), (-2, C[500]), (1, C[520]))),
    ("UNBALANCED_BUTTERFLY", legs_of((1, C[490]), (-3, C[500]), (2, C[510]))),
    ("CONDOR", legs_of((1, P[480]), (-1, P[490]), (-1, P[500]), (1, P[510]))),
    ("UNBALANCED_CONDOR", legs_of((1, P[480]), (-2, P[490]), (-1, P[500]), (2, P[510]))),
    ("IRON_CONDOR", legs_of((1, P[480]), (-1, P[490]), (-1, C[500]), (1, C[510]))),
    ("IRON_CONDOR", legs_of((1, P[480]), (-1, P[490]), (-1, C[490]), (1, C[510]))),
    ("UNBALANCED_IRON_CONDOR", legs_of((1, P[480]), (-1, P[490]), (-2, C[500]), (2, C[510]))),
    ("COVERED", legs_of((100, "QQQ"), (-1, C[500]))),
    ("COVERED", legs_of((-100, "QQQ", CLOSE), (1, C[500], CLOSE))),
    ("COVERED", legs_of((-100, "QQQ"), (-1, P[500]))),
    ("COLLAR_WITH_STOCK", legs_of((100, "QQQ"), (-1, C[510]), (1, P[490]))),
    (
        "VERTICAL_ROLL",
        legs_of((-1, C[490], CLOSE), (1, C[500], CLOSE), (1, C[500 + 10]), (-1, C[520])),
    ),
    (
        "VERTICAL_ROLL",
        legs_of((-1, C[490], CLOSE), (1, C[500], CLOSE), (1, LATE[500]), (-1, LATE[510])),
    ),
    (
        "UNBALANCED_VERTICAL_ROLL",
        legs_of((-1, C[490], CLOSE), (1, C[500], CLOSE), (2, LATE[500]), (-2, LATE[510])),
    ),
    (
        "DOUBLE_DIAGONAL",
        legs_of((-1, P[490]), (-1, C[500]), (1, LATE_PUTS[480]), (1, LATE[510])),
    ),
    ("CUSTOM", legs_of((1, C[500]), (1, C[510]))),
    ("CUSTOM", legs_of((1, C[500]), (-2, LATE[500]))),
    ("CUSTOM", legs_of((1, C[500]), (-2, P[500]))),
    ("CUSTOM", legs_of((100, "QQQ"), (1, P[500]))),
    ("CUSTOM", legs_of((200, "QQQ"), (-1, C[500]))),
    ("CUSTOM", legs_of((100, "QQQ"), (-1, C[500]), (-1, P[500]))),
    ("CUSTOM", legs_of((100, "QQQ"), (-100, "SPY"))),
    ("CUSTOM", legs_of((1, C[500]), (-1, occ("C", 510, root="SPY")))),
    ("CUSTOM", legs_of((1, C[490]), (-1, C[500]), (1, C[510]))),
    ("CUSTOM", legs_of((1, C[490]), (1, P[500]), (1, C[510]))),
    ("CUSTOM", legs_of((1, C[490]), (-1, C[500]), (1, C[510]), (-1, C[520]))),
    ("CUSTOM", legs_of((1, P[480]), (1, P[490]), (-1, C[500]), (-1, C[510]))),
    ("CUSTOM", legs_of((1, P[480]), (1, C[490]), (-1, C[500]), (-1, C[510]))),
    ("CUSTOM", legs_of((-1, P[490]), (-1, C[500]), (1, LATE_PUTS[490]), (1, LATE[510]))),
    ("CUSTOM", legs_of(*[(1, occ("C", 400 + n)) for n in range(5)])),
]


@pytest.mark.parametrize(("name", "legs"), NAMED)
def test_names_of_strategies(name: str, legs: Sequence[Leg]) -> None:
    assert strategy_of(legs) is ComplexStrategy(name)
    assert strategy_of(list(reversed(legs))) is ComplexStrategy(name)


# The way back: every order that can be built is read as it was.

cents = st.integers(1, 5_000).map(lambda n: Decimal(n) / 100)
nickels = st.integers(1, 500).map(lambda n: Decimal(n) / 20)
tickers = st.sampled_from(["QQQ", "BRK.B", "F", "AAPL"])
contracts = st.builds(
    lambda right, strike, root, day: (
        OptionContract(
            root=root, expiration=day, strike=Decimal(strike) / 2, right=right
        ).occ_symbol
    ),
    st.sampled_from("CP"),
    st.integers(1, 2_000),
    st.sampled_from(["QQQ", "SPY", "XSP"]),
    st.dates(datetime(2026, 12, 1).date(), datetime(2029, 1, 1).date()),  # noqa: DTZ001
)
effects = st.sampled_from([PositionEffect.OPENING, PositionEffect.CLOSING])
whole = st.integers(1, 50).map(Decimal)
trails = st.builds(
    Trail,
    offset=cents,
    unit=st.sampled_from(TrailUnit),
    basis=st.sampled_from(TrailBasis),
)


@st.composite
def orders(draw: st.DrawFn) -> Order:
    several = draw(st.booleans())
    one = st.builds(
        Leg, symbol=contracts, side=st.sampled_from(Side), quantity=whole, position_effect=effects
    )
    share = st.builds(Leg, symbol=tickers, side=st.sampled_from(Side), position_effect=effects)
    if several:
        legs = draw(st.lists(one, min_size=2, max_size=4, unique_by=lambda leg: leg.symbol))
        price = draw(st.none() | nickels | nickels.map(lambda p: -p) | st.just(Decimal(0)))
        return spreads.order(terms(draw), legs, quantity=draw(whole), limit_price=price)
    legs = [draw(share | one.map(lambda leg: leg.model_copy(update={"quantity": Decimal(1)})))]
    kind = draw(st.sampled_from([t for t in OrderType if not t.startswith("NET")]))
    limited = kind in {OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.LIMIT_ON_CLOSE}
    trail = draw(trails) if kind.startswith("TRAILING") else None
    if kind is OrderType.TRAILING_STOP_LIMIT and trail:
        trail = trail.model_copy(update={"limit_offset": draw(cents)})
    return Order(
        **terms(draw).model_dump(),
        legs=tuple(legs),
        order_type=kind,
        quantity=draw(whole),
        limit_price=draw(nickels) if limited else None,
        stop_price=draw(nickels) if kind in {OrderType.STOP, OrderType.STOP_LIMIT} else None,
        trail=trail,
    )


def terms(draw: st.DrawFn) -> Terms:
    change = {
        "time_in_force": draw(st.sampled_from(TimeInForce)),
        "hours": draw(st.sampled_from(TradingHours)),
    }
    return TERMS.model_copy(update=change)


pairs = st.builds(lambda one, two: OneCancelsOther(orders=(one, two)), orders(), orders())
tickets = st.recursive(
    orders() | pairs,
    lambda then: st.builds(lambda first, rest: Trigger(first=first, then=rest), orders(), then),
    max_leaves=3,
)


@given(tickets)
def test_what_is_sent_is_read_as_it_was(ticket: OrderTicket) -> None:
    body = to_json(to_wire(ticket))
    reply = parse_order(body)
    assert not reply.unknown
    assert ticket_of(reply.value, OWNER) == ticket
    assert b"requestedDestination" not in body
