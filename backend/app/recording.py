"""A session as a file: how it began, then every event that its engine took, in their order.

JSON lines: the first says how the session began, each other one is one event. Played again, the
engine takes the same decisions (`engine.parity`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Self

import msgspec

from engine.early_assignment import Dividend  # noqa: TC001 - msgspec reads it at run time
from engine.risk_account import AccountReport  # noqa: TC001 - msgspec reads it at run time
from models.decisions import Decision  # noqa: TC001 - msgspec reads it at run time
from models.errors import ConfigError
from models.events import Event

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from models.trading import Balances

_log = logging.getLogger(__name__)

_BUFFER = 1 << 20


class Beginning(msgspec.Struct, frozen=True, kw_only=True, tag="session"):
    """How a recorded session began.

    Attributes:
        strategy: Name or path, as it was asked for.
        parameters: Of the strategy, JSON.
        limits: Of the risk gate, JSON.
        account_id: Hash or name of the account.
        mode: How it traded.
        run_id: Begins its client order ids.
        start_ns: Market time at which the strategy began.
        speed: Market seconds a wall second.
        origin: Of the market: live, simulator or recorded.
        balances: Of the account, JSON.
        dividends: The next one of each underlying, as it was announced.
        sign_in_until_ns: End of the broker's sign-in, UTC.
        account: What the broker reported of the account.
        past: What earlier runs of the account decided and heard, and how this one began.
    """

    strategy: str
    parameters: msgspec.Raw
    limits: msgspec.Raw
    account_id: str
    mode: str
    run_id: str
    start_ns: int
    speed: float
    origin: str
    balances: msgspec.Raw
    dividends: dict[str, Dividend]
    sign_in_until_ns: int | None
    account: AccountReport | None
    past: list[Decision]


class BalancesTold(msgspec.Struct, frozen=True, kw_only=True, tag="balances"):
    """From here on the session saw these balances.

    Attributes:
        balances: JSON.
    """

    balances: msgspec.Raw


class Recorder:
    """Writes a session to a file.

    Args:
        path: The file; it must not exist.

    Raises:
        ConfigError: It exists, or cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._encode = msgspec.json.Encoder(decimal_format="string").encode
        try:
            self._file = path.open("xb", buffering=_BUFFER)
        except FileExistsError:
            raise ConfigError(f"{path} exists already: name another file to record to") from None
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
        self._broken = False

    def hear(self, event: Event) -> None:
        """Write an event."""
        self.write(event)

    def hear_balances(self, balances: Balances) -> None:
        """Write new balances."""
        self.write(BalancesTold(balances=msgspec.Raw(balances.model_dump_json().encode())))

    def write(self, line: Beginning | Event | BalancesTold) -> None:
        """Write a line. A disk that takes no more ends the recording and not the session."""
        if self._broken:
            return
        try:
            self._file.write(self._encode(line) + b"\n")
        except OSError as error:
            self._broken = True
            _log.error("the recording %s ends here: %s", self._path, error.strerror)

    def close(self) -> None:
        """Write what is left."""
        try:
            self._file.close()
        except OSError as error:
            _log.error("the recording %s lacks its end: %s", self._path, error.strerror)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_beginning(path: Path) -> Beginning:
    """Return how a recorded session began.

    Raises:
        ConfigError: The file cannot be read, or is no recording.
    """
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.readline(), type=Beginning)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}: name a file that --record wrote") from None
    except msgspec.MsgspecError:
        raise ConfigError(f"{path} is no recording: name a file that --record wrote") from None


def recorded_events(path: Path) -> Iterator[Event | BalancesTold]:
    """Yield the events of a recording, and balances between them; a last line that was never finished is left out.

    Raises:
        ConfigError: A line is no event: its number is named.
    """
    decoder: msgspec.json.Decoder[Event | BalancesTold] = msgspec.json.Decoder(Event | BalancesTold)
    with path.open("rb") as file:
        file.readline()
        for number, line in enumerate(file, 2):
            if not line.endswith(b"\n"):
                return
            try:
                yield decoder.decode(line)
            except msgspec.MsgspecError as error:
                raise ConfigError(f"line {number} of {path} is no event: {error}") from None
