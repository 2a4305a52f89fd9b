"""Programs that nobody changed read the simulator's flat files: boto3, obstore, Polars, DuckDB."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import duckdb
import obstore
import polars as pl
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from obstore.store import S3Store

BACKEND = Path(__file__).parents[2]
KEY = "us_options_opra/minute_aggs_v1/2015/12/2015-12-24.csv.gz"
HEADER = "ticker,volume,open,close,high,low,window_start,transactions"


@pytest.fixture(scope="module")
def simulator() -> Iterator[dict[str, Any]]:
    """One with the recorded sessions, a day after the first of them that is used here."""
    child = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "simulator",
            "--port",
            "0",
            "--world",
            "recorded",
            "--clock",
            "2023-08-04T16:00",
            "--speed",
            "0",
        ],
        cwd=BACKEND,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout
    try:
        yield json.loads(child.stdout.readline())
    finally:
        child.terminate()
        child.wait(20)
        child.stdout.close()


@pytest.fixture(scope="module")
def client(simulator: dict[str, Any]) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=simulator["s3"],
        aws_access_key_id=simulator["s3_access_key"],
        aws_secret_access_key=simulator["s3_secret_key"],
        region_name="us-east-1",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )


@pytest.fixture(scope="module")
def content(client: Any) -> bytes:
    found: bytes = client.get_object(Bucket="flatfiles", Key=KEY)["Body"].read()
    return found


def test_boto3_lists_by_pages(client: Any) -> None:
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket="flatfiles", Prefix="us_options_opra/", PaginationConfig={"PageSize": 3}
    )
    keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
    assert KEY in keys
    assert keys == sorted(set(keys))
    assert len(keys) > 6


def test_boto3_lists_folders(client: Any) -> None:
    page = client.list_objects_v2(Bucket="flatfiles", Prefix="us_options_opra/", Delimiter="/")
    folders = [each["Prefix"] for each in page["CommonPrefixes"]]
    assert "us_options_opra/minute_aggs_v1/" in folders
    assert "Contents" not in page


def test_boto3_reads_what_the_listing_says(client: Any, content: bytes) -> None:
    (listed,) = client.list_objects_v2(Bucket="flatfiles", Prefix=KEY)["Contents"]
    head = client.head_object(Bucket="flatfiles", Key=KEY)
    assert listed["Size"] == head["ContentLength"] == len(content)
    assert listed["ETag"] == head["ETag"]
    assert listed["LastModified"] == head["LastModified"]
    lines = gzip.decompress(content).decode().splitlines()
    assert lines[0] == HEADER
    assert lines[1:] == sorted(lines[1:], key=lambda line: line.split(",")[0])


def test_boto3_reads_ranges(client: Any, content: bytes) -> None:
    for asked, wanted in (
        ("bytes=10-19", content[10:20]),
        ("bytes=100-", content[100:]),
        ("bytes=-7", content[-7:]),
    ):
        reply = client.get_object(Bucket="flatfiles", Key=KEY, Range=asked)
        assert reply["Body"].read() == wanted
        assert reply["ResponseMetadata"]["HTTPStatusCode"] == 206


def test_boto3_asks_on_conditions(client: Any) -> None:
    etag = client.head_object(Bucket="flatfiles", Key=KEY)["ETag"]
    with pytest.raises(ClientError, match="304"):
        client.get_object(Bucket="flatfiles", Key=KEY, IfNoneMatch=etag)
    with pytest.raises(ClientError, match=r"PreconditionFailed|412"):
        client.get_object(Bucket="flatfiles", Key=KEY, IfMatch='"another"')


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (KEY.replace("24", "25"), "NoSuchKey"),
        (KEY.replace("us_options", "us_indices"), "AccessDenied"),
    ],
)
def test_boto3_is_told_what_it_cannot_have(client: Any, key: str, code: str) -> None:
    with pytest.raises(ClientError) as told:
        client.get_object(Bucket="flatfiles", Key=key)
    assert told.value.response["Error"]["Code"] == code


def test_a_wrong_secret_is_refused(simulator: dict[str, Any]) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=simulator["s3"],
        aws_access_key_id=simulator["s3_access_key"],
        aws_secret_access_key="wrong",
        region_name="us-east-1",
    )
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client.list_objects_v2(Bucket="flatfiles")


def test_obstore_reads(simulator: dict[str, Any], content: bytes) -> None:
    store = S3Store(
        "flatfiles",
        endpoint=simulator["s3"],
        access_key_id=simulator["s3_access_key"],
        secret_access_key=simulator["s3_secret_key"],
        region="us-east-1",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    assert bytes(obstore.get(store, KEY).bytes()) == content
    assert bytes(obstore.get_range(store, KEY, start=5, end=9)) == content[5:9]
    assert KEY in {each["path"] for page in obstore.list(store) for each in page}
    with pytest.raises(FileNotFoundError):
        obstore.head(store, KEY.replace("24", "26"))


def test_polars_reads_over_s3(simulator: dict[str, Any], content: bytes) -> None:
    frame = pl.scan_csv(
        f"s3://flatfiles/{KEY}",
        storage_options={
            "aws_endpoint_url": simulator["s3"],
            "aws_allow_http": "true",
            "aws_access_key_id": simulator["s3_access_key"],
            "aws_secret_access_key": simulator["s3_secret_key"],
            "aws_region": "us-east-1",
        },
    ).collect()
    assert frame.equals(pl.read_csv(gzip.decompress(content)))
    recorded = pl.read_parquet(BACKEND / "simulator/data/goog_options_trades_2015-12-24.parquet")
    assert frame.height == recorded.height
    assert frame["volume"].sum() == recorded["volume"].sum()


def test_duckdb_reads_the_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "day.csv.gz"
    path.write_bytes(content)
    with duckdb.connect() as connection:
        (count,) = connection.execute(f"select count(*) from read_csv('{path}')").fetchone() or (0,)
    assert count == gzip.decompress(content).count(b"\n") - 1
