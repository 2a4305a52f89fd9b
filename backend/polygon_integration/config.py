"""Settings of the Polygon (Massive) adapter; either name of the company serves in the environment."""

from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from models.errors import ConfigError
from utils.settings import Settings

PROVIDER = "polygon"
"""Name of the service in errors, and the `source` of its rows."""


def _either(name: str) -> AliasChoices:
    return AliasChoices(f"POLYGON_{name}", f"MASSIVE_{name}")


class PolygonSettings(Settings):
    """How to reach Polygon, or a simulator that speaks like it.

    Each variable may begin with POLYGON_ or, since the company is called so, with MASSIVE_.

    Attributes:
        api_key: Of REST and stream; empty when not configured.
        base_url: Host of REST.
        stream_url: Host of the WebSockets; the market's name follows.
        business_url: Host of the WebSockets of business plans, which alone tell fair values.
        ca_file: PEM file of the only certificate authorities to trust; None trusts the usual.
        requests_per_minute: Rate limit that the client keeps by itself: 5 on the free plan.
        s3_access_key: Of the flat files, from the dashboard; empty when not configured.
        s3_secret_key: Of the flat files; empty when not configured.
        s3_endpoint: Host of the flat files.
        s3_bucket: Their bucket.
    """

    model_config = SettingsConfigDict(populate_by_name=True)

    api_key: SecretStr = Field(default=SecretStr(""), validation_alias=_either("API_KEY"))
    base_url: str = Field(default="https://api.polygon.io", validation_alias=_either("BASE_URL"))
    stream_url: str = Field(
        default="wss://socket.polygon.io", validation_alias=_either("STREAM_URL")
    )
    business_url: str = Field(
        default="wss://business.polygon.io", validation_alias=_either("BUSINESS_URL")
    )
    ca_file: Path | None = Field(default=None, validation_alias=_either("CA_FILE"))
    requests_per_minute: int = Field(
        default=5, ge=1, le=100_000, validation_alias=_either("REQUESTS_PER_MINUTE")
    )
    s3_access_key: SecretStr = Field(
        default=SecretStr(""), validation_alias=_either("S3_ACCESS_KEY")
    )
    s3_secret_key: SecretStr = Field(
        default=SecretStr(""), validation_alias=_either("S3_SECRET_KEY")
    )
    s3_endpoint: str = Field(
        default="https://files.polygon.io", validation_alias=_either("S3_ENDPOINT")
    )
    s3_bucket: str = Field(default="flatfiles", validation_alias=_either("S3_BUCKET"))

    @field_validator("base_url", "stream_url", "business_url", "s3_endpoint")
    @classmethod
    def _without_slash(cls, url: str) -> str:
        """Let paths follow, however it was written."""
        return url.rstrip("/")

    @field_validator("ca_file")
    @classmethod
    def _at_home(cls, path: Path | None) -> Path | None:
        """Let `~` be the user's home, which no shell has replaced in a .env file."""
        return path and path.expanduser()

    def key(self) -> str:
        """Return the API key.

        Raises:
            ConfigError: It is missing.
        """
        key = self.api_key.get_secret_value()
        if not key:
            message = (
                "POLYGON_API_KEY (or MASSIVE_API_KEY) is not set: copy the key of your dashboard "
                "into the environment or into .env"
            )
            raise ConfigError(message)
        return key

    def s3_credentials(self) -> tuple[str, str]:
        """Return access key and secret of the flat files.

        Raises:
            ConfigError: One of them is missing.
        """
        pair = self.s3_access_key.get_secret_value(), self.s3_secret_key.get_secret_value()
        if not all(pair):
            message = (
                "POLYGON_S3_ACCESS_KEY and POLYGON_S3_SECRET_KEY are not both set: copy them from "
                "the flat files page of your dashboard into the environment or into .env"
            )
            raise ConfigError(message)
        return pair
