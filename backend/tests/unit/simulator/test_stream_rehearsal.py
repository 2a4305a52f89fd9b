"""A streamer without sockets: the same frames by seed, and a state that a client can reach."""

from __future__ import annotations

import json
from typing import Any

import pytest

from models.schwab_fields import FIELDS, Service
from simulator.faults import FaultKind
from simulator.stream_rehearsal import StreamRehearsal

EQUITIES = ("AAPL", "MSFT")
OPTIONS = tuple(f"QQQ   261120C{strike:05d}000" for strike in range(700, 720))
RATES = {FaultKind.DUPLICATE: 0.1, FaultKind.GAP: 0.1, FaultKind.REORDER: 0.1}


def subscription(service: Service, keys: tuple[str, ...]) -> str:
    fields = ",".join(str(number) for number in range(len(FIELDS[service])))
    request = {"requestid": 1, "service": service, "command": "SUBS"}
    return json.dumps(request | {"parameters": {"keys": ",".join(keys), "fields": fields}})


def connected(rehearsal: StreamRehearsal) -> list[str]:
    frames = rehearsal.connect()
    frames += rehearsal.ask(subscription(Service.LEVELONE_EQUITIES, EQUITIES))
    return frames + rehearsal.ask(subscription(Service.LEVELONE_OPTIONS, OPTIONS))


def merged(frames: list[str]) -> dict[tuple[Service, str], dict[int, Any]]:
    """What a client knows that trusts the order of frames."""
    known: dict[tuple[Service, str], dict[int, Any]] = {}
    for frame in frames:
        for part in json.loads(frame).get("data", []):
            for item in part["content"]:
                fields = {int(name): value for name, value in item.items() if name.isdigit()}
                known.setdefault((Service(part["service"]), item["key"]), {}).update(fields)
    return known


def test_a_stream_without_faults_tells_the_whole_state() -> None:
    rehearsal = StreamRehearsal(1, EQUITIES, OPTIONS)
    frames = connected(rehearsal)
    for _ in range(200):
        frames += rehearsal.step()
    assert merged(frames) == rehearsal.state()
    assert len(rehearsal.state()) == 22
    beats = [frame for frame in frames if "heartbeat" in frame]
    assert len(beats) == 1 + int(rehearsal.elapsed_s // 10)


@pytest.mark.parametrize("seed", [1, 2])
def test_with_faults_a_new_connection_repairs_what_was_lost(seed: int) -> None:
    rehearsal = StreamRehearsal(seed, EQUITIES, OPTIONS, RATES)
    frames = connected(rehearsal)
    for _ in range(200):
        frames += rehearsal.step()
    assert merged(frames) != rehearsal.state()
    assert all(count > 10 for count in rehearsal.fired().values())
    assert merged(connected(rehearsal)) == rehearsal.state()


def test_the_same_seed_has_the_same_frames() -> None:
    def frames(seed: int) -> list[str]:
        rehearsal = StreamRehearsal(seed, EQUITIES, OPTIONS, RATES)
        return connected(rehearsal) + [frame for _ in range(50) for frame in rehearsal.step()]

    assert frames(3) == frames(3) != frames(4)
