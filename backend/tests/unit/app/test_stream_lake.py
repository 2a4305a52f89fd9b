"""Events of a stream into the lake: appended, each once, until a flat file is there."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from app.stream_lake import StreamLake, only_writer
from clients.lake import Lake, LakeFile
from models.errors import ConfigError
from models.events import Bar, Quote, TradeTick
from polygon_integration.flat_datasets import dataset
from utils.clock import to_ns
from utils.market_calendar import session

if TYPE_CHECKING:
    from pathlib import Path

    from models.events import MarketEvent

DAY = date(2026, 11, 20)
CALL, WEEKLY = "QQQ   261120C00600000", "SPXW  261120P06700000"


def at(seconds: float) -> int:
    return to_ns(session(DAY).open + timedelta(seconds=seconds))


def trade(symbol: str, seconds: float, size: float = 1.0) -> TradeTick:
    return TradeTick(symbol=symbol, time_ns=at(seconds), price=1.5, size=size, conditions=(209,))


def bar(symbol: str, minute: int, close: float) -> Bar:
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    return Bar(symbol=symbol, time_ns=at(60 * minute), interval_s=60, volume=3.0, **prices)


def told(lake: Lake, *events: MarketEvent) -> StreamLake:
    stream = StreamLake(lake, "live")
    for event in events:
        stream.take(event)
    stream.put(stream.drain())
    return stream


def test_it_appends_each_event_once(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    stream = told(lake, trade(CALL, 1), trade(CALL, 1), bar(CALL, 0, 1.0), bar("QQQ", 0, 600.0))
    for event in (trade(CALL, 1), trade(CALL, 2, 5.0), bar(CALL, 0, 2.0), trade(WEEKLY, 3)):
        stream.take(event)  # the same millisecond again, in a later write of the same program
    stream.put(stream.drain())
    assert stream.stored["option_trades"] == 5
    found = lake.read("option_trades", underlyings=["QQQ"])
    assert found["size"].to_list() == [1.0, 1.0, 1.0, 5.0]
    assert found["occurrence"].to_list() == [0, 1, 2, 0]
    assert lake.read("option_trades", underlyings=["SPX"])["root"].to_list() == ["SPXW"]
    assert lake.read("option_bars_1m")["close"].to_list() == [2.0], "a bar that is sent again"
    assert lake.read("equity_bars_1m")["close"].to_list() == [600.0]

    told(lake, trade(CALL, 2, 7.0), trade(CALL, 3, 9.0))  # another program, after it
    sizes = lake.read("option_trades", underlyings=["QQQ"])["size"].to_list()
    assert sizes == [1.0, 1.0, 1.0, 5.0, 9.0], "what was told before is not told again"


def test_quotes_are_the_last_of_each_minute_and_fair_values_are_none(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    quotes = [
        Quote(symbol=CALL, time_ns=at(seconds), bid=1.0, ask=ask, bid_size=2, ask_size=3)
        for seconds, ask in ((1, 1.1), (59, 1.2), (61, 1.3))
    ]
    told(lake, *quotes, Quote(symbol=CALL, time_ns=at(62), mark=1.15), Quote("QQQ", at(1), 600.0))
    found = lake.read("option_nbbo")
    assert found["ask"].to_list() == [1.2, 1.3]
    assert found["ts"].dt.timestamp("ns").to_list() == [at(59), at(61)]
    assert set(lake.files()) == {LakeFile("option_nbbo", "QQQ", DAY, "polygon", "live")}
    said = lake.place.metadata(lake.files()[0].key)
    assert (said["made_from"], said["detail"]) == (
        "stream",
        "times in ms, the last of each minute",
    )


def test_rows_of_a_flat_file_stay(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    told(lake, trade(CALL, 1))
    what, file = dataset("trades"), LakeFile("option_trades", "QQQ", DAY, "polygon", "live")
    rows = lake.read("option_trades").drop("underlying", "session")
    lake.replace(file, rows, sort_key=what.sort_key, made_from="flat_file")
    stream = told(lake, trade(CALL, 9))
    assert (stream.flat, stream.stored.total()) == ({file}, 0)
    assert lake.read("option_trades").height == 1


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    with only_writer(lake):
        with only_writer(Lake.open(tmp_path / "other")):
            pass
        with pytest.raises(ConfigError, match="another program puts a stream into the lake"):
            only_writer(lake).__enter__()
    with only_writer(lake):
        pass
