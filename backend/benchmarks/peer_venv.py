"""A virtual environment for peers that are too large to live beside the program.

It is made once, from `peers/requirements.txt`, in `backend/.venv/peers`; a newer Python than ours is
taken where there is one, since one of the peers needs 3.12.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BACKEND = HERE.parent
_LIST = HERE / "peers" / "requirements.txt"
_PLACE = BACKEND / ".venv" / "peers"


def peer_python() -> Path | None:
    """Return the environment's interpreter, made if need be; None where it cannot be made."""
    python, stamp = _PLACE / "bin" / "python", _PLACE / ".installed"
    newest = _newest_python()
    wanted = hashlib.sha256(_LIST.read_bytes() + newest.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(_PLACE, ignore_errors=True)
    made = subprocess.run([newest, "-m", "venv", str(_PLACE)], check=False)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if made.returncode or subprocess.run([*install, "-r", str(_LIST)], check=False).returncode:
        return None
    stamp.write_text(wanted)
    return python


def _newest_python() -> str:
    """Return a Python that the peers have wheels for: 3.13 or 3.12 where one runs, else ours."""
    for version in ("3.13", "3.12"):
        own = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python3"))
        for found in (shutil.which(f"python{version}"), *map(str, own)):
            if found and _runs(found):
                return found
    return sys.executable


def _runs(python: str) -> bool:
    asked = [python, "-c", "import ensurepip, venv"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def ask_peer(script: str, *arguments: object) -> dict[str, Any] | None:
    """Run a script of `peers/`, and return the JSON object that it prints last; None if it fails.

    Args:
        script: Its name without `.py`.
        arguments: Given to it as text.
    """
    python = peer_python()
    if python is None:
        return None
    places = [str(BACKEND), str(BACKEND / "tests" / "unit" / "engine")]
    done = subprocess.run(
        [str(python), str(HERE / "peers" / f"{script}.py"), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return None
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told
