"""An S3 endpoint with Polygon's flat files, for programs that nobody changed: boto3, obstore, Polars.

Path style, bucket `flatfiles`: ListObjectsV2 by pages, GET with ranges and conditions, HEAD;
signatures are checked. Faults: s3.list, s3.head, s3.get. Everybody may list; who may read what is the plan's. What a plan does not
cover is 403: with XML for GET, without a body for HEAD.
"""

from __future__ import annotations

import base64
import re
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote
from xml.sax.saxutils import escape

import anyio
from starlette.responses import Response
from starlette.routing import Route

from simulator.s3_files import PLANS
from simulator.s3_sign import Refused, Signed, check
from utils.market_calendar import NEW_YORK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

    from simulator.s3_files import Bucket, Entry
    from utils.clock import Clock

BUCKET: Final = "flatfiles"
_MOST_KEYS = 1000
_XMLNS = "http://s3.amazonaws.com/doc/2006-03-01/"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_STATUS = {
    "NoSuchKey": 404,
    "NoSuchBucket": 404,
    "InvalidArgument": 400,
    "AuthorizationHeaderMalformed": 400,
    "InvalidRange": 416,
    "PreconditionFailed": 412,
}


class S3Routes:
    """The endpoint.

    Args:
        bucket: What there is.
        wall: The machine's time, which signatures are tied to.
    """

    def __init__(self, bucket: Bucket, wall: Clock) -> None:
        self._bucket, self._wall = bucket, wall

    def routes(self) -> list[Route]:
        """Return the routes, for an application that has other ones beside them."""
        methods = ["GET", "HEAD"]
        return [
            Route(f"/{BUCKET}", self._list, methods=methods),
            Route(f"/{BUCKET}/", self._list, methods=methods),
            Route(f"/{BUCKET}/{{key:path}}", self._object, methods=methods),
        ]

    async def _list(self, request: Request) -> Response:
        if refused := self._refusal(request)[1]:
            return refused
        if request.method == "HEAD":
            return Response()
        return await anyio.to_thread.run_sync(self._listing, request)

    def _listing(self, request: Request) -> Response:
        query = request.query_params
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        try:
            most = min(int(query.get("max-keys", _MOST_KEYS)), _MOST_KEYS)
            token = query.get("continuation-token", "")
            after = base64.urlsafe_b64decode(token).decode() if token else query.get("start-after")
        except ValueError:
            return _failure(request, "InvalidArgument", "An argument of the listing is wrong")
        found, folders, last, more = self._page(prefix, delimiter, after or "", most)
        coded = query.get("encoding-type") == "url"
        text = [
            f"<Name>{BUCKET}</Name><Prefix>{_spelled(prefix, coded)}</Prefix>",
            f"<KeyCount>{len(found) + len(folders)}</KeyCount><MaxKeys>{most}</MaxKeys>",
            f"<IsTruncated>{str(more).lower()}</IsTruncated>",
        ]
        if delimiter:
            text.append(f"<Delimiter>{_spelled(delimiter, coded)}</Delimiter>")
        if coded:
            text.append("<EncodingType>url</EncodingType>")
        if token:
            text.append(f"<ContinuationToken>{token}</ContinuationToken>")
        if more:
            following = base64.urlsafe_b64encode(last.encode()).decode()
            text.append(f"<NextContinuationToken>{following}</NextContinuationToken>")
        text += [_content(entry, coded) for entry in found]
        text += [
            f"<CommonPrefixes><Prefix>{_spelled(folder, coded)}</Prefix></CommonPrefixes>"
            for folder in folders
        ]
        return _xml(f'<ListBucketResult xmlns="{_XMLNS}">{"".join(text)}</ListBucketResult>')

    def _page(
        self, prefix: str, delimiter: str, after: str, most: int
    ) -> tuple[list[Entry], list[str], str, bool]:
        found: list[Entry] = []
        folders: dict[str, None] = {}
        last = ""
        for entry in self._bucket.entries(prefix):
            rest = entry.key[len(prefix) :]
            is_folder = bool(delimiter) and delimiter in rest
            folder = prefix + rest.partition(delimiter)[0] + delimiter if is_folder else ""
            name = folder if is_folder else entry.key
            if name <= after or (is_folder and folder in folders):
                continue
            if len(found) + len(folders) == most:
                return found, list(folders), last, True
            last = name
            if is_folder:
                folders[folder] = None
            else:
                found.append(entry)
        return found, list(folders), last, False

    async def _object(self, request: Request) -> Response:
        key = request.path_params["key"]
        access, refused = self._refusal(request)
        if refused:
            return refused
        entry = self._bucket.entry(key)
        today = self._bucket.clock().astimezone(NEW_YORK).date()
        plan = PLANS[access]
        covered = plan.covers(key, entry.day, today) if entry else key.startswith(plan.prefixes)
        if not covered:
            return _failure(request, "AccessDenied", "Access Denied")
        if entry is None:
            return _failure(request, "NoSuchKey", "The specified key does not exist.")
        return await anyio.to_thread.run_sync(self._answer, request, entry)

    def _answer(self, request: Request, entry: Entry) -> Response:
        headers = {
            "ETag": entry.etag,
            "Last-Modified": format_datetime(entry.modified, usegmt=True),
            "Accept-Ranges": "bytes",
            "x-amz-meta-compression-level": "-1" if "quotes" in entry.key else "9",
        }
        wanted = request.headers.get("if-match")
        if wanted and wanted not in {entry.etag, "*", entry.etag.strip('"')}:
            return _failure(request, "PreconditionFailed", "A precondition did not hold")
        if request.headers.get("if-none-match") in {entry.etag, "*", entry.etag.strip('"')}:
            return Response(status_code=304, headers=headers)
        begin, end = 0, entry.size
        status = 200
        if found := _RANGE.fullmatch(request.headers.get("range", "")):
            begin, end = _bounds(found[1], found[2], entry.size)
            if begin >= end:
                return _failure(request, "InvalidRange", "The requested range is not satisfiable")
            status = 206
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{entry.size}"
        kind = "application/gzip"
        if request.method == "HEAD":
            headers["Content-Length"] = str(end - begin)
            return Response(status_code=status, headers=headers, media_type=kind)
        body = self._bucket.body(entry)[begin:end]
        return Response(body, status_code=status, headers=headers, media_type=kind)

    def _refusal(self, request: Request) -> tuple[str, Response | None]:
        signed = Signed(
            request.method,
            request.scope["raw_path"].decode("ascii"),
            request.scope["query_string"].decode("ascii"),
            dict(request.headers),
        )
        try:
            secrets = {key: plan.secret for key, plan in PLANS.items()}
            return check(signed, secrets, self._wall()), None
        except Refused as refused:
            return "", _failure(request, refused.code, str(refused))


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    if not first:
        return max(size - int(last or 0), 0), size
    return int(first), min(int(last) + 1 if last else size, size)


def _content(entry: Entry, coded: bool) -> str:
    modified = entry.modified.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return (
        f"<Contents><Key>{_spelled(entry.key, coded)}</Key>"
        f"<LastModified>{modified}</LastModified><ETag>{escape(entry.etag)}</ETag>"
        f"<Size>{entry.size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )


def _spelled(text: str, coded: bool) -> str:
    return quote(text, safe="/") if coded else escape(text)


def _failure(request: Request, code: str, message: str) -> Response:
    found = _STATUS.get(code, 403)
    if request.method == "HEAD":
        return Response(status_code=found)
    parts: Iterable[tuple[str, str]] = (
        ("Code", code),
        ("Message", message),
        ("Resource", request.url.path),
    )
    text = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in parts)
    return _xml(f"<Error>{text}</Error>", found)


def _xml(text: str, status: int = 200) -> Response:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'
    return Response(body, status_code=status, media_type="application/xml")
