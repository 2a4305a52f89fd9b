"""Chains: against a slow reference that reads the JSON contract by contract."""

import gzip
import importlib.util
import json
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from models.errors import BadReply
from models.options import OptionContract
from schwab_integration.parse_chain import parse_chain

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "chain_decoding.py"


@pytest.fixture(scope="module")
def benchmark_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("chain_decoding_benchmark", BENCHMARK)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def captured(data: Path) -> bytes:
    path = data / "schwab_captured" / "option_chain_spx_2025-05-09.json.gz"
    return gzip.decompress(path.read_bytes())


def slow(body: bytes) -> list[dict[str, Any]]:
    """Read a chain the plain way."""
    return [
        slow_contract(contract, key, right)
        for name, right in (("callExpDateMap", "C"), ("putExpDateMap", "P"))
        for key, by_strike in json.loads(body)[name].items()
        for listed in by_strike.values()
        for contract in listed
    ]


def slow_contract(contract: dict[str, Any], key: str, right: str) -> dict[str, Any]:
    def number(name: str) -> float | None:
        value = contract.get(name)
        if value in {None, "NaN", -999}:
            return None
        return float(value)

    def positive(name: str) -> float | None:
        value = number(name)
        return value if value is not None and value > 0 else None

    def whole(name: str) -> int | None:
        value = number(name)
        return None if value is None else int(value)

    def moment(name: str) -> datetime | None:
        ms = positive(name)
        return None if ms is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)

    def stands(side: str) -> bool:
        return bool(positive(side) or positive(f"{side}Size"))

    volatility = positive("volatility")
    return {
        "occ_symbol": contract["symbol"],
        "root": contract["symbol"][:6].rstrip(),
        "expiration": date.fromisoformat(key.partition(":")[0]),
        "strike": number("strikePrice"),
        "right": right,
        "bid": number("bid") if stands("bid") else None,
        "bid_size": whole("bidSize") if stands("bid") else None,
        "ask": number("ask") if stands("ask") else None,
        "ask_size": whole("askSize") if stands("ask") else None,
        "last": positive("last"),
        "mark": number("mark"),
        "volume": whole("totalVolume"),
        "open_interest": whole("openInterest"),
        "quote_at": moment("quoteTimeInLong"),
        "trade_at": moment("tradeTimeInLong"),
        "source_implied_volatility": None if volatility is None else volatility / 100,
        "source_delta": number("delta"),
        "multiplier": number("multiplier"),
        "exercise_style": contract.get("exerciseType") or None,
        "settlement": {"A": "AM", "P": "PM"}.get(contract.get("settlementType", "")),
        "expiration_type": contract.get("expirationType") or None,
    }


def assert_same(frame: pl.DataFrame, body: bytes) -> None:
    expected = pl.DataFrame(slow(body), schema=frame.schema, orient="row")
    assert expected.height
    # Polars divides by 100 with a reciprocal: the last bit may differ.
    assert_frame_equal(frame, expected.select(frame.columns), rel_tol=1e-15, abs_tol=0)


def test_the_captured_spx_chain(captured: bytes) -> None:
    chain = parse_chain(captured)
    assert (chain.symbol, chain.status, chain.underlying_price) == ("$SPX", "SUCCESS", 5659.91)
    assert chain.risk_free_rate == pytest.approx(math.log(1.0425))
    assert chain.dividend_yield is None  # Schwab writes -1
    assert chain.contracts.height == 162
    assert not chain.is_truncated
    assert not chain.unknown_fields
    assert_same(chain.contracts, captured)
    first = chain.contracts.row(0, named=True)
    assert first["occ_symbol"] == "SPXW  250520C05660000"
    assert (first["bid"], first["ask"], first["strike"]) == (76.0, 77.4, 5660.0)
    assert first["source_implied_volatility"] == pytest.approx(0.18658)
    assert first["quote_at"] == datetime(2025, 5, 9, 20, 59, 57, 889000, tzinfo=UTC)
    assert (first["settlement"], first["exercise_style"], first["root"]) == ("PM", "E", "SPXW")


def test_symbols_say_the_same_as_the_fields(captured: bytes) -> None:
    for row in parse_chain(captured).contracts.iter_rows(named=True):
        contract = OptionContract.from_occ(row["occ_symbol"])
        assert (contract.expiration, float(contract.strike), contract.right, contract.root) == (
            row["expiration"],
            row["strike"],
            row["right"],
            row["root"],
        )


def test_the_documented_aapl_chain(data: Path) -> None:
    body = (data / "schwab" / "option_chains.json").read_bytes()
    chain = parse_chain(body)
    assert_without_puts(chain.contracts, body)
    deep = chain.contracts.row(1, named=True)
    assert deep["last"] is None  # 0.0: never traded
    assert deep["trade_at"] is None
    assert deep["source_implied_volatility"] == pytest.approx(63.05749)


def assert_without_puts(frame: pl.DataFrame, body: bytes) -> None:
    reply = json.loads(body)
    assert_same(frame, json.dumps({"putExpDateMap": {}, **reply}).encode())


def test_the_ameritrade_chain_under_occ_symbols(data: Path) -> None:
    """The older service had the same shape; its symbols and expirations were spelled otherwise."""
    path = data / "chains" / "spy_tdameritrade_chain_2020-01-29.json.gz"
    reply = json.loads(gzip.decompress(path.read_bytes()))
    for name in ("callExpDateMap", "putExpDateMap"):
        for by_strike in reply[name].values():
            for contract in (c for listed in by_strike.values() for c in listed):
                root, rest = contract["symbol"].split("_")
                strike = round(float(rest[7:]) * 1000)
                day = f"{rest[4:6]}{rest[:4]}"
                contract["symbol"] = f"{root:6}{day}{rest[6]}{strike:08d}"
    body = json.dumps(reply).encode()
    chain = parse_chain(body)
    assert chain.contracts.height == 462
    assert_same(chain.contracts, body)
    missing = chain.contracts["source_implied_volatility"].null_count()
    assert 0 < missing < 462  # text NaN in the file
    assert chain.contracts["settlement"].null_count() == 462  # written as a blank
    assert not chain.unknown_fields


def test_the_large_chain_equals_both_peers(benchmark_module: ModuleType) -> None:
    body = benchmark_module.large_chain(400)
    ours = parse_chain(body).contracts
    assert ours.height == 400
    assert_same(ours, body)
    assert ours["bid"].null_count() > 10
    assert_frame_equal(ours, benchmark_module.with_orjson(body), check_exact=True)
    pandas = benchmark_module.with_pandas(body)
    for name in ours.columns:
        for mine, theirs in zip(ours[name].to_list(), pandas[name].tolist(), strict=True):
            absent = theirs is None or theirs != theirs  # noqa: PLR0124 - NaN, NaT
            assert (mine is None) == absent, name
            if mine is not None:
                assert mine == (approx(theirs) if isinstance(theirs, float) else theirs), name


def approx(value: float) -> Any:
    return pytest.approx(value, rel=1e-15)


def test_the_names_of_the_specification(captured: bytes) -> None:
    """bidPrice for bid, and a contract where the wire has a list of contracts."""
    reply = json.loads(captured)
    names = {"bid": "bidPrice", "ask": "askPrice", "last": "lastPrice", "mark": "markPrice"}
    for name in ("callExpDateMap", "putExpDateMap"):
        for by_strike in reply[name].values():
            for strike, (contract,) in by_strike.items():
                by_strike[strike] = {names.get(k, k): v for k, v in contract.items()}
    spec = parse_chain(json.dumps(reply).encode())
    assert_frame_equal(spec.contracts, parse_chain(captured).contracts)
    assert not spec.unknown_fields


def one(change: Callable[[dict[str, Any]], Any], captured: bytes) -> bytes:
    """Return a chain of the first contract, changed."""
    reply = json.loads(captured)
    (day, by_strike), *_ = reply["callExpDateMap"].items()
    (strike, (contract,)), *_ = by_strike.items()
    change(contract)
    reply["callExpDateMap"], reply["putExpDateMap"] = {day: {strike: [contract]}}, {}
    return json.dumps(reply).encode()


@pytest.mark.parametrize("nothing", [-999.0, "NaN", None])
def test_a_figure_that_schwab_cannot_compute_is_null(captured: bytes, nothing: Any) -> None:
    body = one(lambda c: c.update(volatility=nothing, delta=nothing, mark=nothing), captured)
    row = parse_chain(body).contracts.row(0, named=True)
    assert (row["source_implied_volatility"], row["source_delta"], row["mark"]) == (None,) * 3


def test_a_side_of_zero_times_zero_is_null(captured: bytes) -> None:
    body = one(lambda c: c.update(bid=0, bidSize=0, ask=0.0, askSize=5), captured)
    row = parse_chain(body).contracts.row(0, named=True)
    assert (row["bid"], row["bid_size"], row["ask"], row["ask_size"]) == (None, None, 0.0, 5)


def test_unknown_fields_are_named_and_not_fatal(captured: bytes) -> None:
    body = one(lambda c: c.update(novelty=1, shine={"a": [1]}), captured)
    assert parse_chain(body).unknown_fields == {"novelty", "shine"}


def test_two_contracts_at_one_strike(captured: bytes) -> None:
    """An index has an AM and a PM root on the third Friday."""
    reply = json.loads(one(dict, captured))
    (by_strike,) = reply["callExpDateMap"].values()
    (listed,) = by_strike.values()
    listed.append(
        listed[0] | {"symbol": "SPX   250520C05660000", "settlementType": "A", "optionRoot": "SPX"}
    )
    frame = parse_chain(json.dumps(reply).encode()).contracts
    assert frame["root"].to_list() == ["SPXW", "SPX"]
    assert frame["settlement"].to_list() == ["PM", "AM"]


def test_an_empty_chain(captured: bytes) -> None:
    full = parse_chain(captured).contracts
    for body in (
        b'{"symbol":"X","status":"FAILED","callExpDateMap":{},"putExpDateMap":{}}',
        b'{"symbol":"X"}',
        b'{"symbol":"X","callExpDateMap":{"2025-01-17:3":{}}}',
    ):
        chain = parse_chain(body)
        assert chain.contracts.is_empty()
        assert chain.contracts.schema == full.schema
        assert (chain.underlying_price, chain.risk_free_rate) == (None, None)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda c: c.update(symbol="SPY_012920C280"), "symbol"),
        (lambda c: c.pop("strikePrice"), "symbol"),
        (lambda c: c.pop("symbol"), "[...][0]"),
        (lambda c: c.update(bid={"a": 1}), "bid"),
    ],
)
def test_a_contract_that_cannot_be_used_is_a_bad_reply(
    captured: bytes, change: Any, field: str
) -> None:
    with pytest.raises(BadReply) as caught:
        parse_chain(one(change, captured))
    assert field in caught.value.field


def test_a_bad_expiration_key_is_a_bad_reply() -> None:
    with pytest.raises(BadReply, match="soon"):
        parse_chain(b'{"symbol":"X","callExpDateMap":{"soon:1":{}}}')


@pytest.mark.parametrize(
    ("percent", "rate"), [(0, 0.0), (4.738, math.log(1.04738)), (-999.0, None), ("NaN", None)]
)
def test_the_rate_is_made_continuous(captured: bytes, percent: Any, rate: float | None) -> None:
    reply = json.loads(captured) | {"interestRate": percent, "dividendYield": 1.25}
    chain = parse_chain(json.dumps(reply).encode())
    assert chain.risk_free_rate == (None if rate is None else pytest.approx(rate))
    assert chain.dividend_yield == 0.0125
