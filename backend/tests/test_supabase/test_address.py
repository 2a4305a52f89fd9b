"""TLS wherever it is not local, and what a transaction pooler forbids."""

import socket

import pytest

from clients.postgres import PostgresTransport
from clients.postgres_address import postgres_address
from clients.supabase_client import SupabaseClient, SupabaseSettings
from models.errors import ConfigError, StoreError

POOLER = "postgresql://postgres.abc:s3cret@aws-0-eu.pooler.supabase.com"


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_a_remote_server_without_tls_is_refused(mode: str) -> None:
    with pytest.raises(ConfigError, match="in the clear") as caught:
        postgres_address(f"postgresql://me:s3cret@db.example.com/postgres?sslmode={mode}")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://me:pw@db.example.com/postgres", "require"),
        ("postgresql://me:pw@10.1.2.3/postgres", "require"),
        ("postgresql://me:pw@db.example.com/postgres?sslmode=verify-ca", "verify-ca"),
        ("postgresql://me:pw@db.example.com/postgres?sslrootcert=/x/ca.crt", "verify-full"),
        ("host=localhost,db.example.com dbname=postgres", "require"),
        ("postgresql://me:pw@localhost/postgres?hostaddr=10.1.2.3", "require"),
        ("postgresql://me:pw@127.0.0.1/postgres", None),
        ("postgresql://me:pw@[::1]/postgres", None),
        ("postgresql://me:pw@localhost/postgres?sslmode=disable", None),
        ("postgresql:///postgres?host=/run/postgresql", None),
    ],
)
def test_tls_is_asked_for(url: str, mode: str | None) -> None:
    address = postgres_address(url)
    assert address.local == (mode is None)
    if mode:
        assert address.arguments["sslmode"] == mode


def test_a_root_certificate_of_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLROOTCERT", "/x/prod-ca-2021.crt")
    assert postgres_address(f"{POOLER}/postgres").arguments["sslmode"] == "verify-full"


def test_a_host_of_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example.com")
    assert postgres_address("postgresql:///postgres").arguments["sslmode"] == "require"


def test_an_address_of_the_environment_does_not_lead_elsewhere(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libpq prefers PGHOSTADDR to the host of a URL: nobody asked it for TLS."""
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    with SupabaseClient(PostgresTransport(postgres_address(database))) as store:
        assert store.health().ok


def test_the_transaction_pooler_gets_no_prepared_statements() -> None:
    pooled = postgres_address(f"{POOLER}:6543/postgres?pgbouncer=true&connect_timeout=5")
    assert pooled.transaction_pooler
    assert pooled.arguments["prepare_threshold"] is None
    assert pooled.arguments["connect_timeout"] == "5"
    assert "pgbouncer" not in pooled.arguments
    assert "prepare_threshold" not in postgres_address(f"{POOLER}:5432/postgres").arguments


@pytest.mark.parametrize(
    "url", ["postgresql://me:s3cret@[bad", "http://me:s3cret@host/x", "s3cret", "postgresql://me:s3cret@h/d?nonsense=1"]
)  # fmt: skip
def test_what_is_no_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match="SUPABASE_DB_URL") as caught:
        postgres_address(url)
    assert "s3cret" not in str(caught.value)


def test_the_address_shows_no_password() -> None:
    address = postgres_address(f"{POOLER}:6543/postgres")
    assert "s3cret" not in repr(address)
    assert address.place == "aws-0-eu.pooler.supabase.com:6543/postgres"


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://me:s3cret@127.0.0.1:{port}/postgres", "refused"),
        ("postgresql://me:s3cret@no-such-host.invalid/postgres", "unknown|resolved|reached"),
        ("postgresql://me:s3cret@/postgres?host=/no/such/folder", "socket"),
    ],
)
def test_an_unreachable_server_is_one_sentence(url: str, reason: str) -> None:
    address = postgres_address(url.format(port=closed_port()))
    transport = PostgresTransport(address)
    with SupabaseClient(transport) as store:
        with pytest.raises(StoreError, match=reason) as caught:
            store.read("equity_bars")
        assert "s3cret" not in str(caught.value)
        assert "\n" not in str(caught.value)
        report = store.health()
        assert report.problems == (str(caught.value),)


def test_a_wrong_password_is_one_sentence(database: str) -> None:
    settings = SupabaseSettings(supabase_db_url=f"{database} password=wr0ng")
    with SupabaseClient.from_settings(settings) as store:
        with pytest.raises(StoreError, match="password") as caught:
            store.read("equity_bars")
        assert "wr0ng" not in str(caught.value)
