"""What a run says of a chain."""

import json
from datetime import UTC, date, datetime

from app.report import Report, chain_text
from pipeline.chain_summary import ChainSummary, Term

CHAIN = ChainSummary(
    ticker="QQQ",
    at=datetime(2026, 11, 20, 15, tzinfo=UTC),
    spot=1512.305,
    contracts=4482,
    priced=3061,
    unpriced={"expired": 1608, "no_bid": 3},
    terms=(
        Term(date(2026, 11, 20), 0, 0.154, None),
        Term(date(2026, 11, 27), 7, 0.1718, 0.0312),
        Term(date(2026, 12, 18), 28, None, None),
    ),
)


def test_a_chain_is_one_line() -> None:
    assert chain_text(CHAIN) == (
        "spot 1,512.31; ATM vol (25-delta skew, points) 0DTE 15.4 %, 7d 17.2 % (+3.1), 28d -; "
        "3,061 of 4,482 priced (not: 1,608 expired, 3 no_bid)"
    )


def test_without_spot_and_terms_the_counts_remain() -> None:
    bare = ChainSummary("QQQ", CHAIN.at, None, 2, 2, {}, ())
    assert chain_text(bare) == "2 of 2 priced"


def test_json_has_the_same_figures() -> None:
    report = Report()
    report.add(CHAIN)
    found = json.loads(json.dumps(report.chains_as_objects()))
    assert found[0]["at"] == "2026-11-20T15:00:00+00:00"
    assert found[0]["unpriced"] == CHAIN.unpriced
    assert found[0]["terms"][1] == {
        "expiration": "2026-11-27",
        "dte": 7,
        "atm_volatility": 0.1718,
        "skew_25_delta": 0.0312,
    }
