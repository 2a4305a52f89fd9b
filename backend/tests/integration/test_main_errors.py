"""Bad input and broken surroundings: one sentence, the right exit status, nothing lost."""

from __future__ import annotations

import json
import socket
import stat
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from schwab_integration.auth import authorization_url, code_of_redirect, exchange_code
from schwab_integration.config import SchwabSettings
from utils.http import HttpSession, Service

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Bench, Done


def assert_one_sentence(done: Done, *words: str, status: int = 2) -> None:
    lines = done.err.strip().splitlines()
    assert len(lines) == 1, done.err
    assert done.status == status, done.err
    assert done.out == ""
    for word in words:
        assert word in lines[0]
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--days", "0"], "'0' sessions"),
        (["--days=-3"], "'-3' sessions"),
        (["--days", "five"], "'five' sessions"),
        (["--days", "1000000"], "give 1 to"),
        (["--days", "99999999999999"], "give 1 to"),
        (["--start", "2026-11-20", "--end", "2026-11-19"], "is after --end"),
        (["--start", "2026-11-20", "--days", "3"], "exclude each other"),
        (["--start", "20 November"], "is no day"),
        (["--start", "2026-02-30"], "is no day"),
        (["--ticker", "QQQ; drop table"], "is no ticker"),
        (["--ticker", ""], "is no ticker"),
        (["--expirations", "45-0"], "span of days"),
        (["--expirations", "0-9999"], "span of days"),
        (["--interval", "2m"], "invalid choice"),
        (["--clock", "noon"], "is no time"),
        (["--seed", "x"], "invalid int"),
        (["--nonsense"], "unrecognized"),
    ],
)
def test_wrong_usage(bare: Bench, arguments: list[str], word: str) -> None:
    assert_one_sentence(bare.here("main.py", "--json", *arguments), word)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--source", "polygon", "--clock", "2095-01-02T10:00"], "in the future"),
        (["--clock", "2095-01-02T10:00"], "in the future"),
        (["--start", "2035-01-02"], "has opened yet"),
        (["--start", "2026-11-21", "--end", "2026-11-22"], "no session"),
        (["--start", "1950-01-02"], "1998"),
        (["--start", "1999-01-04"], "too many"),
        (["--source", "schwab"], "SCHWAB_APP_KEY"),
        (["--source", "schwab", "--clock", "2015-12-24T10:00"], "simulator"),
    ],
)
def test_what_cannot_be_asked_for(bare: Bench, arguments: list[str], word: str) -> None:
    assert_one_sentence(bare.here("main.py", "--json", *arguments), word)


def test_an_unknown_ticker_is_named_and_nothing_stored_is_lost(friday: Bench) -> None:
    assert friday.main("--days", "1", "--no-options").status == 0
    before = friday.content()
    assert_one_sentence(friday.main("--ticker", "QQQ", "NOSUCH", "--days", "2"), "NOSUCH")
    assert friday.content() == before
    runs = friday.read("download_runs").sort("started_at")
    assert runs["status"].to_list() == ["complete", "failed"]
    assert "NOSUCH" in runs["error"][1]


def test_a_wrong_polygon_key(friday: Bench, simulator: dict[str, Any]) -> None:
    done = friday.main(
        "--source", "polygon", POLYGON_API_KEY="wrong-key", POLYGON_BASE_URL=simulator["http"]
    )
    assert_one_sentence(done, "Unknown API Key", "POLYGON_API_KEY")
    assert "wrong-key" not in done.err


def test_a_polygon_plan_without_snapshots(friday: Bench, simulator: dict[str, Any]) -> None:
    done = friday.main(
        *("--source", "polygon", "--days", "1"),
        POLYGON_API_KEY="SimulatorPolygonKeyBasic",
        POLYGON_BASE_URL=simulator["http"],
    )
    assert_one_sentence(done, "plan does not include")


def test_a_simulator_that_is_not_there(bare: Bench) -> None:
    done = bare.main(SIMULATOR_URL="http://127.0.0.1:9")
    assert_one_sentence(done, "simulator", "127.0.0.1:9")


def test_a_simulator_that_is_something_else(bare: Bench, serve: Any, answer: Any) -> None:
    server = serve(lambda _request: answer(body=b"<html>hello</html>"))
    assert_one_sentence(bare.main(SIMULATOR_URL=server.url), "SIMULATOR_URL", status=1)


def test_a_database_that_is_not_there(bare: Bench) -> None:
    url = "postgresql://postgres:hidden@127.0.0.1:9/postgres"
    done = bare.main("--clock", "2026-11-20T16:00", SUPABASE_DB_URL=url)
    assert_one_sentence(done, "127.0.0.1")
    assert "hidden" not in done.err


@pytest.fixture
def schwab(tmp_path: Path, simulator: dict[str, Any]) -> dict[str, str]:
    """Settings of a Schwab account whose tokens have run out, at the simulator's Schwab."""
    token = tmp_path / "token.json"
    past = (datetime.now(UTC) - timedelta(days=8)).isoformat()
    kept = {
        "access_token": "I0.long-gone",
        "refresh_token": "long-gone",
        "access_expires_at": past,
        "refresh_expires_at": past,
    }
    token.write_text(json.dumps(kept))
    token.chmod(stat.S_IRUSR | stat.S_IWUSR)
    return {
        "SCHWAB_APP_KEY": simulator["app_key"],
        "SCHWAB_APP_SECRET": simulator["app_secret"],
        "SCHWAB_BASE_URL": simulator["http"],
        "SCHWAB_TOKEN_FILE": str(token),
    }


def test_an_expired_token_names_the_command_that_signs_in(
    bench: Bench, schwab: dict[str, str]
) -> None:
    done = bench.main("--days", "1", **schwab)
    assert_one_sentence(done, "python sys_testing/reauth_schwab.py", status=3)


def test_a_service_that_refuses_us(bench: Bench, schwab: dict[str, str]) -> None:
    wrong = schwab | {"SCHWAB_APP_SECRET": "not-the-secret"}
    done = bench.main("--days", "1", **wrong)
    assert_one_sentence(done, "SCHWAB_APP_KEY")
    assert "not-the-secret" not in done.err


def test_a_simulated_schwab_is_never_called_live(
    bench: Bench, schwab: dict[str, str], simulator: dict[str, Any]
) -> None:
    settings = SchwabSettings(
        _env_file=None,
        app_key=simulator["app_key"],
        app_secret=simulator["app_secret"],
        base_url=simulator["http"],
        token_file=schwab["SCHWAB_TOKEN_FILE"],
    )
    with HttpSession(
        Service(simulator["http"], "simulator", check=lambda _what, _reply: None)
    ) as web:
        redirect = web.get(authorization_url(settings).removeprefix(simulator["http"]))
    exchange_code(settings, code_of_redirect(redirect.headers["location"]))
    done = bench.main("--source", "auto", "--days", "1", "--no-options", **schwab)
    assert done.status == 0, done.err
    assert done.object["origin"] == "simulator"
    assert done.object["service"] == f"schwab at {simulator['http']}"
    assert done.object["market_time"] == "2026-11-20T21:00:00+00:00"


def test_a_key_without_a_sign_in_uses_the_simulator_and_says_so(
    friday: Bench, schwab: dict[str, str], tmp_path: Path
) -> None:
    none = schwab | {"SCHWAB_TOKEN_FILE": str(tmp_path / "none.json")}
    done = friday.main("--days", "1", "--no-options", **none)
    assert done.status == 0
    assert done.object["origin"] == "simulator"
    assert "reauth_schwab.py" in done.err


def test_a_port_in_use(bare: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_one_sentence(bare.run("-m", "simulator", "--port", str(port)), str(port))


def test_a_full_disk_loses_nothing_and_the_next_run_completes(friday: Bench) -> None:
    """The server says what PostgreSQL says when its disk is full: SQLSTATE 53100."""
    arguments = ("--days", "2", "--expirations", "0-3")
    assert friday.main("--days", "1", "--no-options").status == 0
    before = friday.content()
    friday.execute(
        "create function full_disk() returns trigger language plpgsql as $$ begin "
        "raise exception 'could not extend file: No space left on device' using errcode = '53100';"
        " end $$"
    )
    friday.execute(
        "create trigger full_disk before insert on equity_bars "
        "for each statement execute function full_disk()"
    )
    assert_one_sentence(friday.main(*arguments), "disk is full")
    now = friday.content()
    assert {name for name in now if now[name] != before[name]} <= {"underlyings"}
    friday.execute("drop trigger full_disk on equity_bars")
    assert friday.main(*arguments).status == 0
    assert friday.read("coverage")["status"].unique().to_list() == ["complete"]


def test_a_full_disk_under_the_heat_map(bench: Bench) -> None:
    done = bench.run("sys_testing/check_data_status.py", "--html", "/dev/full")
    assert_one_sentence(done, "/dev/full", "No space left")


def test_a_database_with_a_newer_schema(bench: Bench) -> None:
    bench.execute(
        "insert into supabase_migrations.schema_migrations (version, name, statements) "
        "values ('29991231000000', 'options_of_the_future', '{}')"
    )
    done = bench.main("--clock", "2026-11-20T16:00")
    assert_one_sentence(done, "29991231000000", "update this program")


def test_a_database_without_our_tables(bare: Bench, databases: Any) -> None:
    with databases.fresh(migrated=False) as dsn:
        done = bare.main("--clock", "2026-11-20T16:00", SUPABASE_DB_URL=dsn)
    assert_one_sentence(done, "migrate.py")


@pytest.mark.parametrize(
    "text", ["SUPABASE_URL https://x.supabase.co\n", "=1\n", "SCHWAB_CALLBACK_URL=http://x/\n"]
)
def test_a_malformed_env_file(bare: Bench, tmp_path: Path, text: str) -> None:
    path = tmp_path / "malformed.env"
    path.write_text(text)
    done = bare.main("--clock", "2026-11-20T16:00", OPTIONS_ENV_FILE=str(path))
    assert_one_sentence(done, str(path))


def test_a_state_folder_that_cannot_be_made(bare: Bench) -> None:
    done = bare.main(OPTIONS_HOME="/dev/null/home", SUPABASE_DB_URL="")
    assert_one_sentence(done, "OPTIONS_HOME")


def test_debug_shows_the_trace(bare: Bench) -> None:
    done = bare.main("--source", "schwab", "--debug")
    assert done.status == 2
    assert "Traceback" in done.err
