"""Floor 7: commands that look at the system from outside."""
