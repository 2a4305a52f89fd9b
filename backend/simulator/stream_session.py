"""One connection of the streamer, without a socket and without a clock.

It reads what a client sends and tells what to answer and what to deliver; time comes with each call.
So tests and a million messages need neither waiting nor a network.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from models.schwab_fields import FIELDS, LEVEL_ONE, Code, Command, Service
from simulator import stream_facts as facts
from simulator import stream_wire as wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from simulator.stream_tape import Moment
    from simulator.users import User

_FAILED = {
    Command.SUBS: Code.FAILED_COMMAND_SUBS,
    Command.ADD: Code.FAILED_COMMAND_ADD,
    Command.UNSUBS: Code.FAILED_COMMAND_UNSUBS,
    Command.VIEW: Code.FAILED_COMMAND_VIEW,
}


@dataclass(frozen=True, slots=True)
class ActivityEvent:
    """One event of account activity.

    Attributes:
        account_number: Plain.
        kind: Message type, as OrderCreated.
        body: JSON as text.
    """

    account_number: str
    kind: str
    body: str


@dataclass(slots=True)
class _Subscription:
    """Keys of one service, each with its fields, and what was last sent of it."""

    fields: dict[str, tuple[int, ...]] = field(default_factory=dict)
    sent: dict[str, wire.Item] = field(default_factory=dict)
    told: dict[str, tuple[int, ...]] = field(default_factory=dict)
    bars: dict[str, int] = field(default_factory=dict)

    def drop(self, key: str) -> None:
        self.fields.pop(key, None)
        self.sent.pop(key, None)
        self.told.pop(key, None)
        self.bars.pop(key, None)


class _Refused(Exception):
    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class StreamSession:
    """What one client has signed in for and subscribed, and what it was told.

    Attributes:
        user: Who signed in; None before.
        closing: Whether the connection shall end once everything told has been sent.

    Args:
        user_of: Returns whose an access token is; None for no living one.
        wall_s: Wall time at which the connection was made, in seconds from any origin.
    """

    def __init__(self, user_of: Callable[[str], User | None], wall_s: float) -> None:
        self.user: User | None = None
        self.closing = False
        self._user_of = user_of
        self._subscriptions: dict[Service, _Subscription] = {}
        self._sequences: dict[Service, int] = {}
        self._acknowledge = False
        self._beat_s: float | None = None
        self._empty_since_s = wall_s

    def answer(self, text: str | bytes, wall_s: float, at_ms: int) -> list[str]:
        """Return the responses to one message of the client, one a request, in order.

        Args:
            text: One request, or several in `requests`.
            wall_s: Wall time, as of the constructor.
            at_ms: Time that the frames carry, milliseconds since 1970.
        """
        frames: list[str] = []
        for request in _requests(text):
            try:
                message = self._obey(request)
                code = Code.SUCCESS
            except _Refused as refused:
                code, message = refused.code, refused.message
            frames.append(wire.response_frame(request, at_ms, code, message))
            if code is Code.SUCCESS and request.get("command") == Command.LOGIN:
                self._beat_s = wall_s
                frames.append(wire.heartbeat_frame(at_ms))
            if self.closing:
                break
        if self._subscriptions:
            self._empty_since_s = wall_s
        return frames

    def wants(self) -> dict[Service, list[str]]:
        """Return the keys of which the next batch shall tell."""
        return {service: list(kept.fields) for service, kept in self._subscriptions.items()}

    def batch(self, moment: Moment, at_ms: int) -> list[str]:
        """Return the data frames of one delivery, one a service that has something new."""
        frames = []
        for service, kept in self._subscriptions.items():
            if service is Service.ACCT_ACTIVITY:
                items = self._acknowledged(kept)
            elif service is Service.CHART_EQUITY:
                items = self._charted(kept, moment)
            elif service in LEVEL_ONE:
                items = _changed(kept, moment, service)
            else:
                items = _whole(kept, moment, service)
            if items:
                frames.append(wire.data_frame(service, at_ms, items))
        return frames

    def activity(self, events: Sequence[ActivityEvent], at_ms: int) -> list[str]:
        """Return the frame of some account events; none where nobody subscribed."""
        kept = self._subscriptions.get(Service.ACCT_ACTIVITY)
        if not kept or not events:
            return []
        items = self._acknowledged(kept)
        key = next(iter(kept.fields))
        for event in events:
            seq = self._next(Service.ACCT_ACTIVITY)
            items.append(wire.activity(seq, key, event.account_number, event.kind, event.body))
        return [wire.data_frame(Service.ACCT_ACTIVITY, at_ms, items)]

    def pulse(self, wall_s: float, at_ms: int) -> list[str]:
        """Return what is due because time has passed: a heartbeat, or the end of an empty stream."""
        if self._subscriptions:
            self._empty_since_s = wall_s
        elif wall_s - self._empty_since_s >= facts.EMPTY_S:
            return self.stop(Code.STOP_STREAMING, facts.EMPTY, at_ms)
        if self._beat_s is None or wall_s - self._beat_s < facts.HEARTBEAT_S:
            return []
        self._beat_s += facts.HEARTBEAT_S * ((wall_s - self._beat_s) // facts.HEARTBEAT_S)
        return [wire.heartbeat_frame(at_ms)]

    def stop(self, code: Code, message: str, at_ms: int, service: str = Service.ADMIN) -> list[str]:
        """End the session with a notice of the reason."""
        self.closing = True
        return [wire.notice_frame(service, at_ms, code, message)]

    def _obey(self, request: Mapping[str, Any]) -> str:
        """Do what a request says; return the words of success.

        Raises:
            _Refused: It is not done.
        """
        command = _command(request)
        service = _service(request)
        parameters = request.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise _Refused(Code.BAD_COMMAND_FORMAT, "Bad command formatting")
        if command is Command.LOGIN:
            return self._sign_in(parameters)
        if self.user is None:
            raise _Refused(Code.STREAM_CONN_NOT_FOUND, "Stream connection not found")
        if command is Command.LOGOUT:
            self.closing = True
            return "SUCCESS"
        if service is Service.ADMIN:
            raise _Refused(Code.BAD_COMMAND_FORMAT, "Bad command formatting")
        self._subscribe(service, command, parameters)
        return f"{command} command succeeded"

    def _sign_in(self, parameters: Mapping[str, Any]) -> str:
        user = self._user_of(str(parameters.get("Authorization", "")))
        if user is None:
            self.closing = True
            raise _Refused(Code.LOGIN_DENIED, facts.DENIED)
        self.user = user
        return f"server={facts.SERVER};status={facts.STATUS}"

    def _subscribe(self, service: Service, command: Command, parameters: Mapping[str, Any]) -> None:
        keys = _keys(parameters) if command is not Command.VIEW else []
        if not keys and command is not Command.VIEW:
            raise _failed(command, "keys are missing")
        if command is Command.UNSUBS:
            self._unsubscribe(service, keys)
            return
        fields = _fields(command, service, parameters)
        is_activity = service is Service.ACCT_ACTIVITY
        if is_activity and facts.ACTIVITY_ONLY_SUBS and command is not Command.SUBS:
            return
        if command is Command.VIEW:
            if kept := self._subscriptions.get(service):
                kept.fields = dict.fromkeys(kept.fields, fields)
            return
        if command is Command.SUBS:
            self._subscriptions.pop(service, None)
        self._add(service, keys, fields)

    def _add(self, service: Service, keys: Sequence[str], fields: tuple[int, ...]) -> None:
        kept = self._subscriptions.setdefault(service, _Subscription())
        self._acknowledge |= service is Service.ACCT_ACTIVITY
        limit = facts.SYMBOL_LIMITS[service]
        discarded = 0
        for key in keys:
            if key in kept.fields:
                kept.fields[key] = tuple(sorted({*kept.fields[key], *fields}))
            elif len(kept.fields) < limit:
                kept.fields[key] = fields
            else:
                discarded += 1
        if discarded:
            told = f"Symbol limit reached ({service}={limit}, DISCARDED={discarded})"
            raise _Refused(Code.REACHED_SYMBOL_LIMIT, told)

    def _unsubscribe(self, service: Service, keys: Iterable[str]) -> None:
        kept = self._subscriptions.get(service)
        if kept is None:
            return
        for key in keys:
            kept.drop(key)
        if not kept.fields:
            del self._subscriptions[service]

    def _next(self, service: Service) -> int:
        seq = self._sequences.get(service, 0)
        self._sequences[service] = seq + 1
        return seq

    def _acknowledged(self, kept: _Subscription) -> list[bytes]:
        if not self._acknowledge:
            return []
        self._acknowledge = False
        seq = self._next(Service.ACCT_ACTIVITY)
        return [wire.activity(seq, next(iter(kept.fields)), "", "SUBSCRIBED", "")]

    def _charted(self, kept: _Subscription, moment: Moment) -> list[bytes]:
        items = []
        for key, fields in kept.fields.items():
            bars = moment.bars.get(key, ())
            if bars and key not in kept.bars:
                kept.bars[key] = bars[-1][7] - facts.CHART_ON_SUBSCRIBE
            for bar in bars:
                if bar[7] > kept.bars[key]:
                    kept.bars[key] = bar[7]
                    seq = self._next(Service.CHART_EQUITY)
                    items.append(wire.sequenced(seq, key, bar, fields))
        return items


def _changed(kept: _Subscription, moment: Moment, service: Service) -> list[bytes]:
    """Return the first item of new keys, and of the others what changed among their fields."""
    items = []
    for key, fields in kept.fields.items():
        item = moment.items.get((service, key))
        before = kept.sent.get(key)
        if item is None or (item is before and kept.told[key] == fields):
            continue
        if before is not None and kept.told[key] != fields:
            # Fields that were not asked before have not been sent before.
            asked = {number: before.values.get(number) for number in kept.told[key]}
            before = wire.Item(key, asked)
        text = moment.texts.change(item, before, fields)
        kept.sent[key], kept.told[key] = item, fields
        if text is not None:
            items.append(text)
    return items


def _whole(kept: _Subscription, moment: Moment, service: Service) -> list[bytes]:
    """Return all fields of whatever is new as a whole."""
    items = []
    for key, fields in kept.fields.items():
        item, before = moment.items.get((service, key)), kept.sent.get(key)
        if item is None or (before is not None and item.values == before.values):
            continue
        kept.sent[key] = item
        items.append(moment.texts.whole(item, fields))
    return items


def _requests(text: str | bytes) -> list[dict[str, Any]]:
    """Return the requests of a message; of one that is none, one empty request."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [{}]
    several = found.get("requests", [found]) if isinstance(found, dict) else [{}]
    if not isinstance(several, list):
        return [{}]
    return [one if isinstance(one, dict) else {} for one in several]


def _command(request: Mapping[str, Any]) -> Command:
    if request.get("requestid") is None:
        raise _Refused(Code.BAD_COMMAND_FORMAT, "Bad command formatting")
    try:
        return Command(request.get("command", ""))
    except ValueError:
        raise _Refused(Code.BAD_COMMAND_FORMAT, "Bad command formatting") from None


def _service(request: Mapping[str, Any]) -> Service:
    try:
        return Service(request.get("service", ""))
    except ValueError:
        raise _Refused(Code.SERVICE_NOT_AVAILABLE, "Service not available") from None


def _keys(parameters: Mapping[str, Any]) -> list[str]:
    given = str(parameters.get("keys", "")).split(",")
    return list(dict.fromkeys(key for key in given if key.strip()))


def _fields(command: Command, service: Service, parameters: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the numbers asked for, sorted; those that the service has not are ignored."""
    given = [part.strip() for part in str(parameters.get("fields", "")).split(",")]
    if not all(part.isascii() and part.isdigit() for part in given):
        raise _failed(command, "fields are missing")
    known = len(FIELDS[service])
    # Field 0 is never sent: `key` stands in its place.
    return tuple(sorted({int(part) for part in given if 0 < int(part[:9]) < known}))


def _failed(command: Command, why: str) -> _Refused:
    return _Refused(_FAILED[command], f"{command} command failed: {why}")
