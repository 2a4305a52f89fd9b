"""Whole chains in windows, against a gateway that holds only so many contracts."""

import gzip
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from models.errors import BadReply, NotFound
from models.tables import OPTION_CONTRACTS, OPTION_QUOTES, frame_schema
from schwab_integration.option_downloader import (
    COMPUTED,
    WINDOW,
    download_chain,
    download_chains,
)
from schwab_integration.queries import ChainQuery
from schwab_integration.refusals import TooBig

NOW = datetime(2025, 5, 9, 19, 59, tzinfo=UTC)
FIRST = date(2025, 5, 12)
TOO_BIG = b'{"fault":{"detail":{"errorcode":"protocol.http.TooBigBody"}}}'


class Gateway:
    """Serves an index chain of `days` expirations with six contracts each."""

    def __init__(self, data: Path, answer: Any, days: int, holds: int) -> None:
        path = data / "schwab_captured" / "option_chain_spx_2025-05-09.json.gz"
        self.reply = json.loads(gzip.decompress(path.read_bytes()))
        (strikes,) = self.reply["callExpDateMap"].values()
        self.model = next(iter(strikes.values()))[0]
        self.answer = answer
        self.days = [FIRST + timedelta(days=n) for n in range(days)]
        self.holds = holds
        self.truncates = False
        self.silent: list[date] = []
        self.asked: list[tuple[date, date, str]] = []

    def __call__(self, came: Any) -> Any:
        path = came.path.rpartition("/")[2]
        if path == "expirationchain":
            listed = [
                {"expirationDate": str(day), "daysToExpiration": 1, "optionRoots": root}
                for day in self.days
                for root in ("SPXW", "SPX")
            ]
            return self.answer(body=json.dumps({"expirationList": listed}).encode())
        if path == "quotes":
            quote = {"symbol": "$SPX", "quote": {"lastPrice": 5660.0}}
            known = came.query.get("symbols", "$SPX") == "$SPX"
            return self.answer(body=json.dumps({"$SPX": quote} if known else {}).encode())
        return self.chain(came.query)

    def chain(self, query: dict[str, str]) -> Any:
        first, last = (date.fromisoformat(query[name]) for name in ("fromDate", "toDate"))
        side = query["contractType"]
        self.asked.append((first, last, side))
        days = [day for day in self.days if first <= day <= last and day not in self.silent]
        maps = {
            name: {f"{day}:1": self.strikes(day, right) for day in days}
            for name, right, kind in (
                ("callExpDateMap", "C", "CALL"),
                ("putExpDateMap", "P", "PUT"),
            )
            if side in {"ALL", kind}
        }
        count = sum(len(strikes) for by_day in maps.values() for strikes in by_day.values())
        too_many = count > self.holds
        if too_many and not self.truncates:
            return self.answer(status=502, body=TOO_BIG)
        price = {"underlyingPrice": 5660.0 + len(self.asked), "isChainTruncated": too_many}
        reply = {"callExpDateMap": {}, "putExpDateMap": {}, **maps}
        return self.answer(body=json.dumps(self.reply | reply | price).encode())

    def strikes(self, day: date, right: str) -> dict[str, Any]:
        return {
            f"{strike}.0": [
                self.model
                | {"strikePrice": strike, "symbol": f"SPXW  {day:%y%m%d}{right}{strike:05d}000"}
            ]
            for strike in (5600, 5650, 5700)
        }


@pytest.fixture
def gateway(data: Path, answer: Any, serve: Any, connect: Any) -> Callable[..., Any]:
    def start(days: int, holds: int = 10_000, **change: Any) -> tuple[Any, Gateway]:
        app = Gateway(data, answer, days, holds)
        for name, value in change.items():
            setattr(app, name, value)
        return connect(serve(app).url), app

    return start


def whole(client: Any, **more: Any) -> Any:
    bounds = {"first": FIRST, "last": FIRST + timedelta(days=400), "now": NOW, "origin": "recorded"}
    return download_chain(client, "SPX", **(bounds | more))


def test_one_window(gateway: Any) -> None:
    client, app = gateway(days=3)
    chain = whole(client)
    assert app.asked == [(FIRST, FIRST + timedelta(days=2), "ALL")]
    assert chain.quotes.height == chain.contracts.height == 18
    assert (chain.underlying, chain.ts, chain.underlying_price) == ("SPX", NOW, 5661.0)
    assert chain.risk_free_rate == pytest.approx(0.0416, abs=1e-4)
    assert chain.dividend_yield is None
    quotes = frame_schema(OPTION_QUOTES)
    assert dict(chain.quotes.schema) == {n: quotes[n] for n in quotes if n not in COMPUTED}
    assert dict(chain.contracts.schema) == frame_schema(OPTION_CONTRACTS)
    row = chain.quotes.row(0, named=True)
    assert row["ts"] == NOW
    assert (row["underlying"], row["session"]) == ("SPX", date(2025, 5, 9))
    assert (row["source"], row["origin"], row["underlying_price"]) == ("schwab", "recorded", 5661.0)
    contract = chain.contracts.row(0, named=True)
    assert (contract["occ_symbol"], contract["root"]) == ("SPXW  250512C05600000", "SPXW")
    assert (contract["multiplier"], contract["settlement"]) == (100.0, "PM")
    assert contract["first_seen"] == date(2025, 5, 9)


def test_many_expirations_are_many_windows(gateway: Any) -> None:
    client, app = gateway(days=2 * WINDOW + 1)
    assert whole(client).quotes.height == 6 * (2 * WINDOW + 1)
    assert len(app.asked) == 3


@pytest.mark.parametrize("holds", [6, 7, 13, 30, 71])
@pytest.mark.parametrize("truncates", [False, True])
def test_a_window_that_is_too_big_is_halved(gateway: Any, holds: int, truncates: bool) -> None:
    client, _ = gateway(days=WINDOW, holds=holds, truncates=truncates)
    all_at_once, _ = gateway(days=WINDOW)
    chain = whole(client)
    assert chain.quotes.height == 6 * WINDOW
    expected = whole(all_at_once)
    assert chain.contracts.equals(expected.contracts)
    assert chain.quotes.drop("underlying_price").equals(expected.quotes.drop("underlying_price"))


def test_one_expiration_is_split_into_its_sides(gateway: Any) -> None:
    client, app = gateway(days=1, holds=3)
    assert whole(client).quotes["right"].to_list() == ["C"] * 3 + ["P"] * 3
    assert [side for *_, side in app.asked] == ["ALL", "CALL", "PUT"]


@pytest.mark.parametrize("holds", [10_000, 40, 7, 3])
@pytest.mark.parametrize("truncates", [False, True])
@pytest.mark.parametrize("side", ["ALL", "CALL"])
def test_any_query_is_split_by_expiration(
    gateway: Any, holds: int, truncates: bool, side: Any
) -> None:
    client, app = gateway(days=WINDOW + 2, holds=holds, truncates=truncates)
    last = FIRST + timedelta(days=WINDOW)
    query = ChainQuery(symbol="$SPX", contract_type=side, from_date=FIRST, to_date=last)
    chains = download_chains(client, query)
    symbols = [symbol for chain in chains for symbol in chain.contracts["occ_symbol"]]
    count = (WINDOW + 1) * (6 if side == "ALL" else 3)
    assert len(symbols) == len(set(symbols)) == count
    assert (len(app.asked) == 1) == (holds >= count)


def test_what_cannot_be_split_is_an_error(gateway: Any) -> None:
    client, _ = gateway(days=1, holds=2)
    with pytest.raises(TooBig):
        whole(client)


def test_what_stays_truncated_is_said(gateway: Any, caplog: pytest.LogCaptureFixture) -> None:
    client, _ = gateway(days=1, holds=2, truncates=True)
    assert whole(client).quotes.height == 6
    assert "left contracts of $SPX out" in caplog.text


def test_listed_expirations_without_contracts_are_said(
    gateway: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client, _ = gateway(days=4, silent=[FIRST + timedelta(days=1), FIRST + timedelta(days=3)])
    assert whole(client).quotes["expiration"].n_unique() == 2
    assert "lists 2 expirations of $SPX, from 2025-05-13 on" in caplog.text
    caplog.clear()
    whole(gateway(days=4)[0])
    assert "sent no contract" not in caplog.text


def test_only_the_expirations_asked_for(gateway: Any) -> None:
    client, app = gateway(days=30)
    chain = whole(client, first=FIRST + timedelta(days=3), last=FIRST + timedelta(days=5))
    assert app.asked == [(FIRST + timedelta(days=3), FIRST + timedelta(days=5), "ALL")]
    assert chain.quotes["expiration"].n_unique() == 3


def test_no_expiration_in_range_is_an_empty_chain(gateway: Any) -> None:
    client, app = gateway(days=3)
    chain = whole(client, first=FIRST + timedelta(days=100))
    assert app.asked == []
    assert chain.quotes.is_empty()
    assert "bid" in chain.quotes.columns
    assert chain.underlying_price == 5660.0
    assert chain.risk_free_rate is None


def test_an_underlying_without_options(gateway: Any) -> None:
    client, _ = gateway(days=0)
    assert whole(client).contracts.is_empty()


def test_an_unknown_ticker(gateway: Any) -> None:
    client, _ = gateway(days=0)
    with pytest.raises(NotFound, match="NOSUCH"):
        download_chain(client, "NOSUCH", FIRST, FIRST, now=NOW, origin="live")


def test_on_a_weekend_the_chain_belongs_to_friday(gateway: Any) -> None:
    client, _ = gateway(days=1)
    chain = whole(client, now=datetime(2025, 5, 11, 12, tzinfo=UTC))
    assert set(chain.quotes["session"]) == {date(2025, 5, 9)}


def test_an_underlying_without_a_price(serve: Any, answer: Any, connect: Any) -> None:
    def app(came: Any) -> Any:
        if came.path.endswith("/expirationchain"):
            return answer(body=b'{"expirationList":[{"expirationDate":"2099-01-01"}]}')
        return answer(body=b'{"$SPX":{"symbol":"$SPX"}}')

    with pytest.raises(BadReply, match="no price"):
        whole(connect(serve(app).url))
