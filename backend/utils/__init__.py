"""Floor 1: broker-neutral helpers."""
