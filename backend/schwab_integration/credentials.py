"""The user's brokerage name and password, in the operating system's keyring and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from models.errors import ConfigError
from utils.notifier import NEEDED

if TYPE_CHECKING:
    from types import ModuleType

SERVICE = "options-backend schwab"
STORE = "python sys_testing/auto_reauth.py --store-credentials"

_USER, _PASSWORD = "user", "password"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a person types at the sign-in page."""

    user: str = field(repr=False)
    password: str = field(repr=False)


def stored_credentials() -> Credentials:
    """Return what the keyring holds.

    Raises:
        ConfigError: There is no keyring, or it holds nothing.
    """
    user, password = (_asked("get_password", name) for name in (_USER, _PASSWORD))
    if not (user and password):
        raise ConfigError(f"the keyring holds no Schwab credentials: {STORE}")
    return Credentials(user, password)


def store_credentials(credentials: Credentials) -> str:
    """Put them into the keyring.

    Returns:
        What the keyring calls itself.

    Raises:
        ConfigError: There is no keyring, or it refuses.
    """
    _asked("set_password", _USER, credentials.user)
    _asked("set_password", _PASSWORD, credentials.password)
    return str(_keyring().get_keyring().name)


def forget_credentials() -> bool:
    """Take them out of the keyring.

    Returns:
        Whether any were there.

    Raises:
        ConfigError: There is no keyring, or it refuses.
    """
    kept = [name for name in (_USER, _PASSWORD) if _asked("get_password", name) is not None]
    for name in kept:
        _asked("delete_password", name)
    return bool(kept)


def _keyring() -> ModuleType:
    try:
        import keyring  # noqa: PLC0415 - of the extra `reauth`
    except ImportError:
        raise ConfigError(f"credentials need the keyring library: {NEEDED}") from None
    return keyring


def _asked(operation: str, name: str, *values: str) -> str | None:
    keyring = _keyring()
    from keyring.errors import KeyringError, NoKeyringError  # noqa: PLC0415 - as above

    try:
        found: str | None = getattr(keyring, operation)(SERVICE, name, *values)
    except NoKeyringError:
        raise ConfigError(
            "this machine has no keyring (Secret Service, KWallet, macOS Keychain, Windows "
            "Credential Locker): automatic sign-in keeps a password nowhere else"
        ) from None
    except KeyringError as error:
        raise ConfigError(f"the keyring refuses ({type(error).__name__}): is it locked?") from None
    return found
