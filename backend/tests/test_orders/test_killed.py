"""`kill -9` of a program that submits orders to the simulator, at random moments.

All orders are equal, the hardest case: afterwards the simulator has exactly as many as were wanted,
and the journal claims each of them once.
"""

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from models.journal import Opened, Record
from schwab_integration.config import SchwabSettings
from schwab_integration.order_book import OrderBook
from schwab_integration.trader import SchwabTrader
from utils.journal_chain import verify
from utils.paths import backend_folder
from utils.transaction_logger import TransactionLogger

WANTED = 100 if os.environ.get("PROVE") else 25
KILLS = 25 if os.environ.get("PROVE") else 4
NOW = datetime(2026, 11, 19, 17, 30, tzinfo=UTC)

PROGRAM = """
    import sys
    from datetime import UTC, datetime
    from decimal import Decimal
    from pathlib import Path
    from models import spreads
    from models.errors import OrderUnknown
    from models.journal import Record
    from models.order_terms import Mode, OrderStatus, Side
    from models.spreads import Terms
    from models.trading import AccountKind, AccountTerms
    from schwab_integration.broker import SchwabBroker
    from schwab_integration.config import SchwabSettings
    from schwab_integration.order_venue import DeskTime
    from schwab_integration.trader import SchwabTrader
    from utils.settings import load
    from utils.transaction_logger import TransactionLogger

    journal, account, wanted = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    now = datetime(2026, 11, 19, 17, 30, tzinfo=UTC)
    trader = SchwabTrader(load(SchwabSettings), clock=lambda: now)
    log = TransactionLogger(journal, Record, subject=account)
    terms = AccountTerms(account_id=account, kind=AccountKind.MARGIN)
    times = DeskTime(clock=lambda: now)
    broker = SchwabBroker(trader, terms, log, mode=Mode.REHEARSAL, times=times)
    print("ready", flush=True)
    broker.recover()
    assert not broker.questions(), broker.questions()
    for number in range(wanted):
        while True:
            own = {n: o for n, o in broker.own_orders().items() if n.startswith(f"o{number}-")}
            if any(order.status is not OrderStatus.REJECTED for order in own.values()):
                break
            named = Terms(
                client_order_id=f"o{number}-{len(own)}",
                account_id=account,
                mode=Mode.REHEARSAL,
                created_at=now,
            )
            legs = [spreads.leg("QQQ", Side.BUY)]
            order = spreads.order(named, legs, limit_price=Decimal("123.45"))
            try:
                broker.submit(order)
            except OrderUnknown:
                broker.recover()
        print(number, flush=True)
"""


def start(journal: Path, account: str, settings: SchwabSettings) -> subprocess.Popen[str]:
    key, secret = settings.credentials()
    environment = {
        **os.environ,
        "SCHWAB_APP_KEY": key,
        "SCHWAB_APP_SECRET": secret,
        "SCHWAB_BASE_URL": settings.base_url,
        "SCHWAB_TOKEN_FILE": str(settings.token_file),
        "SCHWAB_REQUESTS_PER_MINUTE": "10000",
    }
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(journal), account, str(WANTED)],
        cwd=backend_folder(),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.timeout(900)
def test_kill_9_loses_no_order_and_doubles_none(signed_in: SchwabSettings, tmp_path: Path) -> None:
    settings = signed_in
    journal = tmp_path / "journal.jsonl"
    chance = random.Random() if os.environ.get("PROVE") else random.Random(9)
    with SchwabTrader(settings, clock=lambda: NOW) as trader:
        account = trader.account_numbers()[0].hash_value
        for _ in range(KILLS):
            program = start(journal, account, settings)
            assert program.stdout is not None
            for _ in range(chance.randrange(1, 2 + WANTED // KILLS)):
                program.stdout.readline()
            try:  # and somewhere within the next order
                program.wait(chance.uniform(0, 0.05))
            except subprocess.TimeoutExpired:
                program.send_signal(signal.SIGKILL)
            program.communicate()
        program = start(journal, account, settings)
        out, err = program.communicate(timeout=300)
        assert program.returncode == 0, err
        assert out.split()[-1] == str(WANTED - 1)
        day = timedelta(days=1)
        ledger = [str(order.order_id) for order in trader.orders(account, NOW - day, NOW + day)]
        number = trader.account_numbers()[0].account_number
    assert verify(journal).fault is None
    text, token = journal.read_text(), json.loads((tmp_path / "token.json").read_text())
    secrets = (number, *settings.credentials(), token["access_token"], token["refresh_token"])
    assert not [secret for secret in secrets if secret in text]
    book = OrderBook()
    with TransactionLogger(journal, Record, subject=account) as log:
        for record in log.read():
            if not isinstance(record, Opened):
                book.apply(record)
    assert len(ledger) == WANTED
    assert sorted(ledger) == sorted(book.owners)
    assert len(set(book.owners.values())) == WANTED
    assert {name.split("-")[0] for name in book.owners.values()} == {f"o{n}" for n in range(WANTED)}
