"""Whatever the streamer may send: updates that can be written out, never an error."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.events import StreamEvent
from schwab_integration.stream_activity import ActivityReader
from schwab_integration.stream_decode import StreamDecoder

DATA = Path(__file__).parents[1] / "data"
COPIES = 125_000 if os.environ.get("PROVE") else 300
"""Of each target; eight targets make a million."""

T = 1_795_201_200_000
OCC = "QQQ   261218C00500000"
WRITTEN = msgspec.json.Decoder(StreamEvent)


def frame(service: str, *items: dict[str, Any]) -> bytes:
    batch = {"service": service, "timestamp": T, "command": "SUBS", "content": items}
    return json.dumps({"data": [batch]}).encode()


def _activity(number: int) -> bytes:
    """Return a captured frame as the wire has it: the message's data as text."""
    lines = (DATA / "stream/schwab_acct_activity_2024-09-10.jsonl").read_bytes().splitlines()
    wire = json.loads(lines[number])
    for item in wire["data"][0]["content"]:
        if not isinstance(item["3"], str):
            item["3"] = json.dumps(item["3"])
    return json.dumps(wire).encode()


LEVEL = {"0": 1.2, "1": 5, "2": 1, "3": [{"0": "NYSE", "1": 5, "2": 49786299}]}
ROW = {"symbol": "QQQ", "description": "x", "lastPrice": 1.5, "netPercentChange": 0.1, "volume": 7}
FRAMES = {
    "equities": frame(
        "LEVELONE_EQUITIES",
        {"key": "QQQ", "delayed": False, "assetMainType": "EQUITY", "1": 1.5, "4": 3, "34": T},
        {"key": "$SPX", "3": 6500.5, "33": 6500.5, "15": "S&P 500"},
    ),
    "options": frame(
        "LEVELONE_OPTIONS",
        {"key": OCC, "2": 1.5, "3": 1.6, "8": 3, "16": 1, "17": 2, "28": 0.5, "38": T, "48": True},
    ),
    "bars": frame(
        "CHART_EQUITY",
        {"key": "QQQ", "seq": 3, "1": 5, "2": 1.0, "3": 2.0, "4": 0.5, "5": 1.0, "6": 9.0, "7": T},
    ),
    "books": frame("NASDAQ_BOOK", {"key": "QQQ", "1": T, "2": [LEVEL, LEVEL], "3": [LEVEL]}),
    "screens": frame(
        "SCREENER_EQUITY", {"key": "NYSE_VOLUME_0", "1": T, "2": "VOLUME", "4": [ROW]}
    ),
    "order created": _activity(0),
    "order filled": _activity(1),
    "answers": json.dumps(
        {
            "response": [
                {"requestid": "1", "service": "ADMIN", "content": {"code": 0, "msg": "x"}}
            ],
            "notify": [{"heartbeat": str(T)}, {"service": "ADMIN", "content": {"code": 30}}],
        }
    ).encode(),
}


def heard(decoder: StreamDecoder, reader: ActivityReader, body: bytes) -> list[Any]:
    """Return every event that a frame leads to."""
    updates = decoder.decode(body)
    events: list[Any] = [state.quote() for state in updates.quotes]
    for state in updates.quotes:
        json.dumps(state.named())
    events += [*updates.bars, *updates.books, *updates.screens]
    for message in updates.activity:
        events += reader.read(message)
    assert all(isinstance(str(each.requestid), str) for each in updates.responses)
    assert all(each.content is None or each.content.code is not None for each in updates.notices)
    return [*events, *([updates.heartbeat] if updates.heartbeat else [])]


@pytest.mark.parametrize("name", FRAMES)
def test_a_spoilt_frame_harms_nothing(name: str, spoilt: Any) -> None:
    decoder, reader = StreamDecoder(), ActivityReader()
    for body in spoilt(FRAMES[name], COPIES):
        for event in heard(decoder, reader, body):
            # An attached program gets it as a line: it must survive that, and be the same.
            assert WRITTEN.decode(msgspec.json.encode(event)) == event, body
    assert decoder.misfits.total() + reader.unknown.total() > 0
    names = [*decoder.misfits.fields, *decoder.misfits.services, *reader.unknown]
    assert len(names) <= 1600
    assert sys.getsizeof("".join(names)) < 200_000
    decoder.begin()
    assert heard(decoder, ActivityReader(), FRAMES[name])  # the good frame is still understood
