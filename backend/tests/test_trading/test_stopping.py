"""What the engine does when it is stopped: in which order, and what still leaves."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from risk_world import ACCOUNT, World, limits, option

from app.kill_switch import ALL, KillSwitch, SwitchFollower, killed_now, refuse_stopped, resume
from engine.closing import by_danger
from engine.expiry_desk import ExpiryDesk
from models.decisions import CancelAsked, Halted, Intended, Signalled
from models.errors import ConfigError
from models.events import Halt
from models.order_terms import PositionEffect

if TYPE_CHECKING:
    from pathlib import Path

    from models.trading import Order

C600, C605, P600 = option(600), option(605), option(600, "P")
OPENING, CLOSING = PositionEffect.OPENING, PositionEffect.CLOSING


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPTIONS_HOME", str(tmp_path))
    return tmp_path


def at_work(world: World) -> list[Order]:
    """Have orders of every danger stand at the broker, the most dangerous one in the middle."""
    return [
        world.work(world.order((C600, -1), limit="9", effect=CLOSING)),
        world.work(world.order((C600, 1), limit="1", effect=OPENING)),
        world.work(world.order((C600, -1), limit="9", effect=OPENING)),
        world.work(world.order((P600, -1), limit="9", effect=OPENING)),
        world.work(world.order((C600, -1), (C605, 1), limit="-1", effect=OPENING)),
    ]


def stopped(world: World, *, flatten: bool = False) -> None:
    world.engine.overseer = ExpiryDesk(world.gate)
    world.engine.start(world.now_ns)
    now_ns = world.engine.market.now_ns
    world.engine.on(Halt(time_ns=now_ns, by="command", reason="because", flatten=flatten))


def test_the_most_dangerous_orders_come_first() -> None:
    world = World()
    close, bought, naked_call, naked_put, spread = at_work(world)
    found = by_danger(world.engine.book.working(), world.engine.market.quotes)
    expected = [naked_call, naked_put, spread, bought, close]
    assert [each.client_order_id for each in found] == [each.client_order_id for each in expected]


def test_a_halt_cancels_by_danger_and_nothing_leaves_any_more() -> None:
    world = World()
    orders = at_work(world)
    stopped(world)
    asked = [each for each in world.records if isinstance(each, CancelAsked)]
    assert [each.client_order_id for each in asked] == [
        orders[at].client_order_id for at in (2, 3, 4, 1, 0)
    ]
    assert {each.by for each in asked} == {"command"}
    assert isinstance(world.records[0], Halted)
    world.hold("QQQ", 1, 600)
    assert world.rule(world.order(("QQQ", -1), effect=CLOSING)) == "halted"
    world.engine.overseer.look(world.engine)  # type: ignore[union-attr]
    assert not world.engine.desk.wishes, "what is held is closed only if that is asked for"
    now_ns = world.engine.market.now_ns
    world.engine.on(Halt(time_ns=now_ns, by="a person", reason=""))
    assert world.rule(world.order(("QQQ", -1), effect=CLOSING)) is None


def test_what_is_held_is_closed_shorts_before_what_covers_them() -> None:
    world = World(limits(flatten="none"))
    for symbol in (C600, C605):
        world.quote(symbol, 4.9, 5.1)
    world.hold(C600, -2, 5)
    world.hold(C605, 2, 4)
    stopped(world, flatten=True)
    signals = [each for each in world.records if isinstance(each, Signalled)]
    assert [each.symbol for each in signals] == [C600]
    (sent,) = [each for each in world.records if isinstance(each, Intended)]
    assert b'"limit_price":"5.1"' in bytes(sent.ticket)
    world.hold(C600, 2, 5.1)
    for order in world.engine.book.working():
        world.cancelled(order)
    world.engine.overseer.look(world.engine)  # type: ignore[union-attr]
    assert [wish.ticket.legs[0].symbol for wish in world.engine.desk.wishes] == [C605]  # type: ignore[union-attr]


def test_the_switch_stands_until_a_person_takes_it_away(home: Path) -> None:
    world = World()
    switch = KillSwitch(ACCOUNT)
    opening, closing = world.order(("QQQ", 1)), world.order(("QQQ", -1), effect=CLOSING)
    assert switch.refusal(opening) == ""
    switch.engage(killed_now("command", "because"))
    assert "stopped by command: because" in switch.refusal(closing)
    assert KillSwitch("another").refusal(opening) == ""
    switch.engage(killed_now("command", "because", flatten=True))
    assert switch.refusal(closing) == ""
    assert switch.refusal(opening)
    with pytest.raises(ConfigError, match="--resume-trading"):
        refuse_stopped(ACCOUNT)
    (home / "KILL").touch()
    assert "still stopped by file" in resume(ACCOUNT)
    assert KillSwitch("another").refusal(closing)
    assert resume(ALL) == "trading of ALL may go on"
    refuse_stopped(ACCOUNT)
    with pytest.raises(ConfigError, match="is not stopped"):
        resume(ACCOUNT)


def test_a_run_obeys_its_switch_and_a_gate_that_stopped_throws_it() -> None:
    world = World()
    world.engine.overseer = ExpiryDesk(world.gate)
    follower = SwitchFollower(world.engine, world.gate, ACCOUNT)
    switch = KillSwitch(ACCOUNT)
    follower.follow()
    assert not world.records
    world.gate.halted = "it ran away"
    follower.follow()
    found = switch.engaged()
    assert found is not None
    assert (found.by, found.reason) == ("risk gate", "it ran away")
    assert [type(each) for each in world.records] == [Halted]
    done = switch.obeyed()
    assert done is not None
    assert done.at == found.at
    assert Decimal(done.cancelled) == 0
