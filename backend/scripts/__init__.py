"""Floor 7: commands for occasional jobs."""
