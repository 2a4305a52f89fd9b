"""The quoted contracts of one underlying as columns, with implied volatilities and greeks.

Forward and rate of each expiration come from put-call parity of its own quotes, as everywhere in
this program; volatilities are those of the mid, American where the contract is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from black_scholes import american, calculator
from black_scholes.chain_smiles import ChainQuotes, chain_carry
from black_scholes.implied_vol import implied_volatility
from engine.ledger import contract_of
from models.symbols import OCC_LENGTH, exercise_style_of
from ports.strategy import ChainView
from utils.market_calendar import settlement_of, year_fractions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from models.events import Quote
    from models.options import OptionContract

_DAYS_A_YEAR = 365.0


class ChainTable:
    """The contracts of one underlying: what does not change about them is worked out once."""

    def __init__(self, underlying: str) -> None:
        """Begin without contracts.

        Args:
            underlying: Symbol of the underlying.
        """
        self.underlying = underlying
        self._symbols: list[str] = []
        self._seen = 0
        self._contracts: list[OptionContract] = []

    def view(self, quotes: Mapping[str, Quote], now_ns: int) -> ChainView:
        """Return the chain as the newest quotes have it; contracts that have expired are left out.

        Args:
            quotes: Newest quote by symbol, of all instruments; a symbol never leaves it.
            now_ns: The market's time, UTC.
        """
        if len(quotes) != self._seen:
            self._read_symbols(quotes)
        expiration = np.array([each.expiration for each in self._contracts], "datetime64[D]")
        am = np.array([settlement_of(each.root) == "AM" for each in self._contracts], np.bool_)
        years = year_fractions(np.array([now_ns]), expiration, am_settled=am)
        alive = np.flatnonzero(years > 0)
        return self._priced(quotes, now_ns, alive, years[alive], expiration[alive])

    def _read_symbols(self, quotes: Mapping[str, Quote]) -> None:
        self._seen = len(quotes)
        contracts = {symbol: contract_of(symbol) for symbol in quotes if len(symbol) == OCC_LENGTH}
        own = sorted(name for name, each in contracts.items() if each.underlying == self.underlying)
        self._symbols = own
        self._contracts = [contracts[name] for name in own]

    def _priced(
        self,
        quotes: Mapping[str, Quote],
        now_ns: int,
        alive: NDArray[np.intp],
        years: NDArray[np.float64],
        expiration: NDArray[np.datetime64],
    ) -> ChainView:
        symbols = [self._symbols[at] for at in alive]
        contracts = [self._contracts[at] for at in alive]
        newest = [quotes[symbol] for symbol in symbols]
        strike = np.array([float(each.strike) for each in contracts], np.float64)
        is_call = np.array([each.right == "C" for each in contracts], np.bool_)
        bid = _numbers([each.bid for each in newest])
        ask = _numbers([each.ask for each in newest])
        spot = _spot(quotes.get(self.underlying))
        figures = _figures(
            ChainQuotes(expiration.astype(np.int64), years, strike, is_call, bid, ask),
            spot,
            american_style=exercise_style_of(contracts[0].root) == "A" if contracts else False,
        )
        return ChainView(
            underlying=self.underlying,
            spot=spot,
            now_ns=now_ns,
            occ_symbol=symbols,
            expiration=expiration,
            strike=strike,
            is_call=is_call,
            bid=bid,
            ask=ask,
            quote_ns=np.array([each.time_ns for each in newest], np.int64),
            year_fraction=years,
            **figures,
        )


def _spot(quote: Quote | None) -> float:
    if quote is None:
        return math.nan
    if quote.bid is not None and quote.ask is not None:
        return (quote.bid + quote.ask) / 2
    return math.nan if quote.last is None else quote.last


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([math.nan if value is None else value for value in values], np.float64)


def _figures(
    quotes: ChainQuotes, spot: float, *, american_style: bool
) -> dict[str, NDArray[np.float64]]:
    """Return volatility and greeks of each contract; NaN where a quote or the spot lacks."""
    names = ("implied_volatility", "delta", "gamma", "theta_per_day", "vega_per_point")
    if not quotes.strike.size or math.isnan(spot):
        return {name: np.full(quotes.strike.size, math.nan) for name in names}
    carry = chain_carry(quotes, spot, american_style=american_style)
    sure = np.isfinite(carry.spot) & np.isfinite(carry.rate)
    rate = np.where(sure, carry.rate, 0.0)
    terms = (np.where(sure, carry.spot, spot), quotes.strike, quotes.years, rate)
    crossed = quotes.bid > quotes.ask
    mid = np.where(crossed, math.nan, (quotes.bid + quotes.ask) / 2)
    invert = american.implied_volatility if american_style else implied_volatility
    vol = invert(mid, *terms, carry.dividend_yield, is_call=quotes.is_call).vol
    price = american if american_style else calculator
    greeks = price.greeks(*terms, vol, carry.dividend_yield, is_call=quotes.is_call)
    return {
        "implied_volatility": vol,
        "delta": greeks.delta,
        "gamma": greeks.gamma,
        "theta_per_day": greeks.theta / _DAYS_A_YEAR,
        "vega_per_point": greeks.vega / 100.0,
    }
