"""Floor 5: a market that speaks the real wire protocols; run it with `python -m simulator`."""
