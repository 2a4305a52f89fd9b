"""Asks for a recorded session with the vendor's own client, as a user would; prints one JSON object.

Usage: python massive_recorded.py SESSION CONTRACT.
"""

import json
import sys

from massive import RESTClient


def main() -> None:
    session, contract = sys.argv[1:]
    client = RESTClient()
    listed = client.list_options_contracts(underlying_ticker="GOOG", as_of=session, limit=1000)
    quotes = client.list_quotes(contract, timestamp=session, order="asc", limit=100)
    bars = client.list_aggs(contract, 1, "minute", session, session, limit=50)
    shares = client.list_aggs("GOOG", 1, "minute", session, session, limit=100)
    found = {
        "contracts": [one.ticker for one in listed],
        "quotes": [
            [one.sip_timestamp, one.bid_price, one.ask_price, one.bid_size, one.ask_size]
            for one in quotes
        ],
        "bars": [[one.timestamp, one.open, one.close, one.volume] for one in bars],
        "shares": [[one.timestamp, one.open, one.close, one.volume] for one in shares],
        "trades": [vars(one) for one in client.list_trades(contract, timestamp=session)],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
