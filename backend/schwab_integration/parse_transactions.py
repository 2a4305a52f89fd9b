"""Transactions: bytes to structs, what each fee was, and fills with their fees. Pure."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from pydantic import ValidationError

from models.base import sentence
from models.errors import BadSymbol
from models.events import Settlement
from models.options import OptionContract
from models.order_terms import Mode
from models.schwab_order_terms import TransactionStatus, TransactionType, WireAsset
from models.trading import Trade
from schwab_integration.decoding import Parsed, bad, exact, moment, parsed_list
from schwab_integration.parse_accounts import multiplier_of, symbol_of
from schwab_integration.trader_replies import Transaction, TransferItem
from utils.clock import to_ns
from utils.market_calendar import NEW_YORK

UNNAMED: Final = "UNNAMED"
"""Fee type of a currency item that names none; futures have such."""

OUTCOMES: Final = MappingProxyType(
    {"assign": "assigned", "exercise": "exercised", "cash": "cash", "expir": "worthless"}
)
"""What a removal's description contains -> what became of the option; the first that fits counts.

That of an expiration is known from programs that read real accounts, the others are guesses.
"""

_TRADED: Final = frozenset({WireAsset.EQUITY, WireAsset.OPTION, WireAsset.COLLECTIVE_INVESTMENT})


def parse_transactions(body: bytes) -> Parsed[list[Transaction]]:
    """Return the reply to `/accounts/{hash}/transactions`.

    Raises:
        BadReply: It is not as documented.
    """
    return parsed_list(body, Transaction, "transactions")


def parse_transaction(body: bytes) -> Parsed[Transaction]:
    """Return the reply to `/accounts/{hash}/transactions/{id}`: an object, or a list of one.

    Raises:
        BadReply: It is not as documented.
        LookupError: The list is empty: there is no such transaction.
    """
    found = parsed_list(body, Transaction, "transaction")
    return Parsed(found.value[0], found.unknown)


def fees_of(transaction: Transaction) -> Mapping[str, Decimal]:
    """Return fee type -> USD paid, exact to the cent as booked; a fee of 0 is kept.

    Raises:
        BadReply: A fee is no amount.
    """
    paid: defaultdict[str, Decimal] = defaultdict(Decimal)
    for item in transaction.transfer_items:
        if _is_fee(item):
            cost = exact(item.cost or Decimal(0), "transferItems.cost", "transaction")
            paid[item.fee_type or UNNAMED] -= cost
    return {kind: exact(usd, "transferItems.cost", "transaction") for kind, usd in paid.items()}


def trade_of(
    transaction: Transaction, *, account_id: str, mode: Mode, client_order_id: str
) -> Trade | None:
    """Return what a transaction traded, with its fees; None of one that is no valid trade.

    Args:
        transaction: As reported.
        account_id: Hash of the account, which the reply does not name.
        mode: Stamped on the trade.
        client_order_id: Ours, of the order.

    Raises:
        BadReply: It trades what the models cannot hold.
    """
    items = [item for item in transaction.transfer_items if item.instrument.asset_type in _TRADED]
    valid = transaction.status in {TransactionStatus.VALID, None}
    if transaction.type != TransactionType.TRADE or not valid or not items:
        return None
    item = items[0]
    at = (
        moment(transaction.time)
        or moment(transaction.trade_date)
        or datetime(1970, 1, 1, tzinfo=UTC)
    )
    fees = sum(fees_of(transaction).values(), Decimal(0))
    try:
        return Trade(
            execution_id=str(transaction.activity_id),
            client_order_id=client_order_id,
            order_id=None if transaction.order_id is None else str(transaction.order_id),
            account_id=account_id,
            mode=mode,
            symbol=symbol_of(item.instrument),
            session=at.astimezone(NEW_YORK).date(),
            ts=at,
            signed_quantity=exact(item.amount, "transferItems.amount", "transaction"),
            price=exact(item.price, "transferItems.price", "transaction"),
            multiplier=multiplier_of(item.instrument),
            fees=exact(fees, "transferItems.cost", "transaction"),
        )
    except (ValidationError, ArithmeticError) as error:
        text = sentence(error) if isinstance(error, ValidationError) else "a number beyond reason"
        raise bad("transaction", text, "transferItems") from None


def settlement_of(transaction: Transaction) -> Settlement | None:
    """Return what became of an option that left an account without an order.

    Returns:
        The settlement, of all the contracts that left; None of a transaction of another kind, and
        of one whose words are not known: what it did stays a difference that a person is told of.

    Raises:
        BadReply: Its numbers cannot be.
    """
    said = (transaction.description or "").lower()
    outcome = next((OUTCOMES[word] for word in OUTCOMES if word in said), None)
    options = [
        item
        for item in transaction.transfer_items
        if item.instrument.asset_type == WireAsset.OPTION and item.amount
    ]
    valid = transaction.status in {TransactionStatus.VALID, None}
    removal = transaction.type == TransactionType.RECEIVE_AND_DELIVER and len(options) == 1
    at = moment(transaction.time) or moment(transaction.trade_date)
    if outcome is None or not (valid and removal) or at is None:
        return None
    symbol = symbol_of(options[0].instrument)
    quantity = -exact(options[0].amount, "transferItems.amount", "transaction")
    try:
        contract = OptionContract.from_occ(symbol)
    except BadSymbol as error:
        raise bad("transaction", str(error), "transferItems.instrument.symbol") from None
    each = multiplier_of(options[0].instrument)
    paid = exact(transaction.net_amount or Decimal(0), "netAmount", "transaction")
    way = 1 if contract.right == "C" else -1
    return Settlement(
        settlement_id=f"schwab-{transaction.activity_id}",
        symbol=symbol,
        quantity=quantity,
        outcome=outcome,
        time_ns=to_ns(at),
        cash=paid / quantity if outcome == "cash" else Decimal(0),
        shares=quantity * each * way if outcome in {"assigned", "exercised"} else Decimal(0),
    )


def _is_fee(item: TransferItem) -> bool:
    return item.instrument.asset_type == WireAsset.CURRENCY and item.position_effect is None
