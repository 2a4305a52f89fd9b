"""Asks every REST endpoint with the vendor's own client, as a user would; prints one JSON object.

It knows nothing of any simulator: the library talks to https://api.massive.com with the key of
MASSIVE_API_KEY. Usage: python massive_rest.py TODAY, a session that is open.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from massive import RESTClient

UNDERLYING, EXPIRATION = "QQQ", "2026-11-27"
LISTED = {"underlying_ticker": UNDERLYING, "limit": 100}


def as_told(node: Any) -> Any:
    """Return the library's objects as plain ones."""
    return json.loads(json.dumps(node, default=vars))


def refused(ask: Callable[[], Any]) -> dict[str, Any]:
    """Return what the library raises."""
    try:
        found = ask()
    except Exception as error:  # noqa: BLE001 - shows whatever it is
        return {"kind": type(error).__name__, "words": str(error)}
    return {"kind": "", "words": str(found)}


def reference(client: RESTClient) -> dict[str, Any]:
    dated = {"expiration_date": EXPIRATION}
    return {
        "status": client.get_market_status(),
        "holidays": client.get_market_holidays(),
        "contracts": list(client.list_options_contracts(**LISTED, **dated)),
        "listed before": list(client.list_options_contracts(**LISTED, **dated, as_of="2026-11-02")),
        "expired": list(
            client.list_options_contracts(**LISTED, expiration_date="2026-11-13", expired=True)
        ),
        "splits": list(client.list_splits(ticker=UNDERLYING)),
        "dividends": list(client.list_dividends(ticker=UNDERLYING, order="asc")),
        "exchanges": client.get_exchanges(asset_class="options"),
        "conditions": list(client.list_conditions(asset_class="options")),
        "tickers": list(client.list_tickers(market="stocks", limit=3)),
        "details": client.get_ticker_details(UNDERLYING),
    }


def bars(client: RESTClient, contract: str, today: str) -> dict[str, Any]:
    return {
        "minutes": list(client.list_aggs(UNDERLYING, 1, "minute", "2026-11-18", today, limit=500)),
        "newest": client.get_aggs(UNDERLYING, 1, "minute", today, today, sort="desc", limit=3),
        "hours": client.get_aggs(UNDERLYING, 1, "hour", "2026-11-19", "2026-11-19"),
        "days": list(client.list_aggs(UNDERLYING, 1, "day", "2026-10-01", "2026-11-19", limit=10)),
        "previous": client.get_previous_close_agg(UNDERLYING),
        "option minutes": list(client.list_aggs(contract, 1, "minute", today, today, limit=50)),
        "option seconds": list(client.list_aggs(contract, 5, "second", today, today, limit=500)),
        "none": list(client.list_aggs("NOSUCH", 1, "day", today, today)),
    }


def ticks(client: RESTClient, contract: str, today: str) -> dict[str, Any]:
    asked = {"timestamp": today, "order": "asc", "limit": 70}
    newest = client.list_trades(contract, limit=5)
    return {
        "trades": list(client.list_trades(contract, **asked)),
        "newest trades": [next(newest) for _ in range(7)],
        "quotes": list(client.list_quotes(contract, **asked)),
    }


def snapshots(client: RESTClient, contract: str) -> dict[str, Any]:
    params = {"expiration_date": EXPIRATION, "limit": 250}
    several = [UNDERLYING, contract, "I:SPX", "NOSUCH"]
    return {
        "chain": list(client.list_snapshot_options_chain(UNDERLYING, params)),
        "one": client.get_snapshot_option(UNDERLYING, contract),
        "several": list(client.list_universal_snapshots(ticker_any_of=several)),
    }


def refusals(client: RESTClient, contract: str, today: str) -> dict[str, Any]:
    basic = RESTClient("SimulatorPolygonKeyBasic")
    return {
        "wrong key": refused(RESTClient("somebody's").get_market_status),
        "unknown contract": refused(lambda: client.get_options_contract("O:QQQ260101C09999000")),
        "wrong limit": refused(
            lambda: next(client.list_options_contracts(**LISTED | {"limit": 1001}))
        ),
        "not in plan": refused(lambda: next(basic.list_trades(contract))),
        "too long ago": refused(lambda: basic.get_aggs(UNDERLYING, 1, "day", "2016-01-04", today)),
        "too often": [refused(basic.get_market_status) for _ in range(4)],
    }


def main() -> None:
    today = sys.argv[1]
    client = RESTClient()
    found = reference(client)
    price = client.get_previous_close_agg(UNDERLYING)[0].close
    contract = min(found["contracts"], key=lambda one: abs(one.strike_price - price)).ticker
    found["contract"] = client.get_options_contract(contract)
    found |= bars(client, contract, today) | ticks(client, contract, today)
    found |= snapshots(client, contract) | refusals(client, contract, today)
    print(json.dumps(as_told(found)))


if __name__ == "__main__":
    main()
