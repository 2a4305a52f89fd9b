"""The tables agree with themselves and with the house's rules."""

from datetime import date

import polars as pl
import pytest

from models.tables import (
    MARKET_TABLES,
    ORIGINS,
    SOURCES,
    TABLES,
    Kind,
    Range,
    Table,
    frame_schema,
)

ALL = list(TABLES.values())

EXPECTED = set(
    """underlyings option_contracts equity_bars option_bars option_quotes coverage download_runs
    orders order_events trades positions signals account_snapshots dividends splits rates
    option_trades equity_quotes quarantine ledger""".split()  # noqa: SIM905 - reads as the issue does
)

OF_WORK = {"ledger", "ledger_stages"}
"""No market data: what is to be done for each origin, whoever is asked in the end."""


def test_every_table_that_the_product_promises_is_there() -> None:
    assert set(TABLES) >= EXPECTED


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_a_table_is_consistent(table: Table) -> None:
    names = table.column_names
    assert TABLES[table.name] is table
    assert len(set(names)) == len(names)
    assert table.key
    assert len(set(table.key)) == len(table.key)
    assert set(table.key) <= set(names)
    assert not any(table.column(name).nullable for name in table.key)
    assert table.note
    assert all(column.note for column in table.columns)


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_names_are_plain_sql_names(table: Table) -> None:
    for name in (table.name, *table.column_names):
        assert name == name.lower()
        assert name.isidentifier()
        assert len(name) <= 40


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_a_partition_column_is_a_time_and_in_the_key(table: Table) -> None:
    if table.partition is not None:
        assert table.partition in table.key
        assert table.column(table.partition).kind in {Kind.TIMESTAMP, Kind.DATE}


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_market_data_carries_source_and_origin_in_its_key(table: Table) -> None:
    stamped = {"source", "origin"} <= set(table.column_names)
    in_key = {"source", "origin"} & set(table.key)
    assert (table.name in MARKET_TABLES) == (len(in_key) == 2)
    if table.name in OF_WORK:
        assert in_key == {"origin"}
        return
    assert len(in_key) in {0, 2}
    assert stamped or not in_key


def test_the_market_tables() -> None:
    expected = {
        "underlyings", "option_contracts", "equity_bars", "option_bars", "option_quotes",
        "option_trades", "equity_quotes", "dividends", "splits", "rates", "coverage", "retention",
        "expiration_figures", "strike_figures", "session_figures", "quality_findings",
    }  # fmt: skip
    assert set(MARKET_TABLES) == expected
    assert list(MARKET_TABLES) == [name for name in TABLES if name in expected]
    assert SOURCES == ("schwab", "polygon", "synthetic")
    assert ORIGINS == ("live", "simulator", "recorded")


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_one_name_has_one_type_everywhere(table: Table) -> None:
    # `rows` counts and `price` is money in a fill but a float in market data: those differ on
    # purpose; keys and stamps never do.
    shared = ("ts", "session", "underlying", "occ_symbol", "source", "origin", "expiration", "mode")
    for name in shared:
        kinds = {each.column(name).kind for each in ALL if name in each.column_names}
        assert len(kinds) == 1, name
    assert set(frame_schema(table)) == set(table.column_names)


def test_frames_take_the_types() -> None:
    schema = frame_schema(TABLES["trades"])
    assert schema["ts"] == pl.Datetime("us", "UTC")
    assert schema["price"] == pl.Decimal(18, 6)
    assert schema["session"] == pl.Date()
    assert list(schema) == list(TABLES["trades"].column_names)
    assert pl.DataFrame(schema=schema).is_empty()
    every = {kind for table in ALL for kind in (column.kind for column in table.columns)}
    assert every <= set(Kind)


def test_an_unknown_column_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="colour"):
        TABLES["trades"].column("colour")


def test_ranges_are_open_where_nothing_is_said() -> None:
    assert Range(start=date(2026, 1, 1)) == Range(date(2026, 1, 1), None)
    assert Range() == Range(None, None)
