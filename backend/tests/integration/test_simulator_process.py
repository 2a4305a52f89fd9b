"""`python -m simulator` as a process: ready line, ports, signals, errors, HTTP manners, exec."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIMULATOR = [sys.executable, "-m", "simulator"]
NOON = ["--world", "recorded", "--clock", "2015-12-24T12:00"]
PATIENCE_S = 60


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def environment(home: Path) -> dict[str, str]:
    return os.environ | {"OPTIONS_HOME": str(home)}


@contextlib.contextmanager
def started(
    environment: dict[str, str], *arguments: str
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Start a simulator; gives the process and its ready line."""
    command = [
        *SIMULATOR,
        "--port",
        "0",
        "--parent-pid",
        str(os.getpid()),
        "--auto-approve",
        *NOON,
        *arguments,
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout
        line = process.stdout.readline()
        assert line, process.stderr and process.stderr.read()
        try:
            yield process, json.loads(line)
        finally:
            process.kill()


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(
    url: str, path: str, *, method: str = "GET", form: dict[str, str] | None = None, **headers: str
) -> Reply:
    """Ask once, without following redirects; underscores in header names mean hyphens."""
    place = urlsplit(url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=PATIENCE_S)
    body = urlencode(form) if form is not None else None
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    with contextlib.closing(connection):
        connection.request(method, path, body, sent)
        reply = connection.getresponse()
        named = {name.lower(): value for name, value in reply.getheaders()}
        return Reply(reply.status, named, reply.read())


def signed_in(ready: dict[str, Any]) -> str:
    """Go through the code flow; returns the value of the header Authorization."""
    query = {"client_id": ready["app_key"], "redirect_uri": ready["callback_url"]}
    page = call(ready["http"], f"/v1/oauth/authorize?{urlencode(query)}")
    assert page.status == 302
    code = parse_qs(urlsplit(page.headers["location"]).query)["code"][0]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": ready["callback_url"],
    }
    basic = b64encode(f"{ready['app_key']}:{ready['app_secret']}".encode()).decode()
    granted = call(
        ready["http"], "/v1/oauth/token", method="POST", form=form, Authorization=f"Basic {basic}"
    )
    assert granted.status == 200
    return f"Bearer {granted.json['access_token']}"


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SIMULATOR, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env=environment,
    )


@pytest.fixture(scope="module")
def ready(environment: dict[str, str]) -> Iterator[dict[str, Any]]:
    """A simulator that stands still at noon of a recorded session."""
    with started(environment, "--speed", "0") as (_, line):
        yield line


@pytest.fixture(scope="module")
def bearer(ready: dict[str, Any]) -> str:
    return signed_in(ready)


def test_the_ready_line_says_what_runs_where(ready: dict[str, Any], home: Path) -> None:
    assert ready["event"] == "ready"
    assert ready["schwab"] == ready["http"]
    assert (ready["world"], ready["origin"]) == ("recorded", "recorded")
    assert ready["now"] == "2015-12-24T17:00:00.000000Z"
    assert (ready["speed"], ready["seed"]) == (0.0, 7)
    assert ready["ca_file"] == str(home / "simulator" / "ca.pem")
    assert ready["callback_url"] == "https://127.0.0.1:8182"


def test_the_status_is_the_ready_line(ready: dict[str, Any]) -> None:
    answered = call(ready["http"], "/simulator/status").json
    assert answered == {name: value for name, value in ready.items() if name != "event"}


@pytest.mark.parametrize("host", ["api.schwabapi.com", "localhost", "127.0.0.1"])
def test_https_serves_the_real_names_to_those_who_trust_the_authority(
    ready: dict[str, Any], host: str
) -> None:
    port = urlsplit(ready["https"]).port
    assert port
    context = ssl.create_default_context(cafile=ready["ca_file"])
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE_S) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        connection = HTTPSConnection(host, port)
        connection.sock = secure
        connection.request("GET", "/simulator/status")
        assert json.loads(connection.getresponse().read())["world"] == "recorded"


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer I0.expired@"}])
@pytest.mark.parametrize("path", ["/marketdata/v1/quotes?symbols=GOOG", "/marketdata/v1/nothing"])
def test_without_a_token_everything_is_401(
    ready: dict[str, Any], header: dict[str, str], path: str
) -> None:
    reply = call(ready["http"], path, **header)
    (error,) = reply.json["errors"]
    assert reply.status == error["status"] == 401
    assert (error["title"], error["detail"]) == ("Unauthorized", "Client not authorized")


def test_every_answer_carries_a_correlation_id_of_its_own(
    ready: dict[str, Any], bearer: str
) -> None:
    paths = ["/marketdata/v1/quotes?symbols=GOOG", "/marketdata/v1/nothing", "/trader/v1/accounts"]
    replies = [call(ready["http"], path, Authorization=bearer) for path in paths]
    replies.append(call(ready["http"], "/v1/oauth/token", method="POST", form={}))
    assert [reply.status for reply in replies] == [200, 404, 200, 401]
    assert len({reply.headers["schwab-client-correlid"] for reply in replies}) == 4
    assert {reply.headers["content-type"] for reply in replies} == {"application/json"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/marketdata/v1/quotes"),
        ("GET", "/v1/oauth/token"),
        ("GET", "/nothing"),
        ("DELETE", "/v1/oauth/authorize"),
    ],
)
def test_unknown_paths_and_methods_are_404_in_schwabs_form(
    ready: dict[str, Any], method: str, path: str
) -> None:
    reply = call(ready["http"], path, method=method)
    assert reply.status == 404
    assert "schwab-client-correlid" in reply.headers
    (error,) = reply.json["errors"]
    assert (error["status"], error["title"]) == ("404", "Not Found")


def test_symbols_arrive_however_they_are_encoded(ready: dict[str, Any], bearer: str) -> None:
    def ask(path: str) -> Reply:
        return call(ready["http"], f"/marketdata/v1{path}", Authorization=bearer)

    # Neither has a recorded session before this day.
    assert ask("/%24SPX/quotes").status == ask("/$SPX/quotes").status == 404
    option = "GOOG  151224C00750000"
    for encoded in (quote(option), option.replace(" ", "+")):
        assert list(ask(f"/quotes?symbols={encoded}").json) == [option]
    assert ask("/BRK/B/quotes").status == 404
    both = ask("/markets?markets=equity&markets=option").json
    assert list(both) == ["equity", "option"]
    assert list(ask("/movers/$SPX?sort=VOLUME&frequency=5").json) == ["screeners"]


def test_booleans_are_read_in_both_spellings(ready: dict[str, Any], bearer: str) -> None:
    for spelled in ("true", "True", "TRUE"):
        path = f"/marketdata/v1/chains?symbol=GOOG&strikeCount=1&includeUnderlyingQuote={spelled}"
        assert (
            call(ready["http"], path, Authorization=bearer).json["underlying"]["symbol"] == "GOOG"
        )


def test_calls_over_the_limit_are_429_with_a_time_to_wait(environment: dict[str, str]) -> None:
    with started(environment, "--requests-per-minute", "2") as (_, line):
        bearer = signed_in(line)
        path = "/marketdata/v1/markets/equity"
        replies = [call(line["http"], path, Authorization=bearer) for _ in range(3)]
        assert [reply.status for reply in replies] == [200, 200, 429]
        assert 1 <= int(replies[2].headers["retry-after"]) <= 60
        (error,) = replies[2].json["errors"]
        assert (error["status"], error["title"]) == ("429", "Too Many Requests")
        # Calls without a token are not counted, and not told of the limit.
        assert call(line["http"], path).status == 401


def test_an_unregistered_callback_gets_an_error_page(ready: dict[str, Any]) -> None:
    query = {"client_id": ready["app_key"], "redirect_uri": "https://example.com"}
    page = call(ready["http"], f"/v1/oauth/authorize?{urlencode(query)}")
    assert page.status == 500
    assert page.headers["content-type"].startswith("text/html")
    assert b"Whitelabel Error Page" in page.body


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(environment: dict[str, str], number: signal.Signals) -> None:
    with started(environment) as (process, line):
        call(line["http"], "/simulator/status")
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, errors) == (0, "")


def test_the_last_port_leaves_any_free_one_for_https(environment: dict[str, str]) -> None:
    with started(environment, "--port", "65535") as (_, line):
        assert line["http"] == "http://127.0.0.1:65535"
        assert urlsplit(line["https"]).port not in {None, 65535, 65536}


def test_a_port_in_use_is_one_sentence(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(environment, *NOON, "--port", str(port))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"simulator: Port {port} is in use: choose another with --port, or 0 for any.\n"
    )


def test_a_wrong_argument_is_status_2_and_a_sentence(environment: dict[str, str]) -> None:
    done = run(environment, "--port", "0", "--clock", "noon")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("simulator: --clock must be")
    assert done.stderr.count("\n") == 1


def test_it_ends_with_its_parent(environment: dict[str, str]) -> None:
    """The parent is killed and starts nothing more; the simulator must not stay."""
    program = (
        "import os, subprocess, sys\n"
        "subprocess.Popen([*sys.argv[1:], '--parent-pid', str(os.getpid())])\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, *SIMULATOR, "--port", "0", *NOON],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as parent:
        assert parent.stdout
        line = json.loads(parent.stdout.readline())
        parent.kill()
        parent.wait()
        # Its end closes the pipe that it has from the parent.
        assert parent.stdout.read() == ""
    with pytest.raises(OSError, match="refused"):
        call(line["http"], "/simulator/status")


def test_a_parent_that_is_gone_already_ends_it_at_once(environment: dict[str, str]) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    done = run(environment, "--port", "0", *NOON, "--parent-pid", str(gone.pid))
    assert done.returncode == 0
    assert json.loads(done.stdout)["event"] == "ready"


PROGRAM = """
import json, os, socket, ssl, sys, urllib.request
import hidden_marker
answer = urllib.request.urlopen("https://api.schwabapi.com/simulator/status").read()
token = json.load(open(os.environ["SIMULATOR_TOKEN_FILE"]))["token"]["access_token"]
request = urllib.request.Request(
    "https://api.schwabapi.com/marketdata/v1/quotes?symbols=GOOG",
    headers={"Authorization": f"Bearer {token}"},
)
quotes = json.load(urllib.request.urlopen(request))
plain = socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
print(json.dumps([json.loads(answer)["world"], list(quotes), plain[0][4][1]]))
sys.exit(7)
"""


def test_exec_redirects_a_program_and_returns_its_exit_status(
    environment: dict[str, str], tmp_path: Path
) -> None:
    # An environment with a sitecustomize of its own keeps it.
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, types\nsys.modules['hidden_marker'] = types.ModuleType('hidden_marker')\n"
    )
    command = ["exec", *NOON, "--", sys.executable, "-c", PROGRAM]
    done = run(environment | {"PYTHONPATH": str(tmp_path)}, *command)
    assert done.returncode == 7, done.stderr
    assert json.loads(done.stdout) == ["recorded", ["GOOG"], 80]


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], 137),
        (["/no/such/program"], 127),
        (["/"], 126),
    ],
)
def test_exec_tells_how_a_program_ended(
    environment: dict[str, str], ready: dict[str, Any], program: list[str], status: int
) -> None:
    done = run(environment, "exec", "--url", ready["http"], "--", *program)
    assert done.returncode == status
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("own", [True, False])
def test_exec_passes_a_signal_on(
    environment: dict[str, str], ready: dict[str, Any], tmp_path: Path, own: bool
) -> None:
    waiting = "import time; print('up', flush=True); time.sleep(20)"
    against = NOON if own else ["--url", ready["http"]]
    command = [*SIMULATOR, "exec", *against, "--", sys.executable, "-c", waiting]
    private = environment | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=private) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        (folder,) = tmp_path.iterdir()  # with a token in it
        process.terminate()
        assert process.wait(PATIENCE_S) == 128 + signal.SIGTERM
        assert not folder.exists()


def test_market_time_runs_and_tokens_live_on_the_walls_clock(environment: dict[str, str]) -> None:
    """A market day passes in a second; the token of 30 minutes lives on."""
    with started(environment, "--speed", "86400") as (_, line):
        bearer = signed_in(line)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            now = datetime.fromisoformat(call(line["http"], "/simulator/status").json["now"])
            if now > datetime(2015, 12, 25, 12, tzinfo=UTC):
                break
        hours = call(line["http"], "/marketdata/v1/markets/equity", Authorization=bearer)
        assert hours.status == 200
        assert hours.json["equity"]["equity"]["isOpen"] is False  # Christmas
