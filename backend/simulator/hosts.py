"""Names of the real services that the simulator stands in for."""

from __future__ import annotations

SCHWAB_HOSTS = ("api.schwabapi.com", "streamer-api.schwab.com")
POLYGON_HOSTS = tuple(
    f"{service}.{domain}"
    for domain in ("polygon.io", "massive.com")
    for service in ("api", "socket", "delayed", "business", "files")
)
"""REST, the three streams, and the flat files, under the old name and the new one."""

REAL_HOSTS = (*SCHWAB_HOSTS, *POLYGON_HOSTS)
"""What a program asks that believes to talk to the real services."""

HOSTS = (*REAL_HOSTS, "localhost")
"""All names that the simulator's certificate carries."""
