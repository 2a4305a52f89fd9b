"""The Trader API client over real sockets: what it sends, and what each failure becomes."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from models.errors import (
    AuthError,
    BadReply,
    DataError,
    NotEntitled,
    NotFound,
    OrderRejected,
    OrderUnknown,
    ProviderError,
    RateLimited,
    TradingError,
    Unavailable,
)
from models.order_terms import Mode, OrderType, PositionEffect, Side
from models.trading import Leg, Order
from schwab_integration.auth import SchwabAuth
from schwab_integration.config import SchwabSettings
from schwab_integration.orders import WireOrder, to_wire
from schwab_integration.token_store import Token, TokenStore
from schwab_integration.trader import SchwabTrader
from schwab_integration.trader_windows import wire_time
from utils.http import Patience
from utils.rate_limit import RateLimiter

NOW = datetime(2026, 11, 20, 20, 0, tzinfo=UTC)
HASH = "A1" * 31 + "BEEF"
ORDER = 1000000000042
PLACED = f"https://api.schwabapi.com/trader/v1/accounts/{HASH}/orders/{ORDER}"
START, END = NOW - timedelta(days=5), NOW


def an_order() -> WireOrder:
    leg = Leg(symbol="QQQ", side=Side.BUY, position_effect=PositionEffect.OPENING)
    return to_wire(
        Order(
            client_order_id="c-1",
            account_id="x",
            mode=Mode.REHEARSAL,
            legs=(leg,),
            order_type=OrderType.LIMIT,
            limit_price=Decimal("500.25"),
            quantity=Decimal(3),
            created_at=NOW,
        )
    )


@pytest.fixture
def trade(
    make_settings: Callable[..., SchwabSettings], make_token: Callable[..., Token]
) -> Iterator[Callable[..., SchwabTrader]]:
    """Return a client of a server, with a good token and without waits."""
    clients: list[SchwabTrader] = []

    def open_client(url: str, *, patience: Patience | None = None, **more: Any) -> SchwabTrader:
        settings = make_settings(url, **more)
        store = TokenStore(settings.token_path())
        store.write(make_token())
        client = SchwabTrader(
            settings,
            auth=SchwabAuth(settings, store=store, clock=lambda: NOW),
            limiter=RateLimiter(100_000),
            order_limiter=RateLimiter(100_000),
            patience=patience or Patience(read_s=10, first_wait_s=0.001, longest_wait_s=5),
            clock=lambda: NOW,
        )
        clients.append(client)
        return client

    yield open_client
    for client in clients:
        client.close()


WRITES: dict[str, Callable[[SchwabTrader], Any]] = {
    "place": lambda trader: trader.place(HASH, an_order()),
    "replace": lambda trader: trader.replace(HASH, ORDER, an_order()),
    "cancel": lambda trader: trader.cancel(HASH, ORDER),
}
PLACES = {name: WRITES[name] for name in ("place", "replace")}
READS: dict[str, Callable[[SchwabTrader], Any]] = {
    "/accounts/accountNumbers": lambda trader: trader.account_numbers(),
    "/accounts": lambda trader: trader.accounts(),
    f"/accounts/{HASH}": lambda trader: trader.account(HASH),
    f"/accounts/{HASH}/orders": lambda trader: trader.orders(HASH, START, END),
    "/orders": lambda trader: trader.all_orders(START, END),
    f"/accounts/{HASH}/orders/{ORDER}": lambda trader: trader.order(HASH, ORDER),
    f"/accounts/{HASH}/transactions": lambda trader: trader.transactions(HASH, START, END),
    f"/accounts/{HASH}/transactions/77": lambda trader: trader.transaction(HASH, 77),
    "/userPreference": lambda trader: trader.user_preference(),
}
REPLIES = {
    "/accounts/accountNumbers": "schwab_captured/account_numbers.json",
    "/accounts": "schwab/account_details_all.json",
    f"/accounts/{HASH}": "schwab_captured/account_with_positions.json",
    f"/accounts/{HASH}/orders": "schwab_captured/orders_iron_condor.json",
    "/orders": "schwab_captured/orders_vertical.json",
    f"/accounts/{HASH}/orders/{ORDER}": "schwab/order_details.json",
    f"/accounts/{HASH}/transactions": "schwab_captured/transactions_trades.json",
    f"/accounts/{HASH}/transactions/77": "schwab_captured/transaction_single.json",
    "/userPreference": "schwab_captured/user_preference.json",
}


@pytest.mark.parametrize("path", READS)
def test_each_read(serve: Any, answer: Any, trade: Any, data: Path, path: str) -> None:
    server = serve(lambda _: answer(body=(data / REPLIES[path]).read_bytes()))
    trader = trade(server.url)
    assert READS[path](trader)
    [came] = server.received
    assert (came.method, came.path) == ("GET", f"/trader/v1{path}")
    assert came.headers["authorization"] == "Bearer access-1"
    assert "content-type" not in came.headers
    assert not trader.unknown


def test_queries_of_reads(serve: Any, answer: Any, trade: Any) -> None:
    server = serve(lambda _: answer(body=b"[]"))
    trader = trade(server.url)
    trader.accounts(positions=False)
    trader.accounts()
    trader.orders(HASH, START, END, status="WORKING", most=7)
    trader.all_orders(START, END)
    trader.transactions(HASH, START, END, ["TRADE", "JOURNAL"], "AAPL  251219C00200000")
    trader.transactions(HASH, START, END)
    plain, positions, orders, everything, transactions, all_kinds = [
        came.query for came in server.received
    ]
    window = ("2026-11-15T20:00:00.000Z", "2026-11-20T20:00:00.000Z")
    assert (plain, positions) == ({}, {"fields": "positions"})
    assert orders == {
        "fromEnteredTime": window[0],
        "toEnteredTime": window[1],
        "maxResults": "7",
        "status": "WORKING",
    }
    assert everything["maxResults"] == "3000"
    assert transactions == {
        "startDate": window[0],
        "endDate": window[1],
        "types": "TRADE,JOURNAL",
        "symbol": "AAPL  251219C00200000",
    }
    assert len(all_kinds["types"].split(",")) == 15


def test_an_order_is_placed(serve: Any, answer: Any, trade: Any) -> None:
    server = serve(lambda _: answer(201, b"", {"location": PLACED}))
    assert trade(server.url).place(HASH, an_order()).order_id == ORDER
    [came] = server.received
    assert (came.method, came.path) == ("POST", f"/trader/v1/accounts/{HASH}/orders")
    assert came.headers["content-type"] == "application/json"
    assert json.loads(came.body) == {
        "orderStrategyType": "SINGLE",
        "orderType": "LIMIT",
        "session": "NORMAL",
        "duration": "DAY",
        "complexOrderStrategyType": "NONE",
        "price": "500.25",
        "orderLegCollection": [
            {
                "instruction": "BUY",
                "quantity": 3,
                "instrument": {"symbol": "QQQ", "assetType": "EQUITY"},
            }
        ],
    }


def test_an_order_is_replaced_and_canceled(serve: Any, answer: Any, trade: Any) -> None:
    server = serve(lambda _: answer(201, b"", {"location": PLACED}))
    trader = trade(server.url)
    assert trader.replace(HASH, 41, an_order()).order_id == ORDER
    trader.cancel(HASH, ORDER)
    replaced, canceled = server.received
    path = f"/trader/v1/accounts/{HASH}/orders"
    assert (replaced.method, replaced.path) == ("PUT", f"{path}/41")
    assert (canceled.method, canceled.path) == ("DELETE", f"{path}/{ORDER}")
    assert canceled.body == b""
    assert "content-type" not in canceled.headers


@pytest.mark.parametrize("location", [None, "", "https://x/trader/v1/accounts/orders/", "nowhere"])
def test_a_location_may_be_missing(serve: Any, answer: Any, trade: Any, location: Any) -> None:
    headers = {} if location is None else {"location": location}
    server = serve(lambda _: answer(201, b"", headers))
    assert trade(server.url).place(HASH, an_order()).order_id is None


def test_a_preview(serve: Any, answer: Any, trade: Any, data: Path) -> None:
    body = (data / "schwab_captured" / "preview_order_accepted.json").read_bytes()
    answers = iter([answer(503), answer(body=body)])
    server = serve(lambda _: next(answers))
    preview = trade(server.url).preview(HASH, an_order())
    assert preview.order_strategy.status == "ACCEPTED"
    assert [came.method for came in server.received] == ["POST", "POST"]
    assert server.received[0].path == f"/trader/v1/accounts/{HASH}/previewOrder"


# The split of errors: refused, perhaps taken, certainly not arrived.

REFUSED = [
    (b'{"message":"Invalid value \'IMMEDIATE_OR_CANCEL\'"}', "Invalid value 'IMMEDIATE_OR_CANCEL'"),
    (b'{"message":"A validation error","errors":["No symbol NOSUCH"]}', "No symbol NOSUCH"),
    (b'{"errors":[{"detail":"XYZ is not optionable"}]}', "XYZ is not optionable"),
    (b"", "status 400 without a word"),
    (b"<html>Bad Request</html>", "status 400 without a word"),
]


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(("body", "reason"), REFUSED)
def test_what_schwab_refuses(
    serve: Any, answer: Any, trade: Any, write: str, body: bytes, reason: str
) -> None:
    server = serve(lambda _: answer(400, body))
    with pytest.raises(OrderRejected) as caught:
        WRITES[write](trade(server.url))
    assert reason in caught.value.reason
    assert str(caught.value).startswith("schwab refused ")
    assert len(server.received) == 1


LOST = {
    "500": {"status": 500},
    "502": {"status": 502},
    "503": {"status": 503, "body": b"<html>"},
    "504": {"status": 504},
    "408": {"status": 408},
    "reset": {"reset": True},
    "half": {"status": 201, "body": b'{"a": 1}', "half": True},
    "hang": {"hang": True},
    "packed": {"status": 201, "body": b"no gzip", "headers": {"content-encoding": "gzip"}},
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("lost", LOST)
def test_a_lost_reply_is_unknown_and_never_repeated(
    serve: Any, answer: Any, trade: Any, write: str, lost: str
) -> None:
    server = serve(lambda _: answer(**LOST[lost]))
    patience = Patience(read_s=0.3, first_wait_s=0.001, longest_wait_s=1)
    with pytest.raises(OrderUnknown, match="look it up"):
        WRITES[write](trade(server.url, patience=patience))
    assert len(server.received) == 1


def closing(wire: socket.socket) -> None:
    """End the connection before TLS has begun."""


@pytest.fixture
def listen() -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
    """Return the port of a server that does one thing with each connection."""
    open_sockets: list[socket.socket] = []

    def start(act: Callable[[socket.socket], None]) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        open_sockets.append(listener)

        def loop() -> None:
            while True:
                try:
                    wire, _ = listener.accept()
                except OSError:
                    return
                with wire:
                    act(wire)

        threading.Thread(target=loop, daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for one in open_sockets:
        one.close()


@pytest.mark.parametrize("write", WRITES)
def test_what_certainly_did_not_arrive(trade: Any, listen: Any, write: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    urls = [
        f"http://127.0.0.1:{port}",  # refused
        "http://no-such-host.invalid:1",  # unknown
        f"https://127.0.0.1:{listen(closing)}",  # no TLS
    ]
    for url in urls:
        with pytest.raises(Unavailable) as caught:
            WRITES[write](trade(url))
        assert caught.value.sent is False, url


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (403, b"<html>Access Denied</html>", Unavailable),
        (403, b'{"message":"no"}', NotEntitled),
        (404, b'{"message":"No account found"}', NotFound),
        (405, b"", ProviderError),
        (429, b"", RateLimited),
        (301, b"", ProviderError),
    ],
)
def test_what_was_refused_before_it_was_read(
    serve: Any, answer: Any, trade: Any, write: str, status: int, body: bytes, error: Any
) -> None:
    server = serve(lambda _: answer(status, body))
    with pytest.raises(error) as caught:
        WRITES[write](trade(server.url))
    assert type(caught.value) is error
    assert getattr(caught.value, "sent", False) is False
    assert len(server.received) == 1


def test_the_sentence_of_an_unknown_account(serve: Any, answer: Any, trade: Any) -> None:
    server = serve(lambda _: answer(404, b'{"message":"Invalid account number"}'))
    with pytest.raises(NotFound) as caught:
        trade(server.url).account(HASH)
    said = "schwab does not know the account ...BEEF (Invalid account number)"
    assert str(caught.value) == said
    assert HASH not in str(caught.value)


def test_a_rejected_token_is_renewed_once(
    serve: Any, answer: Any, trade: Any, granted: Any
) -> None:
    def app(came: Any) -> Any:
        if came.path == "/v1/oauth/token":
            return answer(body=granted("access-2"))
        if came.headers["authorization"] == "Bearer access-2":
            return answer(201, b"", {"location": PLACED})
        return answer(401, b'{"message":"token expired"}')

    server = serve(app)
    assert trade(server.url).place(HASH, an_order()).order_id == ORDER
    assert [came.method for came in server.received] == ["POST"] * 3


def test_a_second_rejection_is_no_order(serve: Any, answer: Any, trade: Any, granted: Any) -> None:
    body = b'{"errors":[{"status":401,"detail":"Client not authorized"}]}'

    def app(came: Any) -> Any:
        if came.path == "/v1/oauth/token":
            return answer(body=granted("access-2"))
        return answer(401, body)

    trader = trade(serve(app).url)
    with pytest.raises(NotEntitled, match="not entitled to trading"):
        trader.place(HASH, an_order())
    body = b""
    with pytest.raises(AuthError, match="does not accept our credentials"):
        trader.place(HASH, an_order())


def test_a_token_that_cannot_be_renewed_is_no_unknown_order(
    serve: Any, answer: Any, trade: Any
) -> None:
    def app(came: Any) -> Any:
        return answer(503 if came.path == "/v1/oauth/token" else 401)

    with pytest.raises(TradingError) as caught:
        trade(serve(app).url).place(HASH, an_order())
    assert not isinstance(caught.value, OrderUnknown)


@pytest.mark.parametrize("path", READS)
def test_reads_are_repeated(serve: Any, answer: Any, trade: Any, data: Path, path: str) -> None:
    good = answer(body=(data / REPLIES[path]).read_bytes())
    answers = iter([answer(502), answer(reset=True), good])
    server = serve(lambda _: next(answers))
    assert READS[path](trade(server.url))
    assert len(server.received) == 3


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"[]", b'[{"a":', b"5", b"null", b"{}"])
def test_a_reply_that_is_none(serve: Any, answer: Any, trade: Any, body: bytes) -> None:
    server = serve(lambda _: answer(body=body))
    trader = trade(server.url)
    with pytest.raises(BadReply):
        trader.account(HASH)
    if body != b"{}":
        with pytest.raises((BadReply, NotFound)):
            trader.user_preference()


# Windows


def entered(at: datetime, order_id: int) -> dict[str, Any]:
    return {"orderId": order_id, "enteredTime": at.strftime("%Y-%m-%dT%H:%M:%S+0000")}


def shop(answer: Any, orders: list[tuple[datetime, int]]) -> Callable[[Any], Any]:
    """Answer order lists as Schwab does: newest first, cut off at `maxResults`."""

    def app(came: Any) -> Any:
        first, last = (
            datetime.fromisoformat(came.query[name])
            for name in ("fromEnteredTime", "toEnteredTime")
        )
        assert last - first <= timedelta(days=366)
        found = [entered(at, n) for at, n in reversed(orders) if first <= at <= last]
        return answer(body=json.dumps(found[: int(came.query["maxResults"])]).encode())

    return app


def test_no_order_is_cut_off(serve: Any, answer: Any, trade: Any) -> None:
    busy = [(START + timedelta(seconds=n), n) for n in range(7_500)]
    old = [(NOW - timedelta(days=700), 100_000)]
    server = serve(shop(answer, old + busy))
    found = trade(server.url).orders(HASH, NOW - timedelta(days=800), END)
    assert [order.order_id for order in found] == [100_000, *range(7_500)]


def test_only_as_many_as_wanted(serve: Any, answer: Any, trade: Any) -> None:
    server = serve(shop(answer, [(START + timedelta(seconds=n), n) for n in range(50)]))
    trader = trade(server.url)
    newest = list(range(40, 50))
    assert [order.order_id for order in trader.orders(HASH, START, END, most=10)] == newest
    assert len(server.received) == 1
    long_ago = NOW - timedelta(days=800)
    found = trader.orders(HASH, long_ago, END, most=10)
    assert [order.order_id for order in found] == newest
    assert len(trader.orders(HASH, START, END, most=5_000)) == 50


def test_a_second_that_holds_too_much_is_said(serve: Any, answer: Any, trade: Any) -> None:
    server = serve(shop(answer, [(START, n) for n in range(3_500)]))
    with pytest.raises(ProviderError, match="more than 3000 entries in the second of 2026-11-15"):
        trade(server.url).orders(HASH, START, START + timedelta(seconds=3))


def test_all_orders_beyond_sixty_days_ask_each_account(serve: Any, answer: Any, trade: Any) -> None:
    numbers = [{"accountNumber": "1", "hashValue": HASH}, {"accountNumber": "2", "hashValue": "B2"}]

    def app(came: Any) -> Any:
        if came.path.endswith("accountNumbers"):
            return answer(body=json.dumps(numbers).encode())
        order = entered(START, 2 if "/B2/" in came.path else 1)
        return answer(body=json.dumps([order]).encode())

    server = serve(app)
    found = trade(server.url).all_orders(NOW - timedelta(days=90), NOW)
    assert [order.order_id for order in found] == [1, 2]
    assert not [came for came in server.received if came.path == "/trader/v1/orders"]


def test_transactions_of_years(serve: Any, answer: Any, trade: Any, data: Path) -> None:
    body = (data / "schwab_captured" / "transactions_trades.json").read_bytes()
    server = serve(lambda _: answer(body=body))
    found = trade(server.url).transactions(HASH, NOW - timedelta(days=1000), NOW)
    assert len(server.received) == 3
    assert len(found) == 12  # each once, though each window had them
    assert [one.time for one in found] == sorted(one.time for one in found)


def test_times_on_the_wire() -> None:
    here = datetime(2024, 3, 29, 1, 2, 3, 4567, timezone(timedelta(hours=-4)))
    assert wire_time(here) == "2024-03-29T05:02:03.004Z"
    assert wire_time(here, up=True) == "2024-03-29T05:02:03.005Z"
    assert wire_time(datetime(2024, 3, 29, tzinfo=UTC), up=True) == "2024-03-29T00:00:00.000Z"


# What is never sent

REFUSED_HERE: dict[str, tuple[Callable[[SchwabTrader], Any], str]] = {
    "number": (lambda t: t.account("12345678"), "give the account's hash"),
    "path": (lambda t: t.account("../orders"), "hash of 64 hexadecimal digits"),
    "empty": (lambda t: t.place("", an_order()), "hash of 64 hexadecimal digits"),
    "naive": (lambda t: t.orders(HASH, datetime(2026, 1, 1), END), "time zone"),  # noqa: DTZ001
    "backwards": (lambda t: t.all_orders(END, START), "ends before it starts"),
    "status": (lambda t: t.orders(HASH, START, END, status="DONE"), "'DONE' is no state"),
    "most": (lambda t: t.orders(HASH, START, END, most=-1), "1 or more"),
    "type": (lambda t: t.transactions(HASH, START, END, ["FEE"]), "'FEE' is no kind"),
}


@pytest.mark.parametrize("name", REFUSED_HERE)
def test_what_is_never_sent(serve: Any, answer: Any, trade: Any, name: str) -> None:
    ask, sentence = REFUSED_HERE[name]
    server = serve(lambda _: answer(body=b"[]"))
    with pytest.raises(DataError, match=sentence):
        ask(trade(server.url))
    assert not server.received


def test_an_unknown_transaction(serve: Any, answer: Any, trade: Any) -> None:
    with pytest.raises(NotFound, match=r"transaction 5 of the account \.\.\.BEEF"):
        trade(serve(lambda _: answer(body=b"[]")).url).transaction(HASH, 5)


def test_what_nobody_documented_is_counted_and_logged_once(
    serve: Any, answer: Any, trade: Any, caplog: pytest.LogCaptureFixture
) -> None:
    body = b'[{"orderId":1,"status":"DREAMING","newField":1},{"orderId":2,"status":"DREAMING"}]'
    trader = trade(serve(lambda _: answer(body=body)).url)
    for _ in range(2):
        assert [order.status for order in trader.orders(HASH, START, END)] == ["DREAMING"] * 2
    expected = {"ReportedOrder.status=DREAMING": 4, "ReportedOrder.newField": 2}
    assert trader.unknown == expected
    assert sum("nobody documented" in record.message for record in caplog.records) == 1


def test_no_secret_is_shown(
    serve: Any, answer: Any, trade: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    echo = b'{"message":"bad token access-1 of app the-app-secret"}'
    trader = trade(serve(lambda _: answer(400, echo)).url)
    with pytest.raises(OrderRejected) as caught:
        trader.place(HASH, an_order())
    texts = str(caught.value) + caplog.text
    assert HASH not in texts
    assert "Bearer" not in texts
