"""Floor 5: Polygon.io (Massive): REST, stream and flat files."""
