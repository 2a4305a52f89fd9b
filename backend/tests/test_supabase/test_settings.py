"""Which database the settings choose, and what they refuse."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from clients.migrations import migrations
from clients.supabase_client import SupabaseClient, SupabaseSettings
from models.errors import ConfigError
from utils.settings import load

KEY_NAMES = ("SUPABASE_KEY", "SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY")


@pytest.mark.parametrize("name", KEY_NAMES)
def test_the_key_has_three_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_URL", "https://project.supabase.co")
    monkeypatch.setenv(name, "sb_secret_abc")
    settings = load(SupabaseSettings)
    assert settings.supabase_key == SecretStr("sb_secret_abc")
    assert "sb_secret_abc" not in repr(settings)


def test_the_env_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / ".env"
    path.write_text("SUPABASE_DB_URL=postgresql://me:pw@db.example.com/postgres\n")
    monkeypatch.setenv("OPTIONS_ENV_FILE", str(path))
    settings = load(SupabaseSettings)
    assert settings.supabase_db_url is not None
    assert "pw" not in repr(settings)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"supabase_url": "https://project.supabase.co"}, "SUPABASE_KEY"),
        ({"supabase_key": SecretStr("sb_secret_abc")}, "SUPABASE_URL"),
    ],
)
def test_half_a_setting_is_refused(given: dict[str, str], missing: str) -> None:
    with pytest.raises(ConfigError, match=f"{missing} is not set"):
        SupabaseClient.from_settings(SupabaseSettings(**given))


def test_the_database_url_wins(database: str) -> None:
    settings = SupabaseSettings(
        supabase_db_url=database,
        supabase_url="https://project.supabase.co",
        supabase_key="sb_secret_abc",
    )
    with SupabaseClient.from_settings(settings) as store:
        assert store.health().transport == "sql"


def test_nothing_set_starts_and_migrates_the_embedded_server(options_home: Path) -> None:
    with SupabaseClient.from_settings() as store:
        report = store.health()
        assert report.ok, report.problems
        assert report.schema == migrations()[-1].version
        assert store.read("equity_bars").is_empty()


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("project.supabase.co", "not a URL"),
        ("ftp://project.supabase.co", "not a URL"),
        ("http://project.supabase.co", "in the clear"),
    ],
)
def test_bad_urls_are_refused(url: str, word: str) -> None:
    settings = SupabaseSettings(supabase_url=url, supabase_key="sb_secret_abc")
    with pytest.raises(ConfigError, match=word) as caught:
        SupabaseClient.from_settings(settings)
    assert "sb_secret_abc" not in str(caught.value)
