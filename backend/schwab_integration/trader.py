"""One method for each endpoint of Schwab's Trader API, typed in and out.

Reads are repeated where that may help; a write never is. What fails after a write has left may
have been taken all the same: `OrderUnknown` says so, and the caller settles it by looking at the
broker's own list, since the API knows no order id of ours.
"""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Self

from models.errors import (
    DataError,
    NotFound,
)
from models.schwab_order_terms import (
    ALL_ORDER_DAYS,
    MOST_ORDERS,
    MOST_TRANSACTIONS,
    TransactionType,
    WireStatus,
)
from schwab_integration.auth import SchwabAuth
from schwab_integration.config import PROVIDER, SchwabSettings
from schwab_integration.orders import WireOrder, to_json
from schwab_integration.parse_accounts import (
    parse_account,
    parse_account_numbers,
    parse_accounts,
    parse_user_preference,
)
from schwab_integration.parse_orders import parse_order, parse_orders
from schwab_integration.parse_preview import parse_preview
from schwab_integration.parse_transactions import parse_transaction, parse_transactions
from schwab_integration.preview_replies import Preview
from schwab_integration.trader_replies import (
    Account,
    AccountNumber,
    PlacedOrder,
    ReportedOrder,
    Transaction,
    UserPreference,
)
from schwab_integration.trader_session import TraderSession
from schwab_integration.trader_windows import (
    check_window,
    oldest_first,
    order_params,
    whole,
    wire_time,
)
from utils.clock import Clock, wall_clock
from utils.http import Patience, Reply
from utils.rate_limit import Limiter

_LOCATION: Final = re.compile(r"/orders/([0-9]{1,18})/?$")


class SchwabTrader:
    """Schwab's accounts and orders. Threads may share it.

    Every method raises `TradingError` kinds alone: `TokenExpired` when a person must sign in,
    `NotFound` for an account, order or transaction that Schwab does not know, `RateLimited`,
    `Unavailable`, `NotEntitled`, `BadReply` and `ProviderError` as for market data, and `DataError`
    for a question that Schwab would refuse, which is never sent.

    Those that write (`place`, `replace`, `cancel`) raise in addition `OrderRejected` with Schwab's
    words, and `OrderUnknown` where the order may stand at Schwab although no answer came. Each
    other error of theirs means that nothing was taken.

    Args:
        settings: Where Schwab is and who we are.
        auth: Source of access tokens; made from the settings by default.
        limiter: For reads, shared by all clients of the app; made from the settings by default.
        order_limiter: For orders and previews, which Schwab counts by account; None does not limit.
        patience: How long to wait and how often to ask.
        clock: Wall time.

    Raises:
        ConfigError: The base URL or the certificate file cannot be used.
    """

    def __init__(  # noqa: PLR0913 - two limiters, as Schwab counts
        self,
        settings: SchwabSettings,
        *,
        auth: SchwabAuth | None = None,
        limiter: Limiter | None = None,
        order_limiter: Limiter | None = None,
        patience: Patience | None = None,
        clock: Clock = wall_clock,
    ) -> None:
        self._clock = clock
        self._session = TraderSession(
            settings,
            auth or SchwabAuth(settings, clock=clock),
            limiter=limiter,
            order_limiter=order_limiter,
            patience=patience,
        )

    @property
    def unknown(self) -> Counter[str]:
        """Fields and words of all replies so far that this program does not know, with counts."""
        return self._session.unknown

    def account_numbers(self) -> list[AccountNumber]:
        """Return the numbers of all accounts with the hashes that stand for them in paths."""
        reply = self._session.get("/accounts/accountNumbers", "the account numbers")
        return self._session.noticed(parse_account_numbers(reply))

    def accounts(self, *, positions: bool = True) -> list[Account]:
        """Return all accounts with balances, and with positions unless switched off."""
        reply = self._session.get("/accounts", "the accounts", _positions(positions))
        return self._session.noticed(parse_accounts(reply))

    def account(self, account_hash: str, *, positions: bool = True) -> Account:
        """Return one account with balances, and with positions unless switched off.

        Raises:
            NotFound: Schwab does not know the hash.
        """
        path = f"/accounts/{_checked(account_hash)}"
        reply = self._session.get(path, _account(account_hash), _positions(positions))
        return self._session.noticed(parse_account(reply))

    def orders(
        self,
        account_hash: str,
        entered_from: datetime,
        entered_to: datetime,
        *,
        status: WireStatus | str | None = None,
        most: int | None = None,
    ) -> list[ReportedOrder]:
        """Return one account's orders entered in [entered_from, entered_to], oldest first.

        Windows beyond a year are asked for in pieces, and a window that holds more orders than one
        reply can is halved: nothing is cut off, unless `most` is given.

        Args:
            account_hash: Of `account_numbers`.
            entered_from: Aware.
            entered_to: Aware.
            status: Only orders in this state.
            most: Only the newest so many.

        Raises:
            NotFound: Schwab does not know the hash.
            DataError: The times are naive or the wrong way round.
        """
        path = f"/accounts/{_checked(account_hash)}/orders"
        what = f"the orders of {_account(account_hash)}"

        def ask(start: datetime, end: datetime) -> list[ReportedOrder]:
            params = order_params(start, end, _page(most), status)
            return self._session.noticed(parse_orders(self._session.get(path, what, params)))

        return _newest(whole(ask, entered_from, entered_to, _few(most)), most)

    def all_orders(
        self,
        entered_from: datetime,
        entered_to: datetime,
        *,
        status: WireStatus | str | None = None,
        most: int | None = None,
    ) -> list[ReportedOrder]:
        """Return the orders of all accounts entered in [entered_from, entered_to], oldest first.

        Schwab lists all accounts together for 60 days back; for older orders each account is asked.

        Args:
            entered_from: Aware.
            entered_to: Aware.
            status: Only orders in this state.
            most: Only the newest so many.

        Raises:
            DataError: The times are naive or the wrong way round.
        """
        check_window(entered_from, entered_to)
        if entered_from < self._clock() - timedelta(days=ALL_ORDER_DAYS) + timedelta(minutes=1):
            hashes = [numbered.hash_value for numbered in self.account_numbers()]
            lists = [
                self.orders(one, entered_from, entered_to, status=status, most=most)
                for one in hashes
            ]
            return _newest([order for listed in lists for order in listed], most)

        def ask(start: datetime, end: datetime) -> list[ReportedOrder]:
            params = order_params(start, end, _page(most), status)
            return self._session.noticed(
                parse_orders(self._session.get("/orders", "all orders", params))
            )

        return _newest(whole(ask, entered_from, entered_to, _few(most)), most)

    def order(self, account_hash: str, order_id: int) -> ReportedOrder:
        """Return one order in its newest state.

        Raises:
            NotFound: Schwab does not know the account or the order.
        """
        reply = self._session.get(
            _order_path(account_hash, order_id), _order(account_hash, order_id)
        )
        return self._session.noticed(parse_order(reply))

    def place(self, account_hash: str, wire: WireOrder) -> PlacedOrder:
        """Place an order, once.

        Returns:
            What `Location` names. The order may still be rejected a moment later, so look at it.

        Raises:
            OrderRejected: Schwab refuses it: nothing was placed.
            OrderUnknown: It may have been placed: look it up, never send it again.
            NotFound: Schwab does not know the account.
        """
        path = f"/accounts/{_checked(account_hash)}/orders"
        what = f"an order for {_account(account_hash)}"
        return _placed(self._session.write("POST", path, what, to_json(wire)))

    def replace(self, account_hash: str, order_id: int, wire: WireOrder) -> PlacedOrder:
        """Put another order in the place of one that works, once; the new one has its own id.

        Raises:
            OrderRejected: Schwab refuses it: the old order stands as it was.
            OrderUnknown: It may have been replaced: look both up, never send it again.
            NotFound: Schwab does not know the account or the order.
        """
        path = _order_path(account_hash, order_id)
        what = f"another order for {_order(account_hash, order_id)}"
        return _placed(self._session.write("PUT", path, what, to_json(wire)))

    def cancel(self, account_hash: str, order_id: int) -> None:
        """Ask to cancel an order, once; it may fill until its state says CANCELED.

        Raises:
            OrderRejected: Schwab refuses: the order is over already, perhaps.
            OrderUnknown: The request may have arrived: look the order up.
            NotFound: Schwab does not know the account or the order.
        """
        what = f"to cancel {_order(account_hash, order_id)}"
        self._session.write("DELETE", _order_path(account_hash, order_id), what)

    def preview(self, account_hash: str, wire: WireOrder) -> Preview:
        """Return what Schwab would make of an order, which is not placed.

        An order that would be rejected is a good reply; see `parse_preview.preview_of`.

        Raises:
            OrderRejected: Schwab cannot read the order.
            NotFound: Schwab does not know the account.
        """
        path = f"/accounts/{_checked(account_hash)}/previewOrder"
        what = f"a preview for {_account(account_hash)}"
        return self._session.noticed(parse_preview(self._session.ask(path, what, to_json(wire))))

    def transactions(
        self,
        account_hash: str,
        start: datetime,
        end: datetime,
        types: Sequence[TransactionType | str] = (),
        symbol: str | None = None,
    ) -> list[Transaction]:
        """Return an account's transactions in [start, end], oldest first, of any length of time.

        Args:
            account_hash: Of `account_numbers`.
            start: Aware.
            end: Aware.
            types: Kinds of transactions; all by default.
            symbol: Only those of one symbol, as Schwab spells it.

        Raises:
            NotFound: Schwab does not know the hash.
            DataError: The times are naive or the wrong way round, or a type does not exist.
        """
        unknown = [kind for kind in types if kind not in TransactionType.__members__]
        if unknown:
            message = f"{unknown[0]!r} is no kind of transaction: {', '.join(TransactionType)}"
            raise DataError(message)
        path = f"/accounts/{_checked(account_hash)}/transactions"
        what = f"the transactions of {_account(account_hash)}"
        named = {"types": ",".join(types or TransactionType)}
        if symbol:
            named["symbol"] = symbol

        def ask(first: datetime, last: datetime) -> list[Transaction]:
            times = {"startDate": wire_time(first), "endDate": wire_time(last, up=True)}
            return self._session.noticed(
                parse_transactions(self._session.get(path, what, times | named))
            )

        found = whole(ask, start, end, None, most=MOST_TRANSACTIONS)
        once = {(one.activity_id, one.type): one for one in found}
        return sorted(once.values(), key=lambda one: (one.time or "", one.activity_id))

    def transaction(self, account_hash: str, activity_id: int) -> Transaction:
        """Return one transaction.

        Raises:
            NotFound: Schwab does not know the account or the transaction.
        """
        path = f"/accounts/{_checked(account_hash)}/transactions/{activity_id}"
        what = f"the transaction {activity_id} of {_account(account_hash)}"
        try:
            return self._session.noticed(parse_transaction(self._session.get(path, what)))
        except LookupError:
            raise NotFound(f"schwab does not know {what}", provider=PROVIDER) from None

    def user_preference(self) -> UserPreference:
        """Return the user's preferences: accounts, streamer, entitlements."""
        return self._session.noticed(
            parse_user_preference(self._session.get("/userPreference", "the preferences"))
        )

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _page(most: int | None) -> int:
    """Return how many orders to ask for at once."""
    return MOST_ORDERS if most is None else min(most, MOST_ORDERS)


def _few(most: int | None) -> int | None:
    """Return `most` where one reply can hold it: else nothing may be cut off."""
    return most if most is not None and most < MOST_ORDERS else None


def _newest(orders: list[ReportedOrder], most: int | None) -> list[ReportedOrder]:
    listed = oldest_first(orders)
    return listed if most is None else listed[-most:]


def _placed(reply: Reply) -> PlacedOrder:
    found = _LOCATION.search(reply.headers.get("location", ""))
    return PlacedOrder(int(found[1]) if found else None)


def _positions(wanted: bool) -> dict[str, str]:
    return {"fields": "positions"} if wanted else {}


def _checked(account_hash: str) -> str:
    """Return a hash that is none of a path's own signs, and no account number.

    Raises:
        DataError: It is another text.
    """
    if not re.fullmatch(r"[0-9A-Za-z]+", account_hash):
        message = "an account is named by its hash of 64 hexadecimal digits: see account_numbers()"
        raise DataError(message)
    if account_hash.isdigit() and len(account_hash) < 14:
        message = "schwab refuses account numbers: give the account's hash, see account_numbers()"
        raise DataError(message)
    return account_hash


def _account(account_hash: str) -> str:
    return f"the account ...{account_hash[-4:]}"


def _order(account_hash: str, order_id: int) -> str:
    return f"the order {order_id} of {_account(account_hash)}"


def _order_path(account_hash: str, order_id: int) -> str:
    return f"/accounts/{_checked(account_hash)}/orders/{int(order_id)}"
