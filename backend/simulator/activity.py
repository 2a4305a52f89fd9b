"""Account activity: what happens to an order as the streamer tells it.

One event of the exchange becomes one to five messages, in the order and with the bodies of frames
captured in July and September 2024. What no capture shows (several legs, partial fills, rejections,
expiries) is told by analogy; each such name is a constant of `simulator.activity_facts`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from simulator import activity_facts as facts
from simulator.activity_orders import leg_id, order_body, quote_body
from simulator.activity_values import day, decimal, moment
from simulator.order_records import EventKind
from simulator.stream_session import ActivityEvent

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from models.events import Quote
    from simulator.exchange import Exchange
    from simulator.market_prices import Prices
    from simulator.order_records import AccountEvent, ActivityLeg, OrderRecord

    Quotes = Callable[[str], Quote | None]

_encode = msgspec.json.Encoder().encode

_ZERO = Decimal(0)


class ExchangeFeed:
    """The account events of one user since the feed was opened.

    Args:
        exchange: Where it happens.
        login: Whose accounts.
    """

    def __init__(self, exchange: Exchange, login: str) -> None:
        self._exchange = exchange
        self._login = login
        self._queue: asyncio.Queue[AccountEvent] = exchange.subscribe(login)

    def taken(self) -> list[AccountEvent]:
        """Return what happened since the last call, in its order."""
        return [self._queue.get_nowait() for _ in range(self._queue.qsize())]

    def told(self, events: Sequence[AccountEvent]) -> list[ActivityEvent]:
        """Return the messages of some events; asks the world, so one thread at a time."""
        prices, now = self._exchange.prices, self._exchange.now
        return [message for event in events for message in messages(event, prices, now)]

    def close(self) -> None:
        """Take no more."""
        self._exchange.unsubscribe(self._login, self._queue)


def messages(event: AccountEvent, prices: Prices, now: datetime) -> list[ActivityEvent]:
    """Return the messages of one event of the exchange; none of an OCO's node, which is no order."""
    if event.record.form.is_pair:
        return []
    telling = _Telling(event, lambda symbol: prices.quote(symbol, now))
    return [
        ActivityEvent(event.account_number, kind, _envelope(event, order_id, kind, suffix, body))
        for order_id, kind, suffix, body in _TELLERS[event.kind](telling)
    ]


def _envelope(
    event: AccountEvent, order_id: int, kind: str, suffix: str, body: dict[str, Any]
) -> str:
    """Return the JSON of a message: the body lies under the type's name and a suffix of its own."""
    data = {
        "SchwabOrderID": str(order_id),
        "AccountNumber": event.account_number,
        "BaseEvent": {
            "EventType": kind,
            f"{kind}Event{suffix}": {"EventType": kind, **body},
        },
    }
    return _encode(data).decode()


class _Telling:
    """One event, its order and how to name things of it."""

    def __init__(self, event: AccountEvent, quotes: Quotes) -> None:
        self.event = event
        self.record: OrderRecord = event.record
        self.order_id = event.order_id
        self.at = event.time_ns
        self.quotes = quotes

    def first_leg(self) -> str:
        return leg_id(self.record, 1)

    def route(self, attempt: int) -> str:
        return f"{self.order_id}.{attempt}"


_Message = tuple[int, str, str, dict[str, Any]]


def _created(one: _Telling) -> Iterator[_Message]:
    replaced = one.event.other_id
    kind = "OrderCreated" if replaced is None else "ChangeCreated"
    body = order_body(one.record, one.quotes)
    if replaced is not None:
        body["ParentSchwabOrderID"] = str(replaced)
    yield one.order_id, kind, "EquityOrder", {"Order": body}
    if replaced is not None:
        yield replaced, "CancelAccepted", "", _cancel_request(one, str(replaced), one.order_id)


def _accepted(one: _Telling) -> Iterator[_Message]:
    kind = "OrderAccepted" if one.record.replaces is None else "ChangeAccepted"
    quotes = [
        quote_body(one.record, leg.symbol, one.quotes, one.at) for leg in one.record.form.legs
    ]
    body: dict[str, Any] = {
        "CreatedTimeStamp": moment(one.at),
        "ExpiryTimeStamp": day(one.at),
        "Status": "Open",
        "TradingSessionCodeOnOrderEntry": facts.TRADING_SESSION,
    }
    told = [quote for quote in quotes if quote]
    yield one.order_id, kind, "", body | ({"QuoteOnOrderEntry": told} if told else {})


def _working(one: _Telling) -> Iterator[_Message]:
    yield from _routed(one, "New", 1)
    yield one.order_id, "ExecutionRequestCompleted", "", _answered(one, "Accepted", 1)


def _routed(one: _Telling, request: str, attempt: int) -> Iterator[_Message]:
    form = one.record.form
    first = one.first_leg()
    quote = quote_body(one.record, form.legs[0].symbol, one.quotes, one.at)
    info = {
        "RouteName": facts.ROUTE,
        "RouteSequenceNumber": attempt,
        "RoutedExecutionTimestamp": moment(one.at),
        **({"Quote": quote} if quote else {}),
        "RouteRequestedType": request,
        "RoutedQuantity": decimal(form.quantity or _ZERO),
        **({"RoutedPrice": decimal(form.price)} if form.price is not None else {}),
        "RouteStatus": "RouteCreated",
        "ClientOrderID": one.route(attempt),
        "RoutedTime": moment(one.at),
        "RouteTimeInForce": facts.TIME_IN_FORCE.get(form.duration or "", "Day"),
        "RouteAcknowledgmentTimeStamp": {},
    }
    yield (
        one.order_id,
        "ExecutionRequested",
        "RoutedInfo",
        {
            "RouteSequenceNumber": attempt,
            "RouteInfo": info,
            "RouteRequestedBy": "RR_Broker",
            "LegId": first,
        },
    )
    if request != "New":
        return
    yield (
        one.order_id,
        "ExecutionRequestCreated",
        "",
        {
            "LegId": first,
            "RouteName": facts.ROUTE,
            "RouteRequestType": request,
            "RouteSequenceNumber": attempt,
            "RouteRequestedBy": "RR_Broker",
            "RouteStatus": "RouteFixAcknowledged",
            "SenderCompID": facts.SENDER,
            "RoutedTime": moment(one.at),
            "ClientOrderID": one.route(attempt),
        },
    )


def _answered(one: _Telling, response: str, attempt: int) -> dict[str, Any]:
    return {
        "LegId": one.first_leg(),
        "ResponseType": response,
        "ExchangeOrderID": f"{one.order_id}{attempt}",
        "ExecutionTime": moment(one.at),
        "RouteSequenceNumber": attempt,
        "RouteStatus": "RouteVenueAccepted",
        "RouteAcknowledgmentTimeStamp": moment(one.at),
        "ClientOrderID": one.route(attempt),
    }


def _filled(one: _Telling) -> Iterator[_Message]:
    activity = one.event.activity
    if activity is None:
        return
    kind = "OrderFillCompleted" if activity.remaining <= 0 else facts.PARTIAL_FILL
    for leg in activity.legs:
        yield one.order_id, kind, "OrderLegQuantityInfo", _fill_body(one, leg, activity.activity_id)


def _fill_body(one: _Telling, leg: ActivityLeg, activity_id: int) -> dict[str, Any]:
    """Return one leg's execution, with all that the leg has traded until then."""
    form = one.record.form.legs[leg.leg_id - 1]
    done, paid = _until(one.record, leg.leg_id, activity_id)
    left = form.quantity - done
    execution_id = f"{day(one.at)['DateTimeString']}-{activity_id}-{leg.leg_id}".replace("-", "")
    return {
        "LegId": leg_id(one.record, leg.leg_id),
        "LegStatus": "LegClosed" if left <= 0 else "LegOpen",
        "QuantityInfo": {
            "ExecutionID": execution_id,
            "CumulativeQuantity": decimal(done),
            "LeavesQuantity": decimal(left),
            "AveragePrice": decimal(paid / done if done else _ZERO),
        },
        "PriceImprovement": decimal(_ZERO),
        "LegSubStatus": "LegSubStatusFilled" if left <= 0 else facts.PARTIALLY_FILLED,
        "ExecutionInfo": {
            "ExecutionSequenceNumber": 1,
            "ExecutionId": execution_id,
            "VenueExecutionID": str(activity_id),
            "Exchange": facts.EXCHANGE,
            "ExecutionQuantity": decimal(leg.quantity),
            "ExecutionPrice": decimal(leg.price),
            "ExecutionTimeStamp": moment(one.at),
            "ExecutionTransType": "Fill",
            "ExecutionCapacityCode": "Agency",
            "RouteName": facts.ROUTE,
            "RouteSequenceNumber": 1,
            "VenuExecutionTimeStamp": moment(one.at),
            "ReportingCapacityCode": "RC_Agency",
            **_charged(leg),
            "ClientOrderID": one.route(1),
        },
        "OrderInfoForTransactionPosting": _posting(one.record, leg.leg_id),
    }


def _until(record: OrderRecord, leg: int, activity_id: int) -> tuple[Decimal, Decimal]:
    """Return what a leg has traded until an activity, and what that cost."""
    done = paid = _ZERO
    for activity in record.activities:
        for each in activity.legs:
            if each.leg_id == leg and each.fees is not None:
                done += each.quantity
                paid += each.quantity * each.price
        if activity.activity_id == activity_id:
            break
    return done, paid


def _charged(leg: ActivityLeg) -> dict[str, Any]:
    fees = leg.fees
    if fees is None:
        return {}
    others = ("StateTaxWithholding", "FederalTaxWithholding")
    return {
        "ActualChargedCommissionAmount": decimal(fees.commission),
        "AsOfTimeStamp": {},
        "ActualChargedFeesCommissionAndTax": {
            **{name: decimal(_ZERO) for name in others},
            "SECFees": decimal(fees.sec),
            "ORF": decimal(fees.orf + fees.index),
            "FTT": decimal(_ZERO),
            "TaxWithholding1446": decimal(_ZERO),
            "GoodsAndServicesTax": decimal(_ZERO),
            "IOF": decimal(_ZERO),
            "TAF": decimal(fees.taf),
            "CommissionAmount": decimal(fees.commission),
        },
    }


def _posting(record: OrderRecord, leg: int) -> dict[str, Any]:
    form, traded = record.form, record.form.legs[leg - 1]
    return {
        **({"LimitPrice": decimal(form.price)} if form.price is not None else {}),
        "OrderTypeCode": facts.ORDER_TYPES.get(form.order_type or "", "Limit"),
        **facts.open_close(traded.instruction),
        "BuySellCode": facts.BUY_SELL[traded.instruction],
        "Quantity": decimal(traded.quantity),
        "StopPrice": decimal(form.stop_price) if form.stop_price is not None else {},
        "Symbol": traded.wire_symbol,
        "SchwabSecurityID": facts.security_id(traded.symbol),
        "SolicitedCode": "Unsolicited",
        "AccountingRuleCode": "Cash",
        "SettlementType": "SettlementType_Regular",
        "OrderCreatedUserID": "0000",
        "OrderCreatedUserType": "Venue",
        "ClientProductCode": "N1",
    }


def _cancel_request(one: _Telling, first_leg: str, new_id: int | None) -> dict[str, Any]:
    asked = new_id is not None or one.event.client_canceled
    request: dict[str, Any] = {
        "LegID": first_leg,
        "IntendedOrderQuantity": decimal(one.record.remaining),
        "CancelRequestType": facts.CLIENT_CANCEL if asked else facts.SYSTEM_CANCEL,
        "CancelTime": moment(one.at),
    }
    if new_id is not None:
        request["ChangedNewSchwabOrderId"] = str(new_id)
    return {
        "LifecycleSchwabOrderID": first_leg,
        "PlanSubmitDate": day(one.at),
        "CancelRequestType": request["CancelRequestType"],
        "LegCancelRequestInfoList": [request],
    }


def _canceled(one: _Telling) -> Iterator[_Message]:
    yield one.order_id, "CancelAccepted", "", _cancel_request(one, one.first_leg(), None)
    asked = facts.CLIENT_CANCEL if one.event.client_canceled else facts.SYSTEM_CANCEL
    yield from _out(one, "LegSubStatusCancelled", asked)


def _replaced(one: _Telling) -> Iterator[_Message]:
    yield from _out(one, "LegSubStatusCancelled", facts.CLIENT_CANCEL)


def _rejected(one: _Telling) -> Iterator[_Message]:
    yield (
        one.order_id,
        "OrderUROutCompleted",
        "",
        _out_body(one, facts.REJECTED, facts.REJECTED_TYPE, one.record.reason),
    )


def _expired(one: _Telling) -> Iterator[_Message]:
    yield (
        one.order_id,
        "OrderUROutCompleted",
        "",
        _out_body(one, facts.EXPIRED, facts.EXPIRED_TYPE, one.record.reason),
    )


def _out(one: _Telling, sub_status: str, cancel_type: str) -> Iterator[_Message]:
    """Yield how the rest of an order leaves the venue, if it has been there."""
    if one.record.routed:
        yield from _routed(one, "Cancel", 2)
        yield one.order_id, "ExecutionRequestCompleted", "", _answered(one, "Accepted", 2)
        info = {
            "ExecutionSequenceNumber": 1,
            "ExecutionQuantity": decimal(one.record.remaining),
            "ExecutionTimeStamp": moment(one.at),
            "ExecutionTransType": "UROut",
            "RouteName": facts.ROUTE,
            "RouteSequenceNumber": 2,
            "ClientOrderID": one.route(2),
        }
        body = {"LegId": one.first_leg(), "ExecutionInfo": info}
        yield one.order_id, "ExecutionCreated", "ExecutionInfo", body
    yield one.order_id, "OrderUROutCompleted", "", _out_body(one, sub_status, cancel_type, "")


def _out_body(one: _Telling, sub_status: str, cancel_type: str, reason: str) -> dict[str, Any]:
    return {
        "LegId": one.first_leg(),
        "ExecutionId": "",
        "LeavesQuantity": decimal(_ZERO),
        "CancelQuantity": decimal(one.record.remaining),
        "PriceImprovement": decimal(_ZERO),
        "UROutTimeStamp": moment(one.at),
        "LegStatus": "LegClosed",
        "LegSubStatus": sub_status,
        **({facts.REASON: reason} if reason else {}),
        "OutCancelType": cancel_type,
    }


_TELLERS: dict[EventKind, Callable[[_Telling], Iterator[_Message]]] = {
    EventKind.CREATED: _created,
    EventKind.ACCEPTED: _accepted,
    EventKind.WORKING: _working,
    EventKind.FILLED: _filled,
    EventKind.CANCELED: _canceled,
    EventKind.REPLACED: _replaced,
    EventKind.REJECTED: _rejected,
    EventKind.EXPIRED: _expired,
}
