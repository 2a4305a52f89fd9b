"""Floor 5: the Charles Schwab Trader API."""
