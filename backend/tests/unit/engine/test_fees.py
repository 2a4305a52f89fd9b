"""Fees against what Schwab charged, and against arithmetic by hand across dates."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine import fees
from engine.fees import FeeParts, FeeSchedule, FillTerms, NoFees, product_of
from models.order_terms import Side
from utils.paths import backend_folder

CAPTURED = Path(__file__).parents[2] / "data" / "schwab_captured"
JANUARY = date(2025, 1, 16)


def trades() -> list[Any]:
    path = CAPTURED / "transactions_trades.json"
    return list(json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal))


def terms_of(item: dict[str, Any]) -> FillTerms:
    symbol = item["instrument"]["symbol"]
    return FillTerms(
        product_of(symbol),
        symbol[:6].rstrip(),
        Side.BUY if item["amount"] > 0 else Side.SELL,
        Decimal(abs(item["amount"])),
        Decimal(item["price"]),
        Decimal(item["instrument"]["optionPremiumMultiplier"]),
    )


@pytest.mark.parametrize("trade", trades(), ids=lambda trade: str(trade["activityId"]))
def test_each_captured_trade_costs_what_schwab_charged(trade: dict[str, Any]) -> None:
    *charged, security = trade["transferItems"]
    terms = terms_of(security)
    day = datetime.strptime(trade["tradeDate"], "%Y-%m-%dT%H:%M:%S%z").date()
    ours = FeeSchedule().fees(terms, day)
    named = {
        "COMMISSION": ours.commission,
        "SEC_FEE": ours.sec,
        "OPT_REG_FEE": ours.orf,
        "TAF_FEE": ours.taf,
        "FUTURES_EXCHANGE_FEE": ours.index,
    }
    for item in charged:
        if "feeType" in item:
            assert named[item["feeType"]] == Decimal(-item["cost"])
    assert ours.total == sum(Decimal(-item["cost"]) for item in charged)
    assert Decimal(security["cost"]) - ours.total == Decimal(trade["netAmount"])


def test_all_twelve_captured_trades_are_there() -> None:
    assert len(trades()) == 12


@pytest.mark.parametrize("name", ["preview_order_accepted.json", "preview_order_rejected.json"])
def test_a_preview_of_index_options_costs_what_schwab_told(name: str) -> None:
    preview = json.loads((CAPTURED / name).read_text(encoding="utf-8"), parse_float=Decimal)
    told = preview["commissionAndFee"]
    for leg, commission, fee in zip(
        preview["orderStrategy"]["orderLegs"],
        told["commission"]["commissionLegs"],
        told["fee"]["feeLegs"],
        strict=True,
    ):
        side = Side.BUY if leg["instruction"].startswith("BUY") else Side.SELL
        terms = FillTerms(
            "index_option",
            leg["instrument"]["symbol"][:6].rstrip(),
            side,
            Decimal(1),
            Decimal(leg["bidPrice"]),
            Decimal(100),
        )
        ours = FeeSchedule().fees(terms, date(2025, 12, 11))
        values = {value["type"]: value["value"] for value in fee["feeValues"]}
        assert ours.commission == sum(value["value"] for value in commission["commissionValues"])
        assert (ours.orf, ours.index) == (values["OPT_REG_FEE"], values["INDEX_OPTION_FEE"])
        assert ours.sec == 0


def option(side: Side, quantity: int, price: str) -> FillTerms:
    return FillTerms("option", "QQQ", side, Decimal(quantity), Decimal(price), Decimal(100))


def shares(side: Side, quantity: int, price: str) -> FillTerms:
    return FillTerms("equity", "QQQ", side, Decimal(quantity), Decimal(price), Decimal(1))


@pytest.mark.parametrize(
    ("terms", "on", "expected"),
    [
        # 10 x 0.65; 10 x 100 x 5.00 = 5,000 x 27.8e-6 = 0.139; 0.10; 10 x 0.00279 = 0.0279
        (option(Side.SELL, 10, "5.00"), JANUARY, ("6.50", "0.14", "0.10", "0.03")),
        (option(Side.BUY, 10, "5.00"), JANUARY, ("6.50", "0", "0.10", "0")),
        (option(Side.SELL, 10, "5.00"), date(2025, 5, 13), ("6.50", "0.14", "0.10", "0.03")),
        (option(Side.SELL, 10, "5.00"), date(2025, 5, 14), ("6.50", "0", "0.10", "0.03")),
        (option(Side.SELL, 10, "5.00"), date(2026, 4, 3), ("6.50", "0", "0.10", "0.03")),
        # 5,000 x 20.6e-6 = 0.103; 10 x 0.00329 = 0.0329
        (option(Side.SELL, 10, "5.00"), date(2026, 4, 4), ("6.50", "0.10", "0.10", "0.03")),
        (option(Side.SELL, 100, "5.00"), date(2025, 12, 31), ("65", "0", "1", "0.28")),
        (option(Side.SELL, 100, "5.00"), date(2026, 1, 1), ("65", "0", "1", "0.33")),
        # 100 x 500 = 50,000 x 27.8e-6 = 1.39; 100 x 0.000166 = 0.0166
        (shares(Side.SELL, 100, "500"), JANUARY, ("0", "1.39", "0", "0.02")),
        (shares(Side.BUY, 100, "500"), JANUARY, ("0", "0", "0", "0")),
        (shares(Side.SELL, 60_000, "1"), JANUARY, ("0", "1.67", "0", "8.30")),  # 9.96 capped
        (shares(Side.SELL, 60_000, "1"), date(2026, 1, 2), ("0", "0", "0", "9.79")),
    ],
)
def test_worked_examples(terms: FillTerms, on: date, expected: tuple[str, ...]) -> None:
    assert FeeSchedule().fees(terms, on) == FeeParts(*(Decimal(part) for part in expected))


def test_every_row_tells_its_source_and_rows_stand_in_order() -> None:
    tables = [
        value
        for value in vars(fees).values()
        if isinstance(value, tuple) and value and isinstance(value[0], fees.Rate)
    ]
    assert tables == list(fees.TABLES.values())
    for rows in tables:
        assert all(row.source and row.sure in fees.Sure for row in rows)
        assert [row.since for row in rows] == sorted(row.since for row in rows)
    assert all(row.source and row.sure in fees.Sure for row in fees.INDEX_FEES)


def test_options_on_indices_owe_neither_section_31_nor_the_activity_fee() -> None:
    terms = FillTerms("index_option", "NDXP", Side.SELL, Decimal(100), Decimal(90), Decimal(100))
    got = FeeSchedule().fees(terms, JANUARY)
    assert got == FeeParts(commission=Decimal(65), orf=Decimal(1), index=Decimal(45))


@pytest.mark.parametrize("count", range(1, 181))
def test_fees_over_dates_and_sizes_equal_fractions_rounded_by_hand(count: int) -> None:
    """180 more examples, in whole hundred-thousandths of a cent, without Decimal's rounding."""
    day, sec, taf = [
        (date(2024, 6, 3), 2780, 279_000),
        (date(2025, 7, 1), 0, 279_000),
        (date(2026, 8, 3), 2060, 329_000),
    ][count % 3]
    cents = 7 * count
    got = FeeSchedule().fees(option(Side.SELL, count, f"{cents / 100:.2f}"), day)

    def rounded(amount: int, unit: int) -> Decimal:
        return Decimal((2 * amount + unit) // (2 * unit)) / 100

    assert got.commission == Decimal(65 * count) / 100
    assert got.sec == rounded(count * cents * sec, 1_000_000)  # cents x 100 x rate / 1e8
    assert got.taf == rounded(count * taf, 1_000_000)
    assert got.orf == Decimal(count) / 100


def test_nothing_is_charged_without_fees() -> None:
    assert NoFees().fees(option(Side.SELL, 10, "5.00"), JANUARY).total == 0


@pytest.mark.parametrize(
    ("symbol", "product"),
    [
        ("QQQ", "equity"),
        ("QQQ   251219C00500000", "option"),
        ("SPXW  251212P06790000", "index_option"),
        ("/ESH25_P5050:XCME", "future_option"),
    ],
)
def test_the_product_follows_from_the_symbol(symbol: str, product: str) -> None:
    assert product_of(symbol) == product


def test_the_page_shows_each_row_of_the_table() -> None:
    page = (backend_folder().parent / "docs" / "books.md").read_text(encoding="utf-8")
    for name, rows in fees.TABLES.items():
        for row in rows:
            cells = f"| {row.amount}{f', at most {row.cap}' if row.cap else ''}"
            found = [line for line in page.splitlines() if line.startswith(f"| {name} |")]
            assert any(cells in line and f"| {row.sure} | {row.source} |" in line for line in found)
    for index in fees.INDEX_FEES:
        assert f"| {index.amount} | {index.sure} | {index.source} |" in page
