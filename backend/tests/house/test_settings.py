"""Every setting is in `.env.example` with a comment, and nothing else is."""

import importlib
import pkgutil
import re
from pathlib import Path

from utils.settings import Settings

BACKEND = Path(__file__).resolve().parents[2]
EXAMPLE = BACKEND / ".env.example"
READ_DIRECTLY = {"OPTIONS_HOME", "OPTIONS_ENV_FILE"}
"""Read before any settings class can be: they say where settings and state lie."""


def _all_settings() -> list[type[Settings]]:
    for path in sorted(BACKEND.glob("*/__init__.py")):
        for module in pkgutil.iter_modules([str(path.parent)], f"{path.parent.name}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    found: list[type[Settings]] = []
    open_classes = [Settings]
    while open_classes:
        children = open_classes.pop().__subclasses__()
        found += children
        open_classes += children
    return [cls for cls in found if cls.__module__.split(".")[0] != "tests"]


def _names(cls: type[Settings]) -> set[str]:
    prefix = cls.model_config.get("env_prefix", "")
    names = set()
    for name, field in cls.model_fields.items():
        alias = field.validation_alias
        if alias is None:
            names.add(f"{prefix}{name}".upper())
        elif isinstance(alias, str):
            names.add(alias.upper())
        else:
            names |= {str(choice).upper() for choice in getattr(alias, "choices", [])}
    return names


def _documented() -> dict[str, str]:
    """Return name -> the comment above it."""
    comments: list[str] = []
    documented = {}
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        match = re.fullmatch(r"#? ?([A-Z][A-Z0-9_]+)=.*", line)
        if match:
            documented[match[1]] = " ".join(comments)
        elif line.startswith("#"):
            comments.append(line.removeprefix("#").strip())
        else:
            comments = []
    return documented


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    known = READ_DIRECTLY | {name for cls in _all_settings() for name in _names(cls)}
    assert set(_documented()) == known


def test_every_setting_has_a_comment() -> None:
    assert all(len(comment) > 20 for comment in _documented().values())
