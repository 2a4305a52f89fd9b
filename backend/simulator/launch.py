"""Run a program that nobody changed against a simulator: by its environment alone.

Names are redirected by `redirect/sitecustomize.py`, which Python imports at its start from
`PYTHONPATH`; trust comes from `SSL_CERT_FILE` and its like, which point to a bundle of the usual
roots and our own authority.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from base64 import b64encode
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec

from models.errors import ConfigError
from simulator.admin import HEADER as ADMIN_HEADER
from simulator.hosts import REAL_HOSTS
from simulator.signals import stop_signals
from simulator.status import Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simulator.server import Options

REDIRECT = Path(__file__).parent / "redirect"
"""Holds `sitecustomize.py` and what it imports, and nothing else."""

_ASK_TIMEOUT_S = 10
_NOT_FOUND = 127
_NOT_EXECUTABLE = 126


def run_with_own(options: Options, command: Sequence[str]) -> int:
    """Start a simulator in this process, run a program against it, and stop.

    Args:
        options: Of the simulator.
        command: Program and arguments.

    Returns:
        Exit status of the program; 128 + number where a signal ended it; 126 or 127 where it could
        not be started.

    Raises:
        ConfigError: An option is wrong, a port is taken or the state folder cannot be written.
        DataError: A data file cannot be read.
    """
    return asyncio.run(_run_with_own(options, command))


async def _run_with_own(options: Options, command: Sequence[str]) -> int:
    from simulator.server import Simulator  # noqa: PLC0415 - heavy, and not needed with a URL

    simulator = Simulator(options)
    async with simulator.running() as stopped:
        return await _run(
            simulator.status(), command, stopped, by_proxy=options.proxy_port is not None
        )


def run_against(url: str, command: Sequence[str], *, by_proxy: bool = False) -> int:
    """Run a program against a running simulator.

    Args:
        url: Its HTTP address.
        command: Program and arguments.
        by_proxy: Whether to lead the program by the simulator's CONNECT listener.

    Returns:
        As `run_with_own`.

    Raises:
        ConfigError: No simulator answers there, or it has no such listener.
    """
    status = ask_status(url)
    if by_proxy and not status.proxy:
        raise ConfigError(f"The simulator at {url} has no proxy: start it with --proxy-port 0.")
    return asyncio.run(_run_against(status, command, by_proxy=by_proxy))


async def _run_against(status: Status, command: Sequence[str], *, by_proxy: bool) -> int:
    with stop_signals() as stopped:
        return await _run(status, command, stopped, by_proxy=by_proxy)


async def _run(
    status: Status, command: Sequence[str], stopped: asyncio.Event, *, by_proxy: bool
) -> int:
    """Run a program until it ends or we are told to stop."""
    with tempfile.TemporaryDirectory(prefix="simulator-") as folder:
        token_file = await asyncio.to_thread(write_token, status, Path(folder))
        try:
            child = await asyncio.create_subprocess_exec(
                *command,
                env=environment_for(status, token_file, os.environ, by_proxy=by_proxy),
            )
        except OSError as error:
            return _not_started(command, error)
        return _exit_status(await _outlived(child, stopped))


def environment_for(
    status: Status, token_file: Path, inherited: Mapping[str, str], *, by_proxy: bool = False
) -> dict[str, str]:
    """Return the environment in which a program finds the simulator behind the real names.

    Args:
        status: Of the simulator.
        token_file: A ready token, for programs that do not sign in themselves.
        inherited: The environment to add to.
        by_proxy: Whether the CONNECT listener leads the program as well.
    """
    port = urlsplit(status.https).port
    own = {
        "PYTHONPATH": os.pathsep.join(
            filter(None, (str(REDIRECT), inherited.get("PYTHONPATH", "")))
        ),
        "SIMULATOR_HOSTS": ",".join(f"{host}=127.0.0.1:{port}" for host in REAL_HOSTS),
        **(_by_proxy(status) if by_proxy else _without_proxy(inherited)),
        "SIMULATOR_URL": status.http,
        "SIMULATOR_TOKEN_FILE": str(token_file),
        "SIMULATOR_USER": status.user,
        "SIMULATOR_PASSWORD": status.password,
        "SIMULATOR_ADMIN_TOKEN": status.admin_token,
        "SCHWAB_APP_KEY": status.app_key,
        "SCHWAB_APP_SECRET": status.app_secret,
        "SCHWAB_CALLBACK_URL": status.callback_url,
        # Programs of ours see whom they ask, and leave the real account's token alone.
        "SCHWAB_BASE_URL": status.schwab,
        "POLYGON_BASE_URL": status.polygon,
        "POLYGON_STREAM_URL": status.polygon.replace("http", "ws", 1),
        "POLYGON_BUSINESS_URL": status.polygon.replace("http", "ws", 1),
        "POLYGON_S3_ENDPOINT": status.s3,
        "POLYGON_S3_ACCESS_KEY": status.s3_access_key,
        "POLYGON_S3_SECRET_KEY": status.s3_secret_key,
        **dict.fromkeys(("POLYGON_API_KEY", "MASSIVE_API_KEY"), status.polygon_key),
        "SCHWAB_TOKEN_FILE": str(token_file.with_name("schwab_token.json")),
    }
    trusting = (
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
        "AWS_CA_BUNDLE",
    )
    return dict(inherited) | own | dict.fromkeys(trusting, status.ca_bundle)


def _without_proxy(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return what keeps a proxy of the user's from standing between."""
    # Most libraries read the name in small letters first.
    others = filter(None, (inherited.get("no_proxy"), inherited.get("NO_PROXY")))
    hosts = ",".join([*REAL_HOSTS, "127.0.0.1", *others])
    return dict.fromkeys(("NO_PROXY", "no_proxy"), hosts)


def _by_proxy(status: Status) -> dict[str, str]:
    """Return what sends a program of any language to our CONNECT listener, and nowhere else."""
    schemes = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
    here = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
    return dict.fromkeys(schemes, status.proxy) | here | {"NODE_USE_ENV_PROXY": "1"}


def ask_status(url: str) -> Status:
    """Ask a running simulator for its status.

    Raises:
        ConfigError: None answers there.
    """
    try:
        return msgspec.json.decode(_asked(url, "GET", "/simulator/status")[2], type=Status)
    except (OSError, HTTPException, ValueError, msgspec.MsgspecError) as error:
        raise ConfigError(
            f"No simulator answers at {url} ({error}): start one with python -m simulator."
        ) from None


def write_token(status: Status, folder: Path) -> Path:
    """Sign in and write the token as schwab-py and schwaby keep theirs.

    Returns:
        The file, mode 0600.

    Raises:
        ConfigError: The simulator refuses.
    """
    token = sign_in(status)
    now = int(time.time())
    kept = {
        "creation_timestamp": now,
        "token": token | {"expires_at": now + int(token["expires_in"])},
    }
    path = folder / "token.json"
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.encode(kept))
    return path


def sign_in(status: Status) -> dict[str, Any]:
    """Go through the whole code flow as the demo user, past the login page.

    Returns:
        The token endpoint's reply.

    Raises:
        ConfigError: The simulator refuses, or is gone.
    """
    asked = urlencode({"client_id": status.app_key, "redirect_uri": status.callback_url})
    basic = b64encode(f"{status.app_key}:{status.app_secret}".encode()).decode()
    try:
        admin = {ADMIN_HEADER: status.admin_token}
        _, headers, _ = _asked(status.http, "GET", f"/v1/oauth/authorize?{asked}", **admin)
        code = parse_qs(urlsplit(headers["location"]).query)["code"][0]
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": status.callback_url,
        }
        _, _, body = _asked(
            status.http, "POST", "/v1/oauth/token", urlencode(form), Authorization=f"Basic {basic}"
        )
        granted: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
    except (OSError, HTTPException, KeyError, msgspec.MsgspecError) as error:
        raise ConfigError(
            f"The simulator at {status.http} refuses the sign-in ({error})."
        ) from None
    return granted


def _asked(
    url: str, method: str, path: str, form: str | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Ask once, without following redirects."""
    place = urlsplit(url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=_ASK_TIMEOUT_S)
    if form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    try:
        connection.request(method, path, form, headers)
        reply = connection.getresponse()
        return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()
    finally:
        connection.close()


async def _outlived(child: asyncio.subprocess.Process, stopped: asyncio.Event) -> int:
    """Wait for the program; pass a signal that we get on to it."""
    ended = asyncio.create_task(child.wait())
    told = asyncio.create_task(stopped.wait())
    await asyncio.wait((ended, told), return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if not ended.done():
        child.send_signal(signal.SIGTERM)
    return await ended


def _exit_status(returncode: int) -> int:
    return 128 - returncode if returncode < 0 else returncode


def _not_started(command: Sequence[str], error: OSError) -> int:
    print(f"simulator: {command[0]} cannot be started: {error.strerror}.", file=sys.stderr)
    return _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
