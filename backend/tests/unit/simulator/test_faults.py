"""Which fault happens when: targets, counts, rates, seeds, and the text of the command line."""

from __future__ import annotations

import pytest

from models.errors import ConfigError
from simulator.fault_gate import target_of
from simulator.faults import Fault, FaultKind, Faults, parse_fault
from simulator.stream_faults import FrameFaults, shuffled
from simulator.stream_session import ActivityEvent

RESET = FaultKind.RESET
DATA = '{"data":[{"service":"LEVELONE_EQUITIES", "timestamp":%d'


def armed(*faults: Fault, seed: int = 0) -> Faults:
    one = Faults(seed)
    for fault in faults:
        one.arm(fault)
    return one


def test_a_target_covers_what_begins_with_it() -> None:
    faults = armed(Fault(target="schwab.trader", fault=RESET))
    assert faults.take("schwab.trader.place")
    assert faults.take("schwab.trader")
    assert not faults.take("schwab.trade")
    assert not faults.take("schwab.traders")
    assert not faults.take("schwab")


def test_a_count_is_used_up_and_reported() -> None:
    faults = armed(Fault(target="s3.get", fault=RESET, count=2))
    assert [bool(faults.take("s3.get")) for _ in range(4)] == [True, True, False, False]
    (report,) = faults.reports()
    assert (report.id, report.left, report.fired) == (1, 0, 2)


def test_only_kinds_that_the_caller_can_do_are_taken() -> None:
    faults = armed(Fault(target="schwab", fault=FaultKind.SILENT, count=1))
    assert not faults.take("schwab.oauth", {RESET})
    assert faults.take("schwab.oauth", {RESET, FaultKind.SILENT})


def test_the_fault_armed_first_is_taken_first() -> None:
    faults = armed(
        Fault(target="schwab", fault=RESET, count=1), Fault(target="schwab", fault=FaultKind.STATUS)
    )
    taken = [faults.take("schwab.oauth") for _ in range(3)]
    assert [one and one.fault for one in taken] == [RESET, FaultKind.STATUS, FaultKind.STATUS]


def test_match_compares_what_the_caller_knows() -> None:
    faults = armed(
        Fault(target="schwab", fault=RESET, match={"path": "*/orders", "method": "POST"})
    )
    assert not faults.take("schwab.trader.place")
    assert not faults.take("schwab.trader.place", method="GET", path="/a/orders")
    assert faults.take("schwab.trader.place", method="POST", path="/a/orders")


def test_rates_draw_alike_for_the_same_seed() -> None:
    def drawn(seed: int) -> list[bool]:
        faults = armed(Fault(target="schwab", fault=RESET, rate=0.2), seed=seed)
        return [bool(faults.take("schwab")) for _ in range(1000)]

    assert drawn(4) == drawn(4) != drawn(5)
    assert 150 < sum(drawn(4)) < 250


def test_clearing_one_or_all() -> None:
    faults = armed(Fault(target="schwab", fault=RESET), Fault(target="s3", fault=RESET))
    assert faults.clear(1) == 1
    assert not faults.take("schwab")
    assert faults.take("s3")
    assert faults.clear() == 1
    assert faults.clear() == 0
    assert faults.arm(Fault(target="s3", fault=RESET)).id == 3


@pytest.mark.parametrize(
    "target", ["", "nobody", "schwab.", "schwab..trader", "SCHWAB", "schwab.*"]
)
def test_a_target_that_is_none_is_refused(target: str) -> None:
    with pytest.raises(ConfigError, match="is no target of faults"):
        Faults().arm(Fault(target=target, fault=RESET))


def test_a_fault_is_read_from_the_command_line() -> None:
    assert parse_fault("schwab.trader.place:lost_reply") == Fault(
        target="schwab.trader.place", fault=FaultKind.LOST_REPLY
    )
    text = "schwab:status:status=429,retry_after_s=1.5,rate=0.05,count=3,match.method=POST"
    assert parse_fault(text) == Fault(
        target="schwab",
        fault=FaultKind.STATUS,
        status=429,
        retry_after_s=1.5,
        rate=0.05,
        count=3,
        match={"method": "POST"},
    )


@pytest.mark.parametrize(
    "text", ["", "schwab", "schwab:nothing", "schwab:status:status=99", "schwab:reset:often=1"]
)
def test_a_text_that_is_no_fault_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        parse_fault(text)


@pytest.mark.parametrize(
    ("method", "path", "target"),
    [
        ("POST", "/v1/oauth/token", "schwab.oauth.token"),
        ("GET", "/v1/oauth/authorize", "schwab.oauth.authorize"),
        ("POST", "/v1/oauth/consent", "schwab.oauth.authorize"),
        ("GET", "/marketdata/v1/quotes", "schwab.market_data.quotes"),
        ("GET", "/marketdata/v1/BRK/B/quotes", "schwab.market_data.quotes"),
        ("GET", "/marketdata/v1/chains", "schwab.market_data.chains"),
        ("GET", "/marketdata/v1/movers/$SPX", "schwab.market_data.movers"),
        ("GET", "/marketdata/v1/nothing", "schwab.market_data"),
        ("POST", "/trader/v1/accounts/AB/orders", "schwab.trader.place"),
        ("GET", "/trader/v1/accounts/AB/orders", "schwab.trader.orders"),
        ("GET", "/trader/v1/orders", "schwab.trader.orders"),
        ("GET", "/trader/v1/accounts/AB/orders/1", "schwab.trader.order"),
        ("PUT", "/trader/v1/accounts/AB/orders/1", "schwab.trader.replace"),
        ("DELETE", "/trader/v1/accounts/AB/orders/1", "schwab.trader.cancel"),
        ("POST", "/trader/v1/accounts/AB/previewOrder", "schwab.trader.preview"),
        ("GET", "/trader/v1/accounts/AB/transactions/5", "schwab.trader.transactions"),
        ("GET", "/trader/v1/accounts/accountNumbers", "schwab.trader.accounts"),
        ("GET", "/trader/v1/userPreference", "schwab.trader.user_preference"),
        ("PATCH", "/trader/v1/accounts/AB/orders", "schwab.trader"),
        ("GET", "/v2/aggs/ticker/QQQ", "polygon.rest.aggs"),
        ("GET", "/v3/reference/options/contracts/O:QQQ", "polygon.rest.contracts"),
        ("GET", "/v3/reference/dividends", "polygon.rest.reference"),
        ("GET", "/v3/snapshot", "polygon.rest.snapshot"),
        ("GET", "/v1/marketstatus/now", "polygon.rest.marketstatus"),
        ("GET", "/vX/nothing", "polygon.rest"),
        ("GET", "/simulator/faults", None),
        ("GET", "/", None),
    ],
)
def test_each_request_has_its_target(method: str, path: str, target: str | None) -> None:
    assert target_of(method, path) == target


def test_things_are_lost_repeated_and_swapped_as_told() -> None:
    told = {2: FaultKind.GAP, 3: FaultKind.DUPLICATE, 5: FaultKind.REORDER, 8: FaultKind.REORDER}
    held: list[int] = []
    assert shuffled(range(1, 9), told.get, held) == [1, 3, 3, 4, 6, 5, 7]
    assert shuffled([9], told.get, held) == [9, 8]


def test_frames_of_data_alone_are_lost() -> None:
    troubles = FrameFaults(armed(Fault(target="schwab.streamer.data", fault=FaultKind.GAP)))
    frames = ['{"response":[]}', DATA % 1, '{"notify":[]}', '{"data":[{"service":"ACCT_ACTIVITY"']
    assert troubles.frames(frames) == [frames[0], frames[2], frames[3]]


def test_faults_of_fills_leave_other_events_alone() -> None:
    events = [ActivityEvent("1", "OrderAccepted", ""), ActivityEvent("1", "OrderFillCompleted", "")]
    target = "schwab.streamer.activity"
    missing = FrameFaults(armed(Fault(target=target, fault=FaultKind.MISSING_FILL)))
    twice = FrameFaults(armed(Fault(target=target, fault=FaultKind.DUPLICATE_FILL)))
    assert missing.events(events) == events[:1]
    assert twice.events(events) == [events[0], events[1], events[1]]
