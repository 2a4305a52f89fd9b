"""Sends a warning to wherever the user wants it: mail, Telegram, Discord, ntfy ... by Apprise."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from models.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

NEEDED = "pip install 'options-backend[reauth]'"
"""Brings the libraries of warnings, keyring and browser."""


class Notifier:
    """Addresses that get each warning.

    Args:
        addresses: In Apprise's notation; they hold secrets and are never shown.

    Raises:
        ConfigError: One is malformed, or Apprise is not installed.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        try:
            import apprise  # noqa: PLC0415 - of the extra `reauth`
        except ImportError:
            raise ConfigError(f"warnings need Apprise: {NEEDED}") from None
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it writes whole addresses
        self._kind = apprise.NotifyType.WARNING
        self._targets = []
        for number, address in enumerate(addresses, 1):
            target = apprise.Apprise()
            if not target.add(address):
                message = (
                    f"address {number} of SCHWAB_WARN_URLS is none that Apprise knows: see "
                    "https://appriseit.com for the notation of each service"
                )
                raise ConfigError(message)
            self._targets.append(target)

    def send(self, title: str, text: str) -> None:
        """Send to all addresses.

        Raises:
            Unavailable: Not one of them took it, although there are some.
        """
        taken = [bool(target.notify(text, title, self._kind)) for target in self._targets]
        if taken and not any(taken):
            message = f"none of the {len(taken)} addresses of SCHWAB_WARN_URLS took the warning"
            raise Unavailable(message, provider="warnings", retryable=True)
