"""Strategies by name or file, and their parameters from the command line or a YAML file."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

import strategies
from models.errors import ConfigError
from ports.strategy import Strategy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    from ports.strategy import Parameters


def strategy_names() -> list[str]:
    """Return the names of the strategies that come with the program."""
    return sorted(_own())


def find_strategy(name: str) -> type[Strategy]:
    """Return a strategy's class.

    Args:
        name: Its name, or the path of a Python file that holds one.

    Raises:
        ConfigError: There is none, or the file holds several or cannot be read.
    """
    if name.endswith(".py"):
        return _from_file(Path(name).expanduser())
    own = _own()
    if name not in own:
        known = ", ".join(sorted(own))
        raise ConfigError(f"there is no strategy {name}: give {known}, or the path of a .py file")
    return own[name]


def read_parameters(
    strategy: type[Strategy], file: Path | None, pairs: Sequence[str], **defaults: object
) -> Parameters:
    """Return a strategy's parameters: those given, over those of a file, over the defaults.

    Args:
        strategy: Whose.
        file: YAML, a mapping of names to values; None for none.
        pairs: Each `name=value`.
        defaults: Taken where the strategy knows them and neither file nor pairs give them.

    Raises:
        ConfigError: One is unknown or its value does not fit.
    """
    kind = strategy.parameters_type
    known = sorted(kind.model_fields)
    given: dict[str, Any] = {name: each for name, each in defaults.items() if name in known}
    given |= _of_file(file) if file else {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"--param {pair} is no pair: give one as {known[0]}=VALUE")
        given[name] = value
    for name in given:
        if name not in known:
            raise ConfigError(f"{strategy.name} has no parameter {name}: it has {', '.join(known)}")
    try:
        return kind.model_validate_strings({name: _text(each) for name, each in given.items()})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or strategy.name
        raise ConfigError(f"{strategy.name}: {name}: {first['msg']}") from None


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _own() -> dict[str, type[Strategy]]:
    found: dict[str, type[Strategy]] = {}
    for module in pkgutil.iter_modules(strategies.__path__):
        for kind in _strategies_of(importlib.import_module(f"strategies.{module.name}")):
            found[kind.name] = kind
    return found


def _strategies_of(module: ModuleType) -> list[type[Strategy]]:
    return [
        kind
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Strategy)
        and kind.__module__ == module.__name__
        and hasattr(kind, "name")
    ]


def _from_file(path: Path) -> type[Strategy]:
    if not path.is_file():
        raise ConfigError(f"there is no file {path}: give the path of a strategy's .py file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    found = _strategies_of(module)
    if len(found) != 1:
        names = ", ".join(kind.__name__ for kind in found) or "none"
        raise ConfigError(f"{path} must hold one class with a name, a strategy: it holds {names}")
    return found[0]


def _of_file(path: Path) -> Mapping[str, object]:
    try:
        read = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(read, dict) or not all(isinstance(name, str) for name in read):
        raise ConfigError(f"{path} must be a mapping of parameters to values")
    return read
