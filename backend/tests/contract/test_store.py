"""What every Store keeps: the same tests over SQL on two majors and over a real PostgREST."""

import itertools
import math
import random
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import psycopg
import pytest

from models.errors import StoreError
from models.tables import TABLES, Kind, Range, Table, frame_schema

OPEN = datetime(2026, 3, 31, 23, 58, tzinfo=UTC)

CHOICES = {
    "source": ["schwab", "polygon", "synthetic"],
    "origin": ["live", "simulator", "recorded"],
    "right": ["C", "P"],
    "mode": ["backtest", "paper", "live"],
    "interval": ["1m", "1d"],
    "stage": ["extract", "load"],
    "kept": ["all", "thinned", "none"],
    "severity": ["info", "error"],
    "verdict": ["flag", "gap"],
}
STATUSES = {
    "coverage": ["complete", "partial", "empty"],
    "download_runs": ["running", "failed"],
    "ledger": ["waiting", "done"],
    "ledger_stages": ["done", "failed"],
}
TEXTS = [
    "",
    " ",
    "NULL",
    "\\N",
    "\\",
    'a"b',
    "a,b",
    "line\nline",
    "tab\t",
    "É €",
    "😀",
    "'",
    "(x)",
    ".",
]

JSONS = ['{"a": 1}', "[]", '"x"', "7", '{"b": [1.5, null, "é\\"\\\\"]}']


def bars(
    count: int, *, first: datetime = OPEN, symbol: str = "QQQ", close: float = 1.0
) -> pl.DataFrame:
    """Return minute bars that cross the end of a month."""
    return pl.DataFrame(
        {
            "ts": [first + timedelta(minutes=n) for n in range(count)],
            "underlying": symbol,
            "interval": "1m",
            "session": date(2026, 3, 31),
            "open": 1.5,
            "high": 2.5,
            "low": 0.5,
            "close": [close + n / 100 for n in range(count)],
            "volume": list(range(count)),
            "vwap": [None if n % 3 else n / 7 for n in range(count)],
            "trades": [None if n % 2 else n for n in range(count)],
            "source": "schwab",
            "origin": "recorded",
        },
        schema_overrides={"ts": pl.Datetime("us", "UTC"), "vwap": pl.Float64, "trades": pl.Int32},
    )


def order(**changes: Any) -> dict[str, Any]:
    row = {
        "client_order_id": "a-1",
        "account_id": "hash",
        "mode": "paper",
        "strategy": "manual",
        "underlying": "QQQ",
        "order_type": "LIMIT",
        "time_in_force": "DAY",
        "limit_price": Decimal("1.25"),
        "quantity": Decimal(2),
        "filled_quantity": Decimal(0),
        "status": "sent",
        "legs": '[{"symbol": "QQQ   260331C00500000"}]',
        "created_at": OPEN,
        "updated_at": OPEN,
    }
    return row | changes


def frame(table: str, *rows: dict[str, Any]) -> pl.DataFrame:
    schema = frame_schema(TABLES[table])
    return pl.DataFrame(rows, schema={name: schema[name] for name in rows[0]})


def any_float(rng: random.Random) -> float:
    while True:
        (value,) = struct.unpack("<d", rng.randbytes(8))
        if math.isfinite(value):
            return rng.choice([float(value), rng.uniform(-1, 1), 0.1 + 0.2])


ANY: dict[Kind, Callable[[random.Random], Any]] = {
    Kind.TEXT: lambda rng: rng.choice(TEXTS) + str(rng.randrange(10**6)),
    Kind.BOOL: lambda rng: rng.random() < 0.5,
    Kind.SMALLINT: lambda rng: rng.choice([-(2**15), 2**15 - 1, rng.randrange(-9, 9)]),
    Kind.INT: lambda rng: rng.choice([-(2**31), 2**31 - 1, rng.randrange(-9, 9)]),
    Kind.BIGINT: lambda rng: rng.choice([-(2**63), 2**63 - 1, rng.randrange(-9, 9)]),
    Kind.FLOAT: any_float,
    Kind.MONEY: lambda rng: Decimal(rng.randrange(-(10**18) + 1, 10**18)).scaleb(-6),
    Kind.DATE: lambda rng: date(1900, 1, 1) + timedelta(days=rng.randrange(70_000)),
    Kind.TIMESTAMP: lambda rng: (
        datetime(1998, 1, 1, tzinfo=UTC) + timedelta(microseconds=rng.randrange(10**15))
    ),
    Kind.JSON: lambda rng: rng.choice(JSONS),
}


def any_rows(table: Table, count: int, seed: int) -> pl.DataFrame:
    """Return rows of random values with nulls, as far as the table's rules allow."""
    rng = random.Random(seed)
    base = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)

    def value(name: str, kind: Kind, n: int) -> Any:
        if name == table.key[0] and kind is Kind.TEXT:
            return f"{rng.choice(TEXTS)}{n:06d}"[-21:].rjust(21, "x")
        if name == table.partition:
            return base + timedelta(seconds=n, microseconds=rng.randrange(10**6))
        if name == "occ_symbol":
            return f"É{n:020d}"
        if name == "strike":
            return rng.uniform(0.5, 9000)
        known = CHOICES | ({"status": STATUSES[table.name]} if table.name in STATUSES else {})
        return rng.choice(known[name]) if name in known else ANY[kind](rng)

    data = {
        column.name: [
            None if column.nullable and rng.random() < 0.3 else value(column.name, column.kind, n)
            for n in range(count)
        ]
        for column in table.columns
    }
    return pl.DataFrame(data, schema=frame_schema(table))


@pytest.mark.parametrize("name", TABLES)
def test_what_goes_in_comes_out(stored: Any, name: str) -> None:
    """Few rows and many go different ways over SQL."""
    table = TABLES[name]
    rows = any_rows(table, 80, seed=len(name))
    assert stored.store.upsert(name, rows[:20].sample(fraction=1, shuffle=True, seed=1)) == 20
    assert stored.store.upsert(name, rows.sample(fraction=1, shuffle=True, seed=1)) == 60
    found = stored.store.read(name)
    assert found.schema == frame_schema(table)
    assert found.rows() == rows.sort(table.key).rows()
    assert stored.store.upsert(name, found) == 0
    assert stored.store.upsert(name, found[:20]) == 0


@pytest.mark.parametrize("count", [5, 50])
def test_equal_rows_are_untouched_and_not_counted(stored: Any, count: int) -> None:
    rows = bars(count)
    assert stored.store.upsert("equity_bars", rows) == count
    before = stored.versions("equity_bars")
    for expect_empty in (False, True):
        assert stored.store.upsert("equity_bars", rows, expect_empty=expect_empty) == 0
    assert stored.versions("equity_bars") == before


@pytest.mark.parametrize("count", [12, 50])
def test_new_and_changed_rows_are_counted(stored: Any, count: int) -> None:
    stored.store.upsert("equity_bars", bars(count - 2))
    changed = bars(count).with_columns(
        close=pl.when(pl.col("volume") < 3).then(9.0).otherwise("close"),
        vwap=pl.when(pl.col("volume") == 5).then(4.5).otherwise("vwap"),
    )
    assert stored.store.upsert("equity_bars", changed) == 3 + 1 + 2
    assert stored.store.read("equity_bars").equals(
        changed.cast(frame_schema(TABLES["equity_bars"]))
    )


def test_a_value_can_become_null_and_back(stored: Any) -> None:
    rows = bars(3)
    stored.store.upsert("equity_bars", rows)
    empty = rows.with_columns(vwap=pl.lit(None, pl.Float64))
    assert stored.store.upsert("equity_bars", empty) == 1
    assert stored.store.read("equity_bars")["vwap"].null_count() == 3
    assert stored.store.upsert("equity_bars", rows) == 1


def test_nan_is_null(stored: Any) -> None:
    rows = bars(2).with_columns(vwap=pl.Series([math.nan, 1.0]))
    stored.store.upsert("equity_bars", rows)
    assert stored.store.read("equity_bars")["vwap"].to_list() == [None, 1.0]
    assert stored.store.upsert("equity_bars", rows) == 0


def test_the_last_of_equal_keys_counts(stored: Any) -> None:
    twice = pl.concat([bars(3), bars(3, close=5.0), bars(1, close=7.0)])
    assert stored.store.upsert("equity_bars", twice) == 3
    assert stored.store.read("equity_bars")["close"].to_list() == [7.0, 5.01, 5.02]


def test_columns_left_out_are_null_and_then_stay(stored: Any) -> None:
    assert stored.store.upsert("equity_bars", bars(2).drop("vwap", "trades")) == 2
    assert stored.store.read("equity_bars")["trades"].to_list() == [None, None]
    stored.store.upsert("equity_bars", bars(1))
    assert stored.store.upsert("equity_bars", bars(1, close=3.0).drop("vwap", "trades")) == 1
    kept = stored.store.read("equity_bars")[:1]
    assert kept["trades"].item() == 0
    assert kept["close"].item() == 3.0


@pytest.mark.parametrize(
    "price",
    [
        "0.000001",
        "-0.000001",
        "999999999999.999999",
        "-999999999999.999999",
        "0",
        "10000",
        "0.0001",
    ],
)
def test_money_is_exact(stored: Any, price: str) -> None:
    stored.store.upsert("orders", frame("orders", order(limit_price=Decimal(price))))
    assert stored.store.read("orders")["limit_price"].item() == Decimal(price)
    (text,) = stored.ask("select limit_price::text from public.orders")
    assert Decimal(text[0]) == Decimal(price)


def test_json_is_a_value_not_a_text(stored: Any) -> None:
    stored.store.upsert("orders", frame("orders", order(legs='{"b":2, "a":[1]}')))
    assert stored.ask("select jsonb_typeof(legs), legs ->> 'b' from public.orders") == [
        ("object", "2")
    ]
    assert stored.store.read("orders")["legs"].item() == '{"a": [1], "b": 2}'
    assert stored.store.upsert("orders", frame("orders", order(legs='{"a":[1],"b":2}'))) == 0


@pytest.mark.parametrize("text", ["\ufeffa", "\r\n", "\r", '"', " "])
def test_a_text_alone_is_read_as_it_is(stored: Any, text: str) -> None:
    stored.store.upsert("orders", frame("orders", order(strategy=text, client_order_id=text)))
    where = {"client_order_id": text}
    assert stored.store.read("orders", where, columns=["strategy"])["strategy"].to_list() == [text]


def test_nulls_alone_are_rows(stored: Any) -> None:
    stored.store.upsert("equity_bars", bars(3))
    found = stored.store.read("equity_bars", {"volume": [1, 2]}, columns=["vwap"])
    assert found["vwap"].to_list() == [None, None]


def test_reads_more_rows_than_a_page_holds(stored: Any) -> None:
    rows = bars(2345)
    assert stored.store.upsert("equity_bars", rows, expect_empty=True) == 2345
    found = stored.store.read("equity_bars", columns=["close", "ts"])
    assert found.equals(rows.select("close", "ts"))


def test_a_long_load_over_rows_that_are_partly_there(stored: Any) -> None:
    first = datetime(2026, 1, 1, tzinfo=UTC)
    rows = bars(50_000, first=first)
    assert stored.store.upsert("equity_bars", rows[5_000:40_000]) == 35_000
    changed = rows.with_columns(
        high=pl.when(pl.col("volume") % 1000 == 0).then(3.0).otherwise("high")
    )
    assert stored.store.upsert("equity_bars", changed) == 15_000 + 35
    assert stored.store.upsert("equity_bars", changed) == 0
    whole = stored.ask("select count(*), sum(volume), sum(high) from public.equity_bars")
    assert whole == [(50_000, sum(range(50_000)), 49_950 * 2.5 + 50 * 3.0)]


def test_rows_lie_in_the_partition_of_their_month(stored: Any) -> None:
    stored.store.upsert("equity_bars", bars(4))
    found = stored.ask(
        "select distinct tableoid::regclass::text from public.equity_bars order by 1"
    )
    assert found == [("equity_bars_2026_03",), ("equity_bars_2026_04",)]


WHERES: list[tuple[Any, Callable[[], pl.Expr]]] = [
    ({"underlying": "QQQ"}, lambda: pl.col("underlying") == "QQQ"),
    ({"underlying": ["SPY", "QQQ"], "volume": 3}, lambda: pl.col("volume") == 3),
    ({"underlying": []}, lambda: pl.lit(value=False)),
    ({"underlying": 'no",(such'}, lambda: pl.lit(value=False)),
    ({"trades": None}, lambda: pl.col("trades").is_null()),
    ({"vwap": 0.0}, lambda: pl.col("vwap") == 0.0),
    ({"session": date(2026, 3, 31), "close": 1.02}, lambda: pl.col("close") == 1.02),
    ({"ts": Range(OPEN, OPEN + timedelta(minutes=3))}, lambda: pl.col("volume") < 3),
    ({"ts": Range(OPEN + timedelta(minutes=2))}, lambda: pl.col("volume") >= 2),
    ({"ts": Range(end=date(2026, 4, 1))}, lambda: pl.col("volume") < 2),
    ({"trades": Range()}, lambda: pl.col("trades").is_not_null()),
    ({"volume": Range(1, 4), "underlying": "SPY"}, lambda: pl.col("volume").is_in([1, 2, 3]) & (pl.col("underlying") == "SPY")),
    ({"volume": list(range(250, -1, -1))}, lambda: pl.lit(value=True)),
]  # fmt: skip


@pytest.mark.parametrize(("where", "expected"), WHERES)
def test_conditions(stored: Any, where: Any, expected: Callable[[], pl.Expr]) -> None:
    rows = pl.concat([bars(5), bars(5, symbol="SPY")])
    stored.store.upsert("equity_bars", rows)
    found = stored.store.read("equity_bars", where)
    assert found.rows() == rows.filter(expected()).sort("ts", "underlying").rows()


def test_newest_and_coverage(stored: Any) -> None:
    stored.store.upsert("equity_bars", bars(5))
    ask = {"source": "schwab", "origin": "recorded"}
    assert stored.store.newest("equity_bars", "QQQ", **ask) == OPEN + timedelta(minutes=4)
    assert stored.store.newest("equity_bars", "SPY", **ask) is None
    assert stored.store.newest("equity_bars", "QQQ", source="schwab", origin="live") is None
    rows = any_rows(TABLES["coverage"], 30, seed=1).with_columns(
        ticker=pl.Series(["QQQ", "SPY"] * 15), source=pl.lit("schwab"), origin=pl.lit("live")
    )
    stored.store.upsert("coverage", rows)
    found = stored.store.coverage("QQQ", source="schwab", origin="live")
    assert found.rows() == rows.filter(ticker="QQQ").sort("dataset", "session").rows()


def test_nothing_in_nothing_out(stored: Any) -> None:
    assert stored.store.upsert("equity_bars", bars(0)) == 0
    assert stored.store.upsert("equity_bars", bars(0), expect_empty=True) == 0
    found = stored.store.read("equity_bars")
    assert found.is_empty()
    assert found.schema == frame_schema(TABLES["equity_bars"])


BAD_ROWS: list[tuple[str, Callable[[pl.DataFrame], pl.DataFrame], str]] = [
    ("no_such_table", lambda rows: rows, "no_such_table"),
    ("equity_bars", lambda rows: rows.with_columns(nonsense=1), "nonsense"),
    ("equity_bars", lambda rows: rows.drop("close"), "close"),
    ("equity_bars", lambda rows: rows.with_columns(close=pl.lit(None)), "close"),
    ("equity_bars", lambda rows: rows.with_columns(close=math.nan), "close"),
    ("equity_bars", lambda rows: rows.with_columns(close=math.inf), "close"),
    ("equity_bars", lambda rows: rows.with_columns(volume=1.5), "volume"),
    ("equity_bars", lambda rows: rows.with_columns(trades=2**40), "trades"),
    ("equity_bars", lambda rows: rows.with_columns(session=pl.lit("soon")), "session"),
    ("equity_bars", lambda rows: rows.with_columns(ts=pl.col("ts").dt.replace_time_zone(None)), "ts"),
    ("equity_bars", lambda rows: rows.with_columns(ts=pl.lit(1_774_915_080_000)), "no unit"),
    ("equity_bars", lambda rows: rows.with_columns(session=pl.col("ts")), "zone"),
    ("equity_bars", lambda rows: rows.with_columns(source=pl.lit("nobody")), "rule"),
    ("equity_bars", lambda rows: rows.with_columns(underlying=pl.lit("a\0b")), "value"),
    ("orders", lambda _: frame("orders", order(legs=" null")), "legs"),
    ("orders", lambda _: frame("orders", order(legs="{nonsense")), "value|JSON"),
    ("orders", lambda _: frame("orders", order()).with_columns(quantity=pl.lit(Decimal("0.1234567"))), "quantity"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "spoil", "word"), BAD_ROWS)
def test_bad_rows_are_refused_in_one_sentence(
    stored: Any, table: str, spoil: Callable[[pl.DataFrame], pl.DataFrame], word: str
) -> None:
    with pytest.raises(StoreError, match=word) as caught:
        stored.store.upsert(table, spoil(bars(3)))
    assert "\n" not in str(caught.value)
    assert stored.ask("select count(*) from public.equity_bars") == [(0,)]
    assert stored.ask("select count(*) from public.orders") == [(0,)]


def test_bad_questions_are_refused_in_one_sentence(stored: Any) -> None:
    for ask in (
        lambda: stored.store.read("no_such_table"),
        lambda: stored.store.read("equity_bars", {"nonsense": 1}),
        lambda: stored.store.read("equity_bars", columns=["nonsense"]),
        lambda: stored.store.read("equity_bars", columns=[]),
        lambda: stored.store.read("equity_bars", {"ts": OPEN.replace(tzinfo=None)}),
        lambda: stored.store.read("equity_bars", {"session": OPEN}),
        lambda: stored.store.read("equity_bars", {"volume": "many"}),
        lambda: stored.store.newest("coverage", "QQQ", source="schwab", origin="live"),
    ):
        with pytest.raises(StoreError) as caught:
            ask()
        assert "\n" not in str(caught.value)


def test_concurrent_writers_count_each_row_once(stored: Any) -> None:
    rows = bars(400)
    parts = [rows.sample(fraction=0.75, shuffle=True, seed=seed) for seed in range(6)]
    distinct = pl.concat(parts).unique().height
    with ThreadPoolExecutor(6) as pool:
        counts = list(pool.map(lambda part: stored.store.upsert("equity_bars", part), parts))
    assert sum(counts) == distinct
    assert stored.store.read("equity_bars").height == distinct


def test_expecting_empty_wrongly_falls_back(stored: Any) -> None:
    stored.store.upsert("equity_bars", bars(10))
    later = bars(40).with_columns(high=pl.when(pl.col("volume") == 4).then(8.0).otherwise("high"))
    assert stored.store.upsert("equity_bars", later, expect_empty=True) == 31
    assert stored.store.read("equity_bars").height == 40


def test_health_is_good(stored: Any) -> None:
    report = stored.store.health()
    assert report.ok, report.problems
    assert report.transport == stored.kind
    assert report.server
    assert report.schema is not None


@pytest.mark.parametrize("expect_empty", [False, True])
def test_a_killed_connection_leaves_nothing_behind(stored: Any, expect_empty: bool) -> None:
    """Over SQL the write fails as a whole; over REST the same request is sent again and passes."""
    rows = bars(300)
    stored.store.upsert("equity_bars", bars(1, symbol="MONTHS"))
    stored.store.upsert("equity_bars", bars(3, symbol="MONTHS"))
    with psycopg.connect(stored.dsn) as blocker:
        # The last row waits for the outcome of this one.
        blocker.execute(
            "insert into public.equity_bars select ts + interval '297 minutes', 'QQQ', interval,"
            " session, open, high, low, close, volume, vwap, trades, source, origin"
            " from public.equity_bars where volume = 2 and underlying = 'MONTHS'"
        )
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(
                stored.store.upsert, "equity_bars", rows, expect_empty=expect_empty
            )
            kill_the_waiting(stored.dsn)
            blocker.rollback()
            if stored.kind == "sql":
                with pytest.raises(StoreError, match="lost"):
                    writing.result()
            else:
                assert writing.result() == 300
    left = stored.store.read("equity_bars", {"underlying": "QQQ"}).height
    assert left == (0 if stored.kind == "sql" else 300)
    assert stored.store.upsert("equity_bars", rows) == 300 - left


def kill_the_waiting(dsn: str) -> None:
    """End the one server process that waits for a lock in this database."""
    deadline = time.monotonic() + 30
    with psycopg.connect(dsn, autocommit=True) as connection:
        while time.monotonic() < deadline:
            ended = connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and wait_event_type = 'Lock'"
            ).fetchall()
            if ended:
                return
            threading.Event().wait(0.02)
    pytest.fail("nobody waited")


def test_floats_keep_every_bit(stored: Any) -> None:
    rng = random.Random(7)
    values = [any_float(rng) for _ in range(500)]
    rows = bars(500).with_columns(vwap=pl.Series(values))
    stored.store.upsert("equity_bars", rows)
    found = stored.store.read("equity_bars")["vwap"].to_list()
    assert all(a == b for a, b in itertools.zip_longest(found, values))


def test_what_is_removed_is_gone_and_nothing_else(stored: Any) -> None:
    first, second = bars(400), bars(3, symbol="SPY")
    stored.store.upsert("equity_bars", pl.concat([first, second]))
    times = first["ts"][:150].to_list()  # more than one request holds
    of_symbol = {"underlying": "QQQ"}
    assert stored.store.remove("equity_bars", {**of_symbol, "ts": times}) == 150
    assert (
        stored.store.read("equity_bars", of_symbol)["ts"].to_list() == first["ts"][150:].to_list()
    )
    assert stored.store.remove("equity_bars", {**of_symbol, "ts": []}) == 0
    assert stored.store.remove("equity_bars", of_symbol) == 250
    assert stored.store.remove("equity_bars", of_symbol) == 0
    assert stored.store.read("equity_bars").height == 3
    with pytest.raises(StoreError, match="none is named"):
        stored.store.remove("equity_bars", {})
