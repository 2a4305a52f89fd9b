"""Contracts in their three spellings, one by one and by the column."""

import os
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from pydantic import ValidationError

from models.errors import BadSymbol
from models.options import (
    Greeks,
    OptionContract,
    OptionQuote,
    format_occ,
    occ_to_polygon,
    parse_occ,
    polygon_ticker_of_underlying,
    polygon_to_occ,
    roots_of_underlying,
    schwab_ticker,
    underlying_of_polygon_ticker,
    underlying_of_root,
    underlying_of_schwab_ticker,
)

ROWS = 5_000_000 if os.environ.get("PROVE") == "1" else 200_000
CHUNK = 200_000

contracts = st.fixed_dictionaries(
    {
        "root": st.from_regex("[A-Z]{1,5}[A-Z0-9]?", fullmatch=True),
        "expiration": st.dates(date(2000, 1, 1), date(2099, 12, 31)),
        "strike": st.integers(1, 99_999_999).map(lambda thousandths: Decimal(thousandths) / 1000),
        "right": st.sampled_from("CP"),
    }
).map(OptionContract.model_validate)


@pytest.mark.parametrize(
    ("symbol", "polygon", "fields"),
    [
        ("QQQ   251219C00500000", "O:QQQ251219C00500000", "QQQ QQQ 2025-12-19 500 C"),
        ("SPXW  250520P05900000", "O:SPXW250520P05900000", "SPXW SPX 2025-05-20 5900 P"),
        ("SPX   251219C05000000", "O:SPX251219C05000000", "SPX SPX 2025-12-19 5000 C"),
        ("AAPL1 200717C00102500", "O:AAPL1200717C00102500", "AAPL1 AAPL 2020-07-17 102.5 C"),
        ("BRKB  260116P00450000", "O:BRKB260116P00450000", "BRKB BRK.B 2026-01-16 450 P"),
        ("GOOGL1140621C00592505", "O:GOOGL1140621C00592505", "GOOGL1 GOOGL 2014-06-21 592.505 C"),
        ("F     991231P00000001", "O:F991231P00000001", "F F 2099-12-31 0.001 P"),
    ],
)
def test_spellings(symbol: str, polygon: str, fields: str) -> None:
    root, underlying, expiration, strike, right = fields.split()
    contract = OptionContract.from_occ(symbol)
    assert contract.model_dump() == {
        "root": root,
        "underlying": underlying,
        "expiration": date.fromisoformat(expiration),
        "strike": Decimal(strike),
        "right": right,
    }
    assert contract.occ_symbol == contract.schwab_symbol == symbol
    assert contract.polygon_ticker == polygon
    assert OptionContract.from_schwab(symbol) == OptionContract.from_polygon(polygon) == contract


@given(contracts)
def test_round_trips(contract: OptionContract) -> None:
    assert len(contract.occ_symbol) == 21
    assert OptionContract.from_occ(contract.occ_symbol) == contract
    assert OptionContract.from_schwab(contract.schwab_symbol) == contract
    assert OptionContract.from_polygon(contract.polygon_ticker) == contract
    again = OptionContract.model_validate_json(contract.model_dump_json())
    assert again == contract
    assert hash(again) == hash(contract)


def test_facts_of_roots() -> None:
    spx, spxw, qqq = (
        OptionContract(root=root, expiration=date(2026, 1, 16), strike=Decimal(5), right="C")
        for root in ("SPX", "SPXW", "QQQ")
    )
    assert (spx.settlement, spxw.settlement, qqq.settlement) == ("AM", "PM", "PM")
    assert (spx.exercise_style, spxw.exercise_style, qqq.exercise_style) == ("E", "E", "A")


@pytest.mark.parametrize(
    ("symbol", "why"),
    [
        ("", "21 characters"),
        ("QQQ", "21 characters"),
        ("QQQ251219C00500000", "21 characters"),
        ("QQQ    251219C00500000", "21 characters"),
        ("   QQQ251219C00500000", "21 characters"),
        ("Q QQ  251219C00500000", "21 characters"),
        ("qqq   251219C00500000", "21 characters"),
        ("QQQ   251219X00500000", "21 characters"),
        ("QQQ   25121\uff19C00500000", "21 characters"),
        ("QQQ   251219C0050000\n", "21 characters"),
        ("QQQ   251319C00500000", "expiration"),
        ("QQQ   250229C00500000", "expiration"),
        ("QQQ   251219C00000000", "strike"),
    ],
)
def test_bad_symbols_say_why(symbol: str, why: str) -> None:
    with pytest.raises(BadSymbol, match=why):
        OptionContract.from_occ(symbol)
    assert parse_occ(pl.Series([symbol])).row(0) == (None,) * 5


@pytest.mark.parametrize("ticker", ["QQQ251219C00500000", "O:QQQ   251219C00500000", "O:", "O:QQQ"])
def test_bad_polygon_tickers(ticker: str) -> None:
    with pytest.raises(BadSymbol, match=r"option (ticker|symbol)"):
        OptionContract.from_polygon(ticker)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("root", "qqq"),
        ("root", "QQQQQQQ"),
        ("root", "1QQQ"),
        ("expiration", date(1999, 12, 31)),
        ("strike", Decimal("0.0005")),
        ("strike", Decimal(100_000)),
        ("strike", Decimal("NaN")),
        ("strike", 0),
        ("right", "call"),
        ("underlying", ""),
        ("colour", "blue"),
    ],
)
def test_bad_fields_are_named(field: str, value: object) -> None:
    good = {"root": "QQQ", "expiration": date(2025, 12, 19), "strike": "500", "right": "C"}
    assert OptionContract.model_validate(good)
    with pytest.raises(ValidationError, match=field):
        OptionContract.model_validate(good | {field: value})


def test_a_contract_is_frozen_and_normal() -> None:
    contract = OptionContract.from_occ("QQQ   251219C00500000")
    with pytest.raises(ValidationError, match="frozen"):
        contract.root = "SPY"  # type: ignore[misc]
    assert contract == contract.model_copy(update={"strike": Decimal("500.000")})
    assert contract.model_dump_json() == (
        '{"root":"QQQ","expiration":"2025-12-19","strike":"500.000","right":"C","underlying":"QQQ"}'
    )


@pytest.mark.parametrize(
    ("underlying", "schwab", "polygon", "roots"),
    [
        ("SPX", "$SPX", "I:SPX", ("SPX", "SPXW")),
        ("QQQ", "QQQ", "QQQ", ("QQQ",)),
        ("BRK.B", "BRK/B", "BRK.B", ("BRKB",)),
        ("VIX", "$VIX", "I:VIX", ("VIX", "VIXW")),
    ],
)
def test_tickers(underlying: str, schwab: str, polygon: str, roots: tuple[str, ...]) -> None:
    assert schwab_ticker(underlying) == schwab
    assert underlying_of_schwab_ticker(schwab) == underlying
    assert polygon_ticker_of_underlying(underlying) == polygon
    assert underlying_of_polygon_ticker(polygon) == underlying
    assert roots_of_underlying(underlying) == roots
    assert {underlying_of_root(root) for root in roots} == {underlying}


def random_contracts(rows: int, seed: int) -> pl.DataFrame:
    """Draw contracts; the truth that both forms are compared with."""
    random = np.random.default_rng(seed)
    letters = np.array([chr(65 + n) for n in range(26)])
    names = ["".join(letters[random.integers(0, 26, size)]) for size in random.integers(1, 7, 500)]
    adjusted = [f"{name[:5]}{digit}" for digit, name in enumerate(names[:9], start=1)]
    roots = np.array([*names, *adjusted, "SPX", "SPXW", "NDXP", "BRKB", "QQQ", "AAPL1"])
    days = random.integers(10_957, 47_482, rows).astype("datetime64[D]")  # 2000-01-01 to 2099
    return pl.DataFrame(
        {
            "root": roots[random.integers(0, len(roots), rows)],
            "expiration": days,
            "strike": random.integers(1, 100_000_000, rows) / 1000,
            "right": np.array(["C", "P"])[random.integers(0, 2, rows)],
        }
    )


@pytest.mark.timeout(1800)
def test_millions_of_random_contracts_equal_the_scalar_form() -> None:
    for seed in range(ROWS // CHUNK):
        truth = random_contracts(CHUNK, seed)
        symbols = format_occ(*(truth[name] for name in truth.columns))
        parsed = parse_occ(symbols)
        assert_frame_equal(parsed.select(truth.columns), truth, check_exact=True)
        assert polygon_to_occ(occ_to_polygon(symbols)).equals(symbols)
        scalar = [OptionContract.from_occ(symbol) for symbol in symbols]
        assert [contract.occ_symbol for contract in scalar] == symbols.to_list()
        assert [contract.underlying for contract in scalar] == parsed["underlying"].to_list()
        assert [contract.expiration for contract in scalar] == parsed["expiration"].to_list()
        assert [float(contract.strike) for contract in scalar] == parsed["strike"].to_list()
        tickers = occ_to_polygon(symbols)
        assert [contract.polygon_ticker for contract in scalar] == tickers.to_list()


def test_columns_keep_up_with_a_download() -> None:
    truth = random_contracts(CHUNK, seed=0)
    symbols = format_occ(*(truth[name] for name in truth.columns))
    started = datetime.now(UTC)
    parse_occ(symbols)
    assert datetime.now(UTC) - started < timedelta(seconds=2)  # measured: 0.05 s


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.text(max_size=24),
            contracts.map(lambda contract: contract.occ_symbol),
            st.from_regex("[A-Z]{1,6}[ 0-9]{0,6}[0-9]{6}[CPX][0-9]{8}", fullmatch=True),
            st.from_regex("[A-Z]{3} {3}2[0-9][0-3][0-9][0-3][0-9][CP]0{3}[0-9]{5}", fullmatch=True),
        ),
        max_size=30,
    )
)
def test_bad_rows_are_null_exactly_where_the_scalar_form_refuses(symbols: list[str | None]) -> None:
    def one(symbol: str | None) -> tuple[object, ...]:
        try:
            contract = OptionContract.from_occ(symbol or "")
        except BadSymbol:
            return (None,) * 5
        strike = float(contract.strike)
        return contract.root, contract.underlying, contract.expiration, strike, contract.right

    found = parse_occ(pl.Series(symbols, dtype=pl.String))
    expected = pl.DataFrame([one(symbol) for symbol in symbols], found.schema, orient="row")
    assert_frame_equal(found, expected, check_exact=True)


def test_what_no_symbol_can_say_is_null() -> None:
    day = date(2025, 12, 19)
    rows = [
        ("QQQ", day, 500.0, "C"),
        ("qqq", day, 500.0, "C"),
        ("TOOLONG", day, 500.0, "C"),
        ("QQQ", date(1999, 12, 31), 500.0, "C"),
        ("QQQ", day, 0.0, "C"),
        ("QQQ", day, 0.0004, "C"),
        ("QQQ", day, 100_000.0, "C"),
        ("QQQ", day, float("nan"), "C"),
        ("QQQ", day, float("inf"), "C"),
        ("QQQ", day, -5.0, "C"),
        ("QQQ", day, 500.0, "X"),
        (None, day, 500.0, "C"),
        ("QQQ", None, 500.0, "C"),
        ("QQQ", day, None, "C"),
        ("QQQ", day, 500.0, None),
    ]
    names = ["root", "expiration", "strike", "right"]
    frame = pl.DataFrame(rows, schema=names, orient="row")
    symbols = format_occ(*(frame[name] for name in names))
    assert symbols.to_list() == ["QQQ   251219C00500000", *[None] * 14]
    assert symbols.name == "occ_symbol"


def test_decimal_strikes_format_too() -> None:
    strike = pl.Series([Decimal("592.505")], dtype=pl.Decimal(18, 6))
    found = format_occ(
        pl.Series(["GOOG"]), pl.Series([date(2014, 6, 21)]), strike, pl.Series(["P"])
    )
    assert found.to_list() == ["GOOG  140621P00592505"]


def test_an_empty_column() -> None:
    found = parse_occ(pl.Series([], dtype=pl.String))
    assert found.columns == ["root", "underlying", "expiration", "strike", "right"]
    assert found.is_empty()


def test_polygon_tickers_that_are_none_become_null() -> None:
    found = polygon_to_occ(pl.Series(["QQQ251219C00500000", "O:X", None, "O:F251219C00012500"]))
    assert found.to_list() == [None, None, None, "F     251219C00012500"]


def test_a_quote() -> None:
    contract = OptionContract.from_occ("QQQ   251219C00500000")
    now = datetime(2025, 12, 1, 15, 30, tzinfo=UTC)
    quote = OptionQuote(contract=contract, ts=now, bid=1.0, ask=1.1)
    assert quote.mid == pytest.approx(1.05)
    assert quote.spread == pytest.approx(0.1)
    assert not quote.crossed
    assert OptionQuote.model_validate_json(quote.model_dump_json()) == quote
    assert OptionQuote(contract=contract, ts=now, ask=0.05).mid is None
    assert OptionQuote(contract=contract, ts=now, bid=1.2, ask=1.1).crossed
    assert OptionQuote(contract=contract, ts=now, bid=1.1, ask=1.1).locked
    greeks = Greeks(delta=0.5, gamma=0.1, theta_per_day=-0.1, vega_per_point=0.2, rho_per_point=0.1)
    with_greeks = quote.model_copy(update={"greeks": greeks})
    assert OptionQuote.model_validate_json(with_greeks.model_dump_json()) == with_greeks


@pytest.mark.parametrize(
    ("field", "value"),
    [("bid", -1), ("bid", float("nan")), ("volume", -1), ("ts", "2025-12-01T10:00:00")],
)
def test_bad_quotes_are_refused(field: str, value: object) -> None:
    contract = OptionContract.from_occ("QQQ   251219C00500000")
    given = {"contract": contract, "ts": "2025-12-01T15:00:00Z", field: value}
    with pytest.raises(ValidationError, match=field):
        OptionQuote.model_validate(given)
