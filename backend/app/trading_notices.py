"""What a person is told of a trading session while looking elsewhere: fills, denials, alarms ..."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from app.order_words import instrument, price
from app.trading_words import money
from models.decisions import Alarmed, Denied, Ended, Halted, Heard, LimitsRead, Restrained
from models.errors import ConfigError
from models.events import Heartbeat
from models.order_terms import OrderStatus, Side
from schwab_integration.sign_in_settings import SignInSettings
from utils.logs import redact
from utils.notices import Notice, NoticeSender
from utils.notifier import Level, Notifier
from utils.settings import Settings, load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from app.trading_session import TradingSession
    from models.decisions import Decision
    from models.events import Event

DEFAULT_LEVELS: Final[Mapping[str, Level | None]] = {
    "fill": Level.INFO,
    "expiration": Level.INFO,
    "denied": Level.WARNING,
    "rejected": Level.WARNING,
    "disconnect": Level.WARNING,
    "closing_only": Level.FAILURE,
    "kill_switch": Level.FAILURE,
    "alarm": Level.FAILURE,
    "limits": Level.WARNING,
    "end": None,
}
"""Kinds of notices, and how urgent each is; None is not told unless it is asked for."""

_KILL_SWITCH = "kill_switch"
_QUIET_S: Final = 4.0
"""A market that says nothing for so long counts as disconnected."""

_SAME_DENIAL_S: Final = 60.0
"""Denials by one rule are told once in this time, and then how many there were."""


class NoticeSettings(Settings):
    """Who is told what of trading.

    Attributes:
        notify_urls: Addresses in Apprise's notation, separated by blanks; they hold secrets.
        notices: What is told, as `fill=info denied=off`; the rest by default.
    """

    model_config = SettingsConfigDict(env_prefix="TRADING_")

    notify_urls: SecretStr = SecretStr("")
    notices: str = ""

    def levels(self) -> dict[str, Level | None]:
        """Return the level of each kind, None of those that are not told.

        Raises:
            ConfigError: A kind or a level does not exist.
        """
        levels = dict(DEFAULT_LEVELS)
        for pair in self.notices.replace(",", " ").split():
            kind, _, level = pair.partition("=")
            if kind not in levels or level not in {"off", *Level}:
                raise ConfigError(
                    f"TRADING_NOTICES: {pair!r} is not KIND=LEVEL: kinds are {', '.join(levels)}, "
                    f"levels {', '.join(Level)}, off"
                )
            levels[kind] = None if level == "off" else Level(level)
        return levels


class TradingNotices:
    """Turns what a session does into notices.

    Args:
        title: Begins each title.
        senders: One for each address: a slow one keeps no other waiting.
        levels: Kind -> how urgent; None is not told.
    """

    def __init__(
        self, title: str, senders: Sequence[NoticeSender], levels: Mapping[str, Level | None]
    ) -> None:
        self._title = title
        self._senders = senders
        self._levels = levels
        self._market_at = time.monotonic()
        self._quiet = False
        self._denials: dict[str, tuple[float, int]] = {}

    def say(self, decision: Decision) -> None:
        """Tell of a decision, where it is one that a person wants to hear of."""
        if isinstance(decision, Heard):
            self._heard(decision)
        elif isinstance(decision, Denied):
            self._denied(decision)
        elif isinstance(decision, Ended):
            ended = decision.settlement
            self.tell(
                "expiration",
                f"{ended.quantity.normalize():+f} {instrument(ended.symbol)}: {ended.outcome}",
            )
        elif isinstance(decision, Restrained):
            said = f"closing only: {decision.reason}" if decision.reason else "all may leave again"
            self.tell("closing_only", f"{said} ({decision.source})")
        elif isinstance(decision, Halted):
            said = f"stopped: {decision.reason}" if decision.reason else "trading goes on"
            self.tell(_KILL_SWITCH, f"{said} (by {decision.by})")
        elif isinstance(decision, Alarmed):
            about = instrument(decision.symbol)
            self.tell("alarm", f"{decision.code}, {about}: {decision.message}")
        elif isinstance(decision, LimitsRead):
            self.tell("limits", decision.message)

    def watch(self, event: Event) -> None:
        """See an event of the session: a market that falls silent is told of, and its return."""
        now = time.monotonic()
        quiet_s = now - self._market_at
        if isinstance(event, Heartbeat):
            if quiet_s > _QUIET_S and not self._quiet:
                self._quiet = True
                self.tell("disconnect", f"the market has said nothing for {quiet_s:.0f} s")
            return
        if self._quiet:
            self._quiet = False
            self.tell("disconnect", f"the market is heard again, after {quiet_s:.0f} s")
        self._market_at = now

    def tell(self, kind: str, text: str) -> None:
        """Tell something, if its kind is wanted."""
        level = self._levels[kind]
        if level is not None:
            for sender in self._senders:
                sender.put(Notice(kind, level, text))

    def _heard(self, heard: Heard) -> None:
        update = heard.update
        for fill in update.fills:
            side = "bought" if fill.side is Side.BUY else "sold"
            self.tell(
                "fill",
                f"{side} {fill.quantity.normalize():f} {instrument(fill.symbol)} at {price(fill.price)}, fees "
                f"{money(fill.fees)}",
            )
        if update.status in {OrderStatus.REJECTED, OrderStatus.UNKNOWN}:
            said = (
                "is not known to be there" if update.status is OrderStatus.UNKNOWN else "rejected"
            )
            self.tell("rejected", f"order {update.client_order_id} {said}: {update.reason}")

    def _denied(self, denied: Denied) -> None:
        kind = _KILL_SWITCH if denied.rule == _KILL_SWITCH else "denied"
        now = time.monotonic()
        told_at, silent = self._denials.get(denied.rule, (float("-inf"), 0))
        if now - told_at < _SAME_DENIAL_S:
            self._denials[denied.rule] = (told_at, silent + 1)
            return
        more = f" ({silent} more since the last notice of it)" if silent else ""
        self._denials[denied.rule] = (now, 0)
        self.tell(kind, f"denied by {denied.rule}: {denied.message}{more}")


@contextmanager
def trading_notices(session: TradingSession) -> Iterator[TradingNotices]:
    """Tell of a session until the block ends; how it ends is told too.

    Raises:
        ConfigError: A setting is wrong.
    """
    names = session.engine.names
    title = f"{names.mode} {names.strategy} {names.account_id[:16]}"
    senders, levels = notice_senders(title)
    notices = TradingNotices(title, senders, levels)
    try:
        yield notices
    except Exception as error:
        notices.tell("alarm", f"trading has ended: {redact(str(error))}")
        raise
    else:
        notices.tell("end", f"the session is over, result {money(session.engine.worth())} USD")
    finally:
        for sender in senders:
            sender.close()


def notice_senders(title: str) -> tuple[list[NoticeSender], dict[str, Level | None]]:
    """Return what sends to each address of the settings, and the level of each kind.

    Raises:
        ConfigError: A setting is wrong.
    """
    settings = load(NoticeSettings)
    levels = settings.levels()
    own = settings.notify_urls.get_secret_value().split()
    addresses = own or load(SignInSettings).addresses()
    variable = "TRADING_NOTIFY_URLS" if own else "SCHWAB_WARN_URLS"
    made = [Notifier([address], variable).send for address in addresses]
    return [NoticeSender(send, title) for send in made], levels
