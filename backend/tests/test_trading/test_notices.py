"""Notices arrive within five seconds, keep nobody waiting, and say how many they left out."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from app.trading_notices import DEFAULT_LEVELS, NoticeSettings, TradingNotices, trading_notices
from models.decisions import (
    Alarmed,
    Denied,
    Ended,
    Halted,
    Heard,
    LimitsRead,
    Restrained,
    Signalled,
)
from models.errors import ConfigError, StreamError, Unavailable
from models.events import Fill, Heartbeat, OrderUpdate, Quote, Settlement
from models.order_terms import Mode, OrderStatus, Side, SignalAction
from utils.notices import Notice, NoticeSender, message
from utils.notifier import Level

if TYPE_CHECKING:
    from collections.abc import Callable

CALL = "QQQ   251219C00600000"


def heard(status: OrderStatus, *fills: Fill, reason: str = "") -> Heard:
    update = OrderUpdate(
        order_id="1", client_order_id="run-1", status=status, time_ns=1, fills=fills, reason=reason
    )
    return Heard(event=1, at_ns=1, update=update)


FILL = Fill(
    execution_id="e", symbol=CALL, side=Side.SELL, quantity=Decimal(2), price=Decimal("1.25"),
    time_ns=1, fees=Decimal("1.33"),
)  # fmt: skip


def denied(rule: str) -> Denied:
    return Denied(
        event=1, at_ns=1, ticket_id="t", rule=rule, limit="1", value="2", message="too much"
    )


def session(serve_result: str = "12.50") -> Any:
    names = SimpleNamespace(mode=Mode.PAPER, strategy="ema_cross", account_id="paper-1")
    return SimpleNamespace(engine=SimpleNamespace(names=names, worth=lambda: Decimal(serve_result)))


@pytest.mark.filterwarnings("ignore:'imghdr'")  # apprise imports it
def test_what_happens_is_told_within_five_seconds_and_secrets_are_not_logged(
    serve: Callable[..., Any],
    answer: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    came: list[float] = []
    arrived = threading.Event()

    def take(_: object) -> Any:
        came.append(time.monotonic())
        arrived.set()
        return answer()

    webhook = serve(take)
    monkeypatch.setenv(
        "TRADING_NOTIFY_URLS",
        f"{webhook.url.replace('http', 'json')}/hush-hush json://127.0.0.1:9/hush",
    )
    caplog.set_level(logging.DEBUG)

    def traded() -> float:
        with trading_notices(session()) as notices:
            began.append(time.monotonic())
            notices.say(heard(OrderStatus.FILLED, FILL))
            notices.say(denied("size"))
            assert time.monotonic() - began[0] < 0.1
            assert arrived.wait(10)
            killed = Halted(event=1, at_ns=1, by="file", reason="the file is there")
            notices.say(killed)
            raise StreamError("the stream ended for good")

    began: list[float] = []
    with pytest.raises(StreamError):
        traded()
    print(f"first notice after {came[0] - began[0]:.2f} s")
    assert came[0] - began[0] < 5
    first, second = [json.loads(each.body) for each in webhook.received]
    assert first["title"] == "paper ema_cross paper-1: fill, denied"
    assert first["message"].splitlines() == [
        "sold 2 QQQ 19 Dec 600 C at 1.25, fees 1.33",
        "denied by size: too much",
    ]
    assert second["title"] == "paper ema_cross paper-1: kill_switch, alarm"
    assert "trading has ended: the stream ended for good" in second["message"]
    assert second["type"] == "failure"
    assert "hush" not in caplog.text


class Kept:
    """A sender that keeps what it is given."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def put(self, notice: Notice) -> None:
        self.notices.append(notice)


def watched(**levels: Level | None) -> tuple[TradingNotices, list[Notice]]:
    kept = Kept()
    return TradingNotices("t", [kept], {**DEFAULT_LEVELS, **levels}), kept.notices  # type: ignore[list-item]


def test_each_kind_has_its_level_and_what_nobody_wants_is_not_told() -> None:
    notices, told = watched(denied=None)
    notices.say(heard(OrderStatus.WORKING))
    notices.say(heard(OrderStatus.PARTIALLY_FILLED, FILL, FILL))
    notices.say(denied("size"))
    notices.say(denied("kill_switch"))
    notices.say(heard(OrderStatus.REJECTED, reason="no money"))
    notices.say(heard(OrderStatus.UNKNOWN, reason="no answer"))
    notices.say(Restrained(event=1, at_ns=1, source="sign-in", reason="sign in again"))
    notices.say(Restrained(event=1, at_ns=1, source="sign-in", reason=""))
    notices.say(Alarmed(event=1, at_ns=1, code="pin_risk", symbol=CALL, message="near the strike"))
    notices.say(
        LimitsRead(event=1, at_ns=1, taken=True, message="max_loss 1", limits=msgspec.Raw(b"{}"))
    )
    ended = Settlement(
        settlement_id="s", symbol=CALL, quantity=Decimal(-2), outcome="assigned", time_ns=1
    )
    notices.say(Ended(event=1, at_ns=1, settlement=ended))
    notices.say(
        Signalled(
            event=1, at_ns=1, signal_id="s", strategy="x", symbol="QQQ", action=SignalAction.OPEN,
            why=msgspec.Raw(b"{}"),
        )
    )  # fmt: skip
    assert [(each.kind, each.level) for each in told] == [
        ("fill", Level.INFO),
        ("fill", Level.INFO),
        ("kill_switch", Level.FAILURE),
        ("rejected", Level.WARNING),
        ("rejected", Level.WARNING),
        ("closing_only", Level.FAILURE),
        ("closing_only", Level.FAILURE),
        ("alarm", Level.FAILURE),
        ("limits", Level.WARNING),
        ("expiration", Level.INFO),
    ]
    assert told[-1].text == "-2 QQQ 19 Dec 600 C: assigned"


def test_a_thousand_denials_are_one_notice_and_a_number() -> None:
    notices, told = watched()
    for _ in range(1000):
        notices.say(denied("size"))
    assert [each.text for each in told] == ["denied by size: too much"]
    notices._denials["size"] = (-1e9, 999)
    notices.say(denied("size"))
    assert told[-1].text == "denied by size: too much (999 more since the last notice of it)"


def test_a_silent_market_is_told_of_once_and_its_return(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("app.trading_notices.time.monotonic", lambda: now[0])
    notices, told = watched()
    quote = Quote("QQQ", 1)
    notices.watch(quote)
    for _ in range(12):
        now[0] += 1
        notices.watch(Heartbeat(time_ns=1))
    assert [each.text for each in told] == ["the market has said nothing for 5 s"]
    notices.watch(quote)
    assert told[-1].text == "the market is heard again, after 12 s"


def test_what_does_not_fit_is_counted_and_a_slow_server_keeps_nobody_waiting() -> None:
    gate, sent = threading.Event(), []

    def slow(title: str, text: str, level: Level) -> None:
        gate.wait(10)
        sent.append((title, text, level))

    sender = NoticeSender(slow, "run", gather_s=0.01, most=50)
    began = time.monotonic()
    sender.put(Notice("fill", Level.INFO, "the first"))
    while not sender._thread.is_alive() or sender._waiting:
        assert time.monotonic() - began < 5
    for number in range(200):
        sender.put(Notice("denied", Level.WARNING, f"number {number}"))
    assert time.monotonic() - began < 2
    gate.set()
    assert sender.close()
    assert sent[0] == ("run: fill", "the first", Level.INFO)
    title, text, level = sent[1]
    assert (title, level) == ("run: 200 x denied", Level.WARNING)
    assert text.splitlines()[-1] == "... and 180 more, which the journal has"


def test_a_message_that_is_not_taken_is_tried_again() -> None:
    tries: list[str] = []

    def refuse(title: str, _text: str, _level: Level) -> None:
        tries.append(title)
        if len(tries) < 3:
            raise Unavailable("not now", provider="notices", retryable=True)

    sender = NoticeSender(refuse, "run", gather_s=0, again_s=0)
    sender.put(Notice("alarm", Level.FAILURE, "fire"))
    assert sender.close()
    assert tries == ["run: alarm"] * 3


def test_the_most_urgent_lines_are_shown() -> None:
    many = [Notice("fill", Level.INFO, f"fill {number}") for number in range(30)]
    title, text, level = message("run", [*many, Notice("alarm", Level.FAILURE, "fire")], Counter())
    assert title == "run: 30 x fill, alarm"
    assert level is Level.FAILURE
    assert text.splitlines()[-2:] == ["fire", "... and 11 more, which the journal has"]


@pytest.mark.parametrize("text", ["fill=loud", "fills=info", "fill"])
def test_a_wrong_setting_is_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match="is not KIND=LEVEL: kinds are fill"):
        NoticeSettings(notices=text).levels()


def test_settings_of_kinds() -> None:
    levels = NoticeSettings(notices="fill=off, end=info").levels()
    assert (levels["fill"], levels["end"], levels["alarm"]) == (None, Level.INFO, Level.FAILURE)
