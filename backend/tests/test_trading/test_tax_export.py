"""Wash sales, holding periods and section 1256 on worked examples, and the file that a user gets."""

from __future__ import annotations

import csv
import json
import random
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from app.trading_books import open_books
from models.decisions import Ended, Heard
from models.events import Fill, OrderUpdate, Settlement
from models.order_terms import Mode, OrderStatus, Side
from pipeline.tax_rows import tax_rows, totals
from scripts import export_trades
from utils.clock import to_ns
from utils.market_calendar import NEW_YORK
from utils.portfolio_tracker import PortfolioTracker
from utils.wash_sales import WashRule, new_york_day, tax_lots

if TYPE_CHECKING:
    from pathlib import Path

CALL = "QQQ   261218C00600000"
OTHER_CALL = "QQQ   270115C00650000"
PUT = "QQQ   261218P00600000"
SPX = "SPXW  261218C06000000"


def at(day: str, hour: int = 12) -> int:
    moment = datetime.fromisoformat(day).replace(hour=hour, tzinfo=NEW_YORK)
    return to_ns(moment)


class Account:
    """Trades by the day: `account.trade("2026-01-05", "QQQ", 100, "50")`."""

    def __init__(self) -> None:
        self.tracker = PortfolioTracker()
        self.count = 0

    def trade(self, day: str, symbol: str, signed: int, price: str, fees: str = "0") -> None:
        self.count += 1
        side = Side.BUY if signed > 0 else Side.SELL
        self.tracker.book(
            Fill(
                execution_id=f"e{self.count}", symbol=symbol, side=side,
                quantity=Decimal(abs(signed)), price=Decimal(price), time_ns=at(day),
                fees=Decimal(fees),
            )
        )  # fmt: skip

    def rows(
        self, rule: WashRule | None = WashRule.WIDE, year: int = 2026
    ) -> list[dict[str, object]]:
        return list(tax_rows(tax_lots(self.tracker, rule), "a", year).iter_rows(named=True))

    def disallowed(self, rule: WashRule | None = WashRule.WIDE) -> Decimal:
        return sum((each.disallowed for each in tax_lots(self.tracker, rule)), Decimal(0))


@pytest.mark.parametrize(
    ("days", "disallowed"),
    [
        (("2026-02-02", "2026-03-02", "2026-03-31"), 1000),  # 29 days after
        (("2026-02-02", "2026-03-02", "2026-04-01"), 1000),  # 30 days after
        (("2026-02-02", "2026-03-02", "2026-04-02"), 0),  # 31 days after
    ],
)
def test_the_thirty_days_after(days: tuple[str, str, str], disallowed: int) -> None:
    account = Account()
    account.trade(days[0], "QQQ", 100, "50")
    account.trade(days[1], "QQQ", -100, "40")
    account.trade(days[2], "QQQ", 100, "42")
    assert account.disallowed() == disallowed
    assert account.disallowed(None) == 0


@pytest.mark.parametrize(("bought", "disallowed"), [("2026-01-30", 0), ("2026-01-31", 1000)])
def test_the_thirty_days_before(bought: str, disallowed: int) -> None:
    account = Account()
    account.trade("2026-01-02", "QQQ", 100, "50")
    account.trade(bought, "QQQ", 100, "42")
    account.trade("2026-03-02", "QQQ", -100, "40")
    assert account.disallowed() == disallowed


def test_the_loss_goes_into_the_replacement_with_its_holding_period() -> None:
    """IRS publication 550's own pattern: a loss of 250 is added to the cost of what replaced it."""
    account = Account()
    account.trade("2025-01-06", "QQQ", 100, "10")
    account.trade("2025-12-15", "QQQ", -100, "7.50")
    account.trade("2025-12-22", "QQQ", 100, "8")
    account.trade("2026-06-15", "QQQ", -100, "12")
    (lost,) = account.rows(year=2025)
    assert (lost["wash_sale_disallowed"], lost["gain_or_loss"]) == (Decimal(250), Decimal(0))
    (sold,) = account.rows(year=2026)
    assert (sold["cost"], sold["wash_sale_added_to_cost"]) == (Decimal(1050), Decimal(250))
    assert sold["gain_or_loss"] == 150
    assert sold["term"] == "long"  # 175 days, and the 343 of the lot that was lost


def test_part_of_a_loss_is_washed_and_the_replacement_is_cut_in_two() -> None:
    account = Account()
    account.trade("2026-01-05", "QQQ", 100, "50")
    account.trade("2026-02-02", "QQQ", -60, "40")
    account.trade("2026-02-10", "QQQ", 30, "41")
    account.trade("2026-02-11", "QQQ", 50, "41")
    assert account.disallowed() == 600
    lots = [(each.lot.quantity, each.added) for each in tax_lots(account.tracker) if each.open]
    assert lots == [(40, 0), (30, 300), (30, 300), (20, 0)]


def test_what_remains_of_the_lot_that_was_sold_replaces_nothing() -> None:
    account = Account()
    account.trade("2026-02-02", "QQQ", 100, "50")
    account.trade("2026-02-10", "QQQ", -50, "40")
    assert account.disallowed() == 0


def test_what_was_sold_before_replaces_nothing() -> None:
    account = Account()
    account.trade("2026-01-05", "QQQ", 100, "50")
    account.trade("2026-02-02", "QQQ", 100, "50")
    account.trade("2026-02-10", "QQQ", -200, "40")
    assert account.disallowed() == 0


def test_a_washed_loss_may_be_washed_again() -> None:
    account = Account()
    for day, signed, price in (
        ("2026-01-05", 10, "50"), ("2026-01-12", -10, "40"), ("2026-01-20", 10, "41"),
        ("2026-01-27", -10, "35"), ("2026-02-03", 10, "36"), ("2026-06-01", -10, "36"),
    ):  # fmt: skip
        account.trade(day, "QQQ", signed, price)
    rows = account.rows()
    assert [row["wash_sale_disallowed"] for row in rows] == [100, 160, 0]
    assert [row["gain_or_loss"] for row in rows] == [0, 0, -160]
    assert sum(each.lot.gain for each in tax_lots(account.tracker)) == -160


@pytest.mark.parametrize(
    ("lost", "bought", "wide", "same"),
    [
        ("QQQ", CALL, 1000, 0),  # a contract to acquire the shares
        ("QQQ", PUT, 0, 0),
        ("QQQ", "SPY", 0, 0),
        (CALL, CALL, 1000, 1000),
        (CALL, OTHER_CALL, 1000, 0),
        (CALL, PUT, 0, 0),
        (CALL, "QQQ", 0, 0),
        (SPX, SPX, 0, 0),  # section 1256
    ],
)
def test_what_is_substantially_identical(lost: str, bought: str, wide: int, same: int) -> None:
    account = Account()
    units = 100 if lost == "QQQ" else 1
    account.trade("2026-01-05", lost, units, "50")
    account.trade("2026-02-02", lost, -units, "40")
    account.trade("2026-02-03", bought, 100 if bought in {"QQQ", "SPY"} else 1, "3")
    assert account.disallowed() == wide
    assert account.disallowed(WashRule.SAME) == same


def test_a_written_option_that_is_bought_back_and_written_again() -> None:
    account = Account()
    account.trade("2026-01-05", CALL, -1, "5")
    account.trade("2026-01-12", CALL, 1, "8")
    account.trade("2026-01-13", CALL, -1, "7")
    account.trade("2027-01-14", CALL, 1, "1")
    (lost,) = account.rows()
    assert (lost["position"], lost["wash_sale_disallowed"]) == ("short", 300)
    (later,) = account.rows(year=2027)
    assert (later["gain_or_loss"], later["term"]) == (Decimal(300), "short")


@pytest.mark.parametrize(
    ("bought", "sold", "term"),
    [
        ("2025-03-03", "2026-03-03", "short"),
        ("2025-03-03", "2026-03-04", "long"),
        ("2024-02-29", "2025-02-28", "short"),
        ("2024-02-29", "2025-03-03", "long"),
    ],
)
def test_a_year_and_a_day_is_long(bought: str, sold: str, term: str) -> None:
    account = Account()
    account.trade(bought, "QQQ", 1, "50")
    account.trade(sold, "QQQ", -1, "60")
    (row,) = account.rows(year=int(sold[:4]))
    assert row["term"] == term


def test_index_options_are_split_sixty_to_forty() -> None:
    account = Account()
    account.trade("2026-03-02", SPX, 1, "10.00", "1.22")
    account.trade("2026-03-03", SPX, -1, "13.33", "1.22")
    (row,) = account.rows()
    assert (row["term"], row["section_1256"], row["gain_or_loss"]) == (
        "60/40",
        True,
        Decimal("330.56"),
    )
    assert (row["long_term_60_pct"], row["short_term_40_pct"]) == (
        Decimal("198.34"),
        Decimal("132.22"),
    )


@pytest.mark.parametrize("seed", range(4))
def test_no_loss_is_lost_and_none_is_disallowed_beyond_its_replacement(seed: int) -> None:
    """Random lives: what is disallowed stands in the cost of lots, and all gains sum to the cash."""
    chance = random.Random(seed)
    account = Account()
    day = date(2026, 1, 5).toordinal()
    for _ in range(150):
        day += chance.randrange(5)
        symbol = chance.choice(["QQQ", CALL, OTHER_CALL])
        size = chance.randrange(1, 6) * (100 if symbol == "QQQ" else 1)
        price = f"{chance.randrange(100, 900) / 100:.2f}"
        account.trade(
            date.fromordinal(day).isoformat(), symbol, chance.choice([-size, size]), price, "0.66"
        )
    lots = tax_lots(account.tracker)
    added = sum(each.added for each in lots)
    assert added == sum(each.disallowed for each in lots) > 0
    plain = tax_lots(account.tracker, None)
    for total in ("gain", "quantity", "open_fees", "close_fees"):
        before = [getattr(each.lot, total) for each in plain if not each.open]
        after = [getattr(each.lot, total) for each in lots if not each.open]
        assert sum(before) == sum(after)
    assert sum(each.lot.gain for each in lots if not each.open) == account.tracker.realized_pnl
    assert all(0 <= each.disallowed <= max(-each.gain, 0) for each in lots if not each.open)


def test_the_command_writes_the_file_from_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPTIONS_HOME", str(tmp_path))
    with open_books("mine", Mode.PAPER) as books:
        for number, (day, symbol, signed, price) in enumerate(
            [
                ("2025-12-01", "QQQ", 100, "50"),
                ("2026-01-12", "QQQ", 100, "60"),
                ("2026-02-02", "QQQ", -100, "40"),
                ("2026-03-02", SPX, -2, "10"),
                ("2026-12-30", "SPXW  270115C06000000", 1, "10"),
            ],
            1,
        ):
            side = Side.BUY if signed > 0 else Side.SELL
            fill = Fill(
                execution_id=f"x{number}", symbol=symbol, side=side, price=Decimal(price),
                quantity=Decimal(abs(signed)), time_ns=at(day), fees=Decimal("0.66"),
            )  # fmt: skip
            update = OrderUpdate(
                order_id=str(number), client_order_id=f"c{number}", status=OrderStatus.FILLED,
                time_ns=at(day), fills=(fill,),
            )  # fmt: skip
            books.record(Heard(event=number, at_ns=at(day), update=update))
        ended = Settlement(
            settlement_id="s1", symbol=SPX, quantity=Decimal(-2), outcome="cash",
            time_ns=at("2026-12-18", 16), cash=Decimal(350),
        )  # fmt: skip
        books.record(Ended(event=9, at_ns=at("2026-12-18", 16), settlement=ended))
        lots, out = tmp_path / "lots.json", tmp_path / "trades.csv"
        lots.write_text(json.dumps({"x3": ["x2"]}))
        arguments = ["--account", "mine", "--year", "2026", "--out", str(out), "--lots", str(lots)]
        # The journal is read while its program has it open.
        assert export_trades.command(export_trades.parser().parse_args(arguments)) == 0
    said = capsys.readouterr()
    assert "2 closings of mine in 2026; short-term -2,001.32" in said.out
    assert "section 1256 +1,299.34 USD; wash sales disallow 0.00" in said.out
    assert "SPXW  270115C06000000" in said.err
    shares, index = list(csv.DictReader(out.read_text().splitlines()))
    assert (shares["opened_by"], shares["date_opened"], shares["cost"]) == (
        "x2",
        "2026-01-12",
        "6000.66",
    )
    assert (shares["proceeds"], shares["gain_or_loss"]) == ("3999.34", "-2001.32")
    assert (index["position"], index["quantity"], index["closed_by"]) == ("short", "2", "s1")
    assert (index["long_term_60_pct"], index["short_term_40_pct"]) == ("779.60", "519.74")


def test_wrong_input_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.cli import run  # noqa: PLC0415 - the outermost edge, for this test alone

    monkeypatch.setenv("OPTIONS_HOME", str(tmp_path))
    asked = ["--account", "none", "--year", "2026", "--out", str(tmp_path / "x.csv")]
    assert run(export_trades.parser(), export_trades.command, asked) == 2
    asked[-1] = str(tmp_path / "x.txt")
    assert run(export_trades.parser(), export_trades.command, asked) == 2
    with pytest.raises(SystemExit) as ended:
        export_trades.parser().parse_args(["--account", "a", "--year", "26", "--out", "x.csv"])
    assert ended.value.code == 2


def test_sums_and_days() -> None:
    account = Account()
    account.trade("2026-01-05", "QQQ", 1, "50")
    account.trade("2026-01-06", "QQQ", -1, "60")
    sums = totals(tax_rows(tax_lots(account.tracker), "a", 2026))
    assert (sums.rows, sums.short_term, sums.long_term) == (1, 10, 0)
    assert new_york_day(at("2026-12-31", 23)) == date(2026, 12, 31)
