"""The local REST interface behaves as the hosted one does towards a client."""

import gzip
import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from clients.local_rest import LocalRest

ROWS = [
    {"session": "2026-11-20", "name": f"r{n}", "rate": 0.04, "source": "schwab", "origin": "live"}
    for n in range(1500)
]


def ask(
    url: str, key: str, *, body: Any = None, method: str | None = None, **headers: str
) -> tuple[int, Any, dict[str, str]]:
    sent = {"apikey": key, "Content-Type": "application/json"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, sent, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            raw, status, got = reply.read(), reply.status, dict(reply.headers)
    except urllib.error.HTTPError as error:
        with error:
            raw, status, got = error.read(), error.code, dict(error.headers)
    if got.get("Content-Encoding") == "gzip":
        raw = gzip.decompress(raw)
    return status, json.loads(raw) if raw else None, got


@pytest.fixture
def rates(rest: LocalRest, database: str) -> str:
    with psycopg.connect(database) as connection:
        connection.execute("truncate rates")
    url = f"{rest.url}/rest/v1/rates"
    prefer = "resolution=merge-duplicates,return=minimal"
    assert ask(url, rest.secret_key, body=ROWS, Prefer=prefer)[0] == 201
    return url


@pytest.mark.parametrize("key", ["secret_key", "service_role_key"])
def test_the_service_role_reads_a_thousand_rows_at_most(
    rest: LocalRest, rates: str, key: str
) -> None:
    status, rows, headers = ask(rates, getattr(rest, key), Prefer="count=exact")
    assert (status, len(rows), headers["Content-Range"]) == (206, 1000, "0-999/1500")


def test_replies_are_compressed_for_those_who_take_it(rest: LocalRest, rates: str) -> None:
    _, rows, headers = ask(rates, rest.secret_key, Accept_Encoding="gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert len(rows) == 1000


@pytest.mark.parametrize("key", ["publishable_key", "anon_key"])
def test_a_public_key_may_not_even_look(rest: LocalRest, rates: str, key: str) -> None:
    status, reply, _ = ask(rates, getattr(rest, key))
    assert (status, reply["code"]) == (401, "42501")
    status, reply, _ = ask(rates, getattr(rest, key), body=ROWS[:1])
    assert (status, reply["code"]) == (401, "42501")


def test_a_wrong_key_and_none_are_refused_at_the_gate(rest: LocalRest, rates: str) -> None:
    assert ask(rates, "sb_secret_wrong")[:2] == (
        401,
        {"message": "Invalid API key", "hint": "Double check your API key."},
    )
    assert ask(rates, "")[1]["message"] == "No API key found in request"


def test_nothing_is_served_outside_the_interface(rest: LocalRest) -> None:
    assert ask(f"{rest.url}/rates", rest.secret_key)[0] == 404


def test_the_service_role_makes_partitions_and_asks_for_the_schema(rest: LocalRest) -> None:
    url = f"{rest.url}/rest/v1/rpc"
    months = {
        "parent": "option_quotes",
        "first_ts": "2026-10-15T00:00:00Z",
        "last_ts": "2026-12-01T00:00:00Z",
    }
    assert ask(f"{url}/ensure_month_partitions", rest.secret_key, body=months)[:2] == (200, 3)
    status, version, _ = ask(f"{url}/options_schema_version", rest.secret_key, body={})
    assert (status, len(version)) == (200, 14)
    assert ask(f"{url}/options_schema_version", rest.anon_key, body={})[1]["code"] == "42501"
    closing = {"table_name": "rates"}
    assert ask(f"{url}/options_close_table", rest.secret_key, body=closing)[0] == 403


def test_a_slow_statement_ends_by_role(rest: LocalRest, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "create function nap() returns void language sql as 'select pg_sleep(20)';"
            "notify pgrst, 'reload schema'"
        )
    status, reply = 404, None
    while status == 404:  # until the schema is read again
        status, reply, _ = ask(f"{rest.url}/rest/v1/rpc/nap", rest.anon_key, body={})
    assert (status, reply["code"]) == (500, "57014")


def test_concurrent_clients_are_served(rest: LocalRest, rates: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: ask(rates, rest.secret_key)[0], range(40)))
    assert set(replies) == {200}
