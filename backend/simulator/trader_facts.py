"""What the simulated Trader API says where Schwab's behaviour is not certain, one constant each.

`docs/schwab_fidelity.md` has a row for each: where it comes from and how sure it is. Correct a
constant here when a real reply shows otherwise.
"""

from __future__ import annotations

# Numbers
FIRST_ORDER_ID = 1_004_000_000_000
"""Order ids have 13 digits and rise."""
FIRST_ACTIVITY_ID = 95_000_000_000
"""Activity ids have 11 digits and rise; those of transactions are others than those of orders."""

# Life of an order
ACKNOWLEDGE_S = 0.5
"""Wall seconds for which a new order is shown as PENDING_ACKNOWLEDGEMENT unless it has filled."""
QUEUED_BEFORE_OPEN_S = 3600
"""An order whose session begins within so many market seconds is QUEUED, before that
PENDING_ACTIVATION."""
GOOD_TILL_CANCEL_DAYS = 180
"""`cancelTime` of GOOD_TILL_CANCEL orders: so many days after they were entered."""
ORDER_TAG = "SimulatorAppTag0"
"""`tag` of orders that came through the API: sixteen characters."""
UNROUTED = "AutoRoute"
"""`destinationLinkName` until an order has been at a venue."""
ROUTES = ("CDRG", "WEXM")
"""`destinationLinkName` afterwards, by turns."""
UNLINKED_TRAIL_LIMIT_OFFSET = 0
"""USD of the limit behind the stop of a TRAILING_STOP_LIMIT whose `price` has no `priceLinkBasis`;
with one, `price` is that distance."""
EXPIRED_HAS_ACTIVITY = True
"""An expired order shows an EXECUTION with executionType CANCELED, as a cancelled one does."""
COMPLEX_STRATEGY_UNSAID = "CUSTOM"
"""`complexOrderStrategyType` of an order with several legs that did not say it."""
ORDERED_FUND_ASSET = "EQUITY"
"""`assetType` of an exchange-traded fund in an order; in positions COLLECTIVE_INVESTMENT."""

# What is refused with 400
SHARE_DURATIONS = frozenset({"DAY", "GOOD_TILL_CANCEL", "FILL_OR_KILL"})
"""Durations that orders for shares may have; the others are answered as an invalid value."""
PRICE_DIGITS = 2
"""Most decimals of a price from $1 on; below it `SMALL_PRICE_DIGITS`."""
SMALL_PRICE_DIGITS = 4
MOST_LEVELS = 5
"""How deep orders may hang below each other: TRIGGER, OCO and the rest."""
MOST_LEGS = 4
"""Option legs of one order at most."""

# Limits
ORDER_REQUESTS_PER_MINUTE = 120
"""POST, PUT and DELETE of orders an account, in any 60 wall seconds; 0 to 120 as registered."""
ORDER_REQUESTS_PER_DAY = 4000
"""The same in any 24 wall hours."""
WINDOW_SLACK_S = 86_400
"""How much older than allowed the begin of a list may be: clients' clocks and rounding."""

# Words of refusals
INVALID_VALUE = "Invalid value '{value}'"
NOT_A_DATE = "'{value}' is not a valid value for {name}"
INVALID_ACCOUNT = "Invalid account number"
"""400, to a plain account number where the hash belongs."""
UNKNOWN_ACCOUNT = "No account was found for the given account hash"
"""404, to a hash that the user has not, or has not ticked."""
UNKNOWN_PATH = "Resource not found"
UNKNOWN_ORDER = "Order not found"
UNKNOWN_TRANSACTION = "Transaction not found"
NOT_CANCELABLE = "Order {order_id} cannot be canceled: it is {status}"
NOT_REPLACEABLE = "Order {order_id} cannot be replaced: it is {status}"

# Words of rejections, in `statusDescription`
OPTION_LEVEL_REJECTION = "The account is not approved for this level of options trading."
SPREAD_TICK_REJECTION = (
    '"Spread orders for {root} options must be priced in {cents}-cent increments."'
)
SINGLE_TICK_REJECTION = '"Options of {root} must be priced in {cents}-cent increments."'
FAR_PRICE_REJECTION = (
    "Your limit price is significantly away from the current market price. "
    "Please adjust your order."
)
"""Of a preview; placing such an order is not known to be rejected."""
FAR_PRICE_SHARE = 0.5
"""How far a limit for shares may be from the last price, as a share of it."""
WEEKLY_WARNING = (
    "Please note that you have selected a weekly option series with a "
    '"non-standard" expiration date.'
)

# What becomes of options at their expiration
REMOVED_BECAUSE = {
    "worthless": "Removed due to Expiration",
    "cash": "Removed due to Cash Settlement",
    "exercised": "Removed due to Exercise",
    "assigned": "Removed due to Assignment",
}
"""`description` of the RECEIVE_AND_DELIVER that takes an option out of an account."""
DELIVERED_BECAUSE = {"exercised": "Option Exercise", "assigned": "Option Assignment"}
"""`description` of the TRADE of the shares, at the strike, that has no order."""

# Accounts
DAY_TRADING_MULTIPLE = 4
"""`dayTradingBuyingPower` of a margin account: so many times its available funds."""
STOCK_LEVERAGE = 2
"""`buyingPower` of a margin account: so many times its available funds, for shares."""
LOT_SELECTION = "FIFO"
ACCOUNT_COLORS = ("Green", "Blue")
MARKET_DATA_PERMISSION = "NP"
LEVEL_2 = True
