"""Names of the real services that the simulator stands in for."""

SCHWAB_HOSTS = ("api.schwabapi.com", "streamer-api.schwab.com")
POLYGON_HOSTS = ("api.polygon.io", "api.massive.com")

HOSTS = (*SCHWAB_HOSTS, *POLYGON_HOSTS, "localhost")
"""All names that the simulator's certificate carries."""
