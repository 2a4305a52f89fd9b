"""The quality rules on files of recorded market data: how often each is broken in each file.

The files are those of the simulator's recorded world (`simulator.recorded_files`), whole chains of
one moment as JSON, and minute bars as CSV. What is found in the real ones is written down and
explained in `docs/quality.md`; `expected_counts.json` beside the tests holds the counts.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from models.options import OptionChain
from models.symbols import underlying_of_root
from models.tables import EQUITY_BARS, OPTION_BARS, OPTION_QUOTES
from pipeline import quality
from pipeline.day_rules import DAY_RULES, day_context
from pipeline.quality import Finding, Rule, findings_of
from pipeline.session_context import clock_context
from pipeline.session_enrich import enrich_session
from pipeline.session_figures import session_figures
from pipeline.session_rules import CLOCK_RULES, Beside, judge_session, missing_bars
from utils import market_calendar
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from models.tables import Frame
    from utils.market_calendar import Session

_RECORDED = re.compile(
    r"([a-z.0-9]+)_(equity_trades|equity_quotes|equity_daily|index|options_quotes|options_trades)"
    r"(?:_(\d{4}-\d\d-\d\d))?\.parquet"
)
_CHAIN = re.compile(r"([a-z]+)_chain_(\d{4}-\d\d-\d\d)T(\d\d)(\d\d)ET(?:_premarket)?\.json\.gz")
_BARS = re.compile(r"([a-z]+)_1min_.*\.csv\.gz")

_MINUTE = timedelta(minutes=1)
_ONE_STAMP = {"source": pl.lit("polygon"), "origin": pl.lit("recorded")}
_NO_TIME = pl.lit(None, pl.Datetime("us", "UTC")).alias("quote_at")


class _File(NamedTuple):
    """What the name of a recorded file says, and what it holds.

    Attributes:
        folder: Where it lies, beside others.
        symbol: Ticker or root, as in the name.
        day: The session; of daily bars the first one.
        rows: Of the file.
    """

    folder: Path
    symbol: str
    day: date
    rows: Frame

    @property
    def session(self) -> Session:
        """Which session it is of."""
        return market_calendar.session(self.day)


class FileJudgement(NamedTuple):
    """What the rules found in one file.

    Attributes:
        name: Of the file.
        rows: In it.
        findings: Rules that were broken.
    """

    name: str
    rows: int
    findings: tuple[Finding, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Rule -> times, by rule."""
        found: dict[str, int] = {}
        for each in self.findings:
            found[each.rule] = found.get(each.rule, 0) + each.count
        return dict(sorted(found.items()))


def judge_folder(folder: Path) -> list[FileJudgement]:
    """Judge every file of a folder, and of its folders, that is known; by path.

    Args:
        folder: Where they lie.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [found for path in paths if (found := judge_file(path)) is not None]


def judge_file(path: Path) -> FileJudgement | None:
    """Judge one file beside its neighbours (prices of the underlying, splits), None if unknown.

    Args:
        path: Its name says what it holds.
    """
    if match := _RECORDED.fullmatch(path.name):
        symbol, kind, text = match.groups()
        rows = pl.read_parquet(path)
        day = date.fromisoformat(text) if text else rows["date"][0]
        findings = _KINDS[kind](_File(path.parent, symbol, day, rows))
        return FileJudgement(path.name, rows.height, tuple(findings))
    if match := _CHAIN.fullmatch(path.name):
        quotes = _read_chain(path)
        return FileJudgement(path.name, quotes.height, tuple(_of_chain(match[1].upper(), quotes)))
    if match := _BARS.fullmatch(path.name):
        rows = _read_bars(path)
        found = []
        for (day,), bars in rows.group_by("session", maintain_order=True):
            found += _bars(match[1].upper(), market_calendar.session(day), bars)
        return FileJudgement(path.name, rows.height, tuple(found))
    return None


def _option_quotes(file: _File) -> list[Finding]:
    """Judge a session of option minutes: priced first, with what lies beside it."""
    session = file.session
    underlying = underlying_of_root(file.symbol.upper())
    bars = _underlying_bars(file.folder, underlying.lower(), file.day)
    quotes = file.rows.select(
        ts=pl.col("ts") + _MINUTE,  # these files stamp the start of a minute
        occ_symbol="symbol",
        underlying=pl.lit(underlying),
        session=pl.lit(file.day),
        expiration="expiration",
        strike="strike",
        right="right",
        bid="bid_close",
        ask="ask_close",
        bid_size="bid_size",
        ask_size="ask_size",
        quote_at=_NO_TIME,
        **_ONE_STAMP,
    ).sort("ts", "occ_symbol")
    spot = pl.lit(None, pl.Float64).alias("underlying_price")
    if bars is None:
        quotes = quotes.with_columns(spot)
    else:
        prices = bars.select(ts=pl.col("ts") + _MINUTE, underlying_price="close").sort("ts")
        quotes = quotes.join_asof(prices, on="ts", strategy="backward")
    chain = OptionChain(underlying, session.close, 0.0, None, None, quotes, quotes.head(0))
    enriched = enrich_session(chain, quotes)
    figures = session_figures(session, enriched)
    beside = Beside(bars=bars, smile_volatility=figures.smile_volatility)
    return list(judge_session(underlying, session, enriched.quotes, beside).findings)


def _underlying_bars(folder: Path, symbol: str, day: date) -> Frame | None:
    """Return the underlying's minute bars of a day, if a file has them."""
    for name in (f"{symbol}_equity_trades_{day}", f"{symbol}_index_{day}"):
        path = folder / f"{name}.parquet"
        if path.exists():
            return pl.read_parquet(path)
    return None


def _option_trades(file: _File) -> list[Finding]:
    """Judge minutes of option trades."""
    session = file.session
    bars = file.rows.rename({"symbol": "occ_symbol"}).with_columns(
        session=pl.lit(file.day), interval=pl.lit("1m"), **_ONE_STAMP
    )
    end = session.close + timedelta(minutes=15)
    rules = quality.option_bar_rules(OPTION_BARS, start=session.open, end=end)
    return findings_of(rules, bars)


def _equity_bars(file: _File) -> list[Finding]:
    """Judge minutes of a stock or an index."""
    return _bars(file.symbol.upper(), file.session, file.rows)


def _bars(ticker: str, session: Session, rows: Frame) -> list[Finding]:
    start, end = market_calendar.extended_hours(session)
    bars = rows.sort("ts").with_columns(
        underlying=pl.lit(ticker), interval=pl.lit("1m"), session=pl.lit(session.day), **_ONE_STAMP
    )
    rules = quality.bar_rules(EQUITY_BARS, start=pl.lit(start), end=pl.lit(end), step=_MINUTE)
    if not (bars["volume"] > 0).any():  # an index: nothing is traded
        rules = [rule for rule in rules if rule.name != "no_volume"]
    return [
        *findings_of(rules, bars),
        *missing_bars(session, bars),
        *findings_of(CLOCK_RULES, clock_context(session, bars)),
    ]


def _equity_quotes(file: _File) -> list[Finding]:
    """Judge minutes of a stock's quotes: those rules that read bid and ask alone."""
    quotes = file.rows.rename({"bid_close": "bid", "ask_close": "ask"})
    plain = quality.chain_rules(OPTION_QUOTES, open_session=False)
    names = {"bad_price", "no_bid", "no_ask", "crossed", "locked"}
    return findings_of([rule for rule in plain if rule.name in names], quotes)


def _equity_daily(file: _File) -> list[Finding]:
    """Judge daily bars, with the splits of the factor file beside them."""
    factors = file.folder / f"{file.symbol}_factor_file.csv"
    splits = _splits(factors, file.rows["date"]) if factors.exists() else None
    days = file.rows.rename({"date": "session"}).sort("session")
    prices = [*("open", "high", "low", "close")]
    rules: Sequence[Rule] = [
        rule
        for rule in quality.bar_rules(
            EQUITY_BARS, start=pl.lit(None), end=pl.lit(None), step=_MINUTE
        )
        if rule.name in {"no_price", "ohlc", "negative_volume", "no_volume"}
    ]
    whole = days.select("session", *prices, "volume")
    return [
        *findings_of(rules, whole),
        *findings_of(DAY_RULES, day_context(whole, splits)),
    ]


def _splits(path: Path, sessions: pl.Series) -> Frame:
    """Return the splits of a factor file: a row holds up to its day, the step after it is a split."""
    rows = [line.split(",") for line in path.read_text(encoding="utf-8").split()]
    days = sessions.sort().to_list()
    found = []
    for before, after in pairwise(rows):
        ratio = float(after[2]) / float(before[2])
        last = datetime.strptime(before[0], "%Y%m%d").replace(tzinfo=NEW_YORK).date()
        following = [each for each in days if each > last]
        if abs(ratio - 1) > 1e-6 and following:
            found.append({"ex_date": following[0], "split_from": 1.0, "split_to": ratio})
    schema = {"ex_date": pl.Date(), "split_from": pl.Float64(), "split_to": pl.Float64()}
    return pl.DataFrame(found, schema=schema)


_KINDS: dict[str, Callable[[_File], list[Finding]]] = {
    "equity_trades": _equity_bars,
    "index": _equity_bars,
    "equity_quotes": _equity_quotes,
    "equity_daily": _equity_daily,
    "options_quotes": _option_quotes,
    "options_trades": _option_trades,
}


def _read_chain(path: Path) -> Frame:
    """Return a chain of one moment as rows of `OPTION_QUOTES`."""
    chain = json.loads(gzip.decompress(path.read_bytes()))
    at = datetime.fromisoformat(chain["updated"]).astimezone(NEW_YORK)
    session = market_calendar.last_session(at)
    rows = [
        {
            "occ_symbol": f"{each['symbol'][:-15]:<6}{each['symbol'][-15:]}",
            "expiration": date.fromisoformat(each["expiration"]),
            "strike": float(each["strike"]),
            "right": each["side"][0].upper(),
            "bid": each["bid"],
            "ask": each["ask"],
            "volume": each["volume"],
            "open_interest": each["openInterest"],
        }
        for each in chain["quotes"]
    ]
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(
        ts=pl.lit(at).dt.convert_time_zone("UTC").dt.cast_time_unit("us"),
        underlying=pl.lit(chain["symbol"]),
        session=pl.lit(session.day),
        underlying_price=pl.lit(float(chain["underlyingPrice"])),
        quote_at=_NO_TIME,
        **_ONE_STAMP,
    )


def _of_chain(ticker: str, quotes: Frame) -> list[Finding]:
    """Judge a chain of one moment."""
    day = quotes["session"][0]
    session = market_calendar.session(day)
    chain = OptionChain(ticker, quotes["ts"][0], 0.0, None, None, quotes, quotes.head(0))
    enriched = enrich_session(chain, quotes)
    figures = session_figures(session, enriched)
    beside = Beside(smile_volatility=figures.smile_volatility, snapshot=True)
    return list(judge_session(ticker, session, enriched.quotes, beside).findings)


def _read_bars(path: Path) -> Frame:
    """Return minute bars whose times are New York's and mark the end of the minute."""
    text = gzip.decompress(path.read_bytes()).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    times = [datetime.fromisoformat(row["datetime"]).replace(tzinfo=NEW_YORK) for row in rows]
    numbers = {
        name: [float(row[name]) for row in rows] for name in ("open", "high", "low", "close")
    }
    return pl.DataFrame(
        {
            "ts": pl.Series(times).dt.convert_time_zone("UTC").dt.cast_time_unit("us"),
            "session": [each.date() for each in times],
            **numbers,
            "volume": [int(float(row["volume"])) for row in rows],
        }
    ).with_columns(pl.col("ts") - _MINUTE)
