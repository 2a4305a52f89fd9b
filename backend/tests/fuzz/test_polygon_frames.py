"""Whatever Polygon's stream may send: events that can be written out, or counted as unusable."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.events import StreamEvent
from polygon_integration.stream_decode import Status, StreamReader

EXAMPLES = Path(__file__).parents[1] / "data" / "polygon_examples"
PUBLISHED: dict[str, Any] = json.loads((EXAMPLES / "websocket_openapi_examples.json").read_bytes())
COPIES = 100_000 if os.environ.get("PROVE") else 300
"""Of each target; ten targets make a million."""

WRITTEN = msgspec.json.Decoder(StreamEvent)
STATUS = {"ev": "status", "status": "success", "message": "subscribed to: AM.*"}
OPTIONS = [event for channel, event in PUBLISHED.items() if channel.startswith("/options/")]
FRAMES = {
    **{
        channel: [event, event]
        for channel, event in PUBLISHED.items()
        if channel.split("/")[1] in {"options", "indices"}
    },
    "/stocks/T": [PUBLISHED["/stocks/T"], PUBLISHED["/stocks/Q"]],
    "status": [STATUS, STATUS],
    "mixed": [*OPTIONS, STATUS],
}


def test_the_targets_are_those_that_are_counted() -> None:
    assert COPIES * len(FRAMES) >= (1_000_000 if COPIES > 1_000 else 2_000)


@pytest.mark.parametrize("name", FRAMES)
def test_a_spoilt_frame_harms_nothing(
    name: str, spoilt: Callable[[bytes, int], Iterator[bytes]]
) -> None:
    reader = StreamReader()
    good = json.dumps(FRAMES[name]).encode()
    told = len(reader.read(good))
    for body in spoilt(good, COPIES):
        for event in reader.read(body):
            if isinstance(event, Status):
                assert event.message.isprintable() or event.message
                continue
            # An attached program gets it as a line: it must survive that, and be the same.
            assert WRITTEN.decode(msgspec.json.encode(event)) == event, body
    assert reader.unusable.total() > 0
    assert max(map(len, reader.unusable)) <= 20
    assert len(reader.read(good)) == told  # the good frame is still understood
