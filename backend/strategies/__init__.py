"""Strategies: each one a class in a file of its own; users add theirs beside them or elsewhere."""
