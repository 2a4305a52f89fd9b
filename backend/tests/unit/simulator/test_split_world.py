"""A split in the generated world: as it was traded, and as services adjust it."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from models.errors import ConfigError
from models.option_columns import parse_occ
from simulator.generated import GeneratedWorld
from simulator.split_world import SplitWorld, adjusted, factor, parse_split

DAY = date(2026, 11, 18)
START, END = (datetime(2026, 11, day, 21, tzinfo=UTC) for day in (16, 20))
BEFORE, AFTER = (datetime(2026, 11, day, 16, tzinfo=UTC) for day in (17, 18))
PRICES = ["open", "high", "low", "close"]


@pytest.fixture(scope="module")
def worlds() -> tuple[GeneratedWorld, SplitWorld]:
    smooth = GeneratedWorld(7)
    return smooth, SplitWorld(smooth, [parse_split(f"KO:{DAY}:4:1")])


@pytest.mark.parametrize("interval", ["1m", "1d"])
def test_bars_are_as_traded_and_adjusted_they_are_smooth(
    worlds: tuple[GeneratedWorld, SplitWorld], interval: str
) -> None:
    smooth, split = worlds
    whole, traded = (each.bars("KO", START, END, interval) for each in worlds)
    old = pl.col("ts") < datetime(2026, 11, 18, 6, tzinfo=UTC)
    assert_frame_equal(
        traded.filter(old).select(PRICES), whole.filter(old).select(pl.col(PRICES) * 4)
    )
    assert_frame_equal(traded.filter(~old), whole.filter(~old))
    instrument = split.instrument("KO")
    assert instrument is not None
    back = adjusted(traded, instrument.splits, AFTER)
    assert_frame_equal(back.select(PRICES), whole.select(PRICES))
    assert (back["volume"] - whole["volume"]).abs().max() <= 2  # shares are whole
    assert_frame_equal(adjusted(traded, instrument.splits, BEFORE), traded)
    assert_frame_equal(split.bars("QQQ", START, END, "1d"), smooth.bars("QQQ", START, END, "1d"))


def test_options_have_the_strikes_of_their_day(worlds: tuple[GeneratedWorld, SplitWorld]) -> None:
    smooth, split = worlds
    last = date(2026, 12, 18)
    for now, ratio in ((BEFORE, 4.0), (AFTER, 1.0)):
        whole, chain = (each.chain("KO", now, now.date(), last) for each in worlds)
        for name in ("strike", "bid", "ask"):
            assert (chain[name] - whole[name] * ratio).abs().max() < 1e-9, name
        assert chain["delta"].equals(whole["delta"])
        parts = parse_occ(chain["occ_symbol"])
        assert parts["strike"].equals(chain["strike"])
        quotes = [each.quote("KO", now) for each in worlds]
        assert quotes[0] is not None
        assert quotes[1] is not None
        assert quotes[1].last == pytest.approx(quotes[0].last * ratio)
    tape, plain = split.tape("KO", BEFORE.date()), smooth.tape("KO", BEFORE.date())
    assert tape is not None
    assert plain is not None
    some = tape.symbols.to_list()[::9]
    of_those = plain.symbols.to_list()[::9]
    for rows, beneath in (
        (tape.quotes(some), plain.quotes(of_those)),
        (tape.minutes(some), plain.minutes(of_those)),
        (tape.trades(some), plain.trades(of_those)),
        (tape.quotes_at(some, BEFORE), plain.quotes_at(of_those, BEFORE)),
    ):
        assert rows.height == beneath.height
        assert set(rows["occ_symbol"]) <= set(some)
        price = next(name for name in ("ask", "close", "price") if name in rows.columns)
        assert (rows[price] - 4 * beneath[price]).abs().max() < 1e-9
    assert split.tape("KO", AFTER.date()).symbols.equals(smooth.tape("KO", AFTER.date()).symbols)


def test_dividends_before_a_split_are_those_that_were_paid(
    worlds: tuple[GeneratedWorld, SplitWorld],
) -> None:
    whole, split = (each.instrument("KO") for each in worlds)
    assert whole is not None
    assert split is not None
    for one, other in zip(whole.dividends, split.dividends, strict=True):
        assert other.amount == pytest.approx(one.amount * factor(split.splits, one.ex_date))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("KO", "give TICKER:EX-DATE:NEW:OLD"),
        ("KO:2026-11-22:4:1", "of a session"),
        ("KO:2026-13-22:4:1", "of a session"),
        ("KO:2026-11-18:3:2", "a whole number of new shares"),
        ("KO:2026-11-18:1:1", "a whole number of new shares"),
    ],
)
def test_a_split_that_cannot_be_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_split(text)
