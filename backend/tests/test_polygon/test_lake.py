"""The lake on a folder: replaced as a whole, sorted, read by filter and by SQL."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from clients.lake import Lake, LakeFile, Partition
from clients.lake_place import LocalPlace
from models.errors import DataError, NotFound, StoreError

DAY = date(2025, 10, 20)
OPEN = datetime(2025, 10, 20, 13, 30, tzinfo=UTC)
BARS, TICKS = ("ts", "occ_symbol"), ("occ_symbol", "ts")


def bars(root: str, contracts: int = 5, minutes: int = 10, close: float = 1.0) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "ts": OPEN + timedelta(minutes=minute),
                "occ_symbol": f"{root:6}251219C{500_000 + 1000 * contract:08}",
                "close": close,
                "volume": 2.0,
                "trades": 1,
                "source": "polygon",
                "origin": "live",
            }
            for contract in range(contracts)
            for minute in range(minutes)
        ],
        schema_overrides={"ts": pl.Datetime("us", "UTC"), "trades": pl.Int32},
    )


def partition(made_from: str = "flat_file", *, origin: str = "live", day: date = DAY) -> Partition:
    return Partition("option_bars_1m", day, "polygon", origin, made_from, BARS)


def stored(lake: Lake, what: Partition, **frames: pl.DataFrame) -> dict[str, int]:
    with lake.replacing(what) as writer:
        for name, rows in frames.items():
            writer.add(name, rows)
        return writer.publish()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(tmp_path / "lake")


def test_what_is_written_is_read(lake: Lake) -> None:
    assert stored(lake, partition(), QQQ=bars("QQQ"), SPY=bars("SPY")) == {"QQQ": 50, "SPY": 50}
    found = lake.read("option_bars_1m", underlyings=["QQQ"])
    assert found.drop("underlying", "session").equals(bars("QQQ").sort(*BARS))
    assert found["underlying"].unique().to_list() == ["QQQ"]
    assert found["session"].unique().to_list() == [DAY]


def test_a_partition_is_replaced_as_a_whole(lake: Lake) -> None:
    stored(lake, partition(), QQQ=bars("QQQ", contracts=9), SPY=bars("SPY"))
    stored(lake, partition(), QQQ=bars("QQQ", contracts=2, close=7.0))
    found = lake.read("option_bars_1m", underlyings=["QQQ"])
    assert found.height == 20
    assert found["close"].unique().to_list() == [7.0]
    assert lake.read("option_bars_1m", underlyings=["SPY"]).height == 50


def test_a_file_is_removed_alone(lake: Lake) -> None:
    stored(lake, partition(), QQQ=bars("QQQ"), SPY=bars("SPY"))
    file = next(each for each in lake.files() if each.underlying == "QQQ")
    for _ in range(2):  # one that is not there is no error
        lake.remove(file)
        assert {each.underlying for each in lake.files()} == {"SPY"}


def test_twice_is_once(lake: Lake, tmp_path: Path) -> None:
    stored(lake, partition(), QQQ=bars("QQQ"))
    before = (tmp_path / "lake" / lake.files()[0].key).read_bytes()
    stored(lake, partition(), QQQ=bars("QQQ"))
    assert (tmp_path / "lake" / lake.files()[0].key).read_bytes() == before
    assert len(lake.files()) == 1


def test_nothing_is_seen_before_it_is_published(lake: Lake) -> None:
    with lake.replacing(partition()) as writer:
        writer.add("QQQ", bars("QQQ"))
        assert lake.files() == []
    assert lake.files() == []
    assert not list(Path(lake.place.shown).rglob("*.parquet"))


def test_the_next_day_replaces_the_stream_and_not_the_other_way(lake: Lake) -> None:
    stored(lake, partition("stream"), QQQ=bars("QQQ", close=1.0))
    stored(lake, partition("flat_file"), QQQ=bars("QQQ", close=2.0))
    stored(lake, partition("stream"), QQQ=bars("QQQ", close=3.0))
    stored(lake, partition("rest"), QQQ=bars("QQQ", close=4.0))
    assert lake.read("option_bars_1m")["close"].unique().to_list() == [2.0]


def test_an_underlying_that_comes_in_pieces_is_one_file(lake: Lake) -> None:
    whole = bars("SPX", contracts=3).vstack(bars("SPXW", contracts=3))
    with lake.replacing(partition()) as writer:
        writer.add("SPX", bars("SPX", contracts=3))
        writer.add("SPXL", bars("SPXL", contracts=3))
        writer.add("SPX", bars("SPXW", contracts=3))
        writer.publish()
    found = lake.read("option_bars_1m", underlyings=["SPX"]).drop("underlying", "session")
    assert found.equals(whole.sort(*BARS))


def test_trades_of_one_moment_are_numbered_across_pieces(lake: Lake) -> None:
    what = Partition("option_trades", DAY, "polygon", "live", "flat_file", TICKS)
    trade = bars("QQQ", contracts=1, minutes=1).select("ts", "occ_symbol", price="close")
    with lake.replacing(what) as writer:
        for _ in range(3):
            writer.add("QQQ", trade)
            writer.add("SPY", trade)
        writer.publish()
    found = lake.read("option_trades", underlyings=["QQQ"])
    assert found["occurrence"].to_list() == [0, 1, 2]


def test_many_ticks_are_merged_in_order(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.lake_writer._STAGED_ROWS", 7)
    what = Partition("option_nbbo", DAY, "polygon", "live", "flat_file", TICKS)
    ticks = bars("QQQ", contracts=6).rename({"close": "bid"}).sort(*TICKS)
    with lake.replacing(what) as writer:
        for begin in range(0, ticks.height, 5):
            writer.add("QQQ", ticks.slice(begin, 5))
        writer.publish()
    assert lake.read("option_nbbo").drop("underlying", "session").equals(ticks)


@pytest.fixture
def market(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A lake with a whole market: QQQ has many rows, the others share a file."""
    monkeypatch.setattr("clients.lake_writer.SHARING_ROWS", 60)
    monkeypatch.setattr("clients.lake_shared.ROW_GROUP", 70)
    everything(lake)
    return lake


def everything(lake: Lake, close: float = 1.0) -> None:
    with lake.replacing(partition(), sharing=True) as writer:
        for name in ("AAL", "BAC", "F", "QQQ", "SPY"):
            writer.add(name, bars(name, minutes=20 if name == "QQQ" else 10, close=close))
        writer.publish()


def test_of_a_whole_market_those_with_few_rows_share_a_file(market: Lake) -> None:
    assert [file.underlying for file in market.files("option_bars_1m")] == ["_shared", "QQQ"]
    for name in ("BAC", "QQQ"):
        found = market.read("option_bars_1m", underlyings=[name])
        expected = bars(name, minutes=20 if name == "QQQ" else 10).sort(*BARS)
        assert found.drop("underlying", "session").equals(expected)
        assert found["underlying"].unique().to_list() == [name]
    query = "select underlying, session, count(*) from option_bars_1m group by all order by 1"
    expected_counts = [
        (name, DAY, 100 if name == "QQQ" else 50) for name in ("AAL", "BAC", "F", "QQQ", "SPY")
    ]
    assert market.sql(query)[1] == expected_counts
    counted = market.scan("option_bars_1m").group_by("underlying", "session").len()
    assert counted.sort("underlying").collect().rows() == expected_counts
    with pytest.raises(NotFound, match="option_bars_1m of MSFT"):
        market.read("option_bars_1m", underlyings=["MSFT"])


def test_a_file_of_its_own_stands_before_the_shared_one(market: Lake) -> None:
    stored(market, partition(), BAC=bars("BAC", close=2.0))
    query = (
        "select underlying, any_value(close), count(*) from option_bars_1m group by all order by 1"
    )
    assert ("BAC", 2.0, 50) in market.sql(query)[1]
    assert market.read("option_bars_1m", underlyings=["BAC"])["close"].unique().to_list() == [2.0]
    assert market.read("option_bars_1m").height == 300
    everything(market, close=3.0)
    assert [row[1:] for row in market.sql(query)[1]] == [
        (3.0, 100 if name == "QQQ" else 50) for name in ("AAL", "BAC", "F", "QQQ", "SPY")
    ]
    assert [file.underlying for file in market.files("option_bars_1m")] == ["_shared", "BAC", "QQQ"]


def test_the_stream_does_not_replace_what_is_shared(market: Lake) -> None:
    stored(market, partition("stream"), BAC=bars("BAC", close=9.0), MSFT=bars("MSFT", close=9.0))
    closes = market.scan("option_bars_1m").group_by("underlying").agg(pl.col("close").first())
    assert dict(closes.collect().rows()) | {"QQQ": 1.0} == {
        **dict.fromkeys(("AAL", "BAC", "F", "QQQ", "SPY"), 1.0),
        "MSFT": 9.0,
    }


def test_what_a_later_edition_lacks_goes(market: Lake) -> None:
    with market.replacing(partition(), sharing=True) as writer:
        writer.add("SPY", bars("SPY", minutes=20, close=4.0))
        writer.publish(["AAL", "QQQ", "SPY"])
    assert [file.underlying for file in market.files("option_bars_1m")] == ["SPY"]
    assert market.read("option_bars_1m")["close"].unique().to_list() == [4.0]


def test_an_edition_of_something_less_complete_removes_nothing(market: Lake) -> None:
    with market.replacing(partition("stream")) as writer:
        writer.publish(["QQQ"])
    assert "QQQ" in {file.underlying for file in market.files("option_bars_1m")}


def test_a_market_out_of_order_is_shared_in_order(lake: Lake) -> None:
    what = Partition("option_trades", DAY, "polygon", "live", "flat_file", TICKS)
    trade = bars("F", contracts=2, minutes=1).rename({"close": "price"})
    with lake.replacing(what, sharing=True) as writer:
        writer.add("F", trade)
        writer.add("A", trade)
        writer.add("F", trade)
        writer.publish()
    found = lake.read("option_trades")
    assert found["underlying"].to_list() == ["A"] * 2 + ["F"] * 4
    assert found["occurrence"].to_list() == [0, 0, 0, 1, 0, 1]


def test_trades_of_stocks_are_numbered(lake: Lake) -> None:
    what = Partition("equity_trades", DAY, "polygon", "live", "flat_file", ("underlying", "ts"))
    stamps = {"source": ["polygon"] * 2, "origin": ["live"] * 2}
    trade = pl.DataFrame({"ts": [OPEN, OPEN], "price": [1.0, 2.0], **stamps})
    for sharing in (True, False):
        with lake.replacing(what, sharing=sharing) as writer:
            writer.add("QQQ", trade)
            writer.publish()
        assert lake.read("equity_trades")["occurrence"].to_list() == [0, 1]


def test_origins_are_never_mixed(lake: Lake) -> None:
    stored(lake, partition(), QQQ=bars("QQQ"))
    stored(lake, partition(origin="simulator"), QQQ=bars("QQQ", close=9.0))
    with pytest.raises(DataError, match="live, simulator"):
        lake.read("option_bars_1m")
    assert lake.read("option_bars_1m", origin="live")["close"].unique().to_list() == [1.0]
    _, rows = lake.sql("select distinct close from option_bars_1m", "simulator")
    assert rows == [(9.0,)]


def test_a_chain_at_a_minute(lake: Lake) -> None:
    stored(lake, partition(), QQQ=bars("QQQ", contracts=20, minutes=390))
    found = lake.chain_at("QQQ", DAY, OPEN + timedelta(minutes=100))
    assert found.height == 20


def test_what_is_not_there_is_told(lake: Lake) -> None:
    with pytest.raises(NotFound, match="option_bars_1m of QQQ"):
        lake.read("option_bars_1m", underlyings=["QQQ"])


def test_sessions_are_filtered(lake: Lake) -> None:
    for ahead in range(3):
        stored(lake, partition(day=DAY + timedelta(ahead)), QQQ=bars("QQQ"))
    found = lake.read("option_bars_1m", first=DAY + timedelta(1), last=DAY + timedelta(1))
    assert found["session"].unique().to_list() == [DAY + timedelta(1)]


def test_a_disk_that_takes_nothing_is_told(tmp_path: Path) -> None:
    full = Path("/dev/full")
    with pytest.raises(StoreError, match="cannot be written"):
        LocalPlace(full).write("x/y", b"content")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        stored(Lake.open(tmp_path / "file"), partition(), QQQ=bars("QQQ"))


def test_keys_of_files() -> None:
    file = LakeFile("option_bars_1m", "BRK.B", DAY, "polygon", "live")
    assert LakeFile.of_key(file.key) == file
    for other in ("_ledger/a/b/c.json", "x", "a/underlying=B/session=no/polygon-live.parquet"):
        assert LakeFile.of_key(other) is None


def command(lake: Lake, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "clients.lake", *arguments],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"LAKE": lake.place.shown},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command(lake: Lake) -> None:
    stored(lake, partition(), QQQ=bars("QQQ"))
    query = "select underlying, session, count(*) as n from option_bars_1m group by all"
    done = command(lake, "sql", query, "--format", "csv")
    assert done.stdout.split() == ["underlying,session,n", "QQQ,2025-10-20,50"]
    assert "option_bars_1m" in command(lake, "--lake", lake.place.shown, "ls").stdout.replace(
        "\n", ""
    )
    wrong = command(lake, "sql", "select nothing from nowhere")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
