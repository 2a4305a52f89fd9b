"""One connection of the streamer: what is asked, answered and delivered, without a socket."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.schwab_fields import FIELDS, Code, Service
from simulator import stream_facts as facts
from simulator.stream_session import ActivityEvent, StreamSession
from simulator.stream_tape import Tape
from simulator.users import DEMO

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

TOKEN = "I0.living@"
CALL = "QQQ   241018C00100000"
PUT = "QQQ   241018P00090000"


def fields_of(service: str) -> str:
    return ",".join(str(number) for number in range(len(FIELDS[Service(service)])))


class Peer:
    """A client beside its session; both clocks are moved by hand."""

    def __init__(self, world: Any, now: datetime) -> None:
        self.tape = Tape(world)
        self.now = now
        self.wall_s = 1000.0
        self.session = StreamSession(lambda token: DEMO if token == TOKEN else None, self.wall_s)
        self.count = 0

    @property
    def ms(self) -> int:
        return int(self.now.timestamp() * 1000)

    def send(self, text: str | bytes) -> list[dict[str, Any]]:
        return [json.loads(frame) for frame in self.session.answer(text, self.wall_s, self.ms)]

    def ask(self, service: str, command: str, **parameters: str) -> dict[str, Any]:
        self.count += 1
        request = {"requestid": self.count, "service": service, "command": command}
        answers = self.send(json.dumps(request | {"parameters": parameters}))
        content: dict[str, Any] = answers[0]["response"][0]["content"]
        return content

    def login(self) -> Peer:
        assert self.ask("ADMIN", "LOGIN", Authorization=TOKEN)["code"] == 0
        return self

    def raw(self) -> list[str]:
        moment = self.tape.moment(self.session.wants(), self.now, self.wall_s)
        return self.session.batch(moment, self.ms)

    def batch(self) -> dict[str, list[dict[str, Any]]]:
        frames = [json.loads(frame)["data"][0] for frame in self.raw()]
        return {frame["service"]: frame["content"] for frame in frames}

    def pulse(self, seconds: float = 0.0) -> list[dict[str, Any]]:
        self.wall_s += seconds
        return [json.loads(frame) for frame in self.session.pulse(self.wall_s, self.ms)]


@pytest.fixture
def peer(world: Any, noon: datetime) -> Peer:
    return Peer(world, noon).login()


@pytest.fixture
def stranger(world: Any, noon: datetime) -> Peer:
    return Peer(world, noon)


@pytest.mark.parametrize("in_list", [True, False])
@pytest.mark.parametrize("number", ["0", 1])
def test_a_login_comes_bare_or_in_requests_with_any_id(
    stranger: Peer, number: object, in_list: bool
) -> None:
    request = {
        "requestid": number,
        "service": "ADMIN",
        "command": "LOGIN",
        "SchwabClientCustomerId": "c",
        "SchwabClientCorrelId": "abc",
        "parameters": {"Authorization": TOKEN, "SchwabClientChannel": "N9"},
    }
    answer, heartbeat = stranger.send(json.dumps({"requests": [request]} if in_list else request))
    assert answer == {
        "response": [
            {
                "service": "ADMIN",
                "command": "LOGIN",
                "requestid": str(number),
                "SchwabClientCorrelId": "abc",
                "timestamp": stranger.ms,
                "content": {"code": 0, "msg": "server=s0166bdv-1;status=PN"},
            }
        ]
    }
    assert heartbeat == {"notify": [{"heartbeat": str(stranger.ms)}]}


def test_a_wrong_token_is_denied_and_ends_the_connection(stranger: Peer) -> None:
    denied = stranger.ask("ADMIN", "LOGIN", Authorization="I0.dead@")
    assert denied == {"code": 3, "msg": "Login Denied.: token is invalid or has expired."}
    assert stranger.session.closing


def test_logout_needs_no_parameters_and_ends_the_connection(peer: Peer) -> None:
    (answer,) = peer.send('{"requestid":7,"service":"ADMIN","command":"LOGOUT"}')
    assert answer["response"][0]["content"] == {"code": 0, "msg": "SUCCESS"}
    assert peer.session.closing


def test_a_command_ahead_of_the_login_finds_no_connection(stranger: Peer) -> None:
    assert stranger.ask("LEVELONE_EQUITIES", "SUBS", keys="QQQ", fields="0,1")["code"] == 20
    assert not stranger.session.wants()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("no json", 21),
        (b"\xff\xfe", 21),
        ("[]", 21),
        ('{"requests":5}', 21),
        ('{"requests":[5]}', 21),
        ('{"service":"CHART_EQUITY","command":"SUBS"}', 21),
        ('{"requestid":1,"service":"CHART_EQUITY","command":"JUMP"}', 21),
        ('{"requestid":1,"service":"ADMIN","command":"SUBS"}', 21),
        ('{"requestid":1,"service":"CHART_EQUITY","command":"SUBS","parameters":[1]}', 21),
        ('{"requestid":1,"service":"TIMESALE_EQUITY","command":"SUBS"}', 11),
        ('{"requestid":1,"service":"CHART_EQUITY","command":"SUBS"}', 22),
        ('{"requestid":1,"service":"CHART_EQUITY","command":"SUBS","parameters":{"keys":"A"}}', 22),
        ('{"requestid":1,"service":"CHART_EQUITY","command":"UNSUBS","parameters":{}}', 23),
        ('{"requestid":1,"service":"CHART_EQUITY","command":"ADD","parameters":{"keys":""}}', 24),
        (
            (
                '{"requestid":1,"service":"CHART_EQUITY","command":"ADD",'
                '"parameters":{"keys":"A","fields":"one"}}'
            ),
            24,
        ),
        ('{"requestid":1,"service":"CHART_EQUITY","command":"VIEW"}', 25),
    ],
)
def test_what_is_no_request_is_refused_by_its_code(
    peer: Peer, text: str | bytes, code: int
) -> None:
    (answer,) = peer.send(text)
    assert answer["response"][0]["content"]["code"] == code
    assert not peer.session.wants()
    assert not peer.session.closing


def test_each_request_of_a_message_gets_its_own_answer_in_order(peer: Peer) -> None:
    requests = [
        {"requestid": str(number), "service": service, "command": "ADD", "parameters": wanted}
        for number, (service, wanted) in enumerate(
            [
                ("LEVELONE_EQUITIES", {"keys": "QQQ", "fields": "0,1"}),
                ("NO_SUCH", {}),
                ("CHART_EQUITY", {"keys": "QQQ", "fields": "0,1"}),
            ]
        )
    ]
    answers = [each["response"] for each in peer.send(json.dumps({"requests": requests}))]
    assert [(one["requestid"], one["content"]["code"]) for (one,) in answers] == [
        ("0", 0),
        ("1", 11),
        ("2", 0),
    ]


def test_the_first_item_is_whole_and_later_ones_tell_changes_alone(peer: Peer, world: Any) -> None:
    answer = peer.ask("LEVELONE_EQUITIES", "SUBS", keys="QQQ,NOSUCH", fields="0,1,2,3,8")
    assert answer == {"code": 0, "msg": "SUBS command succeeded"}
    assert peer.batch() == {
        "LEVELONE_EQUITIES": [
            {
                "1": 99.99,
                "2": 100.01,
                "3": 100.0,
                "8": 1000000,
                "key": "QQQ",
                "delayed": False,
                "assetMainType": "EQUITY",
                "assetSubType": "ETF",
                "cusip": "46090E103",
            }
        ]
    }
    peer.now += timedelta(seconds=1)
    assert peer.batch() == {}  # times have changed, but nobody asked for them
    quote = world.quote
    world.quote = lambda ticker, now: replace(quote(ticker, now), bid=99.5, volume=1000001)
    peer.now += timedelta(seconds=1)
    assert peer.batch() == {"LEVELONE_EQUITIES": [{"1": 99.5, "8": 1000001, "key": "QQQ"}]}
    assert peer.batch() == {}


def test_data_frames_are_spelled_as_captured_ones(peer: Peer) -> None:
    peer.ask("LEVELONE_EQUITIES", "ADD", keys="AAPL", fields="0,1")
    (frame,) = peer.raw()
    assert frame == (
        f'{{"data":[{{"service":"LEVELONE_EQUITIES", "timestamp":{peer.ms},"command":"SUBS",'
        '"content":[{"1":99.99,"key":"AAPL","delayed":false,"assetMainType":"EQUITY",'
        '"assetSubType":"COE","cusip":"037833100"}]}]}'
    )


def test_add_appends_keys_and_fields_and_subs_replaces_them(peer: Peer) -> None:
    peer.ask("LEVELONE_EQUITIES", "SUBS", keys="QQQ", fields="0,1")
    peer.batch()
    peer.ask("LEVELONE_EQUITIES", "ADD", keys="AAPL,QQQ", fields="0,2")
    told = {item["key"]: item for item in peer.batch()["LEVELONE_EQUITIES"]}
    assert told["QQQ"] == {"2": 100.01, "key": "QQQ"}
    assert told["AAPL"]["2"] == 100.01
    assert "1" not in told["AAPL"]
    peer.ask("LEVELONE_EQUITIES", "SUBS", keys="AAPL", fields="0,3")
    (item,) = peer.batch()["LEVELONE_EQUITIES"]
    assert (item["key"], item["3"], item["delayed"]) == ("AAPL", 100.0, False)
    assert peer.session.wants() == {Service.LEVELONE_EQUITIES: ["AAPL"]}


def test_view_changes_the_fields_of_every_key_without_naming_one(peer: Peer) -> None:
    peer.ask("LEVELONE_EQUITIES", "SUBS", keys="QQQ,AAPL", fields="0,1")
    peer.batch()
    assert peer.ask("LEVELONE_EQUITIES", "VIEW", fields="0,3")["code"] == 0
    assert peer.batch()["LEVELONE_EQUITIES"] == [
        {"3": 100.0, "key": "QQQ"},
        {"3": 100.0, "key": "AAPL"},
    ]
    assert peer.ask("LEVELONE_OPTIONS", "VIEW", fields="0,3")["code"] == 0


def test_unsubs_ends_single_keys_and_knows_none_twice(peer: Peer) -> None:
    peer.ask("LEVELONE_EQUITIES", "SUBS", keys="QQQ,AAPL", fields="0,1")
    assert peer.ask("LEVELONE_EQUITIES", "UNSUBS", keys="QQQ,MSFT")["code"] == 0
    assert peer.session.wants() == {Service.LEVELONE_EQUITIES: ["AAPL"]}
    assert peer.ask("LEVELONE_EQUITIES", "UNSUBS", keys="AAPL")["code"] == 0
    assert peer.ask("LEVELONE_EQUITIES", "UNSUBS", keys="AAPL")["code"] == 0
    assert peer.session.wants() == {}


def test_keys_above_the_limit_are_refused_and_those_below_hold(peer: Peer) -> None:
    keys = ",".join(f"NASDAQ_VOLUME_{number}" for number in range(8))
    assert peer.ask("SCREENER_EQUITY", "SUBS", keys=keys, fields="0,1")["code"] == 0
    refused = peer.ask("SCREENER_EQUITY", "ADD", keys="A,B,C", fields="0,1")
    assert refused["code"] == 19
    assert refused["msg"].endswith("(SCREENER_EQUITY=10, DISCARDED=1)")
    assert peer.session.wants()[Service.SCREENER_EQUITY][-2:] == ["A", "B"]
    many = ",".join(f"K{number}" for number in range(501))
    assert peer.ask("LEVELONE_EQUITIES", "SUBS", keys=many, fields="0,1")["code"] == 19
    assert len(peer.session.wants()[Service.LEVELONE_EQUITIES]) == 500


def test_an_equity_has_every_field_and_an_index_those_of_its_reply(peer: Peer) -> None:
    keys = {"keys": "AAPL,$SPX,BRK/B", "fields": fields_of("LEVELONE_EQUITIES")}
    peer.ask("LEVELONE_EQUITIES", "SUBS", **keys)
    told = {item["key"]: item for item in peer.batch()["LEVELONE_EQUITIES"]}
    numbers = {str(number) for number in range(1, 52)}
    assert numbers <= set(told["AAPL"])
    assert told["AAPL"]["15"] == "APPLE INC"
    assert numbers - set(told["BRK/B"]) == {"26"}  # it pays no dividend
    assert told["$SPX"]["3"] == 100.0
    assert "1" not in told["$SPX"]
    assert told["$SPX"]["assetMainType"] == "INDEX"
    assert "cusip" not in told["$SPX"]


def test_an_option_has_every_field(peer: Peer) -> None:
    fields = fields_of("LEVELONE_OPTIONS")
    peer.ask("LEVELONE_OPTIONS", "SUBS", keys=f"{CALL},QQQ   241018C00999000,QQQ", fields=fields)
    (item,) = peer.batch()["LEVELONE_OPTIONS"]
    assert {str(number) for number in range(1, 56)} <= set(item)
    assert item["1"] == "QQQ 10/18/2024 100.00 C"
    assert (item["2"], item["3"], item["20"], item["21"], item["22"]) == (
        0.95,
        1.05,
        100.0,
        "C",
        "QQQ",
    )
    assert (item["key"], item["assetMainType"], item["delayed"]) == (CALL, "OPTION", False)


def test_options_of_many_expirations_are_asked_for_at_once(peer: Peer, world: Any) -> None:
    keys = [f"QQQ   {day}C00100000" for day in ("241018", "241025", "241115")]
    peer.ask("LEVELONE_OPTIONS", "SUBS", keys=",".join(keys), fields="0,2")
    assert len(peer.batch()["LEVELONE_OPTIONS"]) == 3
    assert len(world.asked) == 1


def test_a_market_that_stands_still_is_asked_once(peer: Peer, world: Any) -> None:
    peer.ask("LEVELONE_OPTIONS", "SUBS", keys=CALL, fields="0,2")
    for _ in range(3):
        peer.batch()
    assert len(world.asked) == 1


def test_a_book_is_whole_and_comes_again_when_it_changed(peer: Peer, world: Any) -> None:
    peer.ask("NASDAQ_BOOK", "ADD", keys="QQQ,BRK/B", fields="0,1,2,3")
    peer.ask("NYSE_BOOK", "ADD", keys="QQQ,BRK/B", fields="0,1,2,3")
    peer.ask("OPTIONS_BOOK", "ADD", keys=f"{CALL},{PUT}", fields="0,1,2,3")
    told = peer.batch()
    (book,) = told["NASDAQ_BOOK"]
    assert (book["key"], book["1"], len(book["2"])) == ("QQQ", peer.ms, facts.BOOK_LEVELS)
    best = book["2"][0]
    assert (best["0"], best["1"], len(best["3"])) == (99.99, 300, best["2"])
    assert sum(maker["1"] for maker in best["3"]) == 300
    assert best["3"][0]["2"] == 12 * 3600 * 1000  # noon, in milliseconds since midnight
    assert [level["0"] for level in book["3"]] == [100.01, 100.02, 100.03, 100.04, 100.05]
    assert [one["key"] for one in told["NYSE_BOOK"]] == ["BRK/B"]
    options = {one["key"]: one for one in told["OPTIONS_BOOK"]}
    assert options[CALL]["2"][0]["0"] == 0.95
    assert options[PUT]["2"] == []  # nobody bids
    assert peer.batch() == {}
    quote = world.quote
    world.quote = lambda ticker, now: replace(quote(ticker, now), ask=100.02)
    peer.now += timedelta(seconds=1)
    (book,) = peer.batch()["NASDAQ_BOOK"]
    assert (len(book["2"]), book["3"][0]["0"]) == (facts.BOOK_LEVELS, 100.02)


def test_a_chart_tells_each_complete_minute_once_with_a_running_number(peer: Peer) -> None:
    peer.ask("CHART_EQUITY", "ADD", keys="QQQ,NOSUCH", fields=fields_of("CHART_EQUITY"))
    (bar,) = peer.batch()["CHART_EQUITY"]
    start = int((peer.now - timedelta(minutes=1)).timestamp() * 1000)
    assert (bar["seq"], bar["key"], bar["1"], bar["7"]) == (0, "QQQ", 299, start)
    assert bar["8"] == 20014
    assert set(bar) == {"seq", "key", *"12345678"}
    peer.now += timedelta(seconds=59)
    assert peer.batch() == {}
    peer.now += timedelta(seconds=121)
    assert [(one["seq"], one["1"]) for one in peer.batch()["CHART_EQUITY"]] == [
        (1, 300),
        (2, 301),
        (3, 302),
    ]


def test_a_screener_is_whole_and_a_bad_key_is_silent(peer: Peer) -> None:
    keys = "NASDAQ_VOLUME_5,$SPX_PERCENT_CHANGE_UP_60,QQQ,NASDAQ_VOLUME_7,OPTION_ALL_VOLUME_5"
    assert peer.ask("SCREENER_EQUITY", "ADD", keys=keys, fields="0,1,2,3,4")["code"] == 0
    peer.ask("SCREENER_OPTION", "ADD", keys="OPTION_CALL_AVERAGE_PERCENT_VOLUME_0", fields="0,2,4")
    told = peer.batch()
    by_key = {item["key"]: item for item in told["SCREENER_EQUITY"]}
    assert set(by_key) == {"NASDAQ_VOLUME_5", "$SPX_PERCENT_CHANGE_UP_60"}
    first = by_key["NASDAQ_VOLUME_5"]
    assert (first["1"], first["2"], first["3"]) == (peer.ms, "VOLUME", 5)
    assert {row["symbol"] for row in first["4"]} == {"AAPL", "QQQ"}
    (calls,) = told["SCREENER_OPTION"]
    assert all(row["symbol"][12] == "C" for row in calls["4"])
    peer.now += timedelta(seconds=1)
    assert peer.batch() == {}
    peer.wall_s += facts.SCREENER_S
    assert set(peer.batch()) == {"SCREENER_EQUITY", "SCREENER_OPTION"}


@pytest.mark.parametrize(
    "service",
    ["LEVELONE_FUTURES", "LEVELONE_FUTURES_OPTIONS", "LEVELONE_FOREX", "CHART_FUTURES"],
)
def test_markets_that_our_world_has_not_are_accepted_and_silent(peer: Peer, service: str) -> None:
    assert peer.ask(service, "ADD", keys="/ESZ26,EUR/USD", fields="0,1,2")["code"] == 0
    assert peer.batch() == {}


def test_account_activity_acknowledges_and_counts_and_escapes(peer: Peer) -> None:
    peer.ask("ACCT_ACTIVITY", "SUBS", keys="Account Activity", fields="0,1,2,3")
    (acknowledged,) = peer.raw()
    assert acknowledged.endswith(
        '"content":[{"seq":0,"key":"Account Activity","1":"","2":"SUBSCRIBED","3":""}]}]}'
    )
    event = ActivityEvent("10000001", "OrderCreated", '{"Symbol":"BRK/B"}')
    (frame,) = peer.session.activity([event, event], peer.ms)
    assert r'"3":"{\"Symbol\":\"BRK\/B\"}"' in frame
    content = json.loads(frame)["data"][0]["content"]
    assert [item["seq"] for item in content] == [1, 2]
    assert json.loads(content[0]["3"]) == {"Symbol": "BRK/B"}
    assert peer.batch() == {}


def test_account_activity_takes_subs_and_unsubs_alone(peer: Peer) -> None:
    peer.ask("ACCT_ACTIVITY", "ADD", keys="Account Activity", fields="0,1,2,3")
    assert peer.session.wants() == {}
    assert peer.session.activity([ActivityEvent("1", "OrderCreated", "{}")], peer.ms) == []
    peer.ask("ACCT_ACTIVITY", "SUBS", keys="Account Activity", fields="0,1,2,3")
    peer.ask("ACCT_ACTIVITY", "UNSUBS", keys="Account Activity")
    assert peer.session.wants() == {}


def test_a_heartbeat_comes_every_ten_seconds(peer: Peer) -> None:
    peer.ask("LEVELONE_EQUITIES", "ADD", keys="QQQ", fields="0,1")
    assert peer.pulse(9.9) == []
    assert peer.pulse(0.2) == [{"notify": [{"heartbeat": str(peer.ms)}]}]
    assert peer.pulse(9.8) == []
    assert len(peer.pulse(0.2)) == 1
    assert len(peer.pulse(35)) == 1  # after a pause one, not three


def test_a_connection_without_subscription_is_stopped(peer: Peer) -> None:
    peer.pulse(29.9)
    assert not peer.session.closing
    (notice,) = peer.pulse(0.1)
    assert notice["notify"][0]["service"] == "ADMIN"
    assert notice["notify"][0]["content"] == {
        "code": 30,
        "msg": "Stop streaming due to empty subscription",
    }
    assert peer.session.closing


def test_the_half_minute_counts_from_the_last_subscriptions_end(peer: Peer) -> None:
    peer.ask("LEVELONE_EQUITIES", "ADD", keys="QQQ", fields="0,1")
    for _ in range(10):
        peer.pulse(10)
    peer.ask("LEVELONE_EQUITIES", "UNSUBS", keys="QQQ")
    peer.pulse(29)
    assert not peer.session.closing
    peer.pulse(1)
    assert peer.session.closing


def test_two_clients_share_one_encoding_and_each_its_own_changes(
    world: Any, noon: datetime, make_quote: Callable[..., Any]
) -> None:
    first, second = Peer(world, noon).login(), Peer(world, noon).login()
    second.tape = first.tape
    for peer, fields in ((first, "0,1"), (second, "0,1,2")):
        peer.ask("LEVELONE_EQUITIES", "ADD", keys="QQQ", fields=fields)
    assert "2" not in first.batch()["LEVELONE_EQUITIES"][0]
    assert second.batch()["LEVELONE_EQUITIES"][0]["2"] == make_quote("QQQ").ask


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_NAMES = st.sampled_from(["LOGIN", "SUBS", "ADD", "VIEW", "UNSUBS", "LOGOUT", *Service]) | _SCALARS
_PARAMETERS = st.dictionaries(
    st.sampled_from(["keys", "fields", "Authorization"]), _SCALARS | st.lists(_SCALARS, max_size=3)
)
_REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "requestid": _SCALARS,
        "service": _NAMES,
        "command": _NAMES,
        "parameters": _PARAMETERS | _SCALARS,
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(_REQUESTS | _SCALARS, max_size=4))
def test_whatever_is_sent_gets_answers_with_known_codes(
    world: Any, noon: datetime, requests: list[Any]
) -> None:
    peer = Peer(world, noon).login()
    for answer in peer.send(json.dumps({"requests": requests})):
        for one in answer.get("response", []):
            assert one["content"]["code"] in set(Code) - {26, 27, 28, 29, 30}
    peer.batch()


def test_a_message_nested_without_end_is_refused(peer: Peer) -> None:
    (answer,) = peer.send("[" * 100_000)
    assert answer["response"][0]["content"]["code"] == 21
