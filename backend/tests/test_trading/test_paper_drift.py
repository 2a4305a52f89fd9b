"""The drift command over a recording and the journal of its account."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
import pytest

from app.cli import run
from app.recording import BalancesTold, Beginning, Recorder
from app.trading_books import open_books
from models.decisions import Heard, Intended
from models.events import Fill, Heartbeat, OrderUpdate, Quote
from models.order_terms import Mode, OrderStatus, OrderType, PositionEffect, Side
from models.trading import Leg, Order
from scripts import paper_drift
from utils.clock import to_time

if TYPE_CHECKING:
    from pathlib import Path

ACCOUNT = "A" * 64
OPEN_NS = 1_700_058_600_000_000_000
SECOND = 10**9
CALL = "QQQ   231215C00400000"


def order(name: str) -> Order:
    return Order(
        client_order_id=name,
        account_id=ACCOUNT,
        mode=Mode.LIVE,
        legs=(Leg(symbol=CALL, side=Side.BUY, position_effect=PositionEffect.OPENING),),
        order_type=OrderType.MARKET,
        quantity=Decimal(2),
        created_at=to_time(OPEN_NS),
    )


def recorded(path: Path, run_id: str) -> None:
    none = msgspec.Raw(b"{}")
    beginning = Beginning(
        strategy="x", parameters=none, limits=none, account_id=ACCOUNT, mode="live",
        run_id=run_id, start_ns=OPEN_NS, speed=1.0, origin="simulator", balances=none,
        dividends={}, sign_in_until_ns=None, account=None, past=[],
    )  # fmt: skip
    with Recorder(path) as recorder:
        recorder.write(beginning)
        recorder.write(Quote(CALL, OPEN_NS, 1.00, 1.10, 10, 10))
        recorder.write(BalancesTold(balances=none))
        recorder.write(Quote(CALL, OPEN_NS + 5 * SECOND, 1.20, 1.30, 10, 10))
        recorder.write(Heartbeat(time_ns=OPEN_NS + 6 * SECOND))


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A session with one order that paid 1.12 live, and one of an earlier run."""
    monkeypatch.setenv("OPTIONS_HOME", str(tmp_path))
    with open_books(ACCOUNT, Mode.LIVE) as books:
        for name, price in (("old-1", "9"), ("run-1", "1.12")):
            at_ns = OPEN_NS + SECOND
            ticket = msgspec.Raw(order(name).model_dump_json().encode())
            books.record(Intended(event=1, at_ns=at_ns, ticket_id=name, ticket=ticket))
            fill = Fill(
                execution_id=name, symbol=CALL, side=Side.BUY, quantity=Decimal(2),
                price=Decimal(price), time_ns=at_ns + SECOND,
            )  # fmt: skip
            update = OrderUpdate(
                order_id=name, client_order_id=name, status=OrderStatus.FILLED, time_ns=at_ns,
                fills=(fill,),
            )  # fmt: skip
            books.record(Heard(event=1, at_ns=at_ns + SECOND, update=update))
    path = tmp_path / "session.jsonl"
    recorded(path, "run")
    return path


def test_the_command_tells_by_how_much_paper_was_kinder(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = recording.with_name("drift.csv")
    assert run(paper_drift.parser(), paper_drift.command, [str(recording), "--json"]) == 0
    sums = json.loads(capsys.readouterr().out)
    assert (sums["orders"], sums["both"]) == (1, 1)
    assert sums["mean_kinder"] == pytest.approx(0.02)  # 1.10 on paper, 1.12 live
    assert sums["mean_delay_s"] == pytest.approx(-0.75)  # 250 ms there, a second here
    assert run(paper_drift.parser(), paper_drift.command, [str(recording), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "1 orders: 1 filled both ways" in said
    assert "paper kinder by +0.0200 USD a share" in said
    assert out.read_text().splitlines()[1].startswith("run-1,QQQ   231215C00400000,2.0")


def test_what_is_no_recording_is_one_sentence(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = recording.with_name("other.jsonl")
    other.write_text("{}\n")
    assert run(paper_drift.parser(), paper_drift.command, [str(other)]) == 2
    assert "is no recording" in capsys.readouterr().err
    recorded(recording.with_name("later.jsonl"), "later")
    arguments = [str(recording.with_name("later.jsonl"))]
    assert run(paper_drift.parser(), paper_drift.command, arguments) == 2
    assert "has no order of the recorded session later" in capsys.readouterr().err
