"""The operations of Schwab's Trader API v1, from a user's request to bodies and the Location."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
from pydantic import ValidationError

from models.base import sentence
from models.errors import OrderRejected
from models.schwab_order_terms import ALL_ORDER_DAYS, MOST_TRANSACTIONS
from simulator import trader_facts as facts
from simulator import trader_parameters as parameters
from simulator.market_prices import nanoseconds
from simulator.order_entry import read_order
from simulator.order_rules import price_is_far, rejection_of, schwab_words
from simulator.trader_errors import malformed, not_there
from simulator.wire_accounts import account_numbers, account_object, user_preference
from simulator.wire_orders import wire_status
from simulator.wire_preview import Scene, preview_object
from simulator.wire_transactions import entries

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from simulator.exchange import Exchange
    from simulator.order_records import OrderRecord
    from simulator.trading_account import TradingAccount
    from simulator.users import User

LOCATION = "https://api.schwabapi.com/trader/v1/accounts/{account_hash}/orders/{order_id}"
"""Clients match exactly this, whatever host they talk to."""

_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_ACCOUNT_NUMBER = re.compile(r"[0-9]{1,12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Attributes:
        user: Who calls, with the accounts that they ticked.
        path: Path parameters.
        query: Query parameters.
        body: As it came.
    """

    user: User
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer.

    Attributes:
        status: HTTP status.
        body: JSON, or nothing.
        location: Address of a new order; empty for none.
    """

    status: int
    body: bytes = b""
    location: str = ""


@dataclass(frozen=True, slots=True)
class TraderApi:
    """The thirteen operations; what Schwab would refuse raises `Refusal`.

    Attributes:
        exchange: All accounts.
        streamer: Address of the WebSocket that user preferences name.
    """

    exchange: Exchange
    streamer: str
    _correlations: dict[str, str] = field(default_factory=dict)

    def account_numbers(self, call: Call) -> Reply:
        """Answer GET `/accounts/accountNumbers`."""
        return _found(account_numbers(self.exchange.accounts_of(call.user)))

    def accounts(self, call: Call) -> Reply:
        """Answer GET `/accounts`."""
        positions = parameters.with_positions(call.query)
        self.exchange.advance()
        self.exchange.value(self.exchange.accounts_of(call.user))
        return _found(
            [
                account_object(each, self.exchange.prices, self.exchange.now, positions=positions)
                for each in self.exchange.accounts_of(call.user)
            ]
        )

    def account(self, call: Call) -> Reply:
        """Answer GET `/accounts/{hash}`."""
        account = self._account(call)
        positions = parameters.with_positions(call.query)
        self.exchange.advance()
        self.exchange.value([account])
        shown = account_object(
            account, self.exchange.prices, self.exchange.now, positions=positions
        )
        return _found(shown)

    def orders(self, call: Call) -> Reply:
        """Answer GET `/accounts/{hash}/orders`: newest first."""
        return self._orders(call, [self._account(call)])

    def all_orders(self, call: Call) -> Reply:
        """Answer GET `/orders`: those of all accounts, newest first."""
        begin = parameters.moment(call.query, "fromEnteredTime")
        allowed = timedelta(days=ALL_ORDER_DAYS, seconds=facts.WINDOW_SLACK_S)
        if begin < self.exchange.clock() - allowed:
            raise malformed(f"fromEnteredTime must be within {ALL_ORDER_DAYS} days from today")
        return self._orders(call, self.exchange.accounts_of(call.user))

    def order(self, call: Call) -> Reply:
        """Answer GET `/accounts/{hash}/orders/{id}`."""
        record = self._order(call, self._account(call))
        self.exchange.advance()
        return _found(self.exchange.order(record))

    def place(self, call: Call) -> Reply:
        """Answer POST `/accounts/{hash}/orders`: 201, an empty body, and where the order is."""
        account = self._account(call)
        self.exchange.advance()
        form = read_order(call.body, self.exchange.prices, self.exchange.now)
        try:
            record = self.exchange.place(account, form)
        except (ValueError, OrderRejected) as error:
            raise malformed(_reason(error)) from None
        return _created(account, record)

    def replace(self, call: Call) -> Reply:
        """Answer PUT `/accounts/{hash}/orders/{id}`: 201, and where the new order is."""
        account = self._account(call)
        self.exchange.advance()
        old = self._order(call, account)
        form = read_order(call.body, self.exchange.prices, self.exchange.now)
        if old.status.terminal:
            raise malformed(self._ended(old, facts.NOT_REPLACEABLE))
        try:
            record = self.exchange.replace(account, old, form)
        except (ValueError, OrderRejected) as error:
            raise malformed(_reason(error)) from None
        return _created(account, record)

    def cancel(self, call: Call) -> Reply:
        """Answer DELETE `/accounts/{hash}/orders/{id}`: 200 and an empty body."""
        account = self._account(call)
        self.exchange.advance()
        record = self._order(call, account)
        if record.status.terminal:
            raise malformed(self._ended(record, facts.NOT_CANCELABLE))
        try:
            self.exchange.cancel(account, record)
        except OrderRejected as error:
            raise malformed(_reason(error)) from None
        return Reply(200)

    def preview(self, call: Call) -> Reply:
        """Answer POST `/accounts/{hash}/previewOrder`: 200 also where it would be rejected."""
        account = self._account(call)
        self.exchange.advance()
        prices, now = self.exchange.prices, self.exchange.now
        form = read_order(call.body, prices, now)
        try:
            preview = self.exchange.preview(account, form)
        except (ValueError, OrderRejected) as error:
            raise malformed(_reason(error)) from None
        reason = rejection_of(form)
        rejects = [reason] if reason else []
        if not preview.accepted and not rejects:
            rejects = [schwab_words(each) for each in preview.messages]
        if any(price_is_far(each, prices, now) for each in form.walk()):
            rejects.append(facts.FAR_PRICE_REJECTION)
        return _found(preview_object(Scene(form, preview, rejects, account, prices, now)))

    def transactions(self, call: Call) -> Reply:
        """Answer GET `/accounts/{hash}/transactions`: newest first."""
        account = self._account(call)
        begin, end = parameters.span(call.query, "startDate", "endDate")
        types = parameters.transaction_types(call.query)
        wanted = call.query.get("symbol", "")
        self.exchange.advance()
        first, last = nanoseconds(begin), nanoseconds(end)
        listed = [
            each
            for each in entries(account, self.exchange.prices, self.exchange.now)
            if each.kind in types and first <= each.time_ns <= last and wanted in {"", each.symbol}
        ]
        return _found([each.show() for each in listed[:MOST_TRANSACTIONS]])

    def transaction(self, call: Call) -> Reply:
        """Answer GET `/accounts/{hash}/transactions/{id}`: one object."""
        account = self._account(call)
        self.exchange.advance()
        number = call.path["transaction_id"]
        for each in entries(account, self.exchange.prices, self.exchange.now):
            if str(each.transaction_id) == number:
                return _found(each.show())
        raise not_there(facts.UNKNOWN_TRANSACTION)

    def user_preference(self, call: Call) -> Reply:
        """Answer GET `/userPreference`: one object."""
        correlation = self._correlations.setdefault(call.user.login, str(uuid.uuid4()))
        return _found(user_preference(call.user, self.streamer, correlation))

    def _orders(self, call: Call, accounts: Iterable[TradingAccount]) -> Reply:
        begin, end = parameters.span(call.query, "fromEnteredTime", "toEnteredTime")
        most, status = parameters.most(call.query), parameters.status(call.query)
        self.exchange.advance()
        now, seconds = self.exchange.now, self.exchange.seconds()
        first, last = nanoseconds(begin), nanoseconds(end)
        found = [
            record
            for account in accounts
            for record in account.roots()
            if first <= record.entered_ns <= last
            and (status is None or wire_status(record, now, seconds) is status)
        ]
        found.sort(key=lambda record: (record.entered_ns, record.order_id), reverse=True)
        return _found([self.exchange.order(record) for record in found[:most]])

    def _account(self, call: Call) -> TradingAccount:
        given = call.path["account_hash"]
        if _ACCOUNT_NUMBER.fullmatch(given):
            raise malformed(facts.INVALID_ACCOUNT)
        account = self.exchange.account(call.user, given)
        if account is None:
            raise not_there(facts.UNKNOWN_ACCOUNT)
        return account

    @staticmethod
    def _order(call: Call, account: TradingAccount) -> OrderRecord:
        given = call.path["order_id"]
        record = account.orders.get(int(given)) if _NUMBER.fullmatch(given) else None
        if record is None:
            raise not_there(facts.UNKNOWN_ORDER)
        return record

    def _ended(self, record: OrderRecord, words: str) -> str:
        status = wire_status(record, self.exchange.now, self.exchange.seconds())
        return words.format(order_id=record.order_id, status=status.value)


def _found(body: object) -> Reply:
    return Reply(200, msgspec.json.encode(body))


def _created(account: TradingAccount, record: OrderRecord) -> Reply:
    location = LOCATION.format(account_hash=account.hash, order_id=record.order_id)
    return Reply(201, b"", location)


def _reason(error: Exception) -> str:
    """Return why an order is malformed, in one sentence."""
    if isinstance(error, ValidationError):
        return sentence(error)
    return error.reason if isinstance(error, OrderRejected) else str(error)
