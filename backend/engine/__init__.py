"""Floor 4: the trading engine, broker-neutral and without any I/O."""
