"""`python sys_testing/reauth_schwab.py`: a sign-in by pasted address, against the simulator."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from schwab_integration.config import SchwabSettings
from schwab_integration.token_store import TokenStore

if TYPE_CHECKING:
    from http.client import HTTPMessage

BACKEND = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "sys_testing/reauth_schwab.py"]


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        """Leave the redirect to be read: its address is what a person would paste."""


def _redirect(address: str) -> str:
    try:
        urllib.request.build_opener(_Stay).open(address).close()
    except urllib.error.HTTPError as reply:
        return str(reply.headers["Location"])
    raise AssertionError("the sign-in page did not redirect")


def _environment(simulator: dict[str, Any], token_file: Path) -> dict[str, str]:
    return {
        **os.environ,
        "SCHWAB_APP_KEY": simulator["app_key"],
        "SCHWAB_APP_SECRET": simulator["app_secret"],
        "SCHWAB_BASE_URL": simulator["http"],
        "SCHWAB_TOKEN_FILE": str(token_file),
    }


def _sign_in(environment: dict[str, str], answer: Any) -> tuple[int, str, str]:
    with subprocess.Popen(
        COMMAND,
        cwd=BACKEND,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        printed = ""
        while not (found := re.search(r"http://\S+\n", printed)):
            printed += child.stdout.readline()
        out, err = child.communicate(answer(found[0].strip()) + "\n")
    return child.returncode, out, err


def test_the_pasted_redirect_becomes_a_token_file_for_us_alone(
    simulator: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "tokens" / "schwab.json"
    status, out, err = _sign_in(_environment(simulator, file), _redirect)
    assert (status, err) == (0, "")
    assert "Signed in until" in out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    token = TokenStore(SchwabSettings(token_file=file).token_path()).read()
    assert token.access_token not in out
    assert token.refresh_token not in out


def test_a_redirect_of_another_sign_in_is_refused(
    simulator: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "schwab.json"
    status, _, err = _sign_in(
        _environment(simulator, file),
        lambda address: re.sub("state=[^&]+", "state=x", _redirect(address)),
    )
    assert status == 2
    assert "another sign-in" in err
    assert "Traceback" not in err
    assert not file.exists()


def test_without_an_app_it_says_what_to_set(bare: Any) -> None:
    done = bare.run("sys_testing/reauth_schwab.py")
    assert done.status == 2
    assert "SCHWAB_APP_KEY" in done.err
