"""Arguments over environment over `.env` over defaults; sentences without values."""

from pathlib import Path

import pytest
from pydantic import Field, SecretStr

from models.errors import ConfigError
from utils.paths import backend_folder
from utils.settings import Settings, env_file, load


class Knobs(Settings):
    port: int = Field(default=1, validation_alias="KNOBS_TEST_PORT", ge=1)
    password: SecretStr = Field(default=SecretStr("default"), validation_alias="KNOBS_TEST_SECRET")


class Prefixed(Settings):
    model_config = Settings.model_config | {"env_prefix": "knobs_test_"}

    width: int = 3


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / ".env"
    monkeypatch.setenv("OPTIONS_ENV_FILE", str(path))
    for name in ("KNOBS_TEST_PORT", "KNOBS_TEST_SECRET", "KNOBS_TEST_WIDTH"):
        monkeypatch.delenv(name, raising=False)
    return path


def test_each_level_beats_the_one_below(env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(Knobs).port == 1
    env.write_text("KNOBS_TEST_PORT=2\n")
    assert load(Knobs).port == 2
    monkeypatch.setenv("KNOBS_TEST_PORT", "3")
    assert load(Knobs).port == 3
    assert load(Knobs, KNOBS_TEST_PORT=4).port == 4
    assert load(Knobs, KNOBS_TEST_PORT=None).port == 3


def test_a_prefix(env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env.write_text("KNOBS_TEST_WIDTH=5\n")
    assert load(Prefixed).width == 5
    assert load(Prefixed, width=6).width == 6
    monkeypatch.setenv("KNOBS_TEST_WIDTH", "wide")
    with pytest.raises(ConfigError, match="KNOBS_TEST_WIDTH: "):
        load(Prefixed)


def test_an_empty_value_counts_as_unset(env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env.write_text("KNOBS_TEST_PORT=\n")
    assert load(Knobs).port == 1
    env.write_text("KNOBS_TEST_PORT=2\n")
    monkeypatch.setenv("KNOBS_TEST_PORT", "")
    assert load(Knobs).port == 2


@pytest.mark.parametrize(
    "text",
    [
        "# a comment\n\n  \nKNOBS_TEST_PORT=7\n",
        "export KNOBS_TEST_PORT=7\n",
        "KNOBS_TEST_PORT = 7\n",
        "KNOBS_TEST_PORT='7'\n",
        "KNOBS_TEST_PORT=7 # seven\n",
        "SOMETHING_ELSE=x=y\nKNOBS_TEST_PORT=7",
        "KNOBS_TEST_PORT=7\r\n",
    ],
)
def test_what_a_file_may_look_like(env: Path, text: str) -> None:
    env.write_bytes(text.encode())
    assert load(Knobs).port == 7


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("KNOBS_TEST_PORT=7\nhush hush\n", 2),
        ("=hush\n", 1),
        ("hush\n", 1),
        ("\n# fine\nKNOBS-TEST-PORT=hush\n", 3),
        ("1KNOB=hush\n", 1),
    ],
)
def test_a_malformed_line_is_named_and_not_shown(env: Path, text: str, line: int) -> None:
    env.write_text(text)
    with pytest.raises(ConfigError, match=f"line {line} is not NAME=value") as found:
        load(Knobs)
    assert str(env) in str(found.value)
    assert "hush" not in str(found.value)
    assert "\n" not in str(found.value)


def test_a_file_that_is_no_text(env: Path) -> None:
    env.write_bytes(b"KNOBS_TEST_PORT=\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read as UTF-8"):
        load(Knobs)


def test_a_folder_instead_of_a_file(env: Path) -> None:
    env.mkdir()
    with pytest.raises(ConfigError, match="cannot be read as UTF-8"):
        load(Knobs)


@pytest.mark.parametrize("value", ["hush", "0", "1.5"])
def test_a_wrong_value_is_named_and_not_shown(
    env: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("KNOBS_TEST_PORT", value)
    with pytest.raises(ConfigError, match="KNOBS_TEST_PORT: ") as found:
        load(Knobs)
    assert "hush" not in str(found.value)
    assert str(env) in str(found.value)
    assert found.value.__cause__ is None
    assert found.value.__suppress_context__


def test_a_secret_is_never_shown(env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KNOBS_TEST_SECRET", "hush-hush")
    knobs = load(Knobs)
    assert knobs.password.get_secret_value() == "hush-hush"
    for shown in (repr(knobs), str(knobs), knobs.model_dump_json(), repr(knobs.model_dump())):
        assert "hush" not in shown


def test_settings_are_frozen(env: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(Knobs).port = 5


def test_the_default_file_lies_in_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPTIONS_ENV_FILE", raising=False)
    assert env_file() == backend_folder() / ".env"
    monkeypatch.setenv("OPTIONS_ENV_FILE", "~/other.env")
    assert env_file() == Path.home() / "other.env"
