"""Say what state the Schwab sign-in is in: tokens, file, clock, a live call, and what to do next."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from app import cli

if TYPE_CHECKING:
    import argparse

    from schwab_integration.diagnosis import Diagnosis

_STATUS = {"healthy": cli.OK, "soon": cli.PARTIAL, "expired": cli.SIGN_IN, "failed": cli.FAILED}


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = cli.Parser(
        prog="token_diagnostics.py",
        description=__doc__,
        epilog="exit status: 0 healthy, 4 a sign-in is due within 24 hours, 3 sign in again, "
        "1 the live call failed, 2 wrong usage or setting, 130 interrupted",
    )
    made.add_argument("--offline", action="store_true", help="look at the file alone")
    made.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    return made


def command(arguments: argparse.Namespace) -> int:
    """Show the diagnosis."""
    from schwab_integration.config import SchwabSettings  # noqa: PLC0415 - `--help` answers at once
    from schwab_integration.diagnosis import diagnose  # noqa: PLC0415
    from utils.settings import load  # noqa: PLC0415

    settings = load(SchwabSettings)
    settings.credentials()
    found = diagnose(settings, live=not arguments.offline)
    if arguments.json:
        import msgspec  # noqa: PLC0415 - as above

        print(msgspec.json.encode(asdict(found)).decode())
    else:
        _show(found)
    return _STATUS[found.state]


def _show(found: Diagnosis) -> None:
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    colour = {"healthy": "green", "soon": "yellow"}.get(found.state, "red")
    table = Table(title="Schwab sign-in", title_justify="left", show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("state", Text(found.state, style=f"bold {colour}"))
    for name, value in _rows(found):
        table.add_row(name, Text(value))
    table.add_row("what to do", Text(found.next_step, style="bold"))
    Console().print(table)


def _rows(found: Diagnosis) -> list[tuple[str, str]]:
    rows = [
        ("access token", _span(found.access_minutes_left, "minutes")),
        ("refresh token", _span(found.refresh_days_left, "days")),
        ("token file", found.token_file),
        ("file mode", _mode(found.file_mode)),
    ]
    if found.refresh_expires_at:
        rows.insert(
            2, ("sign in until", f"{found.refresh_expires_at.astimezone():%a %Y-%m-%d %H:%M}")
        )
    if found.renewal_cut_off_at:
        cut_off = f"a renewal begun {found.renewal_cut_off_at:%F %H:%M} UTC was cut off"
        rows.append(("renewal", cut_off))
    if found.clock_skew_s is not None:
        rows.append(("clock", f"{found.clock_skew_s:+.1f} s against the server"))
    rows.append(("live call", found.live_call or "not made"))
    return rows


def _span(left: float | None, unit: str) -> str:
    if left is None:
        return "none"
    return f"{left:g} {unit} left" if left > 0 else f"ended {-left:g} {unit} ago"


def _mode(mode: str | None) -> str:
    if mode is None:
        return "no file"
    return f"{mode} (yours alone)" if not int(mode, 8) & 0o077 else f"{mode} (others can read it)"


if __name__ == "__main__":
    sys.exit(cli.run(parser(), command))
