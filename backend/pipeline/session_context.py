"""What the rules of a session compare a row with: its neighbours in strike, expiration and time.

Quotes of a session are a matrix, a row a moment and a column a contract; a neighbour is another
column or another row of it, so that no rule searches. The columns that come out begin with `_` and
are what `session_rules` writes its expressions in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from models.symbols import exercise_style_of
from pipeline.enrich import roots_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.tables import Frame
    from pipeline.activity import Activity
    from utils.market_calendar import Session

    Floats = NDArray[np.float64]
    Places = NDArray[np.intp]

_SHIFTS = (-5, -4, -3, -2, -1, 1, 2, 3, 4, 5)  # hours that a clock may be off
_TOLD = ("volume", "open_interest")
_MOST_OF_A_MINUTE = 20.0  # times the median minute's volume


@dataclass(frozen=True, slots=True)
class _Matrix:
    """A session's quotes by moment and contract.

    Attributes:
        row: Of each quote.
        column: Of each quote.
        contracts: One row a column, by OCC symbol.
        bid: Dollars, NaN where nobody bids.
        ask: Dollars, NaN where nobody offers.
    """

    row: Places
    column: Places
    contracts: Frame
    bid: Floats
    ask: Floats

    @classmethod
    def of(cls, quotes: Frame) -> _Matrix:
        times = quotes["ts"].unique().sort()
        row = np.searchsorted(times.to_physical().to_numpy(), quotes["ts"].to_physical().to_numpy())
        contracts = (
            quotes.select("occ_symbol", "expiration", "strike", "right")
            .unique("occ_symbol")
            .sort("occ_symbol")
        )
        symbols = pl.Enum(contracts["occ_symbol"])
        column = quotes["occ_symbol"].cast(symbols).to_physical().to_numpy().astype(np.intp)
        bid, ask = np.full((2, times.len(), contracts.height), math.nan)
        bid[row, column], ask[row, column] = _numbers(quotes["bid"]), _numbers(quotes["ask"])
        bid[bid <= 0] = math.nan
        ask[ask <= 0] = math.nan
        contracts = contracts.with_columns(root=roots_of(contracts))
        return cls(row, column, contracts.with_row_index("place"), bid, ask)

    def beside(self, side: Floats, places: Places) -> Floats:
        """Return a side of each quote's neighbour, NaN where there is none.

        Args:
            side: `bid` or `ask`.
            places: Column of each column's neighbour, -1 for none.
        """
        found = places[self.column]
        return np.where(found >= 0, side[self.row, found], math.nan)

    def shifted(self, by: list[str], order: str, step: int) -> Places:
        """Return each column's neighbour within groups of contracts, `step` places further."""
        ordered = self.contracts.sort(*by, order)
        neighbour = ordered.with_columns(_next=pl.col("place").shift(-step).over(by))
        places = neighbour.sort("place")["_next"].cast(pl.Int64).fill_null(-1)
        return places.to_numpy().astype(np.intp)


def quote_context(quotes: Frame, smile_volatility: pl.Series | None = None) -> Frame:
    """Return a session's quotes with what their rules compare them with.

    Args:
        quotes: Rows of `OPTION_QUOTES` with figures (`enrich_session`), of one session.
        smile_volatility: Of each quote, null away from the moments at which smiles were fitted.

    Returns:
        The same rows in the same order, and further, all null where there is nothing to compare:

        - `_wings_ask`: what the neighbours in strike cost that pay at least as much, USD;
        - `_later_ask`: ask of the next expiration of this strike, USD;
        - `_call_bid`, `_call_ask`, `_put_bid`, `_put_ask`: of the pair of this strike;
        - `_parity_low`, `_parity_high`: between these lies C - P, USD;
        - `_still`: minutes since either side last changed;
        - `_moved`: what the underlying's move since then is worth to the option, USD;
        - `_smile_volatility`: as given.
    """
    if quotes.is_empty():
        names = (*_CONTEXT, "_smile_volatility")
        return quotes.with_columns(pl.lit(None, pl.Float64).alias(name) for name in names)
    board = _Matrix.of(quotes)
    columns = {
        "_wings_ask": _wings(board),
        "_later_ask": board.beside(
            board.ask, board.shifted(["root", "strike", "right"], "expiration", 1)
        ),
        **_pair(board, quotes),
        **_parity_bounds(quotes),
        **_stillness(board, quotes),
    }
    smile = smile_volatility if smile_volatility is not None else pl.Series([None] * quotes.height)
    return quotes.with_columns(
        *(pl.Series(name, values, nan_to_null=True) for name, values in columns.items()),
        _smile_volatility=smile.cast(pl.Float64),
    )


_CONTEXT = (
    "_wings_ask",
    "_later_ask",
    "_call_bid",
    "_call_ask",
    "_put_bid",
    "_put_ask",
    "_parity_low",
    "_parity_high",
    "_still",
    "_moved",
)


def _wings(board: _Matrix) -> Floats:
    """Return what it costs to buy the strikes on both sides in the shares that cover this one."""
    by = ["root", "expiration", "right"]
    low, high = board.shifted(by, "strike", -1), board.shifted(by, "strike", 1)
    strike = board.contracts["strike"].to_numpy()
    width = strike[high] - strike[low]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where((low >= 0) & (high >= 0), (strike[high] - strike) / width, math.nan)
    of_row = share[board.column]
    return of_row * board.beside(board.ask, low) + (1 - of_row) * board.beside(board.ask, high)


def _pair(board: _Matrix, quotes: Frame) -> dict[str, Floats]:
    """Return both sides of the call and the put of each quote's strike."""
    by = ["root", "expiration", "strike"]
    other = np.maximum(board.shifted(by, "right", 1), board.shifted(by, "right", -1))
    is_call = (quotes["right"] == "C").to_numpy()
    found = {}
    for name, side in (("bid", board.bid), ("ask", board.ask)):
        own, partner = side[board.row, board.column], board.beside(side, other)
        found[f"_call_{name}"] = np.where(is_call, own, partner)
        found[f"_put_{name}"] = np.where(is_call, partner, own)
    return found


def _parity_bounds(quotes: Frame) -> dict[str, Floats]:
    """Return the bounds of C - P: one value for European options, a band for American ones.

    European: D (F - K). American: D F - K <= C - P <= S - D K, with D F = S e^(-qT); S is at least
    the underlying's price and D F.
    """
    forward, strike = _numbers(quotes["forward"]), quotes["strike"].to_numpy()
    discount = np.exp(-_numbers(quotes["risk_free_rate"]) * _numbers(quotes["year_fraction"]))
    roots = roots_of(quotes)
    european = [root for root in roots.unique() if exercise_style_of(root) == "E"]
    is_european = roots.is_in(european).to_numpy()
    worth = discount * forward
    exact = worth - discount * strike
    spot = np.fmax(worth, _numbers(quotes["underlying_price"]))
    low = np.where(is_european, exact, worth - np.maximum(strike, discount * strike))
    high = np.where(is_european, exact, spot - np.minimum(strike, discount * strike))
    return {"_parity_low": low, "_parity_high": high}


def _stillness(board: _Matrix, quotes: Frame) -> dict[str, Floats]:
    """Return for how long a quote has stood, and what the underlying's move since is worth."""
    order = np.lexsort((board.row, board.column))
    column, bid, ask = (
        board.column[order],
        *(
            np.nan_to_num(side[board.row, board.column][order], nan=-1.0)
            for side in (board.bid, board.ask)
        ),
    )
    begins = np.ones(order.size, np.bool_)
    begins[1:] = (column[1:] != column[:-1]) | (bid[1:] != bid[:-1]) | (ask[1:] != ask[:-1])
    since = np.maximum.accumulate(np.where(begins, np.arange(order.size), 0))
    minutes = quotes["ts"].dt.epoch("ms").to_numpy()[order] / 60_000.0
    price = quotes["underlying_price"].fill_null(strategy="forward")
    spot = _numbers(price)[order]
    delta = np.abs(_numbers(quotes["delta"])[order])
    still, moved = np.empty(order.size), np.empty(order.size)
    still[order] = minutes - minutes[since]
    moved[order] = delta * np.abs(spot - spot[since])
    return {"_still": still, "_moved": moved}


def clock_context(session: Session, bars: Frame) -> Frame:
    """Return one row: how much of the volume lies in regular hours, and by another clock.

    A minute counts at most twenty times the median one: a late print may be a tenth of a day.

    Args:
        session: Whose.
        bars: Of the underlying around it: ts, volume.

    Returns:
        `_share`, `_best_share` and `_hours`, by which the clock would have to be put forward for
        the best share; no row where there is no bar.
    """
    if bars.is_empty():
        return pl.DataFrame(
            schema={name: pl.Float64() for name in ("_share", "_best_share", "_hours")}
        )
    volume = bars["volume"].fill_null(0).to_numpy().astype(np.float64)
    if not volume.any():
        volume = np.ones(bars.height)
    volume = np.minimum(volume, _MOST_OF_A_MINUTE * np.median(volume[volume > 0]))
    times = bars["ts"].dt.epoch("s").to_numpy()
    start, end = session.open.timestamp(), session.close.timestamp()

    def share(hours: int) -> float:
        moved = times + 3600 * hours
        return float(volume[(moved >= start) & (moved < end)].sum() / volume.sum())

    best = max(_SHIFTS, key=share)
    return pl.DataFrame(
        {"_share": [share(0)], "_best_share": [share(best)], "_hours": [float(best)]}
    )


def contract_context(quotes: Frame, activity: Activity) -> Frame:
    """Return one row a contract with volume and open interest, of now and of before.

    Args:
        quotes: Of the session: occ_symbol, ts, volume, open_interest.
        activity: What is known beside them; what came with the quotes stands first.

    Returns:
        occ_symbol, volume, open_interest, and `_volume_fell` (it did within the session),
        `_volume_before`, `_open_interest_before`, `_traded` (contracts).
    """
    known = [name for name in _TOLD if name in quotes.columns]
    rows = (
        quotes.sort("ts")
        .group_by("occ_symbol", maintain_order=True)
        .agg(
            *(pl.col(name).drop_nulls().last().cast(pl.Int64) for name in known),
            *(
                [(pl.col("volume").drop_nulls().diff() < 0).any().alias("_volume_fell")]
                if "volume" in known
                else []
            ),
            ts=pl.col("ts").last(),
        )
    )
    for name in _TOLD:
        if name not in known:
            rows = rows.with_columns(pl.lit(None, pl.Int64).alias(name))
    if "_volume_fell" not in rows.columns:
        rows = rows.with_columns(_volume_fell=pl.lit(None, pl.Boolean))
    if activity.now is not None:
        told = activity.now.select(
            "occ_symbol",
            *(pl.col(name).cast(pl.Int64).alias(f"_{name}_told") for name in _TOLD),
        ).unique("occ_symbol", keep="last")
        rows = (
            rows.join(told, on="occ_symbol", how="left", maintain_order="left")
            .with_columns(pl.coalesce(name, f"_{name}_told").alias(name) for name in _TOLD)
            .drop(f"_{name}_told" for name in _TOLD)
        )
    previous, trades = activity.before, activity.trades
    before = pl.DataFrame(
        schema={"occ_symbol": pl.String(), "volume": pl.Int64(), "open_interest": pl.Int64()}
    )
    if previous is not None:
        before = previous.select(pl.col(name).cast(kind) for name, kind in before.schema.items())
    before = before.unique("occ_symbol", keep="last").rename(
        {"volume": "_volume_before", "open_interest": "_open_interest_before"}
    )
    traded = pl.DataFrame(schema={"occ_symbol": pl.String(), "_traded": pl.Int64()})
    if trades is not None:
        traded = trades.group_by("occ_symbol").agg(_traded=pl.col("size").cast(pl.Int64).sum())
    return rows.join(before, on="occ_symbol", how="left", maintain_order="left").join(
        traded, on="occ_symbol", how="left", maintain_order="left"
    )


def _numbers(series: pl.Series) -> Floats:
    return series.cast(pl.Float64).fill_null(math.nan).to_numpy()
