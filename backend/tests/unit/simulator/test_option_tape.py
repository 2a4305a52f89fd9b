"""The tape agrees with the chain, minute by minute, and with the files of recorded sessions."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from simulator.generated import GeneratedWorld
from simulator.recorded import RecordedWorld

DAY = date(2025, 10, 20)
NOON = datetime(2025, 10, 20, 16, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def world() -> GeneratedWorld:
    return GeneratedWorld(7)


@pytest.fixture(scope="module")
def some(world: GeneratedWorld) -> list[str]:
    """Traded contracts of the nearest expirations."""
    chain = world.chain("QQQ", NOON, DAY, DAY + timedelta(days=4))
    return chain.filter(pl.col("volume") > 0)["occ_symbol"].sample(40, seed=1).sort().to_list()


def test_trades_make_the_chains_volume_and_last(world: GeneratedWorld, some: list[str]) -> None:
    tape = world.tape("QQQ", DAY)
    assert tape is not None
    trades = tape.trades(some).filter(pl.col("ts") <= NOON)
    sums = trades.group_by("occ_symbol").agg(
        pl.col("size").sum().alias("volume"), pl.col("price").last().alias("last")
    )
    chain = world.chain("QQQ", NOON, DAY, DAY + timedelta(days=4))
    both = sums.join(chain, on="occ_symbol", suffix="_chain")
    assert both.height == len(some)
    assert (both["volume"] == both["volume_chain"]).all()
    assert (both["last"] == both["last_chain"]).all()


def test_each_minutes_quote_is_the_chains(world: GeneratedWorld, some: list[str]) -> None:
    tape = world.tape("QQQ", DAY)
    assert tape is not None
    quotes = tape.quotes(some).filter(pl.col("ts") == NOON)
    chain = world.chain("QQQ", NOON, DAY, DAY + timedelta(days=4))
    both = quotes.join(chain, on="occ_symbol", suffix="_chain")
    assert both.height == len(some)
    for side in ("bid", "ask", "ask_size"):
        assert both[side].eq_missing(both[f"{side}_chain"]).all()


def test_bars_are_those_of_the_trades(world: GeneratedWorld, some: list[str]) -> None:
    tape = world.tape("QQQ", DAY)
    assert tape is not None
    bars, trades = tape.minutes(some), tape.trades(some)
    assert bars["volume"].sum() == trades["size"].sum()
    assert bars["trades"].sum() == trades.height
    assert (bars["low"] <= bars["vwap"] + 1e-9).all()
    assert (bars["vwap"] <= bars["high"] + 1e-9).all()
    assert bars.select("occ_symbol", "ts").is_unique().all()
    assert tape.symbols.is_sorted()


def test_the_tape_is_the_same_whatever_part_is_asked(
    world: GeneratedWorld, some: list[str]
) -> None:
    tape = world.tape("QQQ", DAY)
    again = GeneratedWorld(7).tape("QQQ", DAY)
    assert tape is not None
    assert again is not None
    one = tape.quotes(some[:1])
    assert again.quotes(some).filter(pl.col("occ_symbol") == some[0]).equals(one)
    own = again.trades(some).filter(pl.col("occ_symbol") == some[0])
    assert own.equals(tape.trades(some[:1]))


def test_a_recorded_session_is_its_files_and_has_no_invented_trades() -> None:
    world = RecordedWorld()
    tape = world.tape("GOOG", date(2015, 12, 24))
    assert tape is not None
    assert tape.trades().is_empty()
    assert tape.quotes().height == 275_552
    assert tape.minutes().height == 958
    first = tape.quotes(["GOOG  151224P00590000"]).row(0, named=True)
    assert (first["ts"], first["ask"]) == (datetime(2015, 12, 24, 14, 31, tzinfo=UTC), 0.5)
    assert world.tape("GOOG", date(2015, 12, 28)) is None
    assert world.tape("NOSUCH", date(2015, 12, 24)) is None
