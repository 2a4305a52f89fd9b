"""A flat file, compressed, to typed rows: every line once, the bad ones apart, nothing made up."""

import gzip
import importlib.util
import io
import random
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ConfigError, DataError
from polygon_integration.flat_datasets import DATASETS, dataset

_spec = importlib.util.spec_from_file_location(
    "flat_text", Path(__file__).with_name("flat_text.py")
)
assert _spec
assert _spec.loader
flat_text: Any = importlib.util.module_from_spec(_spec)
sys.modules["flat_text"] = flat_text
_spec.loader.exec_module(flat_text)
read, packed, minute_lines = flat_text.read, flat_text.packed, flat_text.minute_lines

ROOTS = ("AAPL", "QQQ", "QQQM", "SPX", "SPXL", "SPXW", "SPY", "XSP")


@pytest.fixture(scope="module")
def lines() -> list[str]:
    found: list[str] = minute_lines(ROOTS, 40, 100)  # 4 MB: several blocks
    return found


@pytest.fixture(scope="module")
def content(lines: list[str]) -> bytes:
    made: bytes = packed(lines)
    return made


def test_the_whole_file(content: bytes, lines: list[str]) -> None:
    found = read(content)
    assert found.rows.height == found.reading.lines == len(lines)
    assert found.reading.bad == []
    assert set(found.underlyings) == {"AAPL", "QQQ", "QQQM", "SPX", "SPXL", "SPY", "XSP"}


@pytest.mark.parametrize(
    ("underlying", "roots"), [("QQQ", {"QQQ"}), ("XSP", {"XSP"}), ("SPX", {"SPX", "SPXW"})]
)
def test_an_underlying_is_all_that_is_its_own(
    content: bytes, underlying: str, roots: set[str]
) -> None:
    found = read(content, "minute_aggs", underlying)
    assert set(found.rows["root"].unique()) == roots
    assert found.rows.height == 80 * 100 * len(roots)
    whole = read(content).rows.filter(pl.col("root").is_in(sorted(roots)))
    assert found.rows.sort("occ_symbol", "ts").equals(whole.sort("occ_symbol", "ts"))


def test_blocks_are_passed_over_and_counted(content: bytes, lines: list[str]) -> None:
    reading = read(content, "minute_aggs", "XSP").reading
    assert reading.lines == len(lines)
    assert reading.parsed < len(lines) / 2
    assert reading.is_sorted


def test_a_symbol_is_taken_apart() -> None:
    line = f"O:QQQ251219C00500500,2,1.5,1.25,2,1,{flat_text.START},3"
    row = read(packed([line])).rows.row(0, named=True)
    assert row["occ_symbol"] == "QQQ   251219C00500500"
    assert (row["root"], row["expiration"], row["right"]) == ("QQQ", date(2025, 12, 19), "C")
    assert row["strike"] == 500.5
    assert row["ts"] == datetime(2025, 10, 20, 13, 30, tzinfo=UTC)
    assert (row["open"], row["high"], row["low"], row["close"]) == (1.5, 2, 1, 1.25)
    assert (row["volume"], row["trades"]) == (2.0, 3)
    assert (row["source"], row["origin"]) == ("polygon", "live")


def test_an_adjusted_contract_belongs_to_its_underlying() -> None:
    line = f"O:QQQ1251219C00500000,2,1,1,1,1,{flat_text.START},3"
    found = read(packed([line]), "minute_aggs", "QQQ")
    assert found.rows["root"].to_list() == ["QQQ1"]
    assert found.underlyings == ["QQQ"]


def test_volumes_may_have_decimals() -> None:
    line = f"QQQ,2036584.149027,115.030000,115,116,114,{flat_text.START},30"
    row = read(packed([line]), "stock_minute_aggs").rows.row(0, named=True)
    assert (row["volume"], row["open"]) == (2036584.149027, 115.03)


def test_columns_are_found_by_name() -> None:
    header = "window_start,new_column,transactions,low,high,close,open,volume,ticker"
    line = f"{flat_text.START},text,3,1,2,1.25,1.5,7,O:QQQ251219C00500000"
    row = read(packed([line], header), "minute_aggs", "QQQ").rows.row(0, named=True)
    assert (row["open"], row["low"], row["volume"]) == (1.5, 1.0, 7.0)


def test_trades_keep_conditions_as_text() -> None:
    header = "ticker,conditions,correction,exchange,price,sip_timestamp,size"
    line = "O:A260618C00100000,227,0,309,16.2,1779458509681000123,3"
    row = read(packed([line], header), "trades").rows.row(0, named=True)
    assert (row["conditions"], row["exchange"], row["size"]) == ("227", 309, 3.0)
    rows = read(packed([line], header), "trades").rows
    assert rows["ts"].dt.timestamp("ns").to_list() == [1779458509681000123]


def test_stock_trades_have_quoted_conditions() -> None:
    header = (
        "ticker,conditions,correction,exchange,id,participant_timestamp,price,sequence_number,"
        "sip_timestamp,size,tape,trf_id,trf_timestamp"
    )
    line = 'QQQ,"12,37",0,4,62879,1712307600000000000,143,77,1712307600000000001,1.5,3,201,1'
    row = read(packed([line], header), "stock_trades", "QQQ").rows.row(0, named=True)
    assert (row["conditions"], row["price"], row["sequence"]) == ("12,37", 143.0, 77)


def test_quotes() -> None:
    header = (
        "ticker,ask_exchange,ask_price,ask_size,bid_exchange,bid_price,bid_size,sequence_number,"
        "sip_timestamp"
    )
    line = "O:A260717C00060000,0,0,0,320,45.3,1,1446504,1779456601047390893"
    row = read(packed([line], header), "quotes").rows.row(0, named=True)
    assert (row["bid"], row["bid_size"], row["ask"], row["sequence"]) == (45.3, 1.0, 0.0, 1446504)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("O:QQQ251219C00500000,many,1,1,1,1,1760967000000000000,3", "many"),
        ("O:QQQ251219C00500000,1,1,1,1,1,1760967000000000000", "transactions"),
        ("O:QQQ251219C00500000,1,1,1,1,1,1760967000000000000,3,4,5", "fields"),
        ("O:QQQ251219C00500000,1,1,,1,1,1760967000000000000,3", "close"),
        ("O:QQQ251319C00500000,1,1,1,1,1,1760967000000000000,3", "no option symbol"),
        ("", "ticker"),
    ],
)
def test_a_bad_line_is_kept_out_with_its_number(line: str, reason: str) -> None:
    good = minute_lines(["QQQ"], 5, 20)
    place = 77
    found = read(packed([*good[:place], line, *good[place:]]))
    assert found.rows.height == len(good)
    (bad,) = found.reading.bad
    assert bad.number == place + 2  # the header is line 1
    assert bad.text == line or line.startswith(bad.text)
    assert reason in bad.reason or reason in {"fields", "many"}


@settings(deadline=None)
@given(
    places=st.lists(st.integers(0, 199), max_size=6, unique=True),
    junk=st.sampled_from(["x", "O:QQQ251219C00500000,1", ",,,,,,,", '"', "\x00,1,2,3"]),
)
def test_bad_lines_never_spoil_their_neighbours(places: list[int], junk: str) -> None:
    good = minute_lines(["QQQ"], 5, 20)
    text = list(good)
    for place in sorted(places, reverse=True):
        text.insert(place, junk)
    found = read(packed(text))
    assert found.rows.height + len(found.reading.bad) == len(text)
    if junk != '"':  # an open quotation mark may swallow the line behind it
        assert found.rows.height == len(good)


def test_a_file_that_is_not_sorted_is_read_whole(lines: list[str]) -> None:
    blocks = [lines[at : at + 3000] for at in range(0, len(lines), 3000)]
    random.Random(4).shuffle(blocks)
    found = read(packed([line for block in blocks for line in block]), "minute_aggs", "QQQ")
    assert found.restarts == 1
    assert not found.reading.is_sorted
    assert found.rows.height == 80 * 100


@pytest.mark.parametrize("place", [10, 5_000, 20_000, 60_000])
def test_a_single_line_out_of_order_is_found(lines: list[str], place: int) -> None:
    moved = f"O:XSP261219C00900000,1,1,1,1,1,{flat_text.START},1"
    text = [*lines[:place], moved, *lines[place:]]
    found = read(packed(text), "minute_aggs", "XSP")
    assert found.rows.height == 80 * 100 + 1


def test_the_last_line_may_lack_its_end(lines: list[str]) -> None:
    text = "\n".join([flat_text.AGGS, *lines]).encode()
    assert read(gzip.compress(text, 1)).rows.height == len(lines)


def test_several_gzip_members_are_one_file(lines: list[str]) -> None:
    text = ("\n".join([flat_text.AGGS, *lines]) + "\n").encode()
    halves = gzip.compress(text[:100_001], 1) + gzip.compress(text[100_001:], 1)
    assert read(halves).rows.height == len(lines)


@pytest.mark.parametrize("kept", [0.999, 0.5, 0.01])
@pytest.mark.parametrize("underlyings", [(), ("AAPL",)])
def test_a_truncated_file_is_noticed(
    content: bytes, kept: float, underlyings: tuple[str, ...]
) -> None:
    with pytest.raises(DataError, match="truncated"):
        read(content[: int(len(content) * kept)], "minute_aggs", *underlyings)


def test_a_missing_trailer_is_noticed(content: bytes) -> None:
    with pytest.raises(DataError, match="truncated"):
        read(content[:-4])


def test_a_wrong_checksum_is_noticed(content: bytes) -> None:
    spoiled = bytearray(content)
    spoiled[-6] ^= 0xFF
    with pytest.raises(DataError, match="damaged"):
        read(bytes(spoiled), "minute_aggs", "AAPL")


def test_what_is_no_gzip_file_is_told() -> None:
    with pytest.raises(DataError, match="damaged"):
        read(b"<html>Service Unavailable</html>")


def test_an_empty_file_is_told() -> None:
    with pytest.raises(DataError, match="empty"):
        read(gzip.compress(b""))


def test_a_header_alone_has_no_rows() -> None:
    assert read(packed([])).rows.is_empty()


@pytest.mark.parametrize(
    "header", ["ticker,volume,open,close,high,low,window_start", "a,b", flat_text.AGGS + ",open"]
)
def test_a_changed_header_is_told(header: str) -> None:
    with pytest.raises(DataError, match=r"header of day\.csv\.gz has changed"):
        read(packed(["x"], header))


def test_a_source_that_fails_is_told_as_it_is(content: bytes) -> None:
    class Broken(io.BytesIO):
        def readinto(self, buffer: Any) -> int:
            if self.tell():
                raise OSError(5, "Input/output error")
            return super().readinto(memoryview(buffer)[:1000])

        read = read1 = None  # type: ignore[assignment] # nothing else is used

    with pytest.raises(OSError, match="Input/output"):
        read(lambda: Broken(content))


def test_keys_of_days() -> None:
    for each in DATASETS.values():
        day = date(2025, 10, 20)
        assert each.day_of(each.key(day)) == day
        assert each.day_of(each.key(day).replace("/10/", "/11/")) is None
    assert dataset("trades").key(date(2025, 1, 2)) == (
        "us_options_opra/trades_v1/2025/01/2025-01-02.csv.gz"
    )


def test_an_unknown_dataset_is_told() -> None:
    with pytest.raises(ConfigError, match="minute_aggs"):
        dataset("minutes")
