"""Risk limits from a YAML file."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import yaml
from pydantic import ValidationError

from engine.limits import DayTrades, RiskLimits
from models.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


class LimitsFile(NamedTuple):
    """Limits, and which file they are.

    Attributes:
        limits: The limits.
        digest: SHA-256 of the file's bytes, hexadecimal.
    """

    limits: RiskLimits
    digest: str


def read_limits(path: Path) -> LimitsFile:
    """Read limits; what a file leaves out has its default.

    Raises:
        ConfigError: The file is missing, is no YAML, or has a limit that does not exist or fit.
    """
    try:
        content = path.read_bytes()
        read = yaml.safe_load(content)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}: name a file of risk limits") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if read is None:
        read = {}
    if not isinstance(read, dict):
        raise ConfigError(f"{path} must be a mapping of limits to values")
    for name in read:
        if name not in RiskLimits.model_fields:
            known = ", ".join(RiskLimits.model_fields)
            raise ConfigError(f"{path}: there is no limit {name}: there are {known}")
    try:
        if read.get("day_trades") is False:  # YAML reads a plain `off` as false
            read["day_trades"] = DayTrades.OFF
        limits = RiskLimits.model_validate({name: _exact(each) for name, each in read.items()})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {name}: {first['msg']}") from None
    return LimitsFile(limits, hashlib.sha256(content).hexdigest())


def _exact(value: object) -> object:
    """Return a number as its text: money is exact, and YAML reads 0.1 as a float."""
    if isinstance(value, float):
        return repr(value)
    return tuple(value) if isinstance(value, list) else value
