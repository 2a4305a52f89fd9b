"""The local REST interface behaves as the hosted one does towards a client."""

import gzip
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from clients.local_rest import LocalRest
from models.errors import StoreError
from scripts.install_test_tools import Tools

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


def test_the_command_serves_the_embedded_database_until_it_is_ended(options_home: Path) -> None:
    line = [sys.executable, "-m", "scripts.serve_rest"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        said = dict(serving.stdout.readline().strip().split("=", 1) for _ in range(2))
        url = f"{said['SUPABASE_URL']}/rest/v1/rates"
        assert ask(url, said["SUPABASE_KEY"])[:2] == (200, [])
        port = urlsplit(url).port
        again = [*line, "--port", str(port)]
        refused = subprocess.run(again, capture_output=True, text=True, timeout=60, check=False)
        assert (refused.returncode, refused.stderr) == (
            1,
            f"port {port} cannot be used: Address already in use\n",
        )
        serving.terminate()
        assert serving.wait(timeout=30) == 0


def test_postgrest_ends_with_a_killed_program(database: str, test_tools: Tools) -> None:
    script = (
        "import sys; from pathlib import Path; from clients.local_rest import LocalRest;"
        "rest = LocalRest(sys.argv[1], Path(sys.argv[2]));"
        "print(rest._postgrest.pid, flush=True); sys.stdin.read()"
    )
    line = [sys.executable, "-c", script, database, str(test_tools.postgrest)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(line, text=True, **pipes) as program:
        assert program.stdout is not None
        pid = int(program.stdout.readline())
        program.kill()
    deadline = time.monotonic() + 20
    while state(pid) not in {"gone", "Z"}:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def state(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return "gone"
    return stat.rpartition(")")[2].split()[0]


def test_postgrest_that_does_not_run_is_said() -> None:
    with pytest.raises(StoreError, match="does not get ready"):
        LocalRest("postgresql://me@127.0.0.1:1/nowhere", Path("/bin/false"))
