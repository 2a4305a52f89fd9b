"""Every endpoint against `python -m simulator`, a separate process on a real socket."""

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from polars.testing import assert_frame_equal
from pydantic import SecretStr

from models.errors import AuthError, NotFound, TokenExpired
from models.options import OptionContract
from schwab_integration.auth import (
    SchwabAuth,
    authorization_url,
    code_of_redirect,
    exchange_code,
)
from schwab_integration.client import SchwabClient
from schwab_integration.config import SchwabSettings
from schwab_integration.market_data import SchwabMarketData
from schwab_integration.option_downloader import download_chains
from schwab_integration.queries import ChainQuery, HistoryQuery
from schwab_integration.refusals import TooBig
from schwab_integration.token_store import Token, TokenStore
from utils.market_calendar import minutes, session, sessions_back

CLOCK = "2026-11-19T15:30"
NOW = datetime(2026, 11, 19, 20, 30, tzinfo=UTC)
TODAY = date(2026, 11, 19)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("simulator")


@pytest.fixture(scope="module")
def simulator(home: Path) -> Iterator[dict[str, Any]]:
    """What the running simulator said when it was ready."""
    command = [sys.executable, "-m", "simulator", "--port", "0", "--clock", CLOCK, "--speed", "0"]
    command += [
        "--auto-approve",
        "--parent-pid",
        str(os.getpid()),
    ]  # a killed test run leaves no orphan
    environment = {**os.environ, "OPTIONS_HOME": str(home)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture(scope="module")
def settings(simulator: dict[str, Any], home: Path) -> SchwabSettings:
    """Settings of somebody who has signed in."""
    made = SchwabSettings(
        app_key=SecretStr(simulator["app_key"]),
        app_secret=SecretStr(simulator["app_secret"]),
        callback_url=simulator["callback_url"],
        base_url=simulator["schwab"],
        token_file=home / "schwab_token.json",
        requests_per_minute=10_000,
    )
    exchange_code(made, sign_in(made))
    return made


def sign_in(settings: SchwabSettings) -> str:
    """Do what the browser does, and return the code of the redirect."""
    verify: Any = True
    if settings.ca_file:
        verify = ssl.create_default_context(cafile=str(settings.ca_file))
    reply = httpx2.get(authorization_url(settings, state="s-1"), verify=verify, trust_env=False)
    assert reply.status_code == 302
    address = reply.headers["location"]
    assert address.startswith(settings.callback_url)
    return code_of_redirect(address, state="s-1")


@pytest.fixture(scope="module")
def client(settings: SchwabSettings) -> Iterator[SchwabClient]:
    with SchwabClient(settings) as made:
        yield made


@pytest.fixture(scope="module")
def market(client: SchwabClient, simulator: dict[str, Any]) -> SchwabMarketData:
    return SchwabMarketData(client, origin=simulator["origin"])


def test_quotes(client: SchwabClient) -> None:
    quotes = client.quotes(["QQQ", "$SPX", "NOSUCH"])
    assert set(quotes.by_symbol) == {"QQQ", "$SPX"}
    assert quotes.invalid == ["NOSUCH"]
    assert not quotes.unknown_fields
    qqq = quotes.by_symbol["QQQ"]
    assert qqq.quote.bid_price is not None
    assert qqq.quote.ask_price is not None
    assert 0 < qqq.quote.bid_price <= qqq.quote.ask_price
    assert client.quote("$SPX").asset_main_type == "INDEX"


def test_an_option_quote(client: SchwabClient) -> None:
    query = ChainQuery(symbol="QQQ", strike_count=2, from_date=TODAY, to_date=date(2026, 11, 30))
    symbol = client.chain(query).contracts["occ_symbol"][0]
    quote = client.quote(symbol)
    contract = OptionContract.from_occ(symbol)
    assert quote.asset_main_type == "OPTION"
    assert quote.reference.strike_price == float(contract.strike)
    assert quote.reference.contract_type == contract.right


def test_an_unknown_ticker(client: SchwabClient, market: SchwabMarketData) -> None:
    start = session(TODAY).open
    asks: list[Any] = [
        lambda: client.quote("NOSUCH"),
        lambda: client.expirations("NOSUCH"),
        lambda: market.bars("NOSUCH", start, NOW, "1m"),
        lambda: market.option_chain("NOSUCH", TODAY, TODAY, now=NOW),
        lambda: market.quotes(["NOSUCH"]),
        lambda: market.underlyings(["QQQ", "NOSUCH"], now=NOW),
    ]
    for ask in asks:
        with pytest.raises(NotFound, match=r"schwab does not know the .*NOSUCH"):
            ask()


def test_movers(client: SchwabClient) -> None:
    movers = client.movers("$SPX", sort="VOLUME")
    volumes = [mover.volume or 0 for mover in movers]
    assert volumes
    assert volumes == sorted(volumes, reverse=True)


def test_market_hours(client: SchwabClient) -> None:
    hours = client.markets(["equity", "option"])["equity"]["EQ"]
    assert hours.is_open
    assert hours.session_hours["regularMarket"][0].start == session(TODAY).open
    early = client.market("equity", day=date(2026, 11, 27))["EQ"]
    assert early.session_hours["regularMarket"][0].end == session(date(2026, 11, 27)).close
    (closed,) = client.market("equity", day=date(2026, 11, 26)).values()  # Thanksgiving
    assert not closed.is_open


def test_instruments(client: SchwabClient) -> None:
    (found,) = client.instruments("QQQ", "symbol-search")
    assert found.cusip
    assert client.instrument(found.cusip) == found
    (full,) = client.instruments("QQQ", "fundamental")
    assert full.fundamental
    with pytest.raises(NotFound):
        client.instrument("000000000")


def test_price_history_by_period(client: SchwabClient) -> None:
    candles = client.price_history(
        HistoryQuery(symbol="QQQ", period=2, frequency_type="minute", frequency=30)
    )
    assert candles.symbol == "QQQ"
    assert candles.frame.height > 20


def test_minute_bars_of_ten_sessions(market: SchwabMarketData) -> None:
    days = sessions_back(NOW, 11, complete=True)[:-1]
    frame = market.bars("QQQ", days[0].open, days[-1].close, "1m")
    expected = [start for day in days for start in minutes(day)]
    assert frame["ts"].dt.epoch("ns").to_list() == [int(start) for start in expected]
    assert frame.group_by("session").len().height == 10
    assert set(frame["origin"]) == {"simulator"}
    assert (frame["high"] >= frame["low"]).all()


def test_pages_meet_without_a_seam(market: SchwabMarketData) -> None:
    """25 sessions in three requests are the same as session by session."""
    days = sessions_back(NOW, 25, complete=True)
    together = market.bars("QQQ", days[0].open, days[-1].close, "30m")
    for day in days[8:12]:
        alone = market.bars("QQQ", day.open, day.close, "30m")
        assert_frame_equal(alone, together.filter(together["session"] == day.day))


@pytest.mark.parametrize("interval", ["5m", "10m", "15m"])
def test_longer_minutes_add_up(market: SchwabMarketData, interval: str) -> None:
    day = sessions_back(NOW, 1, complete=True)[0]
    frame = market.bars("QQQ", day.open, day.close, interval)
    ones = market.bars("QQQ", day.open, day.close, "1m")
    assert frame.height == 390 // int(interval[:-1])
    assert frame["volume"].sum() == ones["volume"].sum()


def test_daily_and_weekly_bars(market: SchwabMarketData) -> None:
    days = sessions_back(NOW, 30, complete=True)
    daily = market.bars("QQQ", days[0].open, days[-1].close, "1d")
    assert daily["ts"].to_list() == [day.open for day in days]
    weekly = market.bars("QQQ", days[0].open, days[-1].close, "1w")
    firsts = {day.day - timedelta(days=day.day.weekday()): day for day in reversed(days)}
    mondays = [s for s in weekly["session"] if s.weekday() == 0]
    assert mondays
    assert set(weekly["session"]) <= {day.day for day in firsts.values()}


def test_the_whole_chain(client: SchwabClient, market: SchwabMarketData) -> None:
    """More than the gateway passes on at once: asked for in windows, and nothing is missing."""
    with pytest.raises(TooBig):
        client.chain(ChainQuery(symbol="QQQ"))
    chain = market.option_chain("QQQ", TODAY, date(2029, 12, 31), now=NOW)
    listed = {expiration.expiration_date for expiration in client.expirations("QQQ")}
    assert set(chain.quotes["expiration"]) == listed
    assert chain.quotes["occ_symbol"].is_unique().all()
    assert chain.contracts.height == chain.quotes.height > 5000
    assert chain.underlying_price == pytest.approx(client.quote("QQQ").quote.last_price, rel=0.01)
    assert chain.risk_free_rate is not None
    assert 0 < chain.risk_free_rate < 0.1
    assert chain.quotes["bid"].null_count() < chain.quotes.height / 2
    volatility = chain.quotes["source_implied_volatility"].drop_nulls()
    assert 0.01 < float(volatility.median() or 0) < 2  # type: ignore[arg-type]


def test_an_unfiltered_query_of_the_index_is_split_on_its_own(client: SchwabClient) -> None:
    query = ChainQuery(symbol="$SPX", contract_type="CALL")
    with pytest.raises(TooBig):
        client.chain(query)
    chains = download_chains(client, query)
    days = {day for chain in chains for day in chain.contracts["expiration"]}
    assert days == {one.expiration_date for one in client.expirations("$SPX")}


def test_a_window_of_an_index_chain(market: SchwabMarketData) -> None:
    chain = market.option_chain("SPX", TODAY, date(2026, 11, 24), now=NOW)
    assert set(chain.contracts["underlying"]) == {"SPX"}
    assert "SPXW" in set(chain.contracts["root"])
    assert set(chain.contracts["exercise_style"]) == {"E"}


def test_quotes_and_underlyings_in_our_columns(market: SchwabMarketData) -> None:
    quotes = market.quotes(["QQQ", "SPX"])
    assert quotes["underlying"].to_list() == ["QQQ", "SPX"]
    assert set(quotes["session"]) == {TODAY}
    facts = market.underlyings(["QQQ", "SPX"], now=NOW)
    assert facts["asset_type"].to_list() == ["ETF", "INDEX"]


def test_an_access_token_that_dies_is_renewed(settings: SchwabSettings, tmp_path: Path) -> None:
    store = TokenStore(tmp_path / "token.json")
    good = exchange_code(settings, sign_in(settings), store=store)
    store.write(
        Token("I0.revoked@", good.refresh_token, good.access_expires_at, good.refresh_expires_at)
    )
    with SchwabClient(settings, auth=SchwabAuth(settings, store=store)) as client:
        assert client.quote("QQQ").symbol == "QQQ"
    assert store.read().access_token not in {"I0.revoked@", good.access_token}


def test_a_dead_refresh_token(settings: SchwabSettings, tmp_path: Path) -> None:
    store = TokenStore(tmp_path / "token.json")
    past = datetime(2020, 1, 1, tzinfo=UTC)
    store.write(Token("I0.old@", "no-such-token@", past, past))
    auth = SchwabAuth(settings, store=store)
    with pytest.raises(TokenExpired, match="reauth_schwab"):
        auth.access_token()
    auth.close()


def test_a_code_works_once(settings: SchwabSettings, tmp_path: Path) -> None:
    store = TokenStore(tmp_path / "token.json")
    code = sign_in(settings)
    exchange_code(settings, code, store=store)
    with pytest.raises(AuthError, match="works once"):
        exchange_code(settings, code, store=store)


def test_wrong_app_secret(settings: SchwabSettings, tmp_path: Path) -> None:
    wrong = settings.model_copy(update={"app_secret": SecretStr("f" * 16)})
    with pytest.raises(AuthError, match="SCHWAB_APP_SECRET"):
        exchange_code(wrong, "C0.any@", store=TokenStore(tmp_path / "token.json"))


def test_over_tls_with_the_simulators_authority(
    simulator: dict[str, Any], settings: SchwabSettings, tmp_path: Path
) -> None:
    secure = settings.model_copy(
        update={
            "base_url": simulator["https"],
            "ca_file": Path(simulator["ca_file"]),
            "token_file": tmp_path / "token.json",
        }
    )
    exchange_code(secure, sign_in(secure))
    with SchwabClient(secure) as client:
        assert urlsplit(secure.base_url).scheme == "https"
        assert client.quote("QQQ").symbol == "QQQ"
