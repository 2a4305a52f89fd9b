"""What the simulator says where Polygon's behaviour is not certain, one named constant a statement.

`docs/polygon_fidelity.md` has a row for each: where it comes from and how sure it is.
"""

from __future__ import annotations

DELAY_MINUTES = 15
"""How late a delayed plan sees prices."""

DELAYED_STATUS = "DELAYED"
"""`status` of aggregates on a delayed plan; widely reported, not in the specification."""

NO_KEY = "API Key was not provided"
UNKNOWN_KEY = "Unknown API Key"
NOT_ENTITLED = (
    "You are not entitled to this data. Please upgrade your plan at https://massive.com/pricing"
)
NOT_THIS_LONG_AGO = (
    "Your plan doesn't include this data timeframe. Please upgrade your plan at "
    "https://massive.com/pricing"
)
TOO_MANY = (
    "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to "
    "continue. https://massive.com/pricing"
)
"""The 429 of the free plan; no Retry-After has been seen with it."""

MOST_BASE_AGGREGATES = 50_000
DEFAULT_AGGREGATES = 5_000
MOST_TICKS = 50_000
DEFAULT_TICKS = 1_000
MOST_CONTRACTS = 1_000
MOST_SNAPSHOTS = 250
DEFAULT_LIST = 10

TICK_ORDER = "desc"
"""Order of trades and quotes when nobody says."""

EXCHANGE_NAMES = {
    302: ("BOX Options", "XBOX"),
    303: ("Cboe C2 Options", "C2OX"),
    304: ("Miami International Options", "XMIO"),
    309: ("MIAX Sapphire", "SPHR"),
    312: ("Cboe Options", "XCBO"),
    316: ("Cboe EDGX Options", "EDGO"),
    323: ("Nasdaq Options", "XNDQ"),
}
"""Names of the option exchanges whose codes the tape uses; which code is whose is from memory."""

CONDITION_NAMES = {
    209: "Automatic Execution",
    227: "Single Leg Auction Non ISO",
    233: "Multi Leg Auto-Electronic Trade",
}

CONTRACT_EXCHANGE = "BATO"
"""`primary_exchange` of every contract."""

HOLIDAY_NAME = "Holiday"
"""`name` of every day in /v1/marketstatus/upcoming: the calendar has none."""

PRIMARY_EXCHANGES = {"Q": "XNAS", "N": "XNYS", "P": "ARCX", "A": "XASE", "Z": "BATS"}

SYMBOLS_A_SOCKET = 1_000
"""Quotes and fair values that one connection may subscribe to."""

AUTH_TIMEOUT_S = 30.0
"""How long a connection may stand without a key."""

NOT_AUTHORIZED_WORDS = "not authorized"
"""What a channel that the plan lacks is answered; the real wording is not known."""

NOT_SUBSCRIBED_WORDS = "cannot subscribe to"
"""What a channel that there is not, or one too many, is answered."""

NOT_AUTHENTICATED_WORDS = "not authenticated"
"""What is answered to everything before the key."""

UNREADABLE_WORDS = "message could not be read"
UNKNOWN_ACTION_WORDS = "unknown action"

AUTH_TIMEOUT_WORDS = "No authentication request received."
SLOW_WORDS = "Your connection is too slow."
EVICTED_WORDS = (
    "Maximum number of websocket connections exceeded. You have reached the connection limit for "
    "your account."
)

REFUSED_CODE = 1008
"""With what a connection is closed after a wrong key, an eviction, and a slow consumer."""

BATCH_S = 0.25
"""How often the stream writes; frames stay under `MOST_FRAME_BYTES`."""

MOST_FRAME_BYTES = 900_000
"""The vendor's own client closes a connection on a frame of a mebibyte."""

SLOW_AFTER_FRAMES = 400
"""Frames that may wait for a client before it is called a slow consumer and cut off."""
