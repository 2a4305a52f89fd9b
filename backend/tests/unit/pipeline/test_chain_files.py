"""Chains from files: the two forms, and what is neither."""

import gzip
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from models.errors import DataError
from models.tables import OPTION_CONTRACTS, OPTION_QUOTES, frame_schema
from pipeline.chain_files import read_chain_file

CHAINS = Path(__file__).parents[2] / "data/chains"


def test_the_options_desk_chain() -> None:
    chain = read_chain_file(CHAINS / "qqq_chain_2026-07-14T1555ET.json.gz")
    assert (chain.underlying, chain.underlying_price) == ("QQQ", 720.14501953125)
    assert chain.ts == datetime(2026, 7, 14, 19, 55, 36, 689471, tzinfo=UTC)
    assert dict(chain.quotes.schema) == frame_schema(OPTION_QUOTES)
    assert dict(chain.contracts.schema) == frame_schema(OPTION_CONTRACTS)
    assert chain.quotes.height == 8495
    assert chain.quotes["expiration"].n_unique() == 31
    first = chain.quotes.row(0, named=True)
    assert first["occ_symbol"] == "QQQ   260714C00505000"
    assert (first["strike"], first["right"], first["bid"], first["ask"]) == (
        505.0,
        "C",
        213.93,
        217.2,
    )
    assert (first["session"], first["volume"]) == (date(2026, 7, 14), 23)
    assert first["source_implied_volatility"] == pytest.approx(3.01758, abs=1e-5)
    assert chain.quotes["bid"].null_count() == 543
    assert (chain.contracts["exercise_style"] == "A").all()


def test_the_cboe_table() -> None:
    chain = read_chain_file(CHAINS / "spy_cboe_quotedata_2025-05-16.csv.gz")
    assert (chain.underlying, chain.underlying_price) == ("SPY", 589.25)
    assert chain.ts == datetime(2025, 5, 16, 23, 23, tzinfo=UTC)
    assert chain.quotes.height == 3160
    put = chain.quotes.row(1, named=True)
    assert put["occ_symbol"] == "SPY   250516P00285000"
    assert (put["bid"], put["ask"], put["open_interest"]) == (None, 0.01, 4305)
    assert put["source_implied_volatility"] is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"hello", "no last price, date and header"),
        (b'{"symbol": "QQQ"}', "missing required field"),
        (b"Last: 5,\nDate: May 16, 2025 at 7:23 PM EDT\nExpiration Date,x\n1,2\n", "2 fields"),
        (
            b'{"symbol":"Q","updated":"2026-07-14T15:55:36-04:00","underlyingPrice":1,"quotes":[]}',
            "no contracts",
        ),
        (gzip.compress(b"\xff\xfe", mtime=0), "decode"),
    ],
)
def test_other_files_are_refused_in_a_sentence(tmp_path: Path, text: bytes, reason: str) -> None:
    path = tmp_path / "chain"
    path.write_bytes(text)
    with pytest.raises(DataError, match=reason):
        read_chain_file(path)


def test_a_missing_file_and_a_broken_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_chain_file(tmp_path / "none.json")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"x" * 1000)[:20])
    with pytest.raises(DataError, match="cannot be read"):
        read_chain_file(tmp_path / "cut.gz")
