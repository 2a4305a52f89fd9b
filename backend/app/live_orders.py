"""What stands between a person and live orders: an explicit wish, signed limits, an account by name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from app.limits_file import read_limits
from models.errors import ConfigError
from schwab_integration.trader import SchwabTrader
from utils.clock import wall_clock
from utils.paths import state_folder

if TYPE_CHECKING:
    from pathlib import Path

    from app.limits_file import LimitsFile
    from schwab_integration.config import SchwabSettings


def sign_off(path: Path) -> LimitsFile:
    """Remember that a person has read a file of limits and trades by it.

    Raises:
        ConfigError: The file cannot be used.
    """
    read = read_limits(path)
    signed = _signed() | {read.digest: wall_clock().isoformat(timespec="seconds")}
    file = _file()
    file.touch(mode=0o600)
    file.write_text(json.dumps(signed, indent=1))
    return read


def signed_limits(path: Path | None) -> LimitsFile:
    """Return limits that a person has signed off, byte by byte as they stand.

    Raises:
        ConfigError: No file is named, it cannot be used, or it was not signed off as it is.
    """
    if path is None:
        raise ConfigError(
            "live orders need a file of risk limits: write one, sign it off by "
            "`python trading_main.py --sign-limits FILE`, and add --limits FILE"
        )
    read = read_limits(path)
    if read.digest not in _signed():
        raise ConfigError(
            f"{path} has not been signed off as it is now: read it, then run "
            f"`python trading_main.py --sign-limits {path}`"
        )
    return read


def _file() -> Path:
    return state_folder() / "signed_limits.json"


def _signed() -> dict[str, str]:
    file = _file()
    if not file.exists():
        return {}
    try:
        read = json.loads(file.read_text())
    except (OSError, ValueError):
        read = None
    if not isinstance(read, dict):
        raise ConfigError(f"{file} cannot be read: remove it, and sign your limits off again")
    return read


def choose_account(settings: SchwabSettings, wanted: str | None) -> str:
    """Return the hash of the account that a person means.

    Args:
        settings: Of the app.
        wanted: The first letters of its hash, or the last digits of its number; None where the
            sign-in has one account alone.

    Raises:
        ConfigError: None or several fit.
        TradingError: Schwab does not tell.
    """
    with SchwabTrader(settings) as trader:
        accounts = trader.account_numbers()
    fitting = [
        each
        for each in accounts
        if wanted is None
        or each.hash_value.startswith(wanted.upper())
        or (len(wanted) >= 3 and each.account_number.endswith(wanted))
    ]
    if len(fitting) == 1:
        return fitting[0].hash_value
    known = ", ".join(f"...{each.account_number[-3:]} ({each.hash_value[:8]})" for each in accounts)
    which = "names none" if not fitting else "leaves it open which"
    given = "a sign-in with several accounts" if wanted is None else f"--account {wanted}"
    raise ConfigError(f"{given} {which}: give --account one of {known}")
