"""Floor 4: the data jobs, written against the ports: plan, check, enrich, load, mark covered."""
