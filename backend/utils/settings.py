"""How settings are read: arguments over environment over `backend/.env` over defaults.

Each adapter keeps one `Settings` class beside itself; secrets are `SecretStr`.
"""

import os
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from models.errors import ConfigError
from utils.paths import backend_folder


class Settings(BaseSettings):
    """Base of every adapter's settings: unknown names are ignored, empty values count as unset."""

    model_config = SettingsConfigDict(
        env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )


S = TypeVar("S", bound=Settings)


def env_file() -> Path:
    """Return the path of the `.env` file: `OPTIONS_ENV_FILE`, else `backend/.env`."""
    named = os.environ.get("OPTIONS_ENV_FILE")
    return Path(named).expanduser() if named else backend_folder() / ".env"


def load(settings: type[S], **arguments: Any) -> S:
    """Read one adapter's settings.

    Args:
        settings: The class to fill.
        arguments: Values from the command line; None means not given.

    Raises:
        ConfigError: The `.env` file cannot be read or has a malformed line, or a value is wrong;
            the sentence names the variable and never shows a value.
    """
    path = env_file()
    _check_lines(path)
    given: dict[str, Any] = {"_env_file": path}
    given |= {name: value for name, value in arguments.items() if value is not None}
    try:
        return settings(**given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
        prefix = settings.model_config.get("env_prefix", "")
        name = f"{prefix}{'.'.join(str(part) for part in first['loc'])}".upper()
        message = f"{name}: {first['msg']}; set it in the environment or in {path}"
        raise ConfigError(message) from None


def _check_lines(path: Path) -> None:
    """Refuse a malformed `.env` file, which the parser below would skip with a warning."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        reason = type(error).__name__
        message = f"{path} cannot be read as UTF-8 text ({reason}): mend or remove it"
        raise ConfigError(message) from None
    for number, line in enumerate(lines, start=1):
        text = line.strip().removeprefix("export ").lstrip()
        if not text or text.startswith("#"):
            continue
        name, equals, _ = text.partition("=")
        if not equals or not name.strip().isidentifier():
            message = f"{path} line {number} is not NAME=value: mend or remove it"
            raise ConfigError(message)
