"""One suite of the `Broker` port over the paper venue and over Schwab's client at the simulator.

Both stand on one market at rest: QQQ and calls on it, Thursday 2026-11-19, 12:30 in New York.
"""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from pydantic import SecretStr

from engine.paper import PaperAccount, PaperBroker
from models import spreads
from models.errors import OrderError, OrderRejected, OrderUnknown
from models.events import Quote
from models.journal import Record
from models.order_groups import OrderTicket, orders_of
from models.order_terms import Mode, OrderStatus, PositionEffect, Side, TimeInForce
from models.spreads import Terms
from models.trading import AccountKind, AccountTerms, Order, OrderType, Trail
from schwab_integration.auth import authorization_url, code_of_redirect, exchange_code
from schwab_integration.broker import SchwabBroker
from schwab_integration.client import SchwabClient
from schwab_integration.config import SchwabSettings
from schwab_integration.limits import order_limiter
from schwab_integration.order_venue import DeskTime
from schwab_integration.parse_accounts import terms_of
from schwab_integration.queries import ChainQuery
from schwab_integration.trader import SchwabTrader
from utils.transaction_logger import TransactionLogger

if TYPE_CHECKING:
    from ports.broker import Broker

NOW = datetime(2026, 11, 19, 17, 30, tzinfo=UTC)
SINCE = NOW - timedelta(hours=1)
ACCOUNT = "C" * 64
NAMES = itertools.count(1)
OPEN = {
    OrderStatus.SUBMITTED,
    OrderStatus.WAITING,
    OrderStatus.WORKING,
    OrderStatus.PARTIALLY_FILLED,
}


@dataclass(frozen=True)
class Venue:
    """A broker and the market before it."""

    broker: Any
    bid: Decimal
    ask: Decimal
    calls: tuple[str, ...]
    faults: Callable[[str], None] | None = None

    def terms(self, **more: Any) -> Terms:
        return Terms(
            client_order_id=f"k-{os.getpid()}-{next(NAMES)}",
            account_id=self.broker.account_id,
            mode=Mode.REHEARSAL,
            created_at=NOW,
            **more,
        )

    def shares(self, side: Side = Side.BUY, quantity: int = 1, **more: Any) -> Order:
        return spreads.order(
            self.terms(), [spreads.leg("QQQ", side)], quantity=Decimal(quantity), **more
        )

    def resting(self, **more: Any) -> Order:
        return self.shares(limit_price=self.far, **more)

    @property
    def far(self) -> Decimal:
        """A price well below the market, another one each time so that no two orders are equal."""
        return (self.bid * Decimal("0.6")).quantize(Decimal("0.01")) + Decimal(next(NAMES)) / 100

    def submit(self, ticket: OrderTicket) -> dict[str, OrderStatus]:
        updates = self.broker.submit(ticket)
        assert {u.client_order_id for u in updates} <= {
            one.client_order_id for one in orders_of(ticket)
        }
        return {one.client_order_id: self.now(one).status for one in orders_of(ticket)}

    def now(self, order: Order) -> Order:
        """Return an order in its newest state, as the broker lists it."""
        (found,) = [
            one for one in self.broker.orders(SINCE) if one.client_order_id == order.client_order_id
        ]
        assert isinstance(found, Order)
        return found

    def ends(self, order: Order, *statuses: OrderStatus) -> Order:
        """Wait until an order has one of these states."""
        deadline = time.monotonic() + 20
        while (found := self.now(order)).status not in statuses:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return found


def paper() -> Venue:
    terms = AccountTerms(account_id=ACCOUNT, kind=AccountKind.MARGIN)
    numbers = itertools.count(1)
    account = PaperAccount(
        terms, Decimal(1_000_000), mode=Mode.REHEARSAL, order_ids=lambda: next(numbers)
    )
    broker = PaperBroker(account, lambda: NOW)
    calls = tuple(f"QQQ   261218C00{strike}000" for strike in (600, 605, 610, 615))
    now_ns = int(NOW.timestamp()) * 10**9
    quotes = [("QQQ", 601.00, 601.02)]
    quotes += [(call, 20.00 - 3 * n, 20.10 - 3 * n) for n, call in enumerate(calls)]
    for symbol, bid, ask in quotes:
        broker.observe(
            Quote(symbol=symbol, time_ns=now_ns, bid=bid, ask=ask, bid_size=500, ask_size=500)
        )
    return Venue(broker, Decimal("601.00"), Decimal("601.02"), calls)


@contextlib.contextmanager
def schwab(home: Path) -> Iterator[Venue]:
    command = [sys.executable, "-m", "simulator", "--port", "0", "--clock", "2026-11-19T12:30"]
    command += ["--speed", "0", "--auto-approve", "--parent-pid", str(os.getpid())]
    environment = {**os.environ, "OPTIONS_HOME": str(home)}
    with contextlib.ExitStack() as stack:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        stack.callback(process.communicate, timeout=30)
        stack.callback(process.terminate)
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        settings = SchwabSettings(
            app_key=SecretStr(ready["app_key"]),
            app_secret=SecretStr(ready["app_secret"]),
            callback_url=ready["callback_url"],
            base_url=ready["schwab"],
            token_file=home / "token.json",
            requests_per_minute=10_000,
        )
        reply = httpx2.get(authorization_url(settings, state="s-1"), trust_env=False)
        exchange_code(settings, code_of_redirect(reply.headers["location"], state="s-1"))
        client = stack.enter_context(SchwabClient(settings))
        trader = stack.enter_context(SchwabTrader(settings, clock=lambda: NOW))
        hashes = {one.account_number: one.hash_value for one in trader.account_numbers()}
        account = next(
            one for one in trader.accounts() if one.securities_account.type == AccountKind.MARGIN
        )
        account_id = hashes[account.securities_account.account_number]
        journal: Any = stack.enter_context(
            TransactionLogger(home / "journal.jsonl", Record, subject=account_id)
        )
        broker = SchwabBroker(
            trader,
            terms_of(account, account_id=account_id),
            journal,
            mode=Mode.REHEARSAL,
            limiter=order_limiter(settings, account_id),
            times=DeskTime(clock=lambda: NOW),
        )
        quote = client.quote("QQQ").quote
        day = NOW.date() + timedelta(days=29)
        query = ChainQuery(
            symbol="QQQ",
            contract_type="CALL",
            strike_count=8,
            from_date=day - timedelta(6),
            to_date=day,
        )
        frame = client.chain(query).contracts.sort("expiration", "strike")
        last = frame.filter(frame["expiration"] == frame["expiration"].max())

        def lose(target: str) -> None:
            fault = {"target": target, "fault": "lost_reply", "count": 1}
            httpx2.post(
                f"{ready['schwab']}/simulator/faults",
                json=fault,
                headers={"X-Simulator-Admin": ready["admin_token"]},
                trust_env=False,
            ).raise_for_status()

        yield Venue(
            broker,
            Decimal(str(quote.bid_price)),
            Decimal(str(quote.ask_price)),
            tuple(last["occ_symbol"])[:4],
            lose,
        )


@pytest.fixture(scope="module", params=["paper", "schwab"])
def venue(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Venue]:
    if request.param == "paper":
        yield paper()
        return
    with schwab(tmp_path_factory.mktemp("schwab")) as made:
        yield made


def test_it_is_a_broker(venue: Venue) -> None:
    broker: Broker = venue.broker
    assert len(broker.account_id) == 64
    assert broker.observe(Quote(symbol="SPX", time_ns=0)) == []


def test_each_type_of_order_is_taken_and_listed_as_it_was_sent(venue: Venue) -> None:
    below, above = venue.far, (venue.ask * Decimal("1.4")).quantize(Decimal("0.01"))
    tickets = [
        venue.resting(),
        venue.shares(stop_price=above),
        venue.shares(stop_price=above, limit_price=above + 1),
    ]
    trail = {"order_type": OrderType.TRAILING_STOP, "trail": Trail(offset=Decimal("50.00"))}
    tickets.append(
        Order.model_validate(
            venue.shares(stop_price=above).model_dump() | trail | {"stop_price": None}
        )
    )
    lasting = Terms(**(venue.terms().__dict__ | {"time_in_force": TimeInForce.GOOD_TILL_CANCEL}))
    tickets.append(spreads.order(lasting, [spreads.leg("QQQ", Side.BUY)], limit_price=below))
    for ticket in tickets:
        status = venue.submit(ticket)[ticket.client_order_id]
        assert status in OPEN, ticket.order_type
        listed = venue.now(ticket)
        same = ("legs", "order_type", "limit_price", "stop_price", "quantity", "time_in_force")
        assert [getattr(listed, name) for name in same] == [getattr(ticket, name) for name in same]


def test_a_spread_is_taken_and_listed_as_it_was_sent(venue: Venue) -> None:
    legs = spreads.vertical(buy=venue.calls[0], sell=venue.calls[1])
    ticket = spreads.order(venue.terms(), legs, limit_price=Decimal("0.01"), quantity=Decimal(2))
    assert venue.submit(ticket)[ticket.client_order_id] in OPEN
    listed = venue.now(ticket)
    assert sorted(listed.legs, key=str) == sorted(ticket.legs, key=str)
    assert (listed.order_type, listed.limit_price) == (OrderType.NET_DEBIT, Decimal("0.01"))


def test_a_market_order_fills_and_is_held(venue: Venue) -> None:
    before = {one.symbol: one.signed_quantity for one in venue.broker.positions()}
    ticket = venue.shares(quantity=3)
    venue.submit(ticket)
    filled = venue.ends(ticket, OrderStatus.FILLED)
    fills = [f for f in venue.broker.fills(SINCE) if f.client_order_id == ticket.client_order_id]
    assert sum(fill.signed_quantity for fill in fills) == 3
    assert {fill.order_id for fill in fills} == {filled.order_id}
    assert len({fill.execution_id for fill in fills}) == len(fills)
    held = {one.symbol: one.signed_quantity for one in venue.broker.positions()}
    assert held["QQQ"] - before.get("QQQ", Decimal(0)) == 3
    balances = venue.broker.balances()
    assert balances.account_id == venue.broker.account_id
    assert balances.liquidation_value > 0
    venue.submit(
        spreads.order(
            venue.terms(),
            [
                spreads.leg("QQQ", Side.SELL).model_copy(
                    update={"position_effect": PositionEffect.CLOSING}
                )
            ],
            quantity=Decimal(3),
        )
    )


def test_fills_add_up_however_much_of_an_order_is_filled(venue: Venue) -> None:
    leg = spreads.leg(venue.calls[3], Side.BUY)
    quantity = Decimal(700)
    ticket = spreads.order(venue.terms(), [leg], limit_price=Decimal("29.00"), quantity=quantity)
    venue.submit(ticket)
    now = venue.now(ticket)
    fills = [f for f in venue.broker.fills(SINCE) if f.client_order_id == ticket.client_order_id]
    assert sum((fill.signed_quantity for fill in fills), Decimal(0)) == now.filled_quantity
    assert now.filled_quantity <= quantity
    assert (now.status is OrderStatus.FILLED) == (now.filled_quantity == quantity)


def test_a_cancel_ends_in_canceled(venue: Venue) -> None:
    ticket = venue.resting()
    venue.submit(ticket)
    order_id = venue.now(ticket).order_id
    venue.broker.cancel(order_id)
    venue.ends(ticket, OrderStatus.CANCELED)
    with pytest.raises(OrderRejected):
        venue.broker.cancel(order_id)


def test_a_replaced_order_ends_and_the_new_one_has_its_own_id(venue: Venue) -> None:
    old, new = venue.resting(), venue.resting(quantity=2)
    venue.submit(old)
    old_id = venue.now(old).order_id
    venue.broker.replace(old_id, new)
    venue.ends(old, OrderStatus.REPLACED)
    standing = venue.now(new)
    assert standing.status in OPEN
    assert standing.order_id != old_id
    assert standing.quantity == 2


def test_a_preview_places_nothing(venue: Venue) -> None:
    ticket = venue.resting()
    preview = venue.broker.preview(ticket)
    assert preview.accepted
    assert preview.commission == 0
    listed = venue.broker.orders(SINCE)
    assert ticket.client_order_id not in {one.client_order_id for one in listed}


def test_what_the_account_cannot_pay_is_rejected(venue: Venue) -> None:
    ticket = venue.shares(quantity=1_000_000)
    try:
        venue.submit(ticket)
    except OrderRejected:
        return
    assert venue.ends(ticket, OrderStatus.REJECTED).filled_quantity == 0


def test_one_cancels_the_other(venue: Venue) -> None:
    first, second = venue.resting(), venue.shares(limit_price=venue.ask + 1)
    venue.submit(spreads.one_cancels_other(first, second))
    venue.ends(second, OrderStatus.FILLED)
    venue.ends(first, OrderStatus.CANCELED)


def test_a_bracket_waits_for_its_entry(venue: Venue) -> None:
    closing = {"position_effect": PositionEffect.CLOSING}
    leg = spreads.leg("QQQ", Side.SELL).model_copy(update=closing)
    up = spreads.order(venue.terms(), [leg], limit_price=(venue.ask * 2).quantize(Decimal("0.01")))
    down = spreads.order(venue.terms(), [leg], stop_price=venue.far)
    waiting = venue.resting()
    bracket = spreads.bracket(waiting, take_profit=up, stop_loss=down)
    statuses = venue.submit(bracket)
    assert statuses[waiting.client_order_id] in OPEN
    assert {statuses[one.client_order_id] for one in (up, down)} == {OrderStatus.WAITING}
    venue.broker.cancel(venue.now(waiting).order_id)
    for one in (waiting, up, down):
        venue.ends(one, OrderStatus.CANCELED)


def test_a_fill_triggers_the_next(venue: Venue) -> None:
    closing = {"position_effect": PositionEffect.CLOSING}
    leg = spreads.leg("QQQ", Side.SELL).model_copy(update=closing)
    up = spreads.order(venue.terms(), [leg], limit_price=(venue.ask * 2).quantize(Decimal("0.01")))
    down = spreads.order(venue.terms(), [leg], stop_price=venue.far)
    entry = venue.shares(limit_price=venue.ask + 1)
    venue.submit(spreads.bracket(entry, take_profit=up, stop_loss=down))
    venue.ends(entry, OrderStatus.FILLED)
    venue.ends(up, OrderStatus.WORKING, OrderStatus.SUBMITTED)
    assert venue.now(down).status in OPEN  # a stop may be said to wait for its price
    venue.broker.cancel(venue.now(up).order_id)
    venue.ends(up, OrderStatus.CANCELED)


@pytest.mark.parametrize("order_id", ["999999999", "nonsense", ""])
def test_unknown_ids_are_refused(venue: Venue, order_id: str) -> None:
    with pytest.raises(OrderRejected):
        venue.broker.cancel(order_id)
    with pytest.raises(OrderRejected):
        venue.broker.replace(order_id, venue.resting())


def test_a_client_order_id_is_used_once(venue: Venue) -> None:
    ticket = venue.resting()
    venue.submit(ticket)
    with pytest.raises(OrderError, match="used before"):
        venue.broker.submit(ticket.model_copy(update={"limit_price": venue.far}))


def test_orders_since_later_are_not_listed(venue: Venue) -> None:
    venue.submit(venue.resting())
    assert venue.broker.orders(NOW + timedelta(minutes=1)) == []
    assert venue.broker.fills(NOW + timedelta(minutes=1)) == []


def test_a_lost_reply_is_settled_over_real_sockets(venue: Venue) -> None:
    if venue.faults is None:  # no reply is lost within one process
        return
    lost, twin = venue.resting(), None
    twin = lost.model_copy(update={"client_order_id": venue.terms().client_order_id})
    venue.faults("schwab.trader.place")
    with pytest.raises(OrderUnknown):
        venue.broker.submit(lost)
    with pytest.raises(OrderError, match="not known yet"):
        venue.broker.submit(twin)
    deadline = time.monotonic() + 20
    settled: set[str | None] = set()
    while lost.client_order_id not in settled:  # news of other orders may come before
        assert time.monotonic() < deadline
        settled |= {update.client_order_id for update in venue.broker.settle()}
        time.sleep(0.05)
    assert venue.now(lost).status in OPEN
    venue.submit(twin)
    same = [one for one in venue.broker.orders(SINCE) if one.limit_price == lost.limit_price]
    assert len(same) == 2
