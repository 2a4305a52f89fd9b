"""Pricing: the peers and us on the same options in one run, and the bound of the machine.

    python benchmarks/pricing.py [--options 1000000] [--runs 5]

Rates are options per CPU second of one core, medians of the runs; peers that build objects or loop
in Python get fewer options. What holds on another machine is the ratio. Accuracy is measured on
hard cases against 50 digits, and against QuantLib's finest engine for American options.
"""

from __future__ import annotations

import argparse
import os
import sys

import numpy as np
import pricing_american
import pricing_european
from pricing_bound import bounds
from pricing_session import session_section
from pricing_timing import bandwidth


def main() -> int:
    """Run all sections; return 1 if a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--options", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    count, runs = arguments.options, arguments.runs
    # Read when the peers' pools of threads start: one core each, as for everybody.
    os.environ.update(RAYON_NUM_THREADS="1", POLARS_MAX_THREADS="1")
    speed = bandwidth(runs)
    limits = bounds(speed, runs)
    print(f"memory bandwidth, copy of 128 MB: {speed / 1e9:.1f} GB/s read and written")
    kept = [
        pricing_european.greeks_section(count, runs, limits),
        pricing_european.volatility_section(count, runs, limits),
        pricing_american.price_section(max(count // 10, 1000), runs),
        pricing_american.volatility_section(max(count // 50, 1000), runs),
        session_section(390 if count >= 1_000_000 else 20),
    ]
    print("\nall promises kept" if all(kept) else "\nA PROMISE IS BROKEN: see above")
    return int(not all(kept))


if __name__ == "__main__":
    np.seterr(all="ignore")
    sys.exit(main())
