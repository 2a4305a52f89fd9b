"""The generator of option markets: quotes a second of one core, and the bound of the memory.

    python benchmarks/generator.py [--runs 5]

Nobody publishes a generator of tick-rounded chains with American exercise to run beside it, so the
figures stand alone: the quotes themselves (worth, repair, bid, ask and sizes of every listed
contract of QQQ at 60 moments of a session), and whole rows of the stored table.
"""

from __future__ import annotations

import argparse
import sys
from datetime import date
from typing import TYPE_CHECKING

from pricing_timing import bandwidth, promise, rate, readable

from black_scholes.synthetic.chains import option_session
from black_scholes.synthetic.clock import session_numbers
from black_scholes.synthetic_generator import Request, generate, synthetic_market

if TYPE_CHECKING:
    from black_scholes.synthetic.chains import OptionSession

DAY = date(2026, 11, 20)
MOMENTS = 60
PROMISED = 5e6

BYTES_READ = 8 * 4 + 1
"""Of each quote: strike, name, mood, luck, and whether it is a call."""

BYTES_WRITTEN = 2 * 8 * 7
"""Price, volatility, delta, bid, ask and two sizes; a write reads its line first."""


def main() -> int:
    """Print the figures; return 1 if the promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    market = synthetic_market("QQQ")
    session = option_session(market, session_numbers()[DAY])
    if session is None:
        raise SystemExit("no options are listed")
    contracts = len(session.rows.strike)
    quotes = rate(lambda: _quotes(session), contracts * MOMENTS, runs)
    bound = bandwidth(runs) / (BYTES_READ + BYTES_WRITTEN)
    print(f"quotes of {contracts:,} contracts at {MOMENTS} moments: {readable(quotes)}/s of a core")
    print(f"  memory alone would allow {readable(bound)}/s: {quotes / bound:.1%} of it is reached")
    request = Request(DAY, DAY, 0, 60, 5)
    count = sum(part.rows.height for part in generate(market, request))
    rows = rate(lambda: sum(part.rows.height for part in generate(market, request)), count, runs)
    print(f"rows of the stored tables, greeks included: {readable(rows)}/s")
    kept = promise(f"quotes at least {PROMISED / 1e6:.0f} M/s of a core", kept=quotes >= PROMISED)
    return int(not kept)


def _quotes(session: OptionSession) -> None:
    for moment in range(MOMENTS):
        session.market_at(session.opens + 5.0 * moment + 1.0)


if __name__ == "__main__":
    sys.exit(main())
