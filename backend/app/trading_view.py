"""A trading session on the terminal: account, positions, orders, and what was decided."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from typing import TYPE_CHECKING, Self

from rich.console import Group
from rich.live import Live
from rich.text import Text

from app.trading_words import (
    coloured,
    decision_words,
    gains_words,
    money,
    orders_table,
    positions_table,
)
from engine.net_greeks import net_greeks
from utils.clock import to_time
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from app.trading_session import TradingSession
    from engine.net_greeks import NetGreeks
    from models.decisions import Decision

_REDRAW_S = 0.25
_GREEKS_S = 2.0
_OLD_FEED_S = 20.0


class TradingView(contextlib.AbstractContextManager["TradingView"]):
    """Draws a session anew a few times a second; where there is no terminal, lines alone.

    Args:
        session: What is shown.
        console: Where.
    """

    def __init__(self, session: TradingSession, console: Console) -> None:
        self._session = session
        self._console = console
        self._said: deque[Text] = deque(maxlen=10)
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._drawn_at = 0.0
        self._greeks: NetGreeks | None = None
        self._greeks_at = float("-inf")

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def say(self, decision: Decision) -> None:
        """Show a decision, where it is one that a person wants to see."""
        words = decision_words(decision)
        if words is None:
            return
        at = to_time(decision.at_ns).astimezone(NEW_YORK)
        line = Text.assemble((f"{at:%H:%M:%S} ", "dim"), words)
        if self._console.is_terminal:
            self._said.append(line)
        else:
            self._console.print(line, soft_wrap=True)

    def tick(self) -> None:
        """Draw anew, if it is time."""
        if self._console.is_terminal and time.monotonic() - self._drawn_at >= _REDRAW_S:
            self._drawn_at = time.monotonic()
            self._live.update(self._drawn(), refresh=True)

    def _drawn(self) -> RenderableType:
        session = self._session
        engine, names = session.engine, session.engine.names
        now = to_time(engine.market.now_ns).astimezone(NEW_YORK)
        balances = engine.broker.balances()
        head = Text.assemble(
            (f"{names.mode} {names.strategy}", "bold"),
            f"  {now:%a %H:%M:%S} New York  gained ",
            coloured(engine.worth()),
            f"  cash {money(balances.cash)}  buying power {money(balances.buying_power)}",
        )
        parts: list[RenderableType] = [head, self._second_line()]
        if gains := session.mirror.attribution.days.values():
            parts.append(gains_words(gains))
        held = engine.market.positions(engine.portfolio, names.account_id, names.mode)
        if held:
            parts.append(positions_table(held.values()))
        if working := engine.book.working():
            parts.append(orders_table(working))
        for source, reason in engine.restraints.items():
            parts.append(Text(f"closing only, {source}: {reason}", "red"))
        if session.stale:
            parts.append(Text(f"the database is behind: {session.stale}", "red"))
        return Group(*parts, *self._said)

    def _second_line(self) -> Text:
        """Return age of the feed, room of the risk gate, and greeks, looked at now and then."""
        session = self._session
        engine, gate = session.engine, session.gate
        if time.monotonic() - self._greeks_at > _GREEKS_S:
            self._greeks_at = time.monotonic()
            self._greeks = net_greeks(engine.market, engine.portfolio)
        room = float(gate.limits.max_daily_loss) - gate.lost_today(engine)
        age_s = time.monotonic() - session.heard_at
        words = f"feed {age_s:.1f} s old, {engine.number:,} events  room to lose {money(room)}"
        if gate.halted:
            words += f"  STOPPED: {gate.halted}"
        if self._greeks is not None:
            delta, gamma, theta, vega = self._greeks
            words += f"  delta {delta:+.1f} gamma {gamma:+.2f} theta {theta:+.2f} vega {vega:+.2f}"
        return Text(words, "dim" if age_s < _OLD_FEED_S and not gate.halted else "red")
