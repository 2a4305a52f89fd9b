"""Making the partition of a month beside others who use the table."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import polars as pl
import psycopg

from clients.postgres import PostgresTransport
from clients.postgres_address import postgres_address
from clients.supabase_client import SupabaseClient

BAR = {
    "ts": datetime(2031, 5, 1, 14, 30, tzinfo=UTC),
    "underlying": "QQQ",
    "interval": "1m",
    "session": date(2031, 5, 1),
    "open": 1.0,
    "high": 1.0,
    "low": 1.0,
    "close": 1.0,
    "volume": 1,
    "source": "schwab",
    "origin": "recorded",
}


def wait_for_a_lock(dsn: str) -> None:
    deadline = time.monotonic() + 20
    with psycopg.connect(dsn, autocommit=True) as connection:
        while time.monotonic() < deadline:
            waiting = connection.execute(
                "select from pg_stat_activity"
                " where datname = current_database() and wait_event_type = 'Lock'"
            )
            if waiting.rowcount:
                return
            threading.Event().wait(0.01)
    raise AssertionError("nobody waited")


def test_a_deadlock_with_another_writer_passes(database: str) -> None:
    """Both lock the table and its default partition, each in the other order.

    Who waited first for `deadlock_timeout` loses: here the one who makes the month.
    """
    with (
        SupabaseClient(PostgresTransport(postgres_address(database))) as store,
        psycopg.connect(database) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        other.execute("set local deadlock_timeout = '1min'")
        other.execute("select from public.equity_bars_default")
        writing = pool.submit(store.upsert, "equity_bars", pl.DataFrame([BAR]))
        wait_for_a_lock(database)
        other.execute("lock table public.equity_bars in row exclusive mode")
        other.rollback()
        assert writing.result() == 1
