"""Floor 5: databases."""
