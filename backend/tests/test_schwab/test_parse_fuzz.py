"""Whatever Schwab may send: a result of the right shape, or one `BadReply`."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import BadReply
from schwab_integration import parse

DATA = Path(__file__).parents[1] / "data"
EXAMPLES = 20_000 if os.environ.get("PROVE") else 60

CASES: list[tuple[Any, str]] = [
    (parse.parse_chain, "schwab/option_chains.json"),
    (parse.parse_quotes, "schwab/quotes.json"),
    (parse.parse_candles, "schwab_captured/price_history_spy_daily.json"),
    (parse.parse_expirations, "schwab_captured/expiration_chain.json"),
    (parse.parse_movers, "schwab/movers.json"),
    (parse.parse_markets, "schwab/market_hours.json"),
    (parse.parse_instruments, "schwab/instruments.json"),
]
NAMES = [parsed.__name__ for parsed, _ in CASES]
PARSERS = pytest.mark.parametrize(("parsed", "name"), CASES, ids=NAMES)

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["NaN", "", "Infinity", "-999", "2025-13-45", "💥", "A" * 21]),
    st.just([]),
    st.just({}),
    st.just([{}]),
)


def parsed_or_refused(parsed: Any, body: bytes) -> None:
    try:
        result = parsed(body)
    except BadReply:
        return
    if parsed is parse.parse_chain:
        assert result.contracts["occ_symbol"].null_count() == 0
        assert result.contracts["strike"].null_count() == 0
    if parsed is parse.parse_candles:
        assert result.frame["at"].null_count() == 0


def places(node: Any) -> list[tuple[Any, Any]]:
    """Return (container, key) of every value in a JSON document."""
    found: list[tuple[Any, Any]] = []
    pairs = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in pairs:
        found.append((node, key))
        if isinstance(value, dict | list):
            found += places(value)
    return found


@PARSERS
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(where=st.integers(0, 10**6), value=values, drop=st.booleans())
def test_one_value_is_another(parsed: Any, name: str, where: int, value: Any, drop: bool) -> None:
    document = json.loads((DATA / name).read_bytes())
    spots = places(document)
    container, key = spots[where % len(spots)]
    if drop:
        del container[key]
    else:
        container[key] = value
    parsed_or_refused(parsed, json.dumps(document).encode())


@PARSERS
@settings(max_examples=EXAMPLES, deadline=None)
@given(start=st.integers(0, 10**6), length=st.integers(0, 40), junk=st.binary(max_size=8))
def test_some_bytes_are_others(
    parsed: Any, name: str, start: int, length: int, junk: bytes
) -> None:
    body = (DATA / name).read_bytes()
    at = start % len(body)
    parsed_or_refused(parsed, body[:at] + junk + body[at + length :])


@settings(max_examples=EXAMPLES, deadline=None)
@given(cut=st.integers(0, 10**6))
def test_a_reply_that_breaks_off(cut: int) -> None:
    path = DATA / "schwab_captured" / "option_chain_spx_2025-05-09.json.gz"
    body = gzip.decompress(path.read_bytes()).rstrip()
    with pytest.raises(BadReply):
        parse.parse_chain(body[: cut % len(body)])
