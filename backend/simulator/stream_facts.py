"""What the simulated streamer says where the real one's behaviour is not certain.

As in `simulator.schwab_facts`: one named constant a statement, with its row in
`docs/schwab_fidelity.md`, section Streamer. Times are wall seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.schwab_fields import (
    FIELDS,
    KEY_LIMIT,
    SCREENER_KEY_LIMIT,
    SCREENERS,
    Service,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

BATCH_S = 1.02
"""Between two deliveries."""
HEARTBEAT_S = 10.0
"""Between two heartbeats, the first at once after the sign-in."""
EMPTY_S = 30.0
"""A connection without a subscription is closed after so long."""
SCREENER_S = 5.0
"""Between two deliveries of a screener."""

SCREENER_FREQUENCIES = frozenset({"0", "1", "5", "10", "30", "60"})
"""Minutes in a screener's key; they are checked and change nothing: movers are those of the day."""

SYMBOL_LIMITS: Mapping[Service, int] = dict.fromkeys(FIELDS, KEY_LIMIT) | dict.fromkeys(
    SCREENERS, SCREENER_KEY_LIMIT
)
"""Keys of a service at once; those above are refused with code 19, those below hold."""

BUFFER_BYTES = 4 * 1024 * 1024
"""Of what waits for a client; above it the client is too slow and is closed with code 30."""

CLOSE_CODE = 1000
"""WebSocket status with which the server closes, whatever the reason."""

SERVER = "s0166bdv-1"
STATUS = "PN"
"""Of the answer to LOGIN: professional or not; NP and PP are seen too."""

DENIED = "Login Denied.: token is invalid or has expired."
EVICTED = "This Streamer was disconnected because of another connection."
EVICTED_SERVICE = "Invalid Service"
"""Service of the notice with code 12, as it was captured."""
EMPTY = "Stop streaming due to empty subscription"
SLOW = "Stop streaming due to slowness"

ACTIVITY_ONLY_SUBS = True
"""ADD and VIEW of ACCT_ACTIVITY are answered with success and change nothing."""

CHART_ON_SUBSCRIBE = True
"""The newest complete bar is sent at once."""

BOOK_LEVELS = 5
BOOK_MAKERS: Mapping[Service, tuple[str, ...]] = {
    Service.NASDAQ_BOOK: ("NSDQ", "arcx", "batx", "edgx", "iexg"),
    Service.NYSE_BOOK: ("NYSE", "arcx", "batx", "edgx", "iexg"),
    Service.OPTIONS_BOOK: ("C", "A", "P", "X", "Q"),
}
"""Names of a book's makers: the world has the best bid and offer, the depth is made from them."""

OPTION_EXCHANGE = "o"
OPTION_DIGITS = 2
