"""The lake in a bucket: written, replaced, listed, read by filter and by SQL, over a real socket."""

import re
import threading
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import polars as pl
import pytest

from clients.lake import Lake, Partition
from models.errors import ConfigError, StoreError

DAY = date(2025, 10, 20)


class Bucket(BaseHTTPRequestHandler):
    """As much of S3 as a lake needs; objects are the server's."""

    protocol_version = "HTTP/1.1"

    @property
    def objects(self) -> dict[str, bytes]:
        found: dict[str, bytes] = self.server.objects  # type: ignore[attr-defined]
        return found

    @property
    def key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix("/bucket").strip("/")

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.is_full:  # type: ignore[attr-defined]
            self._answer(403, b"<Error><Code>AccessDenied</Code></Error>")
            return
        self.objects[self.key] = body
        self._answer(200, b"", ETag='"1"')

    def do_POST(self) -> None:
        """Remove the named objects; one that is not there is as good as removed."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        assert urlsplit(self.path).query.startswith("delete")
        keys = re.findall("<Key>(.*?)</Key>", body)
        for key in keys:
            self.objects.pop(key, None)
        found = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        self._answer(200, f"<DeleteResult>{found}</DeleteResult>".encode())

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if not self.key:
            prefix, delimiter = (query.get(name, [""])[0] for name in ("prefix", "delimiter"))
            keys = sorted(key for key in self.objects if key.startswith(prefix))
            if delimiter:
                rests = {key: key.removeprefix(prefix).partition(delimiter) for key in keys}
                keys = [key for key in keys if not rests[key][1]]
                folders = sorted({rest[0] for rest in rests.values() if rest[1]})
            found = "".join(
                f"<Contents><Key>{key}</Key><Size>{len(self.objects[key])}</Size><ETag>1</ETag>"
                "<LastModified>2025-01-01T00:00:00.000Z</LastModified></Contents>"
                for key in keys
            )
            if delimiter:
                found += "".join(
                    f"<CommonPrefixes><Prefix>{prefix}{name}/</Prefix></CommonPrefixes>"
                    for name in folders
                )
            text = f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>"
            self._answer(200, text.encode())
            return
        body = self.objects.get(self.key)
        if body is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        asked = self.headers.get("Range")
        if not asked:
            self._answer(200, body, ETag='"1"')
            return
        first, _, last = asked.removeprefix("bytes=").partition("-")
        begin = int(first) if first else max(len(body) - int(last), 0)
        end = min(int(last) + 1, len(body)) if first and last else len(body)
        self._answer(
            206,
            body[begin:end],
            ETag='"1"',
            **{"Content-Range": f"bytes {begin}-{end - 1}/{len(body)}"},
        )

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", "Wed, 01 Jan 2025 00:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    made.objects, made.is_full = {}, False  # type: ignore[attr-defined]
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def lake(server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("LAKE", "s3://bucket/some/lake")
    monkeypatch.setenv("LAKE_S3_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("LAKE_S3_ACCESS_KEY", "access")
    monkeypatch.setenv("LAKE_S3_SECRET_KEY", "a-secret-of-mine")
    return Lake.open()


def store(lake: Lake, close: float, made_from: str = "flat_file") -> None:
    what = Partition("option_bars_1m", DAY, "polygon", "live", made_from, ("ts", "occ_symbol"))
    with lake.replacing(what) as writer:
        writer.add("QQQ", rows_of(close))
        writer.publish()


def rows_of(close: float) -> pl.DataFrame:
    stamps = {"source": ["polygon"] * 2, "origin": ["live"] * 2}
    return pl.DataFrame({"ts": [1, 2], "occ_symbol": ["A", "A"], "close": [close] * 2, **stamps})


def test_a_partition_in_a_bucket_is_replaced_and_read(
    lake: Lake, server: ThreadingHTTPServer
) -> None:
    store(lake, 1.0)
    store(lake, 2.0)
    store(lake, 3.0, "stream")
    key = "some/lake/option_bars_1m/underlying=QQQ/session=2025-10-20/polygon-live.parquet"
    assert list(server.objects) == [key]  # type: ignore[attr-defined]
    found = lake.read("option_bars_1m", underlyings=["QQQ"], first=DAY, last=DAY)
    assert found["close"].to_list() == [2.0, 2.0]
    assert found["underlying"].to_list() == ["QQQ", "QQQ"]
    names, rows = lake.sql("select underlying, sum(close) as total from option_bars_1m group by 1")
    assert (names, rows) == (["underlying", "total"], [("QQQ", 4.0)])


def test_a_file_of_a_bucket_is_removed(lake: Lake, server: ThreadingHTTPServer) -> None:
    store(lake, 1.0)
    (file,) = lake.files()
    for _ in range(2):  # one that is not there is no error
        lake.remove(file)
        assert server.objects == {}  # type: ignore[attr-defined]
        assert list(lake.files()) == []


def test_of_a_whole_market_those_with_few_rows_share_an_object(
    lake: Lake, server: ThreadingHTTPServer
) -> None:
    store(lake, 1.0)
    what = Partition("option_bars_1m", DAY, "polygon", "live", "flat_file", ("ts", "occ_symbol"))
    with lake.replacing(what, sharing=True) as writer:
        for name in ("AAL", "QQQ", "SPY"):
            writer.add(name, rows_of(5.0))
        writer.publish()
    assert [key.split("/")[3] for key in server.objects] == ["underlying=QQQ", "_shared"]  # type: ignore[attr-defined]
    query = "select underlying, sum(close) as total from option_bars_1m group by 1 order by 1"
    assert lake.sql(query)[1] == [("AAL", 10.0), ("QQQ", 10.0), ("SPY", 10.0)]
    assert lake.read("option_bars_1m", underlyings=["SPY"]).height == 2


def test_small_files_in_a_bucket(lake: Lake) -> None:
    assert lake.place.read("_ledger/a.json") is None
    lake.place.write("_ledger/a.json", b"{}")
    assert lake.place.read("_ledger/a.json") == b"{}"
    assert list(lake.place.keys("_ledger")) == ["_ledger/a.json"]
    assert lake.files() == []


def test_a_bucket_that_takes_nothing_is_told(lake: Lake, server: ThreadingHTTPServer) -> None:
    server.is_full = True  # type: ignore[attr-defined]
    with pytest.raises(StoreError, match="LAKE_S3_") as told:
        store(lake, 1.0)
    assert "a-secret-of-mine" not in str(told.value)


def test_an_address_without_a_bucket_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="s3://bucket/prefix"):
        Lake.open("s3:///lake")
