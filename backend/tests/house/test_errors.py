"""The error tree drawn in `models.errors` is the one that the classes form."""

import inspect
import re

from models import errors


def _drawn() -> dict[str, str | None]:
    """Return class -> parent as the module docstring draws it."""
    parents: dict[str, str | None] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^([│ ]*)(├── |└── )?([A-Z]\w+)( .*)?$", line)
        if not match or not hasattr(errors, match[3]):
            continue
        depth = len(match[1]) // 4 + (1 if match[2] else 0)
        path[depth:] = [match[3]]
        parents[match[3]] = path[depth - 1] if depth else None
    return parents


def _written() -> dict[str, str | None]:
    classes = inspect.getmembers(errors, inspect.isclass)
    return {
        name: None if name == "TradingError" else cls.__mro__[1].__name__ for name, cls in classes
    }


def test_the_drawn_tree_is_the_real_one() -> None:
    assert _drawn() == _written()


def test_every_error_is_a_trading_error() -> None:
    for _, cls in inspect.getmembers(errors, inspect.isclass):
        assert issubclass(cls, errors.TradingError)
