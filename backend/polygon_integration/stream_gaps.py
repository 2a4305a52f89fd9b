"""What a lost stream missed, by REST: bars and trades; of quotes only the newest counts."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from models.events import Bar, MarketEvent, TradeTick
from polygon_integration.channels import EVERY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from polygon_integration.channels import Channel
    from polygon_integration.client import PolygonClient
    from polygon_integration.options_stream import Gap, Heal
    from polygon_integration.parse import Page

_log = logging.getLogger(__name__)

MOST_HEALED: Final = 500
"""Channels that are asked again after a loss; beyond it the next day's flat files must do."""

_NS: Final = 1_000_000_000
_NS_OF_MS: Final = 1_000_000


def heal_by_rest(client: PolygonClient, *, now_ns: Callable[[], int] = time.time_ns) -> Heal:
    """Return a healer that asks the REST API for bars and trades of named symbols.

    Bars are asked from the one that was forming when the stream was lost; it comes again, whole.

    Args:
        client: Whom to ask.
        now_ns: The market's time.
    """

    async def heal(gap: Gap) -> Sequence[MarketEvent]:
        wanted = [c for c in gap.channels if c.kind in {"A", "AM", "T"} and c.symbol != EVERY]
        left = [c for c in gap.channels if c.kind in {"A", "AM", "T"} and c.symbol == EVERY]
        if left or len(wanted) > MOST_HEALED:
            _log.warning(
                "the stream's gap is healed for %d channels only; flat files bring the rest",
                min(len(wanted), MOST_HEALED),
            )
        return await asyncio.to_thread(_asked, client, gap.start_ns, now_ns(), wanted[:MOST_HEALED])

    return heal


def _asked(
    client: PolygonClient, start_ns: int, end_ns: int, wanted: Sequence[Channel]
) -> list[MarketEvent]:
    found = [
        event
        for channel in wanted
        for event in (_trades if channel.kind == "T" else _bars)(client, channel, start_ns, end_ns)
    ]
    return sorted(found, key=lambda event: event.time_ns)


def _trades(
    client: PolygonClient, channel: Channel, start_ns: int, end_ns: int
) -> Iterator[MarketEvent]:
    # The stream has milliseconds: what came in the last one may have company that did not.
    start = start_ns - start_ns % _NS_OF_MS + _NS_OF_MS
    for page in client.trades(channel.ticker, start, end_ns):
        for row in page.frame.iter_rows(named=True):
            codes = (row["conditions"] or "").split(",")
            yield TradeTick(
                symbol=channel.symbol,
                time_ns=row["time_ns"],
                price=row["price"],
                size=row["size"],
                conditions=tuple(int(code) for code in codes if code),
            )


def _bars(
    client: PolygonClient, channel: Channel, start_ns: int, end_ns: int
) -> Iterator[MarketEvent]:
    seconds = 60 if channel.kind == "AM" else 1
    first_ms = (start_ns // _NS - seconds + 1) // seconds * seconds * 1000
    pages: Iterator[Page] = client.aggregates(
        channel.ticker,
        first_ms,
        end_ns // _NS_OF_MS,
        "minute" if seconds == 60 else "second",
        adjusted=False,
    )
    for page in pages:
        for row in page.frame.iter_rows(named=True):
            yield Bar(
                symbol=channel.symbol,
                time_ns=round(row["ts"].timestamp()) * _NS,
                interval_s=seconds,
                **{name: row[name] for name in ("open", "high", "low", "close", "volume")},
            )
