"""What the REST way makes of replies that a healthy local server does not send."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from clients.postgrest import PostgrestTransport
from clients.supabase_client import SupabaseClient
from models.errors import Conflict, SchemaMissing, StoreError
from models.tables import RATES, frame_schema
from utils.http import Patience

QUICK = Patience(connect_s=2, read_s=1, attempts=3, first_wait_s=0.01)
KEY = "sb_secret_s3cret"


def rates(count: int) -> pl.DataFrame:
    first = datetime(2026, 1, 1, tzinfo=UTC).date()
    rows = [
        {"session": first + timedelta(days=n), "name": "n", "rate": 0.05, "source": "schwab", "origin": "live"}
        for n in range(count)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=frame_schema(RATES))


def client(url: str, key: str = KEY) -> SupabaseClient:
    return SupabaseClient(PostgrestTransport(url, key, patience=QUICK))


def failing(answer: Any, status: int, code: str, said: str = "said so") -> Callable[[Any], Any]:
    body = {"code": code, "message": said, "details": "Key (rate)=(1234) exists", "hint": None}
    return lambda _: answer(status, json.dumps(body).encode())


def test_the_request_is_what_postgrest_documents(serve: Any, answer: Any) -> None:
    server = serve(lambda _: answer(201, b"", {"content-range": "*/2"}))
    with client(server.url) as store:
        assert store.upsert("rates", rates(2)) == 2
    came = server.received[0]
    assert (came.method, came.path) == ("POST", "/rest/v1/rates")
    assert came.query["on_conflict"] == "session,name,source,origin"
    assert came.query["columns"] == "session,name,rate,source,origin"
    assert "resolution=merge-duplicates" in came.headers["prefer"]
    assert "return=minimal" in came.headers["prefer"]
    assert "gzip" in came.headers["accept-encoding"]
    assert came.headers["apikey"] == KEY
    assert "authorization" not in came.headers
    assert json.loads(came.body)[0]["session"] == "2026-01-01"


def test_an_old_key_is_sent_as_a_token_too(serve: Any, answer: Any) -> None:
    server = serve(lambda _: answer(200, b"[]"))
    with client(server.url, "a.b.c") as store:
        store.read("rates")
    assert server.received[0].headers["authorization"] == "Bearer a.b.c"
    assert server.received[0].headers["apikey"] == "a.b.c"


def test_a_page_is_never_taken_for_the_last_one(serve: Any, answer: Any) -> None:
    rows = [{"session": f"2026-01-0{n}", "name": "n", "rate": n, "source": "schwab", "origin": "live"} for n in range(1, 6)]  # fmt: skip

    def app(came: Any) -> Any:
        after = [row for row in rows if f'"{row["session"]}"' > came.query.get("and", "")[13:25]]
        return answer(200, json.dumps(after[:2]).encode())

    server = serve(app)
    with client(server.url) as store:
        assert store.read("rates")["rate"].to_list() == [1, 2, 3, 4, 5]
    assert len(server.received) == 4


@pytest.mark.parametrize(("status", "code"), [(500, "57014"), (413, "")])
def test_what_is_too_much_is_sent_in_halves(
    serve: Any, answer: Any, status: int, code: str
) -> None:
    def app(came: Any) -> Any:
        count = len(json.loads(came.body))
        if count > 3:
            return failing(answer, status, code)(came)
        return answer(201, b"", {"content-range": f"*/{count}"})

    server = serve(app)
    with client(server.url) as store:
        assert store.upsert("rates", rates(10)) == 10


def test_one_row_that_is_too_much_is_an_error(serve: Any, answer: Any) -> None:
    server = serve(failing(answer, 500, "57014"))
    with client(server.url) as store, pytest.raises(StoreError, match="time limit"):
        store.upsert("rates", rates(3))


@pytest.mark.parametrize("status", [502, 503, 504, 520])
def test_a_service_out_of_order_is_asked_again(serve: Any, answer: Any, status: int) -> None:
    replies = iter(
        [answer(status, b"<html>oops</html>"), answer(201, b"", {"content-range": "*/1"})]
    )
    server = serve(lambda _: next(replies))
    with client(server.url) as store:
        assert store.upsert("rates", rates(1)) == 1
    assert len(server.received) == 2


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (404, "42P01", SchemaMissing, "migrat"),
        (404, "PGRST205", SchemaMissing, "migrat"),
        (400, "PGRST204", SchemaMissing, "migrat"),
        (403, "42501", StoreError, "may not"),
        (409, "23505", Conflict, "exists"),
        (400, "23502", StoreError, "lacks a value"),
        (401, "PGRST301", StoreError, "refuses the key"),
        (500, "40P01", StoreError, "out of order"),
        (400, "PGRST100", StoreError, "said so"),
    ],
)
def test_each_error_is_one_sentence(
    serve: Any, answer: Any, status: int, code: str, kind: type[StoreError], words: str
) -> None:
    server = serve(failing(answer, status, code))
    with client(server.url) as store:
        for ask in (lambda: store.read("rates"), lambda: store.upsert("rates", rates(1))):
            with pytest.raises(kind, match=words) as caught:
                ask()
            text = str(caught.value)
            assert "\n" not in text
            assert "1234" not in text
            assert "s3cret" not in text


def test_a_reply_of_somebody_else_is_an_error(serve: Any, answer: Any) -> None:
    server = serve(lambda _: answer(200, b"<html>login</html>"))
    with client(server.url) as store:
        with pytest.raises(StoreError, match="PostgREST"):
            store.read("rates")
        with pytest.raises(StoreError, match="PostgREST"):
            store.upsert("rates", rates(1))


def test_an_unreachable_service_is_one_sentence(serve: Any, answer: Any) -> None:
    server = serve(lambda _: answer())
    server.close()
    with client(server.url) as store:
        with pytest.raises(StoreError, match="refused") as caught:
            store.read("rates")
        assert "s3cret" not in str(caught.value)
        assert store.health().problems


def test_a_silent_service_is_given_up(serve: Any, answer: Any) -> None:
    server = serve(lambda _: answer(hang=True))
    with client(server.url) as store, pytest.raises(StoreError, match="in time"):
        store.read("rates")
