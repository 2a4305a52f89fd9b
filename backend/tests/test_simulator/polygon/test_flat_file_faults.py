"""Flat files that are refused, cut or wrong on demand, as an S3 client sees them."""

from __future__ import annotations

import gzip
from typing import Any

import boto3
import polars as pl
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, IncompleteReadError, ResponseStreamingError

FOLDER = "us_options_opra/minute_aggs_v1/2026/11"
KEY, BEFORE = f"{FOLDER}/2026-11-18.csv.gz", f"{FOLDER}/2026-11-17.csv.gz"
PRICES = ["open", "close", "high", "low"]


@pytest.fixture(scope="module")
def client(started: Any) -> Any:
    said = started.said
    return boto3.client(
        "s3",
        endpoint_url=said["s3"],
        aws_access_key_id=said["s3_access_key"],
        aws_secret_access_key=said["s3_secret_key"],
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )


def text(client: Any, key: str = KEY) -> str:
    body: bytes = client.get_object(Bucket="flatfiles", Key=key)["Body"].read()
    return gzip.decompress(body).decode()


def frame(client: Any, key: str = KEY) -> pl.DataFrame:
    return pl.read_csv(text(client, key).encode())


def etag(client: Any, key: str = KEY) -> str:
    head: dict[str, str] = client.head_object(Bucket="flatfiles", Key=key)
    return head["ETag"]


def test_prices_disagree_with_the_other_files_and_the_file_is_another(
    simulator: Any, client: Any
) -> None:
    true, whole, other = frame(client), etag(client), etag(client, BEFORE)
    simulator.fault("s3.data", "disagree", by=0.01, match={"key": f"*{KEY[-17:]}"})
    off = frame(client)
    assert etag(client) != whole
    (listed,) = client.list_objects_v2(Bucket="flatfiles", Prefix=KEY)["Contents"]
    assert listed["ETag"] == etag(client)
    for name in PRICES:
        assert off[name].to_list() == pytest.approx((true[name] * 1.01).to_list(), abs=1e-5)
    assert off.drop(PRICES).equals(true.drop(PRICES))
    assert etag(client, BEFORE) == other
    simulator.admin("DELETE", "faults")
    assert etag(client) == whole
    assert frame(client).equals(true)


def test_a_file_of_the_session_before_without_rows_or_with_each_twice(
    simulator: Any, client: Any
) -> None:
    true = text(client)
    simulator.fault("s3.data", "stale")
    stale = text(client)
    simulator.admin("DELETE", "faults")
    assert stale.splitlines()[:50] == text(client, BEFORE).splitlines()[:50]
    simulator.fault("s3.data", "empty")
    assert text(client) == f"{true.splitlines()[0]}\n"
    simulator.admin("DELETE", "faults")
    simulator.fault("s3.data", "duplicate")
    twice = text(client).splitlines()
    assert twice[1::2] == twice[2::2] == true.splitlines()[1:]
    simulator.admin("DELETE", "faults")
    simulator.fault("s3.data", "gap")
    rows = true.splitlines()[1:]
    assert text(client).splitlines()[1:] == [row for n, row in enumerate(rows, 1) if n % 5]


def test_another_header(simulator: Any, client: Any) -> None:
    true = text(client)
    simulator.fault("s3.data", "renamed", match={"key": "*/minute_aggs_v1/*"})
    header, *rows = text(client).splitlines()
    assert header == "ticker,volume,open_v2,close_v2,high_v2,low_v2,window_start,transactions"
    assert rows == true.splitlines()[1:]
    day = text(client, KEY.replace("minute", "day")).partition("\n")[0]
    assert day.startswith("ticker,volume,open,close")


@pytest.mark.parametrize(
    ("status", "code"), [(403, "AccessDenied"), (404, "NoSuchKey"), (503, "SlowDown")]
)
def test_refusals_speak_s3s_words(simulator: Any, client: Any, status: int, code: str) -> None:
    simulator.fault("s3.get", "status", status=status, count=1)
    with pytest.raises(ClientError) as told:
        text(client)
    assert told.value.response["Error"]["Code"] == code
    simulator.fault("s3.head", "status", status=status, count=1)
    with pytest.raises(ClientError) as told:
        etag(client)
    assert told.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert text(client)


def test_half_a_file_is_noticed(simulator: Any, client: Any) -> None:
    simulator.fault("s3.get", "half_body", count=1)
    with pytest.raises((IncompleteReadError, ResponseStreamingError)):
        text(client)
    assert text(client)
