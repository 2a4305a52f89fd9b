"""Polygon's (Massive's) services over a simulated world: REST and stream."""
