"""Polygon's REST over real sockets: keys, plans, limits, pages, envelopes, parameters, gzip."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests

from simulator.polygon import facts
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Callable

BASIC, STARTER, DEVELOPER = (
    f"SimulatorPolygonKey{plan}" for plan in ("Basic", "Starter", "Developer")
)
CONTRACTS = "/v3/reference/options/contracts"
BARS = "/v2/aggs/ticker/QQQ/range"
CALL = "O:QQQ261127C00774000"
CHAIN = "/v3/snapshot/options/QQQ"


def refusal(reply: requests.Response) -> tuple[int, str, str]:
    """Return HTTP status, status word and sentence."""
    body = reply.json()
    assert len(body["request_id"]) == 32
    return reply.status_code, body["status"], body.get("error", body.get("message"))


def test_a_key_comes_by_header_or_in_the_query(simulator: Any) -> None:
    url, key = f"{simulator.http}/v1/marketstatus/now", simulator.said["polygon_key"]
    nobody = requests.get(url, timeout=15)
    assert refusal(nobody) == (401, "ERROR", "API Key was not provided")
    wrong = requests.get(url, headers={"Authorization": "Bearer x"}, timeout=15)
    assert refusal(wrong) == (401, "ERROR", "Unknown API Key")
    assert requests.get(url, params={"apiKey": key}, timeout=15).status_code == 200
    assert simulator.get("/v1/marketstatus/now").json()["market"] == "open"


def test_the_free_plan_has_five_calls_a_minute(run: Callable[..., Any]) -> None:
    with run("--clock", "2026-11-20T12:00", "--speed", "0") as simulator:
        replies = [simulator.get("/v1/marketstatus/now", BASIC) for _ in range(7)]
        assert [reply.status_code for reply in replies] == [200] * 5 + [429] * 2
        assert refusal(replies[-1]) == (429, "ERROR", facts.TOO_MANY)
        assert "Retry-After" not in replies[-1].headers
        assert simulator.get("/v1/marketstatus/now", STARTER).status_code == 200


@pytest.mark.parametrize(
    ("path", "least"),
    [
        (f"{BARS}/1/second/2026-11-20/2026-11-20", STARTER),
        (CHAIN, STARTER),
        (f"{CHAIN}/{CALL}", STARTER),
        ("/v3/snapshot", STARTER),
        (f"/v3/trades/{CALL}", DEVELOPER),
        (f"/v3/quotes/{CALL}", None),
    ],
)
def test_what_a_plan_lacks_is_403(simulator: Any, path: str, least: str | None) -> None:
    plans = [BASIC, STARTER, DEVELOPER, None]
    for number, key in enumerate(plans):
        if key == BASIC:
            continue  # its five calls are another test's
        reply = simulator.get(path, key)
        if number >= plans.index(least):
            assert reply.status_code == 200, reply.text
        else:
            assert refusal(reply) == (403, "NOT_AUTHORIZED", facts.NOT_ENTITLED)


@pytest.mark.parametrize(
    ("key", "oldest", "too_old"),
    [
        (STARTER, "2024-11-21", "2024-11-18"),
        (DEVELOPER, "2022-11-21", "2022-11-17"),
        (None, "2015-12-24", "2006-11-17"),
    ],
)
def test_how_far_back_a_plan_reaches(
    simulator: Any, key: str | None, oldest: str, too_old: str
) -> None:
    assert simulator.get(f"{BARS}/1/day/{oldest}/{oldest}", key).status_code == 200
    for path, query in (
        (f"{BARS}/1/day/{too_old}/2026-11-19", {}),
        (CONTRACTS, {"underlying_ticker": "QQQ", "as_of": too_old}),
    ):
        reply = simulator.get(path, key, **query)
        assert refusal(reply) == (403, "NOT_AUTHORIZED", facts.NOT_THIS_LONG_AGO)


def test_each_plan_sees_prices_as_late_as_it_is(simulator: Any) -> None:
    path = f"{BARS}/1/minute/2026-11-20/2026-11-20"
    newest = {}
    for key in (None, STARTER):
        reply = simulator.get(path, key, sort="desc", limit="1").json()
        newest[key] = reply["results"][0]["t"], reply["status"]
    assert newest[None][1] == "OK"
    assert newest[STARTER][1] == "DELAYED"
    assert newest[None][0] - newest[STARTER][0] == 15 * 60_000


def test_pages_join_to_the_whole_and_carry_no_key(simulator: Any) -> None:
    query = {"underlying_ticker": "QQQ", "expiration_date": "2026-11-27"}
    whole = simulator.told(CONTRACTS, **query, limit="1000")
    assert "next_url" not in whole
    first = simulator.told(CONTRACTS, **query, limit="7")
    assert first["next_url"].startswith(f"{simulator.http}{CONTRACTS}?cursor=")
    assert simulator.said["polygon_key"] not in first["next_url"]
    with_key = requests.get(
        f"{simulator.http}{CONTRACTS}",
        params={**query, "limit": "7", "apiKey": simulator.said["polygon_key"]},
        timeout=15,
    ).json()
    assert with_key["next_url"] == first["next_url"]
    assert requests.get(first["next_url"], timeout=15).status_code == 401
    assert simulator.rows(CONTRACTS, **query, limit="70") == whole["results"]
    refused = simulator.get(f"{CONTRACTS}?cursor=nonsense!")
    assert refusal(refused) == (400, "ERROR", "'cursor' is not valid")


@pytest.mark.parametrize("sort", ["asc", "desc"])
@pytest.mark.parametrize("limit", ["97", "780", "50000"])
def test_bars_go_on_where_the_page_before_ended(simulator: Any, sort: str, limit: str) -> None:
    path = f"{BARS}/5/minute/2026-11-18/2026-11-19"
    whole = simulator.told(path, limit="50000")["results"]
    reply = simulator.told(path, limit=limit, sort=sort)
    assert reply["queryCount"] <= int(limit)  # minutes, not bars of five
    assert reply["resultsCount"] == reply["count"] == len(reply["results"])
    rows = simulator.rows(path, limit=limit, sort=sort)
    starts = [row["t"] for row in rows]
    assert sorted(set(starts), reverse=sort == "desc") == list(dict.fromkeys(starts))
    # A window that two pages share comes once from each; its minutes are told once.
    assert sum(row["v"] for row in rows) == sum(row["v"] for row in whole)
    assert set(starts) == {row["t"] for row in whole}


@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_days_go_on_where_the_page_before_ended(simulator: Any, sort: str) -> None:
    path = f"{BARS}/1/day/2026-10-01/2026-11-19"
    whole = simulator.told(path)["results"]
    assert len(whole) == 36
    rows = simulator.rows(path, limit="7", sort=sort)
    assert rows == whole[:: 1 if sort == "asc" else -1]


def test_a_minute_asked_by_its_start_is_told_whole(simulator: Any) -> None:
    path = f"{BARS}/1/minute"
    for bar in simulator.told(f"{path}/2026-11-19/2026-11-19", limit="50000")["results"][300:303]:
        assert simulator.told(f"{path}/{bar['t']}/{bar['t']}")["results"] == [bar]


def test_windows_begin_on_new_yorks_clock(simulator: Any) -> None:
    for span, hours in (("hour", {0}), ("day", {0}), ("week", {0}), ("month", {0})):
        rows = simulator.rows(f"{BARS}/1/{span}/2026-08-03/2026-11-19", limit="50000")
        starts = [datetime.fromtimestamp(r["t"] / 1000, UTC).astimezone(NEW_YORK) for r in rows]
        assert {start.minute for start in starts} == hours
        if span == "week":
            assert {start.isoweekday() for start in starts} == {7}
        if span == "month":
            assert {start.day for start in starts} == {1}
    hour = simulator.told(f"{BARS}/1/hour/2026-11-19/2026-11-19")["results"]
    day = simulator.told(f"{BARS}/1/day/2026-11-19/2026-11-19")["results"]
    assert len(day) == 1
    assert max(bar["h"] for bar in hour) >= day[0]["h"]


def test_nothing_found_is_no_error(simulator: Any) -> None:
    bars = simulator.told("/v2/aggs/ticker/NOSUCH/range/1/day/2026-11-18/2026-11-19")
    assert "results" not in bars
    assert (bars["ticker"], bars["resultsCount"], bars["status"]) == ("NOSUCH", 0, "OK")
    assert "results" not in simulator.told(f"{BARS}/1/day/2026-11-21/2026-11-22")  # a weekend
    assert simulator.told("/v3/trades/O:QQQ261127C00001000")["results"] == []
    assert simulator.told(CONTRACTS, underlying_ticker="NOSUCH")["results"] == []
    assert simulator.told("/v3/snapshot/options/NOSUCH")["results"] == []


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        (f"{BARS}/1/decade/2026-11-18/2026-11-19", {}, 400),
        (f"{BARS}/0/day/2026-11-18/2026-11-19", {}, 400),
        (f"{BARS}/1/day/2026-11-19/2026-11-18", {}, 400),
        (f"{BARS}/1/day/yesterday/2026-11-18", {}, 400),
        (f"{BARS}/1/day/2026-13-01/2026-11-18", {}, 400),
        (f"{BARS}/1/day/2026-11-18/2026-11-19", {"limit": "50001"}, 400),
        (f"{BARS}/1/day/2026-11-18/2026-11-19", {"limit": "many"}, 400),
        (CONTRACTS, {}, 400),
        (CONTRACTS, {"underlying_ticker": "QQQ", "limit": "1001"}, 400),
        (CONTRACTS, {"underlying_ticker": "QQQ", "as_of": "soon"}, 400),
        (CONTRACTS, {"underlying_ticker": "QQQ", "strike_price.gte": "much"}, 400),
        (CHAIN, {"limit": "251"}, 400),
        (f"/v3/trades/{CALL}", {"timestamp": "noon"}, 400),
        (f"{CONTRACTS}/O:QQQ261127C00774001", {}, 404),
        ("/v3/reference/tickers/NOSUCH", {}, 404),
        (f"{CHAIN}/O:QQQ261127C00774001", {}, 404),
        ("/v2/last/nbbo/QQQ", {}, 404),
        ("/vX/reference/financials", {}, 404),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(
    simulator: Any, path: str, query: dict[str, str], status: int
) -> None:
    found, word, sentence = refusal(simulator.get(path, **query))
    assert (found, word) == (status, {400: "ERROR", 404: "NOT_FOUND"}[status])
    assert len(sentence) > 10


def test_filters_keep_what_they_say(simulator: Any) -> None:
    query = {
        "underlying_ticker": "QQQ",
        "expiration_date.gt": "2026-11-25",
        "expiration_date.lte": "2026-12-04",
        "strike_price.gte": "770",
        "strike_price.lt": "775",
        "contract_type": "put",
        "sort": "strike_price",
        "order": "desc",
        "limit": "1000",
    }
    rows = simulator.told(CONTRACTS, **query)["results"]
    assert {row["contract_type"] for row in rows} == {"put"}
    strikes = [row["strike_price"] for row in rows]
    assert strikes == sorted(strikes, reverse=True)
    assert (min(strikes), max(strikes)) == (770.0, 774.0)
    days = {date.fromisoformat(row["expiration_date"]) for row in rows}
    assert date(2026, 11, 27) in days
    assert all(date(2026, 11, 25) < day <= date(2026, 12, 4) for day in days)


def test_expired_contracts_are_found_by_their_flag_or_by_their_day(simulator: Any) -> None:
    day = {"underlying_ticker": "QQQ", "expiration_date": "2026-11-13", "limit": "1000"}
    assert simulator.told(CONTRACTS, **day)["results"] == []
    expired = simulator.told(CONTRACTS, **day, expired="true")["results"]
    assert expired == simulator.told(CONTRACTS, **day, as_of="2026-11-13")["results"]
    earlier = {
        row["ticker"] for row in simulator.told(CONTRACTS, **day, as_of="2026-11-02")["results"]
    }
    assert earlier <= {row["ticker"] for row in expired}
    one = simulator.told(f"{CONTRACTS}/{expired[0]['ticker']}")["results"]
    assert one == expired[0]


def test_an_index_has_a_name_of_its_own(simulator: Any) -> None:
    bars = simulator.told("/v2/aggs/ticker/I:SPX/range/1/minute/2026-11-20/2026-11-20", limit="3")
    assert all("v" not in bar and "vw" not in bar for bar in bars["results"])
    assert "results" not in simulator.told("/v2/aggs/ticker/SPX/range/1/day/2026-11-19/2026-11-19")
    roots = set()
    for name in ("SPX", "I:SPX"):
        chain = simulator.told(
            f"/v3/snapshot/options/{name}", expiration_date="2026-12-18", limit="250"
        )
        rows = chain["results"]
        assert rows[0]["underlying_asset"]["ticker"] == "I:SPX"
        assert rows[0]["underlying_asset"]["value"] > 1000
        roots |= {row["details"]["ticker"][2:-15] for row in rows}
    assert roots <= {"SPX", "SPXW"}


def test_a_large_body_is_compressed_for_who_takes_it(simulator: Any) -> None:
    url = f"{simulator.http}{CONTRACTS}"
    query = {"underlying_ticker": "QQQ", "limit": "1000"}
    key = {"Authorization": f"Bearer {simulator.said['polygon_key']}"}
    packed = requests.get(url, params=query, headers=key, timeout=15)
    plain = requests.get(
        url, params=query, headers=key | {"Accept-Encoding": "identity"}, timeout=15
    )
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.json()["results"] == plain.json()["results"]
    assert int(packed.headers["content-length"]) < len(plain.content) / 4


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, "application/json", "Unknown API Key"),
        (403, "application/json", "NOT_AUTHORIZED"),
        (429, "application/json", "maximum requests per minute"),
        (500, "application/json", "Internal Server Error"),
        (503, "text/html", "unavailable"),
    ],
)
def test_refusals_on_demand_speak_polygons_words(
    simulator: Any, status: int, kind: str, words: str
) -> None:
    simulator.fault("polygon.rest", "status", status=status, retry_after_s=2, count=1)
    reply = simulator.get("/v1/marketstatus/now")
    assert (reply.status_code, reply.headers["content-type"]) == (status, kind)
    assert reply.headers["retry-after"] == "2"
    assert words in reply.text
    assert simulator.get("/v1/marketstatus/now").status_code == 200


def test_replies_are_lost_late_or_cut(simulator: Any) -> None:
    simulator.fault("polygon.rest.contracts", "reset", count=1)
    simulator.fault("polygon.rest.aggs", "half_body", count=1)
    simulator.fault("polygon.rest.marketstatus", "latency", count=1, delay_s=0.3)
    with pytest.raises(requests.ConnectionError):
        simulator.get(CONTRACTS, underlying_ticker="QQQ")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        simulator.get(f"{BARS}/1/day/2026-11-18/2026-11-19")
    assert simulator.get("/v1/marketstatus/now").elapsed.total_seconds() > 0.3
    assert simulator.told(f"{BARS}/1/day/2026-11-18/2026-11-19")["resultsCount"] == 2
