"""What the simulator says where Schwab's behaviour is not certain, one named constant a statement.

`docs/schwab_fidelity.md` has a row for each: where it comes from and how sure it is. Correct a
constant here when a real reply shows otherwise.
"""

from __future__ import annotations

from datetime import date

# OAuth (lifetimes in wall seconds)
ACCESS_TOKEN_S = 1800
REFRESH_TOKEN_S = 7 * 24 * 3600
CODE_S = 30
NEW_LOGIN_ENDS_OLDER = True
"""A new sign-in ends the refresh tokens that came before it (access tokens live on)."""

# Limits
REQUESTS_PER_MINUTE = 120
MAX_SYMBOLS_PER_QUOTE = 500
MAX_CHAIN_BYTES = 10 * 1024 * 1024
"""A larger chain is answered 502 TooBigBody by the gateway."""

# Quotes
RESOURCE_VERSION = "1"
MIC_OF_EXCHANGE = {"Q": "XNAS", "N": "XNYS", "P": "ARCX", "A": "XASE", "Z": "BATS"}
DEFAULT_MIC = "XADF"
HTB_QUANTITY = 10_000_000
"""Shares that can be borrowed: the world does not model borrowing."""
FUND_STRATEGY = "P"
"""Of every fund: passive."""
MARK_OUTSIDE_HOURS_IS_ASK = True
"""All captured quotes outside regular hours have mark = ask; inside them the mark is the mid."""

# Chains
THEORETICAL_VOLATILITY = 29.0
"""Percent; the default of the ANALYTICAL parameter `volatility`, sent by SINGLE chains as well."""
UNKNOWN_DIVIDEND_YIELD = -1.0
NOT_COMPUTABLE = -999.0
"""Volatility and greeks of a contract whose price has no implied volatility."""
CHAIN_OPEN_PRICE = 0.0
"""`openPrice` of every captured contract, traded or not."""
NEAR_MONEY_STRIKES = 10
"""How many strikes an expiration `range` NTM and SNK mean where `strikeCount` does not say."""
EXPIRATION_HOUR = 16
"""New York hour of a contract's `expirationDate`, index contracts included."""
LAST_TRADING_HOUR = 20
"""New York hour of a contract's `lastTradingDay` on its expiration day."""
SUPPORTED_STRATEGIES = frozenset({"SINGLE", "ANALYTICAL"})

# Price history
FIRST_DAILY_BAR = date(1985, 1, 1)
ONE_MINUTE_DEPTH_DAYS = 48
MINUTES_DEPTH_DAYS = 270
"""Depth of 5, 10, 15 and 30-minute bars; older bars are left out without a word."""
EXTENDED_HOURS_DEFAULT = True

# Movers
MOVERS = 10
MOVERS_TRADE_SIZE = 90
"""Shares or contracts a trade, from which `trades` is derived: the world has no trade count."""
OPTION_MOVERS_UNDERLYINGS = 3

# Market hours
MARKETS_DAYS_AHEAD = 366
CLOSED_MARKETS = frozenset({"bond", "future", "forex"})
"""Markets that this simulator does not have: always answered as closed."""

# Throttling
RETRY_AFTER_HEADER = True
