"""The table of the streamer's fields beside those of schwab-py and Schwabdev."""

import warnings
from typing import Any

import pytest

from models.schwab_fields import BOOKS, CLOSING, FIELDS, LEVEL_ONE, SCREENERS, SEQUENCED, Service

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from schwab.streaming import StreamClient

PEER: dict[Service, Any] = {
    Service.LEVELONE_EQUITIES: StreamClient.LevelOneEquityFields,
    Service.LEVELONE_OPTIONS: StreamClient.LevelOneOptionFields,
    Service.LEVELONE_FUTURES: StreamClient.LevelOneFuturesFields,
    Service.LEVELONE_FUTURES_OPTIONS: StreamClient.LevelOneFuturesOptionsFields,
    Service.LEVELONE_FOREX: StreamClient.LevelOneForexFields,
    Service.NYSE_BOOK: StreamClient.BookFields,
    Service.CHART_EQUITY: StreamClient.ChartEquityFields,
    Service.CHART_FUTURES: StreamClient.ChartFuturesFields,
    Service.SCREENER_EQUITY: StreamClient.ScreenerFields,
    Service.ACCT_ACTIVITY: StreamClient.AccountActivityFields,
}
OURS = {"bid": "BID_PRICE", "ask": "ASK_PRICE", "last": "LAST_PRICE", "volume": "VOLUME"}


@pytest.mark.parametrize("service", PEER)
def test_numbers_are_the_peers(service: Service) -> None:
    peer = {field.value: name for name, field in PEER[service].__members__.items()}
    ours = {field.number: field.name for field in FIELDS[service]}
    assert set(ours) == set(peer)
    for number, name in ours.items():
        if name in OURS:
            assert OURS[name] in peer[number]
        elif name in {
            "delta",
            "gamma",
            "theta",
            "vega",
            "rho",
            "mark",
            "bid_size",
            "open_interest",
        }:
            assert peer[number] == name.upper()


@pytest.mark.parametrize("service", FIELDS)
def test_numbers_count_without_a_gap_and_names_are_unique(service: Service) -> None:
    assert [field.number for field in FIELDS[service]] == list(range(len(FIELDS[service])))
    assert len({field.name for field in FIELDS[service]}) == len(FIELDS[service])


def test_every_service_is_delivered_in_one_way() -> None:
    ways = [LEVEL_ONE, BOOKS, SCREENERS, SEQUENCED]
    assert sorted(service for way in ways for service in way) == sorted(FIELDS)
    assert {3, 12, 30} == CLOSING
