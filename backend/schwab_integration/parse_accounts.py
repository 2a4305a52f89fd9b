"""Accounts, positions, balances and preferences: bytes to structs, structs to the house's models.

Pure. What an account holds beside shares and options (funds, bonds, cash equivalents) is listed
and left out of the positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from pydantic import ValidationError

from models.base import sentence
from models.errors import BadReply
from models.options import underlying_of_schwab_ticker
from models.order_terms import AccountKind, Mode
from models.schwab_order_terms import WireAccountType, WireAsset
from models.trading import AccountTerms, Balances, Position
from schwab_integration.decoding import Parsed, bad, exact, parsed, parsed_list
from schwab_integration.trader_replies import (
    Account,
    AccountBalances,
    AccountNumber,
    HeldPosition,
    Instrument,
    UserPreference,
)

_TRADED = frozenset({WireAsset.EQUITY, WireAsset.OPTION, WireAsset.COLLECTIVE_INVESTMENT})
_SIXTH = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Holdings:
    """What an account holds.

    Attributes:
        positions: Shares and options.
        others: `ASSET_TYPE symbol` of what is neither, or what the models cannot hold.
    """

    positions: Sequence[Position]
    others: Sequence[str]


def parse_account_numbers(body: bytes) -> Parsed[list[AccountNumber]]:
    """Return the reply to `/accounts/accountNumbers`.

    Raises:
        BadReply: It is not as documented.
    """
    return parsed_list(body, AccountNumber, "account numbers")


def parse_account(body: bytes) -> Parsed[Account]:
    """Return the reply to `/accounts/{hash}`.

    Raises:
        BadReply: It is not as documented.
    """
    return parsed(body, Account, "account")


def parse_accounts(body: bytes) -> Parsed[list[Account]]:
    """Return the reply to `/accounts`.

    Raises:
        BadReply: It is not as documented.
    """
    return parsed_list(body, Account, "accounts")


def parse_user_preference(body: bytes) -> Parsed[UserPreference]:
    """Return the reply to `/userPreference`: an object, of the specification a list of one.

    Raises:
        BadReply: It is not as documented.
    """
    found = parsed_list(body, UserPreference, "preferences")
    if not found.value:
        raise bad("preferences", "an empty list")
    return Parsed(found.value[0], found.unknown)


def symbol_of(instrument: Instrument) -> str:
    """Return the house's spelling of an instrument's symbol: BRK/B -> BRK.B."""
    if instrument.asset_type == WireAsset.OPTION:
        return instrument.symbol
    return underlying_of_schwab_ticker(instrument.symbol)


def multiplier_of(instrument: Instrument) -> Decimal:
    """Return the shares a contract: as the reply names them, else 100 of options and 1 of others."""
    named = instrument.option_multiplier or instrument.option_premium_multiplier
    if named and named.is_finite() and named > 0:
        return exact(named, "optionMultiplier", "instrument")
    return Decimal(100 if instrument.asset_type == WireAsset.OPTION else 1)


def holdings_of(account: Account, *, account_id: str, mode: Mode, at: datetime) -> Holdings:
    """Return what an account holds.

    Args:
        account: As reported, with positions.
        account_id: Its hash, which the reply does not name.
        mode: Stamped on each position.
        at: Time of the reply, aware.
    """
    positions: list[Position] = []
    others: list[str] = []
    for held in account.securities_account.positions:
        try:
            positions.append(_position(held, account_id, mode, at))
        except BadReply:
            others.append(f"{held.instrument.asset_type} {held.instrument.symbol}")
    return Holdings(positions, others)


def balances_of(account: Account, *, account_id: str, mode: Mode, at: datetime) -> Balances:
    """Return an account's balances of now.

    Args:
        account: As reported.
        account_id: Its hash, which the reply does not name.
        mode: Stamped on the balances.
        at: Time of the reply, aware.

    Raises:
        BadReply: An amount is missing.
    """
    reported = account.securities_account
    now, start = reported.current_balances, reported.initial_balances
    if reported.type == WireAccountType.CASH:
        cash = _first(now.total_cash, now.cash_balance, start.cash_balance)
        power = _first(now.cash_available_for_trading, now.buying_power)
    else:
        cash = _first(now.cash_balance, now.total_cash, start.cash_balance)
        power = _first(now.buying_power, now.available_funds)
    try:
        return Balances(
            account_id=account_id,
            mode=mode,
            ts=at,
            cash=exact(cash, "currentBalances.cashBalance", "account"),
            liquidation_value=exact(_worth(account, now), "liquidationValue", "account"),
            buying_power=exact(power, "currentBalances.buyingPower", "account"),
            maintenance_requirement=exact(
                max(now.maintenance_requirement or Decimal(0), Decimal(0)),
                "maintenanceRequirement",
                "account",
            ),
        )
    except (ValidationError, ArithmeticError) as error:
        raise _bad("account", error) from None


def terms_of(
    account: Account, *, account_id: str, retirement: bool = False, option_level: int = 3
) -> AccountTerms:
    """Return what an account may do.

    Args:
        account: As reported.
        account_id: Its hash, which the reply does not name.
        retirement: Whether it is an IRA: the API does not tell, so the user does.
        option_level: 0 to 3: the API does not tell, so the user does.

    Raises:
        BadReply: The account is neither a cash nor a margin account.
    """
    reported = account.securities_account
    if reported.type not in AccountKind.__members__:
        raise bad("account", f"{reported.type!r} is neither CASH nor MARGIN", "type")
    return AccountTerms(
        account_id=account_id,
        kind=AccountKind(reported.type),
        retirement=retirement,
        option_level=option_level,
        closing_only=bool(reported.is_closing_only_restricted),
    )


def _position(held: HeldPosition, account_id: str, mode: Mode, at: datetime) -> Position:
    instrument = held.instrument
    if instrument.asset_type not in _TRADED:
        raise bad("position", f"{instrument.asset_type} is not traded", "assetType")
    try:
        long, short = held.long_quantity or Decimal(0), held.short_quantity or Decimal(0)
        quantity = exact(long - short, "longQuantity", "position")
        multiplier = multiplier_of(instrument)
        return Position(
            account_id=account_id,
            mode=mode,
            symbol=symbol_of(instrument),
            signed_quantity=quantity,
            average_price=exact(held.average_price, "averagePrice", "position"),
            multiplier=multiplier,
            mark=_mark(held.market_value, quantity * multiplier),
            updated_at=at,
        )
    except (ValidationError, ArithmeticError) as error:
        raise _bad("position", error) from None


def _mark(value: Decimal | None, units: Decimal) -> Decimal | None:
    """Return the price a share that a market value stands for; None where it says nothing."""
    if value is None or not value.is_finite() or not units:
        return None
    return exact(abs(value / units).quantize(_SIXTH), "marketValue", "position")


def _worth(account: Account, now: AccountBalances) -> Decimal | None:
    """Return the liquidation value, wherever this kind of account has it."""
    beside = account.aggregated_balance
    return _first(
        now.liquidation_value,
        None if beside is None else beside.current_liquidation_value,
        account.securities_account.initial_balances.liquidation_value,
    )


def _first(*amounts: Decimal | None) -> Decimal | None:
    return next((amount for amount in amounts if amount is not None), None)


def _bad(what: str, error: ValidationError | ArithmeticError) -> BadReply:
    if isinstance(error, ValidationError):
        return bad(what, sentence(error), str(error.errors()[0]["loc"][0]))
    return bad(what, "a number beyond reason")
