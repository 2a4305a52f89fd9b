"""Refusals in Schwab's words. Sources: docs/schwab_fidelity.md, section Errors."""

from __future__ import annotations

import math
import uuid
from typing import Any

from simulator import schwab_facts as facts


class Refusal(Exception):
    """An answer that is not 200.

    Attributes:
        status: HTTP status.
        body: JSON body.
        headers: Additional headers.
    """

    def __init__(
        self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers or {}


def unauthorized() -> Refusal:
    """Return the answer to a missing, wrong or expired access token; `status` is a number here."""
    return Refusal(401, _errors(status=401, title="Unauthorized", detail="Client not authorized"))


def bad_request(detail: str, parameter: str) -> Refusal:
    """Return the answer to a query parameter that is missing or wrong."""
    return Refusal(
        400,
        _errors(status="400", title="Bad Request", detail=detail, source={"parameter": parameter}),
    )


def no_symbols() -> Refusal:
    """Return the answer to a quote request without symbols."""
    pointers = [f"/data/attributes/{name}" for name in ("symbols", "cusips", "ssids")]
    return Refusal(
        400,
        _errors(
            status="400",
            title="Bad Request",
            detail="Search combination should have min of 1.",
            source={"pointer": pointers},
        ),
    )


def not_found() -> Refusal:
    """Return the answer to an unknown symbol or path."""
    return Refusal(404, _errors(status="404", title="Not Found"))


def server_error() -> Refusal:
    """Return the answer to a request that the simulator fails at; `status` is a number here."""
    return Refusal(500, _errors(status=500, title="Internal Server Error"))


def too_many_requests(wait_s: float) -> Refusal:
    """Return the answer to a call over the limit.

    Args:
        wait_s: Seconds until the next call may succeed.
    """
    headers = {"Retry-After": str(math.ceil(wait_s))} if facts.RETRY_AFTER_HEADER else {}
    return Refusal(429, _errors(status="429", title="Too Many Requests"), headers)


def too_big_body() -> Refusal:
    """Return the gateway's answer to a chain that is too large."""
    fault = {
        "faultstring": "Body buffer overflow",
        "detail": {"errorcode": "protocol.http.TooBigBody"},
    }
    return Refusal(502, {"fault": fault})


def _errors(**fields: Any) -> dict[str, Any]:
    return {"errors": [{"id": str(uuid.uuid4()), **fields}]}
