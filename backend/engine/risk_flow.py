"""Rules about how often a strategy asks: rates, a strategy that runs away, orders sent twice."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from engine.core import Denial

if TYPE_CHECKING:
    from engine.order_facts import Shape
    from engine.risk import Question

_SECOND_NS = 1_000_000_000
_MINUTE_NS = 60 * _SECOND_NS


class Flow:
    """When a strategy asked, when its orders left, and what the last ones were."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._asked: deque[int] = deque()
        self._gone: deque[int] = deque()
        self._shapes: dict[Shape, int] = {}

    def tried(self, now_ns: int) -> None:
        """Take note that the strategy asked for an order."""
        self._asked.append(now_ns)
        while self._asked[0] <= now_ns - _MINUTE_NS:
            self._asked.popleft()

    def left(self, asked: Question) -> None:
        """Take note that a ticket leaves."""
        self._gone.append(asked.now_ns)
        if asked.opening:
            kept_ns = asked.now_ns - round(asked.limits.duplicate_s * _SECOND_NS)
            if len(self._shapes) > 256:
                self._shapes = {s: at for s, at in self._shapes.items() if at > kept_ns}
            self._shapes[asked.facts(asked.first).shape] = asked.now_ns

    @property
    def asked_in_a_minute(self) -> int:
        """How many orders the strategy asked for in the last minute."""
        return len(self._asked)

    def gone_since(self, since_ns: int) -> int:
        """Return how many orders have left after a time, at most a minute ago."""
        count = 0
        for at in reversed(self._gone):
            if at <= since_ns:
                break
            count += 1
        return count

    def gone_in_a_minute(self, now_ns: int) -> int:
        """Return how many orders have left in the last minute."""
        while self._gone and self._gone[0] <= now_ns - _MINUTE_NS:
            self._gone.popleft()
        return len(self._gone)

    def last(self, shape: Shape) -> int | None:
        """Return when an equal opening left last, or None."""
        return self._shapes.get(shape)

    def begin_again(self) -> None:
        """Forget what was: a person has looked at it and lets trading go on."""
        self._asked.clear()
        self._gone.clear()
        self._shapes.clear()


def runaway(asked: Question) -> Denial | None:
    """A strategy that asks too often is stopped until a person lets it go on."""
    most, tries = asked.limits.max_attempts_per_minute, asked.gate.flow.asked_in_a_minute
    if tries <= most:
        return None
    said = (
        f"the strategy asked for {tries} orders within a minute, more than {most}: it is stopped "
        "until a person lets it go on"
    )
    return Denial("runaway", str(most), str(tries), said)


def order_rate(asked: Question) -> Denial | None:
    """Orders that leave in a second and in a minute of the market; twice as many may close."""
    flow, now_ns = asked.gate.flow, asked.now_ns
    minute = flow.gone_in_a_minute(now_ns) + len(asked.orders)
    second = flow.gone_since(now_ns - _SECOND_NS) + len(asked.orders)
    limits = asked.limits
    for most, count, span in (
        (limits.max_orders_per_s, second, "second"),
        (limits.max_orders_per_minute, minute, "minute"),
    ):
        if count > most and count > (most if asked.opening else 2 * most):
            said = f"{count} orders within a {span} are more than {most}"
            return Denial("order_rate", f"{most} a {span}", str(count), said)
    return None


def duplicate(asked: Question) -> Denial | None:
    """No opening that equals one which works, or which left a moment ago."""
    if not asked.opening:
        return None
    first = asked.first
    shape = asked.facts(first).shape
    for order in asked.working:
        alike = order.quantity == first.quantity and order.limit_price == first.limit_price
        if alike and asked.facts(order).shape == shape:
            said = f"an equal order works already: {order.client_order_id}"
            return Denial("duplicate", "1 at a time", "2", said)
    last_ns = asked.gate.flow.last(shape)
    if last_ns is not None and asked.replaces is None:
        ago_s = (asked.now_ns - last_ns) / _SECOND_NS
        if ago_s < asked.limits.duplicate_s:
            said = f"an equal order left {ago_s:.2f} s ago"
            return Denial("duplicate", f"{asked.limits.duplicate_s:g} s", f"{ago_s:.2f} s", said)
    return None


FLOW_RULES = (runaway, order_rate, duplicate)
"""In the order in which they are asked."""
