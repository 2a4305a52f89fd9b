"""Settings of the watch over the weekly sign-in."""

from pathlib import Path

from pydantic import SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from utils.settings import Settings


class SignInSettings(Settings):
    """Who is warned before the sign-in ends, and whether a browser of ours renews it.

    Attributes:
        warn_urls: Where warnings go: addresses in Apprise's notation, separated by blanks. They
            hold passwords and tokens.
        auto_sign_in: Whether `auto_reauth.py` may sign in with the keyring's credentials.
        chromium: Program of the browser; None finds one.
    """

    model_config = SettingsConfigDict(env_prefix="SCHWAB_")

    warn_urls: SecretStr = SecretStr("")
    auto_sign_in: bool = False
    chromium: Path | None = None

    @field_validator("chromium")
    @classmethod
    def _at_home(cls, path: Path | None) -> Path | None:
        """Let `~` be the user's home, which no shell has replaced in a .env file."""
        return path and path.expanduser()

    def addresses(self) -> list[str]:
        """Return the single addresses."""
        return self.warn_urls.get_secret_value().split()
