"""The streamer over real sockets: delivery, one connection a user, slow clients, TLS."""

from __future__ import annotations

import json
import ssl
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = [f"QQQ   261120C{strike:05d}000" for strike in range(740, 800)]


def test_a_client_signs_in_subscribes_and_gets_its_first_item(client: Any) -> None:
    assert client.take("notify")[0]["heartbeat"].isdigit()
    assert client.ask("LEVELONE_EQUITIES", "ADD", keys="QQQ", fields="0,1,2,3") == {
        "code": 0,
        "msg": "ADD command succeeded",
    }
    frame = client.raw("data")
    assert '"LEVELONE_EQUITIES", "timestamp":' in frame
    (item,) = json.loads(frame)["data"][0]["content"]
    assert item["1"] < item["2"]
    assert (item["key"], item["delayed"], item["cusip"]) == ("QQQ", False, "46090E103")


def test_compression_is_offered(client: Any) -> None:
    assert "permessage-deflate" in client.socket.response.headers["Sec-WebSocket-Extensions"]


def test_the_same_market_is_told_over_tls(
    opened: Callable[..., Any], simulator: Any, client: Any
) -> None:
    context = ssl.create_default_context(cafile=simulator.said["ca_file"])
    url = simulator.said["https"].replace("https", "wss") + "/ws"
    secure = opened("second", url, ssl=context)
    assert secure.login()["code"] == 0
    for each in (client, secure):
        each.ask("LEVELONE_OPTIONS", "ADD", keys=CALLS[30], fields="0,2,3")
    assert client.data()["content"] == secure.data()["content"]


def test_moving_the_clock_delivers_changes_alone(simulator: Any, client: Any) -> None:
    client.ask("LEVELONE_OPTIONS", "ADD", keys=",".join(CALLS), fields="0,2,3,8,28")
    first = {item["key"]: item for item in client.data()["content"]}
    now = simulator.admin("POST", "clock", {"now": "2026-11-20T12:01:30"})
    later = client.data()
    changed = {item["key"]: item for item in later["content"]}
    assert now["now"].startswith("2026-11-20T17:01:30")
    assert later["timestamp"] == 1795194090000
    assert set(changed) <= set(first) == set(CALLS)
    for key, item in changed.items():
        assert "delayed" not in item
        assert all(
            first[key].get(number) != value for number, value in item.items() if number != "key"
        )


def test_what_is_told_is_what_the_quotes_endpoint_tells(simulator: Any, client: Any) -> None:
    client.ask("LEVELONE_EQUITIES", "SUBS", keys="QQQ,$SPX", fields="0,1,2,3,8,33")
    told = {item["key"]: item for item in client.data()["content"]}
    reply = simulator.get("/marketdata/v1/quotes?symbols=QQQ,$SPX", client.token).json()
    quote = reply["QQQ"]["quote"]
    names = {"1": "bidPrice", "2": "askPrice", "3": "lastPrice", "8": "totalVolume", "33": "mark"}
    assert {number: told["QQQ"][number] for number in names} == {
        number: quote[name] for number, name in names.items()
    }
    assert told["$SPX"]["3"] == reply["$SPX"]["quote"]["lastPrice"]


def test_batches_come_about_once_a_second(run: Callable[..., Any]) -> None:
    with run("--clock", "2026-11-20T12:00", "--speed", "60") as simulator:
        from websockets.sync.client import connect  # noqa: PLC0415 - one connection of its own

        with connect(simulator.said["streamer"]) as socket:
            token = simulator.tokens()["access_token"]
            login = {"Authorization": token}
            for number, (service, command, parameters) in enumerate(
                [
                    ("ADMIN", "LOGIN", login),
                    ("LEVELONE_EQUITIES", "SUBS", {"keys": "QQQ", "fields": "0,1,2,3,34"}),
                    ("CHART_EQUITY", "SUBS", {"keys": "QQQ", "fields": "0,1,2,3,4,5,6,7,8"}),
                ]
            ):
                request = {"requestid": number, "service": service, "command": command}
                socket.send(json.dumps(request | {"parameters": parameters}))
            arrived: list[float] = []
            bars: list[dict[str, Any]] = []
            while len(arrived) < 6:
                frame = json.loads(socket.recv(timeout=15))
                for part in frame.get("data", []):
                    if part["service"] == "LEVELONE_EQUITIES":
                        arrived.append(time.monotonic())
                    else:
                        bars += part["content"]
    assert 0.8 < (arrived[-1] - arrived[2]) / 3 < 5  # a loaded machine may be late
    assert [bar["seq"] for bar in bars] == list(range(len(bars)))
    starts = [bar["7"] for bar in bars]
    assert starts == list(range(starts[0], starts[0] + 60_000 * len(starts), 60_000))
    assert len(starts) >= 4


def test_a_second_connection_of_a_user_evicts_the_first(
    client: Any, opened: Callable[..., Any]
) -> None:
    other = opened("second")
    assert other.login()["code"] == 0
    again = opened()
    assert again.login()["code"] == 0
    notice = client.take("notify")[0]
    while "heartbeat" in notice:
        notice = client.take("notify")[0]
    assert notice["service"] == "Invalid Service"
    assert notice["content"]["code"] == 12
    assert client.closed().rcvd.code == 1000
    for living in (other, again):
        assert living.ask("LEVELONE_EQUITIES", "ADD", keys="QQQ", fields="0,1")["code"] == 0


def test_a_denied_login_closes_the_connection(opened: Callable[..., Any]) -> None:
    client = opened()
    client.token = "I0.dead@"
    assert client.login()["code"] == 3
    assert client.closed().rcvd.code == 1000


def test_logout_closes_the_connection(client: Any) -> None:
    assert client.ask("ADMIN", "LOGOUT") == {"code": 0, "msg": "SUCCESS"}
    assert client.closed().rcvd.code == 1000


def test_a_client_that_does_not_read_is_closed_with_code_30(
    simulator: Any, opened: Callable[..., Any]
) -> None:
    slow = opened(max_queue=1, compression=None)
    slow.login()
    keys = [f"QQQ   261120{right}{strike:05d}000" for strike in range(650, 900) for right in "CP"]
    wanted = {"keys": ",".join(keys), "fields": ",".join(map(str, range(56)))}
    for _ in range(90):  # each answer is half a megabyte: more than the sockets can hold
        slow.send("LEVELONE_OPTIONS", "SUBS", **wanted)
        time.sleep(0.1)
    assert simulator.admin("POST", "clock", {})  # others are answered all the while
    (notice,) = slow.take_last("notify")
    assert notice["content"] == {"code": 30, "msg": "Stop streaming due to slowness"}


def test_requests_that_are_no_websocket_find_no_page(simulator: Any) -> None:
    assert simulator.get("/ws", "").status_code == 404
