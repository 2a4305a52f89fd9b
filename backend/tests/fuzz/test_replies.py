"""Whatever Schwab may answer: a value of the right type, or one `BadReply`; never another error."""

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import BadReply, TradingError
from models.order_terms import Mode
from schwab_integration import parse
from schwab_integration.decoding import Parsed
from schwab_integration.parse_accounts import (
    balances_of,
    holdings_of,
    parse_account,
    parse_account_numbers,
    parse_accounts,
    parse_user_preference,
    terms_of,
)
from schwab_integration.parse_orders import (
    Owner,
    fills_of,
    order_of,
    orders_within,
    parse_order,
    parse_orders,
    status_of,
    ticket_of,
)
from schwab_integration.parse_preview import parse_preview, preview_of
from schwab_integration.parse_transactions import (
    fees_of,
    parse_transaction,
    parse_transactions,
    trade_of,
)
from schwab_integration.trader_refusals import order_refusal, refusal
from utils.http import Reply

DATA = Path(__file__).parents[1] / "data"
COPIES = 64_000 if os.environ.get("PROVE") else 150
"""Of each target; sixteen targets make a million."""

NOW = datetime(2026, 11, 20, 20, 0, tzinfo=UTC)
OWNER = Owner("hash", Mode.LIVE)
NAMED: dict[str, Any] = {"account_id": "hash", "mode": Mode.LIVE}

Target: TypeAlias = Callable[[bytes], Any]


def read(parsed: Parsed[Any]) -> Any:
    assert all(count > 0 for count in parsed.unknown.values())
    return parsed.value


def perhaps(use: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """Use a parsed value; it may be refused with the sentence of a bad reply, and nothing else."""
    try:
        return use(*given, **named)
    except BadReply:
        return None


def use_accounts(body: bytes) -> None:
    for account in read(parse_accounts(body)):
        holdings = perhaps(holdings_of, account, at=NOW, **NAMED)
        held = len(account.securities_account.positions)
        assert len(holdings.positions) + len(holdings.others) == held
        perhaps(balances_of, account, at=NOW, **NAMED)
        perhaps(terms_of, account, account_id="hash")


def use_orders(body: bytes) -> None:
    for order in read(parse_orders(body)):
        perhaps(ticket_of, order, OWNER)
        fills = perhaps(fills_of, order, OWNER) or []
        assert len({fill.execution_id for fill in fills}) == len(fills)
        for one in orders_within(order):
            status_of(one)
            perhaps(order_of, one, OWNER)


def use_transactions(body: bytes) -> None:
    for transaction in read(parse_transactions(body)):
        perhaps(fees_of, transaction)
        perhaps(trade_of, transaction, client_order_id="c", **NAMED)


def use_transaction(body: bytes) -> None:
    try:
        read(parse_transaction(body))
    except LookupError as error:
        assert json.loads(body) == [], error  # noqa: PT017 - an empty list is no transaction


def use_refusal(body: bytes) -> None:
    for check in (refusal, order_refusal):
        for status in (400, 401, 403, 404, 429, 500):
            assert isinstance(check("an order", Reply(status, {}, body)), TradingError)


REFUSAL = b'{"message":"bad","errors":["one",{"detail":"two"}],"fault":{"faultstring":"x"}}'

TARGETS: dict[str, tuple[Target, str | bytes]] = {
    "account": (lambda body: read(parse_account(body)), "schwab/account_details"),
    "accounts": (use_accounts, "schwab_captured/account_with_positions"),
    "account numbers": (
        lambda body: read(parse_account_numbers(body)),
        "schwab_captured/account_numbers",
    ),
    "preference": (
        lambda body: read(parse_user_preference(body)),
        "schwab_captured/user_preference",
    ),
    "order": (lambda body: read(parse_order(body)), "schwab/order_details"),
    "orders": (use_orders, "schwab_captured/orders_iron_condor"),
    "transaction": (use_transaction, "schwab_captured/transaction_single"),
    "transactions": (use_transactions, "schwab_captured/transactions_trades"),
    "preview": (
        lambda body: perhaps(preview_of, read(parse_preview(body))),
        "schwab_captured/preview_order_accepted",
    ),
    "refusal": (use_refusal, REFUSAL),
    "chain": (parse.parse_chain, "schwab/option_chains"),
    "quotes": (parse.parse_quotes, "schwab/quotes"),
    "candles": (parse.parse_candles, "schwab_captured/price_history_spy_daily"),
    "expirations": (parse.parse_expirations, "schwab_captured/expiration_chain"),
    "movers": (parse.parse_movers, "schwab/movers"),
    "markets": (parse.parse_markets, "schwab/market_hours"),
    "instruments": (parse.parse_instruments, "schwab/instruments"),
}


def short(node: Any) -> Any:
    """Return a document with at most two of each list: what is spoilt is small, and often hit."""
    if isinstance(node, dict):
        return {name: short(value) for name, value in node.items()}
    if isinstance(node, list):
        return [short(value) for value in (node if len(node) < 3 else [node[0], node[-1]])]
    return node


def document(source: str | bytes) -> bytes:
    body = source if isinstance(source, bytes) else (DATA / f"{source}.json").read_bytes()
    return json.dumps(short(json.loads(body))).encode()


@pytest.mark.parametrize("name", TARGETS)
def test_spoilt_replies(spoilt: Callable[[bytes, int], Iterator[bytes]], name: str) -> None:
    target, source = TARGETS[name]
    good = document(source)
    target(good)
    for body in spoilt(good, COPIES):
        try:
            target(body)
        except BadReply as error:
            one_line = "\n" not in str(error)
        except Exception as error:  # noqa: BLE001 - shows the reply that does it
            pytest.fail(f"{type(error).__name__}: {error} from {body!r}")
        else:
            continue
        assert one_line, body


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=2_000 if COPIES > 1_000 else 25, deadline=None)
@given(node=json_values)
def test_any_json(name: str, node: Any) -> None:
    target, _ = TARGETS[name]
    try:
        target(json.dumps(node).encode())
    except BadReply:
        return
