"""Objects in a bucket survive a restart of the emulation, as they must, since the database still refers to them."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import aws
from local.launch import command
from local.objects import lay_back
from local.postgres import free_port

BUCKET, KEY = "archive", "orders/organization_id=a b/month=2021-03/file.parquet"


@contextmanager
def emulation(folder: Path) -> Iterator[Any]:
    port = free_port()
    program = [sys.executable, "-m", "local.aws", "--port", str(port), "--objects", str(folder)]
    process = subprocess.Popen(command(program))
    try:
        _answers(port)
        client = aws.client("s3", f"http://127.0.0.1:{port}")
        client.create_bucket(Bucket=BUCKET)
        lay_back(client, folder, [BUCKET])
        yield client
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline, "the emulation does not answer"
        time.sleep(0.02)


def test_objects_outlive_a_killed_emulation_and_deleted_ones_do_not(tmp_path: Path) -> None:
    with emulation(tmp_path) as s3:
        s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"PAR1", IfNoneMatch="*")
        s3.put_object(Bucket=BUCKET, Key="gone", Body=b"x")
        s3.delete_object(Bucket=BUCKET, Key="gone")
    with emulation(tmp_path) as s3:
        assert s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == b"PAR1"
        assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == [KEY]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / BUCKET / KEY]


def test_what_was_refused_changes_no_file(tmp_path: Path) -> None:
    with emulation(tmp_path) as s3:
        s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"first")
        with pytest.raises(ClientError, match="PreconditionFailed"):
            s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"second", IfNoneMatch="*")
    assert (tmp_path / BUCKET / KEY).read_bytes() == b"first"
