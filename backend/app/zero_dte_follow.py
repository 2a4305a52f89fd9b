"""Following a 0DTE session live: the stream first, then REST for what was before it, then both.

What the stream tells is on the disk within seconds, in small files that the next run takes up; the
study's own files are replaced now and then, and at the end. Bars and trades are never dropped; of
quotes the last of each minute counts.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from app import cli
from app.zero_dte import kept_elsewhere, show, warn_of_limit, write
from app.zero_dte_live import Collector, joined
from app.zero_dte_study import download_study, finished
from models.errors import NotEntitled, SubscriptionRefused
from models.symbols import INDICES
from polygon_integration.channels import Channel, channels
from polygon_integration.roster import roster
from polygon_integration.shared_stream import SharedStream
from polygon_integration.stream_gaps import heal_by_rest
from utils import market_calendar
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from datetime import date

    from app.polygon_place import PolygonPlace
    from app.zero_dte import Asked
    from app.zero_dte_folder import Study, StudyFolder
    from app.zero_dte_study import Whole
    from models.tables import Frame

FLUSH_S: Final = 2.0
"""Seconds between two writes of what the stream told."""

WRITE_S: Final = 300.0
"""Seconds between two replacements of the study's files."""

ROSTER_S: Final = 30.0
"""Seconds between two looks at which contracts are nearest to the money."""

_AFTER_CLOSE: Final = timedelta(minutes=2)
"""The last bar comes a minute after the bell."""


class _Stopped(Exception):
    """The download is to end because following ends."""


def follow(
    place: PolygonPlace, asked: Asked, day: date, contracts: Frame, folder: StudyFolder
) -> int:
    """Follow a session until its close, for so many seconds, or until Ctrl-C.

    Raises:
        TradingError: The stream or the service fails; what came is in the folder.
        KeyboardInterrupt: Ctrl-C; the same.
    """
    warn_of_limit(place, contracts.height)
    following = _Following(place, asked, day, contracts, folder)
    what = f"{asked.ticker}, {contracts.height:,} contracts expiring {day}"
    print(f"following {what}: {place.described}; Ctrl-C ends it", file=sys.stderr)
    try:
        asyncio.run(following.run())
    finally:
        following.end()
    return cli.PARTIAL if following.partial else cli.OK


class _Following:
    """One session that is followed.

    Attributes:
        partial: Whether something was not to be had.
    """

    def __init__(
        self,
        place: PolygonPlace,
        asked: Asked,
        day: date,
        contracts: Frame,
        folder: StudyFolder,
    ) -> None:
        self._place, self._asked, self._day = place, asked, day
        self._contracts, self._folder = contracts, folder
        self._session = market_calendar.session(day)
        self._collector = Collector(asked.ticker, day, place.origin)
        self._whole: Whole | None = None
        self._stop = threading.Event()
        self.partial = False

    async def run(self) -> None:
        """Listen until the end."""
        until = time.monotonic() + (self._asked.seconds or float("inf"))
        heal = heal_by_rest(
            self._place.client, now_ns=lambda: int(self._place.clock().timestamp() * 1e9)
        )
        options = SharedStream(self._place.settings, heal=heal)
        index = self._asked.ticker in INDICES
        shares = SharedStream(
            self._place.settings, market="indices" if index else "stocks", heal=heal
        )
        price = await asyncio.to_thread(self._first_price)
        listening = {
            asyncio.create_task(self._listen(options, self._channels(price, ()))),
            asyncio.create_task(self._listen(shares, channels(["AM"], [self._asked.ticker]))),
        }
        rest = asyncio.create_task(asyncio.to_thread(self._download))
        written = looked = time.monotonic()
        try:
            while time.monotonic() < until and not self._is_over():
                waited: set[asyncio.Task[Any]] = {*listening}
                if self._whole is None:
                    waited.add(rest)
                left = max(0.0, min(FLUSH_S, until - time.monotonic()))
                done, _ = await asyncio.wait(
                    waited, timeout=left, return_when=asyncio.FIRST_COMPLETED
                )
                self._flush()
                if rest in done:
                    self._whole = rest.result()
                    written = 0.0
                listening -= self._ended(listening & done)
                if time.monotonic() - looked > ROSTER_S:
                    looked = time.monotonic()
                    await self._roll(options)
                if self._whole and time.monotonic() - written > WRITE_S:
                    await asyncio.to_thread(self._write)
                    written = time.monotonic()
                    self._tell()
        finally:
            self._stop.set()
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)
            with suppress(_Stopped, asyncio.CancelledError):
                whole = await asyncio.shield(rest)
                self._whole = self._whole or whole

    def end(self) -> None:
        """Write everything that came, and show it."""
        self._flush()
        if self._whole is None:
            print(
                "ended before the first part of the session was there: what the stream told is "
                "kept for the next run",
                file=sys.stderr,
            )
            return
        study = self._write()
        self.partial = bool(study.missing or study.open_interest) or self.partial
        told = list(kept_elsewhere(self._asked, self._place, self._whole, made_from="stream"))
        counts = ", ".join(f"{n:,} {name}" for name, n in self._collector.counts.items())
        show(self._folder, study, self._place, f"the stream told {counts}")
        print(*told, sep="\n", end="\n" if told else "")

    async def _listen(self, stream: SharedStream, wanted: list[Channel]) -> None:
        async for event in stream.listen(wanted):
            self._collector.take(event)

    def _ended(self, done: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
        """Return streams that a plan does not include; any other end is an error.

        Raises:
            TradingError: Why a stream ended.
        """
        for task in done:
            try:
                task.result()
            except SubscriptionRefused as error:
                print(f"{error}: only REST tells that part", file=sys.stderr)
                self.partial = True
        return done

    def _is_over(self) -> bool:
        return self._place.clock() >= self._session.close + _AFTER_CLOSE

    def _first_price(self) -> float:
        """Return where the money is: by the newest quote, else the middle of the strikes."""
        with suppress(NotEntitled):
            quotes = self._place.market.quotes([self._asked.ticker])
            price = quotes.select(pl.coalesce("last", "bid", "ask")).item()
            if price:
                return float(price)
        return float(np.median(self._contracts["strike"].to_numpy()))

    def _channels(self, price: float, watched: tuple[str, ...]) -> list[Channel]:
        """Return bars and trades of all contracts, and quotes of those nearest to the money."""
        symbols = self._contracts["occ_symbol"].to_list()
        near = roster(self._contracts, price, self._day, watched=watched)
        return [*channels(["AM", "T"], symbols), *channels(["Q"], near)]

    async def _roll(self, options: SharedStream) -> None:
        if self._collector.price:
            wanted = self._channels(self._collector.price, tuple(self._watched(options)))
            await options.watch(wanted)

    @staticmethod
    def _watched(options: SharedStream) -> list[str]:
        return [channel.symbol for channel in options.watched if channel.kind == "Q"]

    def _download(self) -> Whole:
        def progress(_dataset: str, _done: int, _count: int) -> None:
            if self._stop.is_set():
                raise _Stopped

        return download_study(
            self._place,
            self._asked.ticker,
            self._day,
            self._contracts,
            folder=self._folder,
            progress=progress,
        )

    def _flush(self) -> None:
        for dataset, rows in self._collector.drain().items():
            self._folder.put_live(dataset, rows, time.time_ns())

    def _write(self) -> Study:
        """Join what the stream told to the study, and replace its files."""
        assert self._whole is not None  # noqa: S101 - whoever calls has looked
        whole = self._whole
        told = list(self._folder.live())
        rest_at = whole.asked_at
        for dataset in ("bars", "trades", "quotes"):
            live = [rows for path, rows in told if path.name.startswith(f"{dataset}-")]
            known = whole.frames.get(dataset)
            if known is not None:
                whole.frames[dataset] = joined(dataset, known, live, rest_at)
            elif live:
                whole.frames[dataset] = joined(dataset, live[0].clear(), live, self._session.open)
        live = [rows for path, rows in told if path.name.startswith("underlying-")]
        whole.underlying = joined("underlying", whole.underlying, live, rest_at)
        self._whole = finished(self._place, self._asked.ticker, whole)
        study = write(self._folder, self._whole, self._asked.ticker, self._place.origin)
        self._folder.drop_live([path for path, _ in told])
        return study

    def _tell(self) -> None:
        now = self._place.clock().astimezone(NEW_YORK)
        counts = ", ".join(f"{n:,} {name}" for name, n in self._collector.counts.items())
        print(f"{now:%H:%M:%S} New York: {counts} by the stream", file=sys.stderr)
