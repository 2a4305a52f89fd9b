"""What a refusal says that a fault asks for, in each service's own words."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

from simulator.polygon import facts as polygon_facts
from simulator.polygon.replies import PolygonRefusal
from simulator.wire_errors import server_error, unauthorized

_GATEWAY_PAGE = b"<html><head><title>Error</title></head><body><h1>The service is unavailable</h1></body></html>"
_JSON_STATUS = {401, 429, 500}
_POLYGON = {
    401: ("ERROR", {"error": polygon_facts.UNKNOWN_KEY}),
    403: ("NOT_AUTHORIZED", {"message": polygon_facts.NOT_ENTITLED}),
    404: ("NOT_FOUND", {"message": "The requested resource was not found"}),
    429: ("ERROR", {"error": polygon_facts.TOO_MANY}),
    500: ("ERROR", {"error": "Internal Server Error"}),
}
_S3_CODES = {
    403: "AccessDenied",
    404: "NoSuchKey",
    429: "TooManyRequests",
    500: "InternalError",
    503: "SlowDown",
}


def refused_as(status: int, target: str) -> tuple[bytes, bytes]:
    """Return body and content type of a refusal.

    Args:
        status: Of HTTP.
        target: Whose, by the name that faults have for it: Schwab's and Polygon's is JSON or a
            page of the gateway before them, that of the flat files XML, without one for HEAD.
    """
    if target == "s3.head":
        return b"", b"application/xml"
    if target.startswith("s3"):
        return _s3_error(status), b"application/xml"
    if target.startswith("polygon") and status in _POLYGON:
        word, words = _POLYGON[status]
        return msgspec.json.encode(PolygonRefusal(status, word, **words).body), b"application/json"
    if target.startswith("polygon") or status not in _JSON_STATUS:
        return _GATEWAY_PAGE, b"text/html"
    return msgspec.json.encode(_schwab(status, target)), b"application/json"


def _schwab(status: int, target: str) -> dict[str, Any]:
    if status == 401:
        return unauthorized().body
    title = HTTPStatus(status).phrase
    if target.startswith("schwab.trader"):
        return {"message": title, "errors": [title]}
    if status == 429:
        return {"errors": [{"status": "429", "title": title}]}
    return server_error().body


def _s3_error(status: int) -> bytes:
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Error"
    code = _S3_CODES.get(status, phrase.replace(" ", ""))
    text = f"<Error><Code>{code}</Code><Message>{phrase}</Message></Error>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()
