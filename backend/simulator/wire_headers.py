"""Headers that every answer of Schwab's carries."""

from __future__ import annotations

import uuid

from simulator import schwab_facts as facts


def correlation_headers() -> dict[str, str]:
    """Return a fresh correlation id and the version of the resource."""
    return {
        "Schwab-Client-CorrelId": str(uuid.uuid4()),
        "Schwab-Resource-Version": facts.RESOURCE_VERSION,
    }
