"""What an account's plan includes, found by asking: one small request for each kind of data.

The service has no endpoint that tells a plan, so each kind is asked for once and the answers are
told apart: given, 403, 404 of a file that is not due yet, 429.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from models.errors import (
    AuthError,
    DataError,
    NotEntitled,
    NotFound,
    RateLimited,
    SubscriptionRefused,
    Unavailable,
)
from polygon_integration.channels import Channel
from polygon_integration.flat_datasets import DATASETS
from polygon_integration.options_stream import PolygonStream
from polygon_integration.s3_bulk_downloader import FlatFiles, State, due_at
from utils.clock import to_ns
from utils.market_calendar import NEW_YORK, sessions_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from polygon_integration.channels import Kind
    from polygon_integration.client import PolygonClient
    from polygon_integration.config import PolygonSettings

FREE_CALLS: Final = 5
"""Requests a minute on the free plan, the only plan with a limit that matters."""

MINUTE_S: Final = 61.0
"""After so long a minute's requests are forgotten."""

QUIET_S: Final = 2.0
"""A channel that nobody has refused for so long is in the plan."""

KINDS: Final[tuple[Kind, ...]] = ("AM", "A", "T", "Q", "FMV")
"""Channels of options, in the order in which dearer plans add them."""

_SESSIONS = 10


class Verdict(StrEnum):
    """What an answer means."""

    IN_PLAN = "in plan"
    NOT_IN_PLAN = "not in plan"
    NOT_YET = "not yet published"
    MISSING = "not there"
    THROTTLED = "throttled"
    UNREACHABLE = "no answer"


_OF_STATE: Final = {
    State.AVAILABLE: Verdict.IN_PLAN,
    State.NOT_IN_PLAN: Verdict.NOT_IN_PLAN,
    State.NOT_YET: Verdict.NOT_YET,
    State.HOLIDAY: Verdict.MISSING,
    State.MISSING: Verdict.MISSING,
    State.THROTTLED: Verdict.THROTTLED,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of data.

    Attributes:
        service: REST, flat files or stream.
        name: Of the kind, as a person says it.
        verdict: Whether it can be had.
        sentence: Why not; empty where it can.
    """

    service: str
    name: str
    verdict: Verdict
    sentence: str = ""


@dataclass(slots=True)
class Calls:
    """How many requests were answered, and whether the service ever refused to go on.

    Attributes:
        answered: Requests with another answer than 429.
        seconds: From the first to the last.
        limit: Requests that were answered before the first 429; None where there was none.
    """

    answered: int = 0
    seconds: float = 0.0
    limit: int | None = None


def ask_rest(
    client: PolygonClient,
    ticker: str,
    now: datetime,
    calls: Calls,
    *,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[Finding]:
    """Yield what REST gives: of an underlying, of one of its contracts, of the newest whole session.

    Args:
        client: Whom to ask; it must not wait by itself, so that the service's limit is seen.
        ticker: An underlying with options.
        now: Market time.
        calls: Is counted in.
        wait: Waits for seconds, where the minute's requests are used up.

    Raises:
        AuthError: The key is not accepted.
        NotFound: The ticker has no contracts.
    """
    day = sessions_back(now, _SESSIONS)[-2].day
    contract: list[str] = []

    def contracts() -> None:
        page = next(client.contracts(ticker, as_of=day, first=day))
        contract.extend(Channel("AM", each).ticker for each in page.frame["occ_symbol"].head(1))

    first = _once("REST", "contracts", contracts, calls, wait)
    yield first
    if not contract:
        if first.verdict is not Verdict.IN_PLAN:
            return
        raise NotFound(f"{ticker} has no options on {day}", provider="polygon")
    option = contract[0]
    today = now.astimezone(NEW_YORK).date()
    start = to_ns(now - timedelta(days=7))
    end = to_ns(now)
    asks: dict[str, Callable[[], object]] = {
        "minute bars of options": lambda: next(client.aggregates(option, day, day, "minute")),
        "second bars of options": lambda: next(client.aggregates(option, day, day, "second")),
        "snapshots of options": lambda: next(client.chain(ticker, first=today)),
        "trades of options": lambda: next(client.trades(option, start, end)),
        "quotes of options": lambda: next(client.quotes(option, start, end)),
        "minute bars of stocks": lambda: next(client.aggregates(ticker, day, day, "minute")),
        "minute bars of indices": lambda: next(client.aggregates("I:SPX", day, day, "minute")),
        "dividends and splits": lambda: next(client.dividends(ticker, first=day)),
    }
    for name, ask in asks.items():
        yield _once("REST", name, ask, calls, wait)


def _once(
    service: str,
    name: str,
    ask: Callable[[], object],
    calls: Calls,
    wait: Callable[[float], None],
) -> Finding:
    """Ask, and once more a minute later where the minute's requests were used up."""
    for is_last in (False, True):
        started = time.monotonic()
        try:
            ask()
        except RateLimited as error:
            calls.limit = calls.answered if calls.limit is None else calls.limit
            if is_last:
                return Finding(service, name, Verdict.THROTTLED, str(error))
            wait(MINUTE_S)
            continue
        except NotEntitled as error:
            finding = Finding(service, name, Verdict.NOT_IN_PLAN, str(error))
        except NotFound as error:
            finding = Finding(service, name, Verdict.MISSING, str(error))
        except (Unavailable, DataError) as error:
            return Finding(service, name, Verdict.UNREACHABLE, str(error))
        else:
            finding = Finding(service, name, Verdict.IN_PLAN)
        calls.answered += 1
        calls.seconds += time.monotonic() - started
        return finding
    raise AssertionError(name)  # the last try returns


def ask_flat_files(files: FlatFiles, now: datetime) -> Iterator[Finding]:
    """Yield which kinds of flat files can be read, of the newest session whose files are due.

    Raises:
        AuthError: The keys are not accepted.
    """
    days = [each.day for each in sessions_back(now, _SESSIONS) if due_at(each.day) <= now]
    day = days[-1]
    for name in DATASETS:
        found = files.look(name, day)
        verdict = _OF_STATE[found.state]
        sentence = "" if verdict is Verdict.IN_PLAN else found.sentence
        yield Finding("flat files", name, verdict, sentence)


async def ask_stream(
    settings: PolygonSettings, symbol: str, *, quiet_s: float = QUIET_S
) -> list[Finding]:
    """Return which channels of options can be subscribed to, of one contract.

    Takes the one connection that the key has: a program that listens elsewhere is evicted.

    Args:
        settings: Where Polygon is and who we are.
        symbol: OCC symbol of a contract.
        quiet_s: How long to wait for a refusal.

    Raises:
        AuthError: The key is not accepted.
        StreamError: Another program takes the connection meanwhile.
    """
    found = []
    business = settings.model_copy(update={"stream_url": settings.business_url})
    for kind in KINDS:
        stream = PolygonStream(business if kind == "FMV" else settings)
        verdict, sentence = Verdict.IN_PLAN, ""
        try:
            async with (
                asyncio.timeout(quiet_s),
                aclosing(stream.listen([Channel(kind, symbol)])) as events,  # type: ignore[type-var]
            ):
                async for _ in events:
                    break
        except TimeoutError:
            pass
        except SubscriptionRefused as error:
            verdict, sentence = Verdict.NOT_IN_PLAN, str(error)
        except AuthError as error:
            if kind != "FMV" or settings.business_url == settings.stream_url:
                raise
            verdict, sentence = Verdict.NOT_IN_PLAN, f"the business plans' host: {error}"
        found.append(Finding("stream", f"{kind} of options", verdict, sentence))
    return found


def told_limit(calls: Calls, per_minute: int) -> str:
    """Return what is known of requests a minute, and what to set.

    Args:
        calls: What was seen.
        per_minute: What the settings say.
    """
    if calls.limit is not None:
        return (
            f"{max(calls.limit, 1)} requests a minute (the next one was refused, 429): keep "
            f"POLYGON_REQUESTS_PER_MINUTE at {FREE_CALLS}"
        )
    seen = f"no limit met in {calls.answered} requests"
    if calls.answered <= FREE_CALLS or per_minute > FREE_CALLS:
        return seen
    return f"{seen}: this is no free plan, set POLYGON_REQUESTS_PER_MINUTE=6000"
