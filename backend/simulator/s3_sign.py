"""Checks AWS Signature Version 4 of S3 requests, as a server does.

Source: Amazon's description of the protocol ("Authenticating Requests: Using the Authorization
Header"). Presigned URLs are refused; payloads are not read, as all requests here are reads.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote

if TYPE_CHECKING:
    from collections.abc import Mapping

_ALGORITHM = "AWS4-HMAC-SHA256"
_CREDENTIAL = re.compile(
    rf"{_ALGORITHM} Credential=([^/]+)/(\d{{8}})/([^/]+)/s3/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)
_TOLERANCE = timedelta(minutes=15)
_UNRESERVED = "-_.~"


@dataclass(frozen=True, slots=True)
class Signed:
    """The parts of a request that its signature covers.

    Attributes:
        method: GET or HEAD.
        path: As it came over the wire, percent-encoded.
        query: As it came, without the question mark.
        headers: By names in lower case.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


class Refused(Exception):
    """Why a signature is not accepted, as S3 names it.

    Attributes:
        code: S3's code.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def check(request: Signed, secrets: Mapping[str, str], now: datetime) -> str:
    """Return the access key that signed a request.

    Args:
        request: What came.
        secrets: Secret of each access key.
        now: The machine's time, which signatures are tied to.

    Raises:
        Refused: The signature is missing, of nobody, old or wrong.
    """
    authorization = request.headers.get("authorization", "")
    if not authorization:
        raise Refused("AccessDenied", "Access Denied")
    found = _CREDENTIAL.fullmatch(authorization)
    if found is None:
        raise Refused("AuthorizationHeaderMalformed", "The authorization header is malformed")
    key, day, region, names, signature = found.groups()
    if key not in secrets:
        raise Refused("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist")
    stamp = request.headers.get("x-amz-date", "")
    if not _is_near(stamp, day, now):
        raise Refused("RequestTimeTooSkewed", "The difference between times is too large")
    scope = f"{day}/{region}/s3/aws4_request"
    text = "\n".join((_ALGORITHM, stamp, scope, _sha256(_canonical(request, names))))
    wanted = hmac.new(_key(secrets[key], day, region), text.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(wanted, signature):
        raise Refused("SignatureDoesNotMatch", "The request signature does not match")
    return key


def _canonical(request: Signed, names: str) -> str:
    pairs = sorted(
        (quote(name, safe=_UNRESERVED), quote(value, safe=_UNRESERVED))
        for name, value in parse_qsl(request.query, keep_blank_values=True)
    )
    headers = (f"{n}:{' '.join(request.headers.get(n, '').split())}\n" for n in names.split(";"))
    return "\n".join(
        (
            request.method,
            request.path,
            "&".join(f"{name}={value}" for name, value in pairs),
            "".join(headers),
            names,
            request.headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        )
    )


def _key(secret: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _is_near(stamp: str, day: str, now: datetime) -> bool:
    try:
        moment = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return False
    return stamp.startswith(day) and abs(moment - now) <= _TOLERANCE


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
