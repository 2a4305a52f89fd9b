"""An engine at a broker whose answers come later, as a real one's do: each is handed in by the test."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.core import Engine
from engine.desk import Names
from models.decisions import Heard
from models.events import Fill, Heartbeat, OrderUpdate
from models.order_groups import orders_of
from models.order_terms import Mode, OrderStatus, Side
from models.trading import Leg
from ports.broker import Watch
from ports.strategy import Needs, Strategy

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.decisions import Decision

ACCOUNT = "A" * 64
START_NS = 1_795_188_600_000_000_000
QQQ = Leg(symbol="QQQ", side=Side.BUY)


class OpenGate:
    """Lets everything pass."""

    check = staticmethod(lambda *_: None)


class Hand(Strategy):
    """Does what the test does with its desk; writes down what it hears."""

    name = "hand"

    def __init__(self) -> None:
        self.heard: list[tuple[str | None, OrderStatus]] = []

    def needs(self) -> Needs:
        return Needs(("QQQ",))

    def on_update(self, update: OrderUpdate) -> None:
        self.heard.append((update.client_order_id, update.status))


class LateBroker:
    """Takes requests and answers nothing by itself."""

    account_id = ACCOUNT

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def submit(self, ticket: Any) -> list[OrderUpdate]:
        return self._sent("submit", ticket)

    def replace(self, order_id: str, order: Any) -> list[OrderUpdate]:
        return self._sent(f"replace {order_id}", order)

    def _sent(self, what: str, ticket: Any) -> list[OrderUpdate]:
        orders = orders_of(ticket)
        self.asked.append((what, orders[0].client_order_id, orders[0].quantity))
        return [
            OrderUpdate(
                order_id=None,
                client_order_id=order.client_order_id,
                status=OrderStatus.SUBMITTED,
                time_ns=START_NS,
            )
            for order in orders
        ]

    def cancel(self, order_id: str) -> list[OrderUpdate]:
        self.asked.append(("cancel", order_id))
        return []

    def watch(self, newest: object) -> Watch:  # noqa: ARG002 - the port's
        return Watch()

    def observe(self, event: object) -> tuple[()]:  # noqa: ARG002 - the port's
        return ()


class LateDesk:
    """The engine, its broker, and a hand on both."""

    def __init__(self) -> None:
        self.broker = LateBroker()
        self.records: list[Decision] = []
        self.strategy = Hand()
        broker: Any = self.broker
        self.engine = Engine(
            self.strategy,
            broker,
            gate=OpenGate(),
            record=self.records.append,
            names=Names(ACCOUNT, Mode.LIVE, "hand", "run"),
        )
        self.now_ns = START_NS
        self.engine.start(START_NS)

    @property
    def desk(self) -> Any:
        return self.strategy.desk

    def act(self, act: Callable[[Any], object]) -> None:
        """Let the strategy ask for something, at the next second."""
        act(self.desk)
        self.now_ns += 1_000_000_000
        self.engine.on(Heartbeat(time_ns=self.now_ns))

    def tell(
        self,
        name: str,
        status: OrderStatus,
        *,
        number: str | None = "",
        filled: int = 0,
        new: int = 0,
    ) -> None:
        """Let the broker tell of an order: `filled` units in all, `new` of them with an execution."""
        self.now_ns += 1_000_000_000
        fills = ()
        if new:
            fills = (
                Fill(
                    execution_id=f"{name}-{filled}",
                    symbol="QQQ",
                    side=Side.BUY,
                    quantity=Decimal(new),
                    price=Decimal(100),
                    time_ns=self.now_ns,
                ),
            )
        self.engine.on(
            OrderUpdate(
                order_id=f"b-{name}" if number == "" else number,
                client_order_id=name,
                status=status,
                time_ns=self.now_ns,
                filled_quantity=Decimal(filled),
                fills=fills,
            )
        )

    def heard(self) -> list[OrderStatus]:
        return [each.update.status for each in self.records if isinstance(each, Heard)]
