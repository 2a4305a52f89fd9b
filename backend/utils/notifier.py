"""Sends a notice to wherever the user wants it: mail, Telegram, Discord, ntfy ... by Apprise."""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import TYPE_CHECKING

from models.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

NEEDED = "pip install 'options-backend[reauth]'"
"""Brings the libraries of notices, keyring and browser."""


class Level(StrEnum):
    """How urgent a notice is: services show it by colour or priority."""

    INFO = "info"
    WARNING = "warning"
    FAILURE = "failure"


class Notifier:
    """Addresses that get each notice.

    Args:
        addresses: In Apprise's notation; they hold secrets and are never shown.
        variable: The setting that they are from, for sentences.

    Raises:
        ConfigError: One is malformed, or Apprise is not installed.
    """

    def __init__(self, addresses: Sequence[str], variable: str) -> None:
        try:
            import apprise  # noqa: PLC0415 - of the extra `reauth`
        except ImportError:
            raise ConfigError(f"notices need Apprise: {NEEDED}") from None
        # They write whole addresses.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        logging.getLogger("urllib3.connectionpool").setLevel(logging.CRITICAL + 1)
        self._variable = variable
        self._targets = []
        for number, address in enumerate(addresses, 1):
            target = apprise.Apprise()
            if not target.add(address):
                message = (
                    f"address {number} of {variable} is none that Apprise knows: see "
                    "https://appriseit.com for the notation of each service"
                )
                raise ConfigError(message)
            self._targets.append(target)

    def send(self, title: str, text: str, level: Level = Level.WARNING) -> None:
        """Send to all addresses.

        Raises:
            Unavailable: Not one of them took it, although there are some.
        """
        taken = [bool(target.notify(text, title, level.value)) for target in self._targets]
        if taken and not any(taken):
            message = f"none of the {len(taken)} addresses of {self._variable} took the notice"
            raise Unavailable(message, provider="notices", retryable=True)
