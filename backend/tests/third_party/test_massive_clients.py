"""The vendor's own Python client, unmodified, works against the simulator, by environment alone.

massive 2.9.1: its REST client asks every endpoint that the simulator has and its values are those
of the simulator's world; its WebSocket client hears trades, quotes, bars and fair values and is told what it may
not have. Both use their default hosts.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from models.option_columns import occ_to_polygon
from models.options import OptionContract
from models.symbols import INDICES
from simulator.generated import GeneratedWorld
from utils.market_calendar import NEW_YORK, session

PROGRAMS = Path(__file__).parent / "programs"
DATA = Path(__file__).parents[2] / "simulator" / "data"
SIMULATOR = [sys.executable, "-m", "simulator", "exec", "--clock"]
TODAY, EXPIRATION = date(2026, 11, 20), date(2026, 11, 27)
NOON = datetime(2026, 11, 20, 17, tzinfo=UTC)
HISTORY = timedelta(days=20 * 365.25)
FIRST_STRIKES = 5


def answers(
    clock: str, speed: int, *command: str, folder: Path, world: str = "generated"
) -> dict[str, Any]:
    """Run a program against a simulator of its own and return what it prints."""
    program, *arguments = command
    done = subprocess.run(
        [
            *SIMULATOR,
            clock,
            "--speed",
            str(speed),
            "--world",
            world,
            "--",
            sys.executable,
            str(PROGRAMS / program),
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])  # its log is there too
    return found


@pytest.fixture(scope="module")
def world() -> GeneratedWorld:
    return GeneratedWorld(7)


@pytest.fixture(scope="module")
def rest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("rest")
    return answers("2026-11-20T12:00", 0, "massive_rest.py", "2026-11-20", folder=folder)


def starts(bars: list[dict[str, Any]]) -> list[datetime]:
    return [datetime.fromtimestamp(bar["timestamp"] / 1000, UTC) for bar in bars]


def columns(bars: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(bar[name] for name in names) for bar in bars]


def test_minutes_of_three_days_come_by_pages_and_are_the_worlds(
    rest: dict[str, Any], world: GeneratedWorld
) -> None:
    midnight = datetime(2026, 11, 18, tzinfo=NEW_YORK)
    true = world.bars("QQQ", midnight, NOON, "1m")
    bars = rest["minutes"]
    assert len(bars) > 3 * 500  # four pages
    assert starts(bars) == true["ts"].to_list()
    names = ("open", "high", "low", "close", "volume")
    assert columns(bars, *names) == true.select(names).rows()
    assert starts(rest["newest"]) == starts(bars)[:-4:-1]


def test_longer_bars_are_made_of_shorter_ones(rest: dict[str, Any]) -> None:
    inside = [
        bar
        for bar, at in zip(rest["minutes"], starts(rest["minutes"]), strict=True)
        if at.astimezone(NEW_YORK).date() == date(2026, 11, 19)
    ]
    assert sum(bar["volume"] for bar in inside) == sum(bar["volume"] for bar in rest["hours"])
    assert max(bar["high"] for bar in inside) == max(bar["high"] for bar in rest["hours"])
    days = [at.astimezone(NEW_YORK) for at in starts(rest["days"])]
    assert {day.hour for day in days} == {0}
    assert (days[0].date(), days[-1].date()) == (date(2026, 10, 1), date(2026, 11, 19))
    (previous,) = rest["previous"]
    assert previous["close"] == rest["days"][-1]["close"]
    assert rest["none"] == []


def test_contracts_are_the_worlds(rest: dict[str, Any], world: GeneratedWorld) -> None:
    for name, day, expiration in (
        ("contracts", TODAY, EXPIRATION),
        ("listed before", date(2026, 11, 2), EXPIRATION),
        ("expired", date(2026, 11, 13), date(2026, 11, 13)),
    ):
        tape = world.tape("QQQ", day)
        assert tape
        listed = [
            symbol
            for symbol in tape.symbols
            if OptionContract.from_occ(symbol).expiration == expiration
        ]
        true = occ_to_polygon(pl.Series(listed)).sort().to_list()
        assert [row["ticker"] for row in rest[name]] == true
    contract = rest["contract"]
    parsed = OptionContract.from_polygon(contract["ticker"])
    assert contract["strike_price"] == float(parsed.strike)
    assert contract["expiration_date"] == EXPIRATION.isoformat()
    assert (contract["contract_type"], contract["exercise_style"]) == ("call", "american")


def test_trades_quotes_and_bars_of_a_contract_are_the_tapes(
    rest: dict[str, Any], world: GeneratedWorld
) -> None:
    tape = world.tape("QQQ", TODAY)
    assert tape
    symbol = OptionContract.from_polygon(rest["contract"]["ticker"]).occ_symbol
    known = pl.col("ts") <= NOON
    trades = tape.trades([symbol]).filter(known)
    assert len(rest["trades"]) == trades.height > 70  # more than a page
    assert columns(rest["trades"], "sip_timestamp", "price", "size", "exchange") == list(
        trades.select(pl.col("ts").dt.timestamp("ns"), "price", "size", "exchange").rows()
    )
    assert rest["newest trades"] == rest["trades"][:-8:-1]
    quotes = tape.quotes([symbol]).filter(known)
    assert columns(rest["quotes"], "sip_timestamp", "bid_price", "ask_price") == list(
        quotes.select(pl.col("ts").dt.timestamp("ns"), "bid", "ask").rows()
    )
    minutes = tape.minutes([symbol]).filter(pl.col("ts") + timedelta(minutes=1) <= NOON)
    complete = rest["option minutes"][: minutes.height]
    assert starts(complete) == minutes["ts"].to_list()
    names = ("open", "high", "low", "close", "volume")
    assert columns(complete, *names) == minutes.select(names).rows()
    assert [bar["transactions"] for bar in complete] == minutes["trades"].to_list()
    seconds = rest["option seconds"]
    assert {bar["timestamp"] % 5000 for bar in seconds} == {0}
    assert sum(bar["volume"] for bar in seconds) == trades["size"].sum()


def test_the_chain_is_the_worlds(rest: dict[str, Any], world: GeneratedWorld) -> None:
    true = world.chain("QQQ", NOON, EXPIRATION, EXPIRATION)
    wire = {
        OptionContract.from_polygon(row["details"]["ticker"]).occ_symbol: row
        for row in rest["chain"]
    }
    assert len(rest["chain"]) == len(wire) == true.height > 250  # more than a page
    for row in true.iter_rows(named=True):
        told = wire[row["occ_symbol"]]
        assert told["last_quote"]["bid"] == (row["bid"] or 0)
        assert told["last_quote"]["ask"] == (row["ask"] or 0)
        assert told["open_interest"] == (row["open_interest"] or 0)
        assert told["implied_volatility"] == row["iv"]
        if row["delta"] is not None:
            assert told["greeks"]["delta"] == row["delta"]
    quote = world.quote("QQQ", NOON)
    assert quote
    assert {row["underlying_asset"]["price"] for row in rest["chain"]} == {quote.last}
    assert rest["one"] == next(
        row for row in rest["chain"] if row["details"]["ticker"] == rest["one"]["details"]["ticker"]
    )
    stock, contract, index, unknown = rest["several"]
    assert (stock["last_quote"]["bid"], stock["last_quote"]["ask"]) == (quote.bid, quote.ask)
    assert contract["details"]["strike_price"] == rest["one"]["details"]["strike_price"]
    assert (index["type"], index["value"] > 1000) == ("indices", True)
    assert unknown["error"] == "NOT_FOUND"


def test_what_stands_still_is_told(rest: dict[str, Any], world: GeneratedWorld) -> None:
    assert (rest["status"]["market"], rest["status"]["server_time"]) == (
        "open",
        NOON.astimezone(NEW_YORK).isoformat(),
    )
    thanksgiving = {"date": "2026-11-26", "status": "closed"}
    assert thanksgiving.items() <= rest["holidays"][0].items()
    instrument = world.instrument("QQQ")
    assert instrument
    paid = [
        each
        for each in instrument.dividends
        if TODAY - HISTORY <= each.ex_date <= TODAY + timedelta(days=183)
    ]
    dividends = columns(rest["dividends"], "ex_dividend_date", "cash_amount")
    assert dividends == [(d.ex_date.isoformat(), d.amount) for d in paid]
    assert rest["splits"] == []
    assert 312 in {row["id"] for row in rest["exchanges"]}
    assert {row["id"] for row in rest["conditions"]} == {209, 227, 233}
    assert rest["details"]["name"] == instrument.description
    assert [row["ticker"] for row in rest["tickers"]] == sorted(
        ticker for ticker in world.tickers() if ticker not in INDICES
    )


def test_refusals_are_what_the_client_makes_of_them(rest: dict[str, Any]) -> None:
    for name, status, words in (
        ("wrong key", "ERROR", "Unknown API Key"),
        ("unknown contract", "NOT_FOUND", "O:QQQ260101C09999000"),
        ("wrong limit", "ERROR", "limit"),
        ("not in plan", "NOT_AUTHORIZED", "not entitled"),
        ("too long ago", "NOT_AUTHORIZED", "timeframe"),
    ):
        assert rest[name]["kind"] == "BadResponse"
        assert f'"status":"{status}"' in rest[name]["words"]
        assert words in rest[name]["words"]
    kinds = [each["kind"] for each in rest["too often"]]
    assert kinds == ["", "", "", "MaxRetryError"]  # with two before: five a minute
    assert "too many 429 error responses" in rest["too often"][-1]["words"]


def recorded(kind: str) -> pl.DataFrame:
    return pl.read_parquet(DATA / f"goog_{kind}_2015-12-24.parquet")


def test_a_recorded_session_is_told_as_its_files_have_it(tmp_path: Path) -> None:
    contract = "GOOG  151224C00750000"
    wire = occ_to_polygon(pl.Series([contract])).item()
    command = ("massive_recorded.py", "2015-12-24", wire)
    told = answers("2015-12-28T10:00", 0, *command, folder=tmp_path, world="recorded")
    quotes, trades = recorded("options_quotes"), recorded("options_trades")
    listed = pl.concat([quotes["symbol"], trades["symbol"]]).unique()
    assert told["contracts"] == occ_to_polygon(listed).sort().to_list()
    mine = quotes.filter(pl.col("symbol") == contract).sort("ts")
    end = (pl.col("ts") + pl.duration(minutes=1)).dt.timestamp("ns")
    sides = mine.select(end, "bid_close", "ask_close", "bid_size", "ask_size").rows()
    assert len(told["quotes"]) == len(sides) > 2 * 100  # three pages
    assert [tuple(row) for row in told["quotes"]] == [
        (at, bid or 0, ask or 0, (bid_size if bid else 0), (ask_size if ask else 0))
        for at, bid, ask, bid_size, ask_size in sides
    ]
    start = pl.col("ts").dt.timestamp("ms")
    bars = trades.filter(pl.col("symbol") == contract).sort("ts")
    assert [tuple(row) for row in told["bars"]] == (
        bars.select(start, "open", "close", "volume").rows()
    )
    shares = recorded("equity_trades").sort("ts").select(start, "open", "close", "volume").rows()
    assert [tuple(row) for row in told["shares"]] == shares
    assert told["trades"] == []  # no single trade was recorded, and none is made up


@pytest.fixture(scope="module")
def contracts(world: GeneratedWorld) -> list[str]:
    """Contracts of today that trade all the time: those with the most volume at noon."""
    chain = world.chain("QQQ", NOON, TODAY, TODAY).sort("volume", descending=True)
    return occ_to_polygon(chain["occ_symbol"].head(FIRST_STRIKES)).to_list()


def streamed(what: str, contracts: list[str], folder: Path) -> dict[str, Any]:
    return answers("2026-11-20T10:00", 20, "massive_stream.py", what, *contracts, folder=folder)


def test_the_stream_tells_what_the_tape_has(
    contracts: list[str], world: GeneratedWorld, tmp_path: Path
) -> None:
    heard = streamed("listen", contracts, tmp_path)
    tape = world.tape("QQQ", TODAY)
    assert tape
    trades = tape.trades([OptionContract.from_polygon(one).occ_symbol for one in contracts])
    ticks = {
        (at, price, size)
        for at, price, size in trades.select(
            pl.col("ts").dt.timestamp("ms"), "price", "size"
        ).iter_rows()
    }
    for tick in heard["options T"]:
        assert (tick["timestamp"], tick["price"], tick["size"]) in ticks
    bars = {
        (row["occ_symbol"], round(row["ts"].timestamp() * 1000)): row
        for row in tape.minutes().iter_rows(named=True)
    }
    for bar in heard["options AM"]:
        symbol = OptionContract.from_polygon(bar["symbol"])
        if symbol.underlying == "QQQ":
            true = bars[symbol.occ_symbol, bar["start_timestamp"]]
            names = ("open", "high", "low", "close", "volume")
            assert [bar[name] for name in names] == [true[name] for name in names]
    for bar in heard["options A"]:
        assert bar["end_timestamp"] - bar["start_timestamp"] == 1000
    for quote in heard["options Q"]:
        assert quote["symbol"] in contracts
        assert 0 <= quote["bid_price"] < quote["ask_price"]
    assert heard["options FMV"][0]["ticker"] == contracts[0]
    assert heard["stocks Q"][0]["symbol"] == heard["stocks AM"][0]["symbol"] == "QQQ"
    opened = session(TODAY).open.timestamp() * 1000
    assert heard["stocks AM"][0]["start_timestamp"] > opened


def test_the_stream_refuses_in_its_words(contracts: list[str], tmp_path: Path) -> None:
    said = streamed("refusals", contracts, tmp_path)
    assert said["wrong key"] == "AuthError: authentication failed"
    assert said["plan"] == [f"server error: not authorized: Q.{contracts[0]}"]
    assert said["wildcard"] == ["server error: cannot subscribe to: Q.*"]
    (one_too_many,) = said["many"]
    assert one_too_many.startswith("server error: cannot subscribe to: Q.O:QQQ")


def test_the_older_of_two_connections_ends(contracts: list[str], tmp_path: Path) -> None:
    said = streamed("eviction", contracts, tmp_path)
    assert (said["kind"], said["code"]) == ("ConnectionClosedError", 1008)
    (warning,) = said["warnings"]
    assert "Maximum number of websocket connections exceeded" in warning


def test_a_client_with_certificates_of_its_own_trusts_the_simulator(tmp_path: Path) -> None:
    said = answers("2026-11-20T12:00", 0, "certifi_pinned.py", folder=tmp_path)
    assert said["market"] == "open"
    assert '"connected"' in said["stream"]
