"""Floor 2: what the product asks of brokers, markets and stores."""
