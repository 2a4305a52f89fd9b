"""Commission and fees of a trade, by the day: each row of the table tells its source.

`FeeSchedule.fees` gives what the broker charges for one leg of one order. Each kind of fee is
rounded to the cent, half up, on the total of the leg: that is what the captured transactions of
January 2025 show (a TAF of $0.00279 was charged as 0.00, a section 31 fee of $0.0174862 as 0.02).
"""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import msgspec

from models.order_terms import Side
from models.symbols import INDICES, OCC_LENGTH, underlying_of_root

if TYPE_CHECKING:
    from collections.abc import Mapping

Product: TypeAlias = Literal["equity", "option", "index_option", "future_option"]
"""What the fees of a trade depend on."""

_ZERO = Decimal(0)
_CENT = Decimal("0.01")
_MILLION = Decimal(1_000_000)


class FillTerms(NamedTuple):
    """What is charged for: one leg of one order.

    Attributes:
        product: Kind of instrument.
        root: Ticker or option root.
        side: BUY or SELL.
        quantity: Contracts or shares.
        price: USD.
        multiplier: Shares a contract.
    """

    product: Product
    root: str
    side: Side
    quantity: Decimal
    price: Decimal
    multiplier: Decimal


class FeeParts(msgspec.Struct, frozen=True, gc=False):
    """USD by kind of fee.

    Attributes:
        commission: The broker's own.
        sec: Section 31 fee of sales.
        orf: Options regulatory fee of the exchanges.
        taf: FINRA's trading activity fee of sales.
        index: Exchange fee of index options; of futures options that of the futures exchange.
        nfa: Assessment of the National Futures Association.
    """

    commission: Decimal = _ZERO
    sec: Decimal = _ZERO
    orf: Decimal = _ZERO
    taf: Decimal = _ZERO
    index: Decimal = _ZERO
    nfa: Decimal = _ZERO

    @property
    def total(self) -> Decimal:
        """USD of all."""
        return self.commission + self.sec + self.orf + self.taf + self.index + self.nfa

    def plus(self, other: FeeParts) -> FeeParts:
        """Return the sums."""
        if self == _NO_PARTS:
            return other
        return FeeParts(
            self.commission + other.commission,
            self.sec + other.sec,
            self.orf + other.orf,
            self.taf + other.taf,
            self.index + other.index,
            self.nfa + other.nfa,
        )

    def rounded(self) -> FeeParts:
        """Return each part in whole cents, half up."""
        parts = (self.commission, self.sec, self.orf, self.taf, self.index, self.nfa)
        return FeeParts(*[p.quantize(_CENT, ROUND_HALF_UP) if p else _ZERO for p in parts])


_NO_PARTS = FeeParts()


class Sure(StrEnum):
    """How sure a row is, the surest first."""

    CHARGED = "charged"
    """Schwab's own records show it."""

    READ = "read"
    """Whoever sets it, or a report of that, was read."""

    ELSEWHERE = "elsewhere"
    """Another broker's list was read: at Schwab it may differ."""

    MEMORY = "memory"
    """From memory, not verified."""

    CARRIED = "carried"
    """Carried over from another time, for want of anything better."""


class Rate(NamedTuple):
    """One row of the table: what a fee costs from a day on.

    Attributes:
        since: First day.
        amount: USD: a contract, a share, or a million of the sale.
        sure: How sure it is.
        source: Where it is from.
        cap: USD at most an execution; None without one.
    """

    since: date
    amount: Decimal
    sure: Sure
    source: str
    cap: Decimal | None = None


class IndexRate(NamedTuple):
    """One row of the exchange fees of index options.

    Attributes:
        underlying: The index.
        from_premium: Price in USD from which it holds.
        amount: USD a contract.
        sure: How sure it is.
        source: Where it is from.
    """

    underlying: str
    from_premium: Decimal
    amount: Decimal
    sure: Sure
    source: str


_BEGIN = date(1998, 1, 1)
_WIRE_2025 = "captured Schwab transactions of 13 to 17 January 2025"
_PREVIEW = "captured Schwab order previews of 11 December 2025"

OPTION_COMMISSION = (
    Rate(_BEGIN, Decimal("0.65"), Sure.CARRIED, "the row below, carried back"),
    Rate(
        date(2025, 1, 13),
        Decimal("0.65"),
        Sure.CHARGED,
        f"{_WIRE_2025}; {_PREVIEW}, index options",
    ),
)
"""USD a contract of an equity or index option, both sides. Later rates are not known: the row is
carried on."""

FUTURE_OPTION_COMMISSION = (Rate(_BEGIN, Decimal("2.25"), Sure.CHARGED, _WIRE_2025),)
"""USD a contract of an option on a future, both sides."""

FUTURE_OPTION_EXCHANGE = (
    Rate(_BEGIN, Decimal("0.55"), Sure.CHARGED, f"{_WIRE_2025}: options on /ES alone"),
)
"""USD a contract, both sides."""

FUTURE_OPTION_NFA = (
    Rate(_BEGIN, Decimal("0.02"), Sure.CHARGED, f"{_WIRE_2025}: a row without a feeType"),
)
"""USD a contract, both sides."""

SEC_PER_MILLION = (
    Rate(_BEGIN, Decimal("22.10"), Sure.CARRIED, "the row below, carried back"),
    Rate(date(2014, 3, 18), Decimal("22.10"), Sure.READ, "FINRA information notice of 3/3/14"),
    Rate(date(2016, 2, 16), Decimal("21.80"), Sure.MEMORY, "the rate by FINRA's notice of 3/15/16"),
    Rate(date(2019, 4, 16), Decimal("20.70"), Sure.READ, "SEC advisory 2 of 2019, by ftfnews.com"),
    Rate(date(2020, 2, 18), Decimal("22.10"), Sure.READ, "FINRA's notice, by natlawreview.com"),
    Rate(date(2021, 2, 25), Decimal("5.10"), Sure.READ, "FINRA's notice, by natlawreview.com"),
    Rate(date(2022, 5, 14), Decimal("22.90"), Sure.MEMORY, "SEC order of 2022"),
    Rate(date(2023, 2, 27), Decimal("8.00"), Sure.MEMORY, "SEC Release 34-96724 exists"),
    Rate(
        date(2024, 5, 22),
        Decimal("27.80"),
        Sure.CHARGED,
        f"SEC Release 34-99973; fits the {_WIRE_2025}",
    ),
    Rate(
        date(2025, 5, 14),
        Decimal("0.00"),
        Sure.READ,
        "SEC Release 34-102779, by securitytraders.org and FINRA's notice of 4/24/25",
    ),
    Rate(
        date(2026, 4, 4),
        Decimal("20.60"),
        Sure.MEMORY,
        "SEC Release 34-104909 of 27 February 2026 exists; rate and day were not read",
    ),
)
"""USD a million of sales, section 31 of the Exchange Act. Between 2016 and 2019 other rates held for
some months, which are not here. Rates after the last row are not known: it is carried on."""

TAF_PER_CONTRACT = (
    Rate(_BEGIN, Decimal("0.00244"), Sure.CARRIED, "the row below, carried back"),
    Rate(date(2023, 1, 1), Decimal("0.00244"), Sure.READ, "an older brokerage-review.com, no day"),
    Rate(date(2024, 1, 1), Decimal("0.00279"), Sure.READ, "brokerage-review.com; day from memory"),
    Rate(date(2026, 1, 1), Decimal("0.00329"), Sure.MEMORY, "SR-FINRA-2024-019 exists"),
)
"""USD a sold option contract, FINRA's trading activity fee; carried on after the last row."""

TAF_PER_SHARE = (
    Rate(_BEGIN, Decimal("0.000145"), Sure.CARRIED, "the row below, carried back", Decimal("7.27")),
    Rate(
        date(2023, 1, 1),
        Decimal("0.000145"),
        Sure.READ,
        "an older brokerage-review.com, no day; cap from memory",
        Decimal("7.27"),
    ),
    Rate(
        date(2024, 1, 1),
        Decimal("0.000166"),
        Sure.READ,
        "brokerage-review.com; day from memory",
        Decimal("8.30"),
    ),
    Rate(
        date(2026, 1, 1),
        Decimal("0.000195"),
        Sure.MEMORY,
        "SR-FINRA-2024-019 exists",
        Decimal("9.79"),
    ),
)
"""USD a sold share, FINRA's trading activity fee; carried on after the last row."""

ORF_PER_CONTRACT = (
    Rate(_BEGIN, Decimal("0.01"), Sure.CARRIED, "the row below, carried back"),
    Rate(
        date(2025, 1, 13),
        Decimal("0.01"),
        Sure.CHARGED,
        f"{_WIRE_2025} and {_PREVIEW} show 0.01 of one contract: the rate is from 0.005 to 0.015, "
        "its third digit is not known; the exchanges' own rates summed to 0.02815 in March 2025",
    ),
)
"""USD an option contract, both sides, options regulatory fee; carried on after the last row."""

_FIDELITY = "Fidelity's list of 19 May 2026, by optionstrading.zone"
_TASTY = "tastytrade's list of single-listed index fees, undated"

INDEX_FEES = (
    IndexRate("SPX", _ZERO, Decimal("0.47"), Sure.CHARGED, f"{_PREVIEW}: legs below 1.00"),
    IndexRate("SPX", Decimal("1.00"), Decimal("0.56"), Sure.CHARGED, f"{_PREVIEW}: legs from 1.00"),
    IndexRate("NDX", _ZERO, Decimal("0.45"), Sure.ELSEWHERE, _FIDELITY),
    IndexRate("VIX", _ZERO, Decimal("0.30"), Sure.ELSEWHERE, _FIDELITY),
    IndexRate("RUT", _ZERO, Decimal("0.18"), Sure.ELSEWHERE, _TASTY),
    IndexRate("DJX", _ZERO, Decimal("0.18"), Sure.ELSEWHERE, _TASTY),
    IndexRate("OEX", _ZERO, Decimal("0.40"), Sure.ELSEWHERE, _TASTY),
    IndexRate("XEO", _ZERO, Decimal("0.40"), Sure.ELSEWHERE, _TASTY),
)
"""Exchange fees of index options by premium, USD a contract, both sides. Of XSP and of other indices
none is charged: XSP's is told to begin with ten contracts, the others' are not known."""

TABLES: Mapping[str, tuple[Rate, ...]] = {
    "commission, options": OPTION_COMMISSION,
    "commission, options on futures": FUTURE_OPTION_COMMISSION,
    "exchange fee, options on /ES": FUTURE_OPTION_EXCHANGE,
    "NFA assessment, options on futures": FUTURE_OPTION_NFA,
    "section 31 fee, a million USD sold": SEC_PER_MILLION,
    "trading activity fee, a contract sold": TAF_PER_CONTRACT,
    "trading activity fee, a share sold": TAF_PER_SHARE,
    "options regulatory fee": ORF_PER_CONTRACT,
}
"""Every table by what it is of."""


def product_of(symbol: str) -> Product:
    """Return what the fees of a symbol depend on: OCC symbol or ticker; `/` begins a future's."""
    if symbol.startswith(("/", "./")):
        return "future_option"
    if len(symbol) != OCC_LENGTH:
        return "equity"
    return "index_option" if underlying_of_root(symbol[:6].rstrip()) in INDICES else "option"


def rate_on(rows: tuple[Rate, ...], on: date) -> Rate:
    """Return the row that holds on a day: the newest not after it."""
    found = rows[0]
    for row in rows:
        if row.since > on:
            break
        found = row
    return found


class FeeSchedule:
    """The fees of Schwab, by the day."""

    def __init__(self) -> None:
        self._rates: dict[date, _Day] = {}

    def fees(self, terms: FillTerms, on: date) -> FeeParts:
        """Return what is charged for a leg of an order that trades on a day, in whole cents."""
        return self.exact(terms, on).rounded()

    def exact(self, terms: FillTerms, on: date) -> FeeParts:
        """Return the same before rounding, so that the executions of a leg can be summed first."""
        day = self._rates.get(on)
        if day is None:
            day = self._rates[on] = _Day.of(on)
        sold = terms.side is Side.SELL
        value = terms.quantity * terms.price * terms.multiplier
        sec = value * day.sec if sold else _ZERO
        if terms.product == "equity":
            taf = min(terms.quantity * day.taf_share, day.taf_cap) if sold else _ZERO
            return FeeParts(_ZERO, sec, _ZERO, taf)
        if terms.product == "future_option":
            return FeeParts(
                commission=terms.quantity * day.future_commission,
                index=terms.quantity * day.future_exchange,
                nfa=terms.quantity * day.future_nfa,
            )
        commission, orf = terms.quantity * day.commission, terms.quantity * day.orf
        if terms.product == "index_option":
            # Neither section 31 (15 U.S.C. 78ee(b); SEC Release 34-45371) nor FINRA's fee (its
            # answer A400.5 on the trading activity fee) is owed on options on indices.
            index = terms.quantity * index_fee(terms.root, terms.price)
            return FeeParts(commission, orf=orf, index=index)
        taf = terms.quantity * day.taf_contract if sold else _ZERO
        return FeeParts(commission, sec, orf, taf)


class NoFees(FeeSchedule):
    """Nothing is charged: for comparisons with systems that know no fees."""

    def exact(self, terms: FillTerms, on: date) -> FeeParts:  # noqa: ARG002 - it is the interface
        """Return nothing."""
        return FeeParts()


class _Day(NamedTuple):
    """The rates of one day."""

    commission: Decimal
    sec: Decimal
    orf: Decimal
    taf_contract: Decimal
    taf_share: Decimal
    taf_cap: Decimal
    future_commission: Decimal
    future_exchange: Decimal
    future_nfa: Decimal

    @classmethod
    def of(cls, on: date) -> _Day:
        share = rate_on(TAF_PER_SHARE, on)
        return cls(
            commission=rate_on(OPTION_COMMISSION, on).amount,
            sec=rate_on(SEC_PER_MILLION, on).amount / _MILLION,
            orf=rate_on(ORF_PER_CONTRACT, on).amount,
            taf_contract=rate_on(TAF_PER_CONTRACT, on).amount,
            taf_share=share.amount,
            taf_cap=share.cap if share.cap is not None else Decimal("Infinity"),
            future_commission=rate_on(FUTURE_OPTION_COMMISSION, on).amount,
            future_exchange=rate_on(FUTURE_OPTION_EXCHANGE, on).amount,
            future_nfa=rate_on(FUTURE_OPTION_NFA, on).amount,
        )


def index_fee(root: str, premium: Decimal) -> Decimal:
    """Return the exchange's fee of one index option contract, USD; 0 where it is not known."""
    underlying = underlying_of_root(root)
    fee = _ZERO
    for row in INDEX_FEES:
        if row.underlying == underlying and premium >= row.from_premium:
            fee = row.amount
    return fee
