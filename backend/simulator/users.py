"""The people whom the simulator knows, and the accounts that they begin with."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from models.order_terms import AccountKind
from models.trading import AccountTerms

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class AccountSeed:
    """An account as it is when a simulator starts.

    Attributes:
        number: Eight digits.
        kind: CASH or MARGIN.
        cash: USD.
        nickname: What its owner calls it.
        retirement: An IRA: nothing short, nothing borrowed.
        option_level: As in `AccountTerms`.
        closing_only: Positions may be closed, none opened.
        primary: Shown first by user preference.
    """

    number: str
    kind: AccountKind
    cash: Decimal
    nickname: str
    retirement: bool = False
    option_level: int = 3
    closing_only: bool = False
    primary: bool = False

    @property
    def hash(self) -> str:
        """What the API calls the account by: 64 hexadecimal digits in capitals."""
        return _digest("account", self.number).upper()

    @property
    def terms(self) -> AccountTerms:
        """What may be done in it."""
        return AccountTerms(
            account_id=self.hash,
            kind=self.kind,
            retirement=self.retirement,
            option_level=self.option_level,
            closing_only=self.closing_only,
        )


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who can sign in.

    Attributes:
        login: Name at the sign-in page, and our id of the user.
        password: At the same page; it guards a demonstration.
        accounts: All of them, or those that were ticked for an app.
    """

    login: str
    password: str = field(repr=False)
    accounts: tuple[AccountSeed, ...]

    @property
    def customer_id(self) -> str:
        """`schwabClientCustomerId` of the streamer: 64 hexadecimal digits."""
        return _digest("customer", self.login)

    def with_accounts(self, numbers: Sequence[str]) -> User:
        """Return the user as an app sees them that was given these accounts alone."""
        kept = tuple(account for account in self.accounts if account.number in numbers)
        return User(self.login, self.password, kept)


def _digest(what: str, name: str) -> str:
    return hashlib.sha256(f"simulator {what} {name}".encode()).hexdigest()


DEMO = User(
    "demo",
    "demo-password",
    (
        AccountSeed("10000001", AccountKind.MARGIN, Decimal(100_000), "Demo margin", primary=True),
        AccountSeed("10000002", AccountKind.CASH, Decimal(25_000), "Demo cash", option_level=1),
    ),
)
"""Whom a simulator that approves at once signs in."""

SECOND = User(
    "second",
    "second-password",
    (
        AccountSeed(
            "20000001",
            AccountKind.CASH,
            Decimal(50_000),
            "Second IRA",
            retirement=True,
            option_level=2,
            primary=True,
        ),
        AccountSeed(
            "20000002", AccountKind.MARGIN, Decimal(10_000), "Second closing", closing_only=True
        ),
    ),
)

USERS = (DEMO, SECOND)
