"""What a listener wants of the streamer, and the requests that say so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from models.errors import ConfigError, StreamError, SubscriptionRefused
from models.schwab_fields import FIELDS, Code, Command, Service
from schwab_integration.stream_state import key_of, service_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from schwab_integration.trader_replies import StreamerTerms

ACTIVITY_KEY = "Account Activity"
"""Any text does: the streamer sends it back."""

KEYS_A_COMMAND = 100
"""Keys in one SUBS or ADD: a longer list only makes a refusal harder to pin down."""

TAKEN_OVER = (
    "another program has signed in to Schwab's streamer with this user and Schwab has ended our "
    "connection (it allows one a user): stop that program, or let it run and start this one later"
)

_REASONS: dict[int, str] = {
    Code.UNKNOWN_FAILURE: "an unknown failure at its side",
    Code.SERVICE_NOT_AVAILABLE: "the service is not available to this user",
    Code.REACHED_SYMBOL_LIMIT: "its symbol limit is reached: listen to fewer",
    Code.BAD_COMMAND_FORMAT: "it does not understand the request",
}

Keys: TypeAlias = "dict[Service, set[str]]"
"""Keys of each service."""


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """What one listener wants. Symbols are ours: QQQ, SPX, an OCC symbol, /ESZ26.

    Attributes:
        symbols: Whose quotes.
        bars: Whose one-minute bars.
        nyse_books: Whose order books at the NYSE.
        nasdaq_books: Whose order books at the Nasdaq.
        option_books: Whose order books at the option exchanges.
        screens: Screeners by Schwab's key, as NASDAQ_VOLUME_5 or OPTION_ALL_VOLUME_0.
        activity: Whether updates of one's own orders, and a `Gap` where some may be missing.
        heartbeats: Whether a `Heartbeat` whenever the server sends one.
    """

    symbols: tuple[str, ...] = ()
    bars: tuple[str, ...] = ()
    nyse_books: tuple[str, ...] = ()
    nasdaq_books: tuple[str, ...] = ()
    option_books: tuple[str, ...] = ()
    screens: tuple[str, ...] = ()
    activity: bool = False
    heartbeats: bool = False

    def keys(self) -> Keys:
        """Return the streamer's keys of each service.

        Raises:
            ConfigError: Nothing is wanted, or a symbol cannot be sent.
        """
        keys: Keys = {}
        for service, symbol in self._wishes():
            if not symbol.strip() or "," in symbol or not symbol.isprintable():
                raise ConfigError(f"{symbol!r} is no symbol that Schwab's streamer could know")
            keys.setdefault(service, set()).add(key_of(service, symbol))
        if not keys:
            raise ConfigError("nothing to listen to: name a symbol, a screen, or account activity")
        return keys

    def _wishes(self) -> Iterator[tuple[Service, str]]:
        yield from ((service_of(symbol), symbol) for symbol in self.symbols)
        for symbol in self.bars:
            future = symbol.startswith("/")
            yield (Service.CHART_FUTURES if future else Service.CHART_EQUITY), symbol
        yield from ((Service.NYSE_BOOK, symbol) for symbol in self.nyse_books)
        yield from ((Service.NASDAQ_BOOK, symbol) for symbol in self.nasdaq_books)
        yield from ((Service.OPTIONS_BOOK, symbol) for symbol in self.option_books)
        for screen in self.screens:
            option = screen.startswith("OPTION")
            yield (Service.SCREENER_OPTION if option else Service.SCREENER_EQUITY), screen
        if self.activity:
            yield Service.ACCT_ACTIVITY, ACTIVITY_KEY


def union(many: Iterable[Keys]) -> Keys:
    """Return the keys that at least one listener wants."""
    keys: Keys = {}
    for each in many:
        for service, wanted in each.items():
            keys.setdefault(service, set()).update(wanted)
    return keys


def numbers_of(service: Service, names: Sequence[str] | None = None) -> str:
    """Return the numbers of fields as a request lists them; of all fields when none are named.

    Raises:
        ConfigError: The service has no field of such a name.
    """
    known = {field.name: field.number for field in FIELDS[service]}
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise ConfigError(f"{service} has no field {unknown[0]!r}")
    chosen = sorted({0, *(known[name] for name in names)}) if names else sorted(known.values())
    return ",".join(map(str, chosen))


def request(
    number: int,
    service: Service,
    command: Command,
    terms: StreamerTerms,
    parameters: Mapping[str, str],
) -> bytes:
    """Return one request as it goes out."""
    wire = {
        "requestid": str(number),
        "service": service,
        "command": command,
        "SchwabClientCustomerId": terms.schwab_client_customer_id,
        "SchwabClientCorrelId": terms.schwab_client_correl_id,
        "parameters": parameters,
    }
    return msgspec.json.encode({"requests": [wire]})


def sign_in(terms: StreamerTerms, access_token: str) -> dict[str, str]:
    """Return the parameters of LOGIN."""
    return {
        "Authorization": access_token,
        "SchwabClientChannel": terms.schwab_client_channel,
        "SchwabClientFunctionId": terms.schwab_client_function_id,
    }


def discarded(keys: Sequence[str], words: str) -> list[str]:
    """Return which keys of a command went over the symbol limit: the last ones.

    The words end with, for example, `(SCREENER_EQUITY=10, DISCARDED=1)`; where they do not, none of
    the command's keys can be trusted to hold.
    """
    found = re.search(r"DISCARDED=(\d{1,6})", words)
    count = int(found[1]) if found else len(keys)
    return list(keys[-count:]) if count else []


def refusal(service: Service, command: Command, code: int, keys: Sequence[str]) -> StreamError:
    """Return what a refused subscription is told as; the keys are those that were refused."""
    listed = ", ".join(key.strip() for key in keys[:5]) + (" ..." if len(keys) > 5 else "")
    what = f"Schwab's streamer refused {command} of {len(keys)} {service} symbols ({listed})"
    why = _REASONS.get(code, "it gives no reason")
    return SubscriptionRefused(f"{what}: {why} (code {code})", code=code)
