"""The recorded world: real sessions, replayed from files.

Bars are the files' rows. A quote at market time T shows the last complete minute: the row whose bar
starts at T - 1 min, or the newest before it in the same session. Only whole minutes are told: of a
minute that has not ended nothing is known.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from black_scholes.synthetic.names import EXCHANGE_NAMES, name_of
from black_scholes.synthetic.pricing import Terms, greeks_frame, quoted_vol
from black_scholes.synthetic.schema import CHAIN_SCHEMA, TIME, Dividend
from models.symbols import roots_of_underlying, underlying_of_root
from simulator.option_tape import NO_TRADE_BARS, RecordedTape
from simulator.periods import DAILY_EVERY, OHLCV, empty_bars, periods
from simulator.recorded_chain import MINUTE, RecordedOptions
from simulator.recorded_files import RecordedFolder
from simulator.recorded_quote import newest_sides, quote_from_bars, quote_from_options
from simulator.world import BAR_SCHEMA, Instrument, UnderlyingQuote
from utils.market_calendar import (
    NEW_YORK,
    Session,
    is_session,
    last_session,
    next_session,
    session,
    year_fractions,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulator.option_tape import OptionTape

SHIPPED = Path(__file__).parent / "data"
"""The recorded sessions that come with this product."""

_DISCOUNT_SPREAD = 0.005
"""How far the Federal Reserve's primary credit rate stood above the short risk-free rate."""

_PAYMENT_DELAY = timedelta(days=30)


class RecordedWorld:
    """Sessions from a folder of files; implements `simulator.world.World`.

    Args:
        folder: Where the files lie.

    Raises:
        ConfigError: The folder does not exist or holds no market data.
    """

    name = "recorded"
    origin = "recorded"

    def __init__(self, folder: Path = SHIPPED) -> None:
        self._files = RecordedFolder(folder)
        self._tickers = sorted({underlying_of_root(f.symbol) for f in self._files.files})
        self._options = lru_cache(maxsize=8)(self._load_options)
        self._minutes = lru_cache(maxsize=64)(self._load_minutes)
        self._tape = lru_cache(maxsize=8)(self._load_tape)
        self._daily = lru_cache(maxsize=64)(self._load_daily)
        self._instrument = lru_cache(maxsize=64)(self._load_instrument)

    def tickers(self) -> Sequence[str]:
        """Return the tickers of the files, sorted."""
        return self._tickers

    def instrument(self, ticker: str) -> Instrument | None:
        """Return what the files and the list of names say of a ticker."""
        return self._instrument(ticker) if ticker in self._tickers else None

    def default_start(self, now: datetime) -> datetime:  # noqa: ARG002 - the protocol's argument
        """Return the open of the session with the most options data, or of the newest session."""
        days = [each for each in self._files.files if each.day is not None]
        if not days:
            newest = max(self._daily(ticker)["day"].max() for ticker in self._tickers)  # type: ignore[type-var]
            return session(newest).open  # type: ignore[arg-type]
        chains = [each for each in days if each.kind == "options_quotes"] or days
        best = max(chains, key=lambda each: each.path.stat().st_size)
        return session(best.day or date.min).open

    def bars(self, ticker: str, start: datetime, end: datetime, interval: str) -> pl.DataFrame:
        """Return the bars that start in [start, end) and are over, or of longer ones what is."""
        if ticker not in self._tickers:
            return empty_bars()
        start, end = start.astimezone(UTC), end.astimezone(UTC)
        if interval in DAILY_EVERY:
            return periods(self._daily_until(ticker, end), start, end, interval)
        complete = pl.col("ts") + MINUTE <= end
        return self._minutes(ticker).filter(complete & (pl.col("ts") >= start)).select(*BAR_SCHEMA)

    def quote(self, ticker: str, now: datetime) -> UnderlyingQuote | None:
        """Return the last complete minute's quote; without a quotes file it has no bid and ask."""
        if ticker not in self._tickers:
            return None
        now = now.astimezone(UTC)
        known = self._minutes(ticker).filter(pl.col("ts") + MINUTE <= now)
        daily = self._daily_until(ticker, now)
        day = _trading_day(known, now)
        today = known.filter(pl.col("day") == day)
        if today.is_empty() and day not in daily["day"]:
            chains = (
                quote_from_options(ticker, each.at(now)) for each in self._options_at(ticker, now)
            )
            return next((found for found in chains if found is not None), None)
        sides = newest_sides(self._files.read(ticker, "equity_quotes", day), now)
        return quote_from_bars(ticker, day, today, daily, sides)

    def chain(
        self, ticker: str, now: datetime, first_expiration: date, last_expiration: date
    ) -> pl.DataFrame:
        """Return all contracts of the session's files, as the last complete minute shows them."""
        empty, now = pl.DataFrame(schema=CHAIN_SCHEMA), now.astimezone(UTC)
        days = self._options_at(ticker, now)
        if not days:
            return empty
        first = max(first_expiration, now.astimezone(NEW_YORK).date())
        wanted = pl.col("expiration").is_between(first, last_expiration)
        frame = pl.concat([each.at(now).filter(wanted) for each in days])
        if frame.is_empty():
            return empty
        frame = frame.sort("expiration", "root", "strike", "right").with_columns(
            ((pl.col("bid").fill_null(0.0) + pl.col("ask")) / 2).alias("mark")
        )
        return self._with_greeks(ticker, now, frame).select(
            pl.col(name).cast(kind) for name, kind in CHAIN_SCHEMA.items()
        )

    def tape(self, ticker: str, day: date) -> OptionTape | None:
        """Return the options tape of a recorded session, None of any other."""
        return self._tape(ticker, day)

    def _load_tape(self, ticker: str, day: date) -> OptionTape | None:
        roots = roots_of_underlying(ticker) if ticker in self._tickers else ()
        files = [
            (quotes, self._files.read(root, "options_trades", day))
            for root in roots
            if (quotes := self._files.read(root, "options_quotes", day)) is not None
        ]
        if not files:
            return None
        quotes = pl.concat([each[0] for each in files])
        traded = [each[1] for each in files if each[1] is not None]
        return RecordedTape(quotes, pl.concat(traded) if traded else NO_TRADE_BARS)

    def interest_rate(self, now: datetime) -> float:
        """Return the policy rate of the file less half a point, continuous; without a file 0."""
        table = self._files.policy_rate
        if table is None:
            return 0.0
        known = table.filter(pl.col("day") <= now.astimezone(NEW_YORK).date())
        if known.is_empty():
            return 0.0
        return float(np.log1p(max(known["percent"][-1] / 100 - _DISCOUNT_SPREAD, 0.0)))

    def _with_greeks(self, ticker: str, now: datetime, frame: pl.DataFrame) -> pl.DataFrame:
        quote = self.quote(ticker, now)
        spot = float("nan") if quote is None else quote.mark
        stamp = np.array([round(now.timestamp() * 1_000_000_000)], dtype=np.int64)
        days = frame["expiration"].to_numpy().astype("datetime64[D]")
        opening = (frame["settlement"] == "AM").to_numpy()
        terms = Terms(
            strike=frame["strike"].to_numpy(),
            years=year_fractions(stamp, days, am_settled=opening),
            is_call=(frame["right"] == "C").to_numpy(),
            american=(frame["exercise_style"] == "A").to_numpy(),
            rate=self.interest_rate(now),
            dividend_yield=self._dividend_yield(ticker, now, spot),
        )
        # Half an ask is no price: where a side is missing there is nothing to invert.
        two_sided = pl.when(pl.col("bid").is_not_null()).then("mark")
        mark = frame.select(two_sided.fill_null(np.nan)).to_series().to_numpy()
        figures = greeks_frame(terms, spot, quoted_vol(terms, spot, mark))
        return pl.concat([frame, figures], how="horizontal")

    def _dividend_yield(self, ticker: str, now: datetime, spot: float) -> float:
        paid = self._instrument(ticker)
        newest = paid.last_dividend(now.astimezone(NEW_YORK).date())
        return 0.0 if newest is None else newest.amount * paid.dividends_a_year / spot

    def _daily_until(self, ticker: str, end: datetime) -> pl.DataFrame:
        """Return daily bars; of a session that is not over what its minutes tell until `end`."""
        daily = self._daily(ticker)
        over = daily.filter(pl.col("closes") <= end)
        forming = self._minutes(ticker).filter(
            pl.col("regular") & (pl.col("ts") + MINUTE <= end) & (pl.col("closes") > end)
        )
        return pl.concat([over, _aggregated(forming).select(over.columns)])

    def _load_daily(self, ticker: str) -> pl.DataFrame:
        """Return `day`, `closes` and the columns of `BAR_SCHEMA`: the file, else the minutes."""
        made = _aggregated(self._minutes(ticker).filter("regular"))
        file = self._files.read(ticker, "equity_daily")
        if file is None:
            return made
        known = [each for each in file["date"] if is_session(each)]
        hours = [session(each) for each in known]
        table = file.filter(pl.col("date").is_in(known)).select(
            pl.col("date").alias("day"),
            pl.Series("closes", [each.close for each in hours], TIME),
            pl.Series("ts", [each.open for each in hours], TIME),
            *(pl.col(name).cast(kind) for name, kind in BAR_SCHEMA.items() if name != "ts"),
        )
        others = made.filter(~pl.col("day").is_in(known))
        return pl.concat([table, others.select(table.columns)]).sort("day")

    def _load_minutes(self, ticker: str) -> pl.DataFrame:
        """Return the minute bars of all sessions, with `day`, `closes` and whether each is regular."""
        frames = [pl.DataFrame(schema={**BAR_SCHEMA, **_MINUTE_MARKS})]
        for kind in ("equity_trades", "index"):
            for day in self._files.days(ticker, kind):
                frame = self._files.read(ticker, kind, day)
                if frame is not None and is_session(day):
                    frames.append(_marked(frame, session(day)))
        return pl.concat(frames).sort("ts")

    def _options_at(self, ticker: str, now: datetime) -> list[RecordedOptions]:
        """Return the options of the session that `now` belongs to, one object a root."""
        today, newest = now.astimezone(NEW_YORK).date(), last_session(now).day
        for day in dict.fromkeys((newest, today)):
            found = [
                self._options(root, day)
                for root in roots_of_underlying(ticker)
                if day in self._files.days(root, "options_quotes")
            ]
            if found:
                return found
        return []

    def _load_options(self, root: str, day: date) -> RecordedOptions:
        quotes = self._files.read(root, "options_quotes", day)
        if quotes is None:
            raise LookupError(f"no option quotes of {root} on {day}")
        return RecordedOptions(
            root,
            day,
            quotes,
            self._files.read(root, "options_trades", day),
            self._files.read(root, "options_open_interest", day),
        )

    def _load_instrument(self, ticker: str) -> Instrument:
        name = name_of(ticker)
        dividends = _dividends(self._files.factors(ticker))
        return Instrument(
            symbol=ticker,
            description=name.description,
            cusip=name.cusip,
            exchange=name.exchange,
            exchange_name=EXCHANGE_NAMES[name.exchange],
            asset_type=name.asset_type,
            optionable=any(
                self._files.days(root, "options_quotes") for root in roots_of_underlying(ticker)
            ),
            dividends_a_year=4 if dividends else 0,
            dividends=dividends,
        )


_MINUTE_MARKS: dict[str, pl.DataType] = {
    "day": pl.Date(),
    "closes": TIME,
    "regular": pl.Boolean(),
}


def _marked(frame: pl.DataFrame, hours: Session) -> pl.DataFrame:
    return frame.select(
        *(pl.col(name).cast(kind) for name, kind in BAR_SCHEMA.items()),
        pl.lit(hours.day, pl.Date).alias("day"),
        pl.lit(hours.close).cast(TIME).alias("closes"),
        pl.col("ts").is_between(hours.open, hours.close, closed="left").alias("regular"),
    )


def _aggregated(minutes: pl.DataFrame) -> pl.DataFrame:
    return minutes.group_by("day", maintain_order=True).agg(
        pl.col("closes").first(), pl.col("ts").first(), *OHLCV
    )


def _trading_day(known: pl.DataFrame, now: datetime) -> date:
    """Return the session that `now` belongs to: today's from its first trade on."""
    today = now.astimezone(NEW_YORK).date()
    if is_session(today) and known.height and known["day"][-1] == today:
        return today
    return last_session(now).day


def _dividends(factors: pl.DataFrame | None) -> tuple[Dividend, ...]:
    """Read cash dividends out of a factor file.

    A row holds from the row before it to its own day; the step of the price factor from one row to
    the next is 1 - dividend / reference price.
    """
    if factors is None:
        return ()
    found = []
    for row, after in pairwise(factors.iter_rows(named=True)):
        ratio = row["price_factor"] / after["price_factor"]
        if ratio < 1 and row["reference_price"] > 1:
            ex_date = next_session(row["day"]).day
            amount = round(row["reference_price"] * (1 - ratio), 4)
            found.append(Dividend(ex_date, ex_date + _PAYMENT_DELAY, amount))
    return tuple(found)
