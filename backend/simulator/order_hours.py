"""When orders may trade: the windows of Schwab's order sessions, New York."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from models.schwab_order_terms import Session
from models.symbols import OCC_LENGTH
from utils.market_calendar import NEW_YORK, is_session, next_session, option_close, session

if TYPE_CHECKING:
    from datetime import date

    from simulator.order_forms import OrderForm

_WINDOWS = {
    Session.AM: (time(7), time(9, 25)),
    Session.PM: (time(16, 5), time(20)),
    Session.SEAMLESS: (time(7), time(20)),
}


def window(form: OrderForm, day: date) -> tuple[datetime, datetime]:
    """Return from when to when an order may trade on an exchange day, UTC.

    On days of early closes the session PM begins five minutes after the close and ends at 17:00.
    """
    regular = session(day)
    which = form.session or Session.NORMAL
    if which is Session.NORMAL:
        return regular.open, _regular_end(form, day, regular.close)
    first, last = _WINDOWS[which]
    begin, end = _at(day, first), _at(day, last)
    if regular.early_close and which is not Session.AM:
        end = _at(day, time(17))
        if which is Session.PM:
            begin = regular.close + timedelta(minutes=5)
    return begin, end


def is_open(form: OrderForm, now: datetime) -> bool:
    """Tell whether an order may trade at this moment."""
    day = now.astimezone(NEW_YORK).date()
    if not is_session(day):
        return False
    begin, end = window(form, day)
    return begin <= now < end


def next_begin(form: OrderForm, now: datetime) -> datetime:
    """Return when the order's next window begins, UTC."""
    day = now.astimezone(NEW_YORK).date()
    if is_session(day):
        begin, _ = window(form, day)
        if now < begin:
            return begin
    return window(form, next_session(day).day)[0]


def _regular_end(form: OrderForm, day: date, close: datetime) -> datetime:
    options = [leg for leg in form.legs if len(leg.symbol) == OCC_LENGTH]
    if not options or len(options) < len(form.legs):
        return close
    return min(option_close(leg.symbol[:6].rstrip(), day) for leg in options)


def _at(day: date, at: time) -> datetime:
    return datetime.combine(day, at, NEW_YORK).astimezone(UTC)
