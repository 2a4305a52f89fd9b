"""Frames to updates and merged states: typed, partial, late, twice, and misfitting."""

import importlib.util
import json
import random
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.schwab_fields import FIELDS, LEVEL_ONE, Kind, Service
from schwab_integration.stream_decode import LATE_FRAMES, LATE_MS, StreamDecoder
from schwab_integration.stream_state import key_of, service_of, symbol_of

T = 1_795_201_200_000
OCC = "QQQ   261218C00500000"
OPTIONS = Service.LEVELONE_OPTIONS
EQUITIES = Service.LEVELONE_EQUITIES
SAMPLES: dict[Kind, Any] = {
    Kind.TEXT: "text",
    Kind.FLOAT: 1.25,
    Kind.INT: 7,
    Kind.BOOL: True,
    Kind.TIME_MS: T,
}


def frame(service: str, timestamp: int, *items: dict[str, Any]) -> bytes:
    batch = {"service": service, "timestamp": timestamp, "command": "SUBS", "content": list(items)}
    return json.dumps({"data": [batch]}).encode()


def fields(decoder: StreamDecoder, service: Service, key: str) -> dict[str, Any]:
    state = decoder.state(service, key)
    assert state
    return state.fields


@pytest.mark.parametrize("service", sorted(LEVEL_ONE))
def test_every_field_of_level_one_is_kept_under_its_name(service: Service) -> None:
    item = {str(field.number): SAMPLES[field.kind] for field in FIELDS[service] if field.number}
    decoder = StreamDecoder()
    (state,) = decoder.decode(frame(service, T, {"key": "/ESZ26", **item})).quotes
    named = {field.name: SAMPLES[field.kind] for field in FIELDS[service] if field.number}
    assert state.named() == named
    quote = state.quote()
    assert (quote.bid, quote.ask, quote.last, quote.mark) == (1.25, 1.25, 1.25, 1.25)
    assert (quote.bid_size, quote.ask_size, quote.volume, quote.time_ns) == (7, 7, 7, T * 10**6)
    assert decoder.misfits.total() == 0


def test_a_change_is_merged_onto_the_last_state() -> None:
    decoder = StreamDecoder()
    decoder.decode(frame(OPTIONS, T, {"key": OCC, "2": 1.0, "3": 1.1, "16": 5, "28": 0.5}))
    (state,) = decoder.decode(frame(OPTIONS, T + 1, {"key": OCC, "3": 1.2})).quotes
    assert state.fields == {"key": OCC, "2": 1.0, "3": 1.2, "16": 5, "28": 0.5}
    assert decoder.updates == 2


def test_a_whole_message_replaces_the_state() -> None:
    decoder = StreamDecoder()
    decoder.decode(frame(OPTIONS, T, {"key": OCC, "2": 1.0, "4": 9.0}))
    decoder.begin()
    whole = {"key": OCC, "assetMainType": "OPTION", "2": 1.5}
    decoder.decode(frame(OPTIONS, T - LATE_MS, whole))  # the new connection's clock is behind
    assert fields(decoder, OPTIONS, OCC) == whole


@given(st.randoms(use_true_random=False), st.integers(1, 10))
def test_any_order_and_repetition_ends_in_the_same_state(rng: random.Random, count: int) -> None:
    sent = [frame(OPTIONS, T, {"key": OCC, "assetMainType": "OPTION", "2": 0.0, "3": 0.0})]
    truth: dict[str, Any] = {"key": OCC, "assetMainType": "OPTION", "2": 0.0, "3": 0.0}
    for number in range(1, count):
        change = {str(rng.choice((2, 3, 4, 28))): float(number) for _ in range(rng.choice((1, 2)))}
        truth |= change
        sent.append(frame(OPTIONS, T + number, {"key": OCC, **change}))
    shuffled = [*sent, *rng.choices(sent, k=LATE_FRAMES - len(sent))]
    rng.shuffle(shuffled)
    decoder = StreamDecoder()
    for each in shuffled:
        decoder.decode(each)
    assert fields(decoder, OPTIONS, OCC) == truth


def test_what_is_too_late_to_be_placed_is_left_out_and_counted() -> None:
    decoder = StreamDecoder()
    for number in range(LATE_FRAMES + 1):
        decoder.decode(frame(OPTIONS, T + number, {"key": OCC, "2": float(number)}))
    decoder.decode(frame(OPTIONS, T - 5, {"key": OCC, "2": -1.0}))
    assert fields(decoder, OPTIONS, OCC)["2"] == LATE_FRAMES
    assert decoder.misfits.late == 1


def test_a_clock_that_is_set_back_is_followed() -> None:
    decoder = StreamDecoder()
    decoder.decode(frame(OPTIONS, T, {"key": OCC, "2": 1.0}))
    decoder.decode(frame(OPTIONS, T - LATE_MS - 1, {"key": OCC, "2": 2.0}))
    decoder.decode(frame(OPTIONS, T - LATE_MS, {"key": OCC, "2": 3.0}))
    assert fields(decoder, OPTIONS, OCC)["2"] == 3.0


@pytest.mark.parametrize("wrong", ["NaN", "1.5", [], {}, True])
def test_a_wrong_type_is_kept_out_and_the_rest_stays(wrong: Any) -> None:
    decoder = StreamDecoder()
    decoder.decode(frame(OPTIONS, T, {"key": OCC, "2": 1.0, "28": 0.5}))
    items = [{"key": OCC, "2": 1.1, "28": wrong}, {"key": "QQQ   261218P00500000", "2": 9.0}]
    decoder.decode(frame(OPTIONS, T + 1, *items))
    assert fields(decoder, OPTIONS, OCC) == {"key": OCC, "2": 1.1, "28": 0.5}
    assert fields(decoder, OPTIONS, "QQQ   261218P00500000")["2"] == 9.0
    assert decoder.misfits.values == {"LEVELONE_OPTIONS.28": 1}


def test_unknown_services_and_fields_are_counted() -> None:
    decoder = StreamDecoder()
    updates = decoder.decode(
        json.dumps(
            {
                "data": [
                    {"service": "TEA_LEAVES", "timestamp": T, "content": [{"key": "QQQ"}]},
                    {"service": EQUITIES, "timestamp": T, "content": [{"key": "QQQ", "1": 1.0}]},
                ]
            }
        ).encode()
    )
    assert len(updates.quotes) == 1
    decoder.decode(frame(EQUITIES, T, {"key": "QQQ", "1": 1.0, "99": 5, "15": 'a":b'}))
    decoder.decode(frame("CHART_EQUITY", T, {"key": "QQQ", "99": 5}))
    assert decoder.misfits.services == {"TEA_LEAVES": 1}
    assert decoder.misfits.fields == {"LEVELONE_EQUITIES.99": 1}
    assert decoder.misfits.items == {"CHART_EQUITY": 1}
    assert fields(decoder, EQUITIES, "QQQ")["15"] == 'a":b'


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"1", b'{"data":', b"\xff", b'{"data":1}', b"[" * 100_000]
)
def test_what_is_no_frame_harms_nothing(body: bytes) -> None:
    decoder = StreamDecoder()
    assert decoder.decode(body).quotes == []


def test_nobody_bids_and_nothing_traded() -> None:
    decoder = StreamDecoder()
    item = {"key": OCC, "2": 0.0, "16": 0, "3": 0.05, "17": 3, "4": 0.0, "8": 2.0, "38": 0, "39": T}
    quote = decoder.decode(frame(OPTIONS, T, item)).quotes[0].quote()
    assert (quote.bid, quote.ask, quote.last, quote.volume) == (None, 0.05, None, 2)
    assert quote.time_ns == T * 10**6


def test_a_bar_is_told_once_and_again_when_it_changed() -> None:
    bar = {"key": "QQQ", "1": 5, "2": 1.0, "3": 2.0, "4": 0.5, "5": 1.0, "6": 9.0, "7": T}
    decoder = StreamDecoder()
    sent = [bar | {"seq": 1}, bar | {"seq": 1}, bar | {"seq": 3, "5": 1.5}, bar | {"seq": 2}]
    closes = [
        each.close for item in sent for each in decoder.decode(frame("CHART_EQUITY", T, item)).bars
    ]
    assert closes == [1.0, 1.5]
    decoder.begin()  # a new connection counts from the beginning
    assert decoder.decode(frame("CHART_EQUITY", T, bar | {"seq": 0})).bars


@pytest.mark.parametrize(
    ("symbol", "service", "key"),
    [
        ("SPX", EQUITIES, "$SPX"),
        ("BRK.B", EQUITIES, "BRK/B"),
        (OCC, OPTIONS, OCC),
        ("/ESZ26", Service.LEVELONE_FUTURES, "/ESZ26"),
        ("./OZCZ26C565", Service.LEVELONE_FUTURES_OPTIONS, "./OZCZ26C565"),
    ],
)
def test_symbols_and_keys(symbol: str, service: Service, key: str) -> None:
    assert service_of(symbol) is service
    assert key_of(service, symbol) == key
    assert symbol_of(service, key) == symbol


def test_every_captured_frame_parses(data: Path) -> None:
    lines = (data / "stream/schwab_acct_activity_2024-09-10.jsonl").read_bytes().splitlines()
    decoder = StreamDecoder()
    kinds = [message.message_type for line in lines for message in decoder.decode(line).activity]
    assert kinds == [
        "OrderCreated",
        "OrderAccepted",
        "ExecutionRequested",
        "ExecutionRequestCreated",
        "ExecutionRequestCompleted",
        "OrderFillCompleted",
    ]
    assert decoder.misfits.total() == 0


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = Path(__file__).parents[3] / "benchmarks/stream_decoding.py"
    spec = importlib.util.spec_from_file_location("stream_decoding", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_ways_of_the_benchmark_end_in_the_same_quotes(benchmark: ModuleType) -> None:
    frames = benchmark.option_frames(20, 30)
    ends = [way(frames) for way in benchmark.WAYS.values()]
    assert len(ends[0]) == 20
    assert ends.count(ends[0]) == len(ends)
