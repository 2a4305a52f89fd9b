"""Settings of the Schwab adapter."""

from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from models.errors import ConfigError
from utils.paths import state_folder
from utils.settings import Settings

PROVIDER = "schwab"
"""Name of the service in errors, and the `source` of its rows."""


class SchwabSettings(Settings):
    """How to reach Schwab, or a simulator that speaks like it.

    Attributes:
        app_key: Of the app registered at developer.schwab.com; empty when not configured.
        app_secret: Of the same app.
        callback_url: Exactly as registered: https, without a trailing slash.
        token_file: Where the tokens lie; None for `schwab_token.json` in the state folder.
        base_url: Host of the API and of OAuth.
        ca_file: PEM file of the only certificate authorities to trust; None trusts the usual.
        requests_per_minute: Market-data requests that all programs of this user allow themselves.
        order_requests_per_minute: Order requests to one account, as registered with the app; 0 to
            let none leave.
        orders_per_day: Order requests to one account in any 24 hours.
        urgent_percent: Share of the order requests that cancels and closing orders have for
            themselves.
        option_level: What the account may do with options, 0 to 3: the API does not tell.
        retirement: The account is an IRA: the API does not tell.
    """

    model_config = SettingsConfigDict(env_prefix="SCHWAB_")

    app_key: SecretStr = SecretStr("")
    app_secret: SecretStr = SecretStr("")
    callback_url: str = "https://127.0.0.1:8182"
    token_file: Path | None = None
    base_url: str = "https://api.schwabapi.com"
    ca_file: Path | None = None
    requests_per_minute: int = Field(default=120, ge=1, le=10_000)
    order_requests_per_minute: int = Field(default=120, ge=0, le=120)
    orders_per_day: int = Field(default=4000, ge=0, le=4000)
    urgent_percent: int = Field(default=20, ge=0, le=100)
    option_level: int = Field(default=3, ge=0, le=3)
    retirement: bool = False

    @field_validator("callback_url")
    @classmethod
    def _registered(cls, url: str) -> str:
        """Refuse what Schwab cannot have registered: it compares byte for byte."""
        if urlsplit(url).scheme != "https" or url.endswith("/") or len(url) > 255:
            message = "must start with https://, not end with a slash, and be registered exactly so"
            raise ValueError(message)
        return url

    @field_validator("base_url")
    @classmethod
    def _without_slash(cls, url: str) -> str:
        """Let paths follow, however it was written."""
        return url.rstrip("/")

    @field_validator("token_file", "ca_file")
    @classmethod
    def _at_home(cls, path: Path | None) -> Path | None:
        """Let `~` be the user's home, which no shell has replaced in a .env file."""
        return path and path.expanduser()

    @property
    def configured(self) -> bool:
        """Whether an app is registered: without one nothing can be asked."""
        return bool(self.app_key.get_secret_value() and self.app_secret.get_secret_value())

    def credentials(self) -> tuple[str, str]:
        """Return app key and secret.

        Raises:
            ConfigError: One of them is missing.
        """
        key, secret = self.app_key.get_secret_value(), self.app_secret.get_secret_value()
        if not (key and secret):
            message = (
                "SCHWAB_APP_KEY and SCHWAB_APP_SECRET are not both set: register an app at "
                "developer.schwab.com and put them into the environment or into .env"
            )
            raise ConfigError(message)
        return key, secret

    @property
    def app_mark(self) -> str:
        """A hash that tells this app's token file from another's without naming the app."""
        key = self.app_key.get_secret_value()
        return sha256(f"schwab app {key}".encode()).hexdigest()[:16] if key else ""

    def token_path(self) -> Path:
        """Return the path of the token file."""
        if self.token_file is not None:
            return self.token_file
        return state_folder() / "schwab_token.json"
