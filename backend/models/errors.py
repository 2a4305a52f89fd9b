"""Every error that this product raises on purpose.

```
TradingError
├── ConfigError           which variable, where to put it
├── AuthError
│   └── TokenExpired      says: python sys_testing/reauth_schwab.py
├── ProviderError         provider, status, retryable
│   ├── RateLimited       retry_after_s
│   ├── Unavailable      sent
│   ├── NotFound
│   ├── NotEntitled
│   └── BadReply          field
├── StreamError
│   ├── Disconnected
│   └── SubscriptionRefused code
├── OrderError
│   ├── RiskDenied        rule, limit, value
│   ├── OrderRejected     reason
│   └── OrderUnknown      timed out: look it up, never resend
├── DataError
│   ├── BadSymbol
│   ├── BadQuote
│   └── NoImpliedVolatility bound
└── StoreError
    ├── SchemaMissing     migration
    ├── Conflict
    └── JournalDamaged    seq, offset
```

A low-level exception is translated once, where the library is called. Each message is one sentence
for a person: what is wrong and how to mend it, without secrets.
"""


class TradingError(Exception):
    """The root: catch this to catch everything this product raises on purpose."""


class ConfigError(TradingError):
    """A setting or argument is missing or wrong; the message names it and where to put it."""


class AuthError(TradingError):
    """A service refused who we are."""


class TokenExpired(AuthError):
    """The refresh token is dead: a person must sign in again."""


class ProviderError(TradingError):
    """A market-data or brokerage service answered with an error.

    Attributes:
        provider: Its name, for example "schwab".
        status: The HTTP status, or None when no answer came.
        retryable: Whether the same read may be asked again.
    """

    def __init__(
        self, message: str, *, provider: str, status: int | None = None, retryable: bool = False
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.status = status
        self.retryable = retryable


class RateLimited(ProviderError):
    """The service's request limit is reached.

    Attributes:
        retry_after_s: Seconds to wait, as the service said, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        status: int | None = 429,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, provider=provider, status=status, retryable=True)
        self.retry_after_s = retry_after_s


class Unavailable(ProviderError):
    """The service cannot be reached or is out of order.

    Attributes:
        sent: Whether the request may have reached the service; False only where it certainly did
            not, so that a write may be sent again.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        status: int | None = None,
        retryable: bool = False,
        sent: bool = True,
    ) -> None:
        super().__init__(message, provider=provider, status=status, retryable=retryable)
        self.sent = sent


class NotFound(ProviderError):
    """The service does not know what was asked for."""


class NotEntitled(ProviderError):
    """The account's subscription does not include what was asked for."""


class BadReply(ProviderError):
    """A reply has not the documented shape.

    Attributes:
        field: Path of the field at fault.
    """

    def __init__(
        self, message: str, *, provider: str, field: str, status: int | None = None
    ) -> None:
        super().__init__(message, provider=provider, status=status)
        self.field = field


class StreamError(TradingError):
    """A market-data or account stream failed."""


class Disconnected(StreamError):
    """The stream's connection is gone."""


class SubscriptionRefused(StreamError):
    """The service refused a subscription.

    Attributes:
        code: The service's own code.
    """

    def __init__(self, message: str, *, code: int) -> None:
        super().__init__(message)
        self.code = code


class OrderError(TradingError):
    """An order was not taken."""


class RiskDenied(OrderError):
    """Our own risk control refused an order before it left.

    Attributes:
        rule: Name of the rule.
        limit: The configured limit.
        value: The value that broke it.
    """

    def __init__(self, message: str, *, rule: str, limit: str, value: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.limit = limit
        self.value = value


class OrderRejected(OrderError):
    """The broker refused an order.

    Attributes:
        reason: The broker's words.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class OrderUnknown(OrderError):
    """The broker's reply was lost: look the order up, never send it again."""


class DataError(TradingError):
    """Market data is not what it must be."""


class BadSymbol(DataError):
    """A symbol does not follow its notation, or nobody knows it."""


class BadQuote(DataError):
    """A quote contradicts itself."""


class NoImpliedVolatility(DataError):
    """A price has no implied volatility.

    Attributes:
        bound: The no-arbitrage bound that the price breaks.
    """

    def __init__(self, message: str, *, bound: str) -> None:
        super().__init__(message)
        self.bound = bound


class StoreError(TradingError):
    """The database failed or refused."""


class SchemaMissing(StoreError):
    """The database lacks a migration, or has one that is newer than this program.

    Attributes:
        migration: Version of the migration.
    """

    def __init__(self, message: str, *, migration: str) -> None:
        super().__init__(message)
        self.migration = migration


class Conflict(StoreError):
    """A row with this key exists already and was to be new."""


class JournalDamaged(StoreError):
    """A record of a journal was changed, moved, dropped or cut off; nothing was done to the file.

    Attributes:
        seq: Number of the first bad record.
        offset: Where it begins, bytes.
    """

    def __init__(self, message: str, *, seq: int, offset: int) -> None:
        super().__init__(message)
        self.seq = seq
        self.offset = offset
