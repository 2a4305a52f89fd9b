"""Whether a ticket whose answer was lost stands at the broker: the rule. Pure.

Schwab's orders carry no id of ours. What was sent is found again by its fingerprint (see
`fingerprints`) among the orders of the account that nobody has claimed, entered while it was under
way. The rule:

- One such order: that is it (FOUND).
- None, in `ABSENT_LISTS` complete lists, the last of them asked for `ABSENT_AFTER_S` after the
  answer was lost: it never arrived (ABSENT). This holds only where the broker has not said that it
  took the order, where no equal order was entered at another time, which a wrong clock on
  either side would explain, and where no order with the same symbols and quantities but other
  terms was entered while it was under way, which may be ours as somebody changed it.
- Anything else that is not clear `ASK_AFTER_S` after the loss is a person's to say (ASK): several
  equal orders, one that is alike but for its terms, lists that do not come, a taken order that no
  list shows.

What the rule cannot see: a gateway that holds a request back for longer than `ABSENT_AFTER_S` and
passes it on afterwards. Such an order is found by later lists, claimed by its ticket and reported.

A person's own order with equal terms: one that a list showed before the ticket left is never taken
for ours, nor is one that was entered before or after the time under way. One entered by hand while
the ticket was under way is told apart by Schwab's `tag`, which names the program that entered an
order, where the tags differ: then the person is asked, unless exactly one of several carries ours.
Without tags, and if our own order never arrived, the person's order is taken for ours; both wanted
the same, and the account holds no more than one of them. Of a ticket that an ended program left
behind, the time under way ends `ANSWERED_WITHIN` after it left: an equal order that was entered
later is asked about, since a person who saw the program dead may have entered it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from models.order_groups import orders_of
from schwab_integration.decoding import moment
from schwab_integration.fingerprints import alike, ids_within, match, shape_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from models.order_groups import OrderTicket
    from schwab_integration.fingerprints import Found, Shape
    from schwab_integration.trader_replies import ReportedOrder

ENTERED_EARLY: Final = timedelta(seconds=5)
"""The broker's clock may be this far behind ours; its times of entry have whole seconds."""

ENTERED_LATE: Final = timedelta(seconds=30)
"""An order may be entered this long after its answer was lost, by a slow gateway or a clock ahead
of ours."""

ANSWERED_WITHIN: Final = timedelta(minutes=2)
"""The longest that a program which ended can have waited: for a token, then for the answer."""

ABSENT_LISTS: Final = 4
"""So many complete lists must lack an order before it is said never to have arrived."""

ABSENT_AFTER_S: Final = 8.0
"""The last of them is asked for this many seconds after its answer was lost."""

ASK_AFTER_S: Final = 9.0
"""What is not settled so many seconds after the loss is put to a person."""

LOOK_AT_S: Final = (0.5, 1.5, 3.0, 5.0, 8.0, 9.0)
"""When to look, seconds after the loss; then every `LOOK_EVERY_S`."""

LOOK_EVERY_S: Final = 5.0


class Judgement(StrEnum):
    """What is known of a ticket after a list."""

    FOUND = "found"
    ABSENT = "absent"
    WAIT = "wait"
    ASK = "ask"


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A ticket that nobody knows about.

    Attributes:
        ticket: What was sent.
        shape: Its fingerprint.
        sent_at: Just before it left, by our clock.
        lost_at: When its answer was given up.
        elapsed_s: Seconds since then, by a clock that nobody sets.
        accepted: The broker said that it took it.
        lists: Complete lists since then that lack it.
        newest_list_s: When the newest of them was asked for, seconds after the loss.
    """

    ticket: OrderTicket
    shape: Shape
    sent_at: datetime
    lost_at: datetime
    elapsed_s: float
    accepted: bool
    lists: int
    newest_list_s: float


@dataclass(frozen=True, slots=True)
class Candidates:
    """The listed orders that may be a ticket.

    Attributes:
        equal: Those with its terms, whenever they were entered.
        alike: Broker's ids of those with its symbols and quantities but other terms, entered while
            it was under way.
    """

    equal: tuple[Found, ...] = ()
    alike: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.equal or self.alike)


def candidates(
    under_way: UnderWay,
    listed: Iterable[ReportedOrder],
    taken: Collection[str],
    others: Collection[Shape] = (),
) -> Candidates:
    """Return the listed orders that may be a ticket.

    Args:
        under_way: The ticket.
        listed: The broker's orders.
        taken: Ids that are claimed, or were seen before the ticket left.
        others: Of our other tickets that nobody knows about: what equals them is theirs.
    """
    equal, similar = [], []
    for reported in listed:
        ids = list(ids_within(reported))
        if any(order_id in taken for order_id in ids):
            continue
        shape = shape_of(reported)
        if (matched := match(under_way.ticket, under_way.shape, reported)) is not None:
            equal.append(matched)
        elif (
            alike(under_way.shape, shape) and shape not in others and _in_time(under_way, reported)
        ):
            similar.append(ids[0] if ids else "without a number")
    return Candidates(tuple(equal), tuple(similar))


def judge(
    under_way: UnderWay, found: Candidates, own_tags: Collection[str]
) -> tuple[Judgement, Found | None]:
    """Say what is known of a ticket; see the rule above.

    Args:
        under_way: The ticket, the list at hand counted in `lists` if it lacks the ticket.
        found: Its `candidates`.
        own_tags: Tags of orders that are certainly ours; none where Schwab sends none.
    """
    in_time = [one for one in found.equal if _in_time(under_way, one.root)]
    likely = [one for one in in_time if _tagged(one, own_tags)]
    if len(likely) == 1 and (len(in_time) == 1 or likely[0].root.tag in own_tags):
        return Judgement.FOUND, likely[0]
    proven = under_way.lists >= ABSENT_LISTS and under_way.newest_list_s >= ABSENT_AFTER_S
    if not found and proven and not under_way.accepted:
        return Judgement.ABSENT, None
    if under_way.elapsed_s >= ASK_AFTER_S or len(likely) > 1:
        return Judgement.ASK, None
    return Judgement.WAIT, None


def _in_time(under_way: UnderWay, root: ReportedOrder) -> bool:
    entered = entered_at(root)
    if entered is None:
        return True
    first = under_way.sent_at - ENTERED_EARLY
    return first <= entered <= under_way.lost_at + ENTERED_LATE


def _tagged(found: Found, own_tags: Collection[str]) -> bool:
    """Whether nothing speaks against an order's being ours."""
    return not own_tags or found.root.tag is None or found.root.tag in own_tags


def entered_at(reported: ReportedOrder) -> datetime | None:
    """Return when an order was entered; of a group the first time that it or a child names."""
    times = [moment(reported.entered_time)]
    times += [entered_at(child) for child in reported.child_order_strategies]
    named = [time.astimezone(UTC) for time in times if time is not None]
    return min(named, default=None)


def next_look_s(elapsed_s: float) -> float:
    """Return when to look next, seconds after the loss."""
    for at in LOOK_AT_S:
        if at > elapsed_s:
            return at
    return elapsed_s + LOOK_EVERY_S


def question(ticket: OrderTicket, found: Candidates) -> str:
    """Return what a person is asked about a ticket that no rule settles."""
    name = orders_of(ticket)[0].client_order_id
    equal = [one.group_id or next(iter(one.order_ids.values())) for one in found.equal]
    said = f"whether the order {name} stands at Schwab cannot be told"
    if len(equal) > 1:
        said += f": {len(equal)} orders have its terms ({', '.join(equal)})"
    elif equal:
        said += f": the order {equal[0]} has its terms, but seems to be entered by somebody else"
    if found.alike:
        has = "the orders {} have" if len(found.alike) > 1 else "the order {} has"
        named = has.format(", ".join(found.alike))
        said += f"{';' if equal else ':'} {named} the same symbols and quantities but other terms"
    return (
        f"{said}; look at Schwab's order list, then say which one it is, or that it is none: "
        f"resolve({name!r}, order id or None)"
    )
