"""Archiving old orders: copied, checksummed and all verified; purged; moved to Parquet, proven, and read one by one.

``python -m bench.archive [--orders 100000]``

The limits are the smallest things that move the same bytes: INSERT ... SELECT of the same rows into tables without an
index, and pyarrow writing and reading the same table.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import boto3
import pyarrow.parquet as pq
from moto.server import ThreadedMotoServer

from bench.cluster import SYSTEM_ROLE, cluster, connected, run_sql
from bench.old_orders import seed_old_orders
from bench.report import Spread, heading, table
from bench.shop import ORGANIZATION_ID, make_runtime, open_shop
from bench.statements import count
from holdfast.archive.sealing import Keyring
from holdfast.flows.archive.archive_orders import archive_orders
from holdfast.flows.archive.archived_documents import find_entry, read_document
from holdfast.flows.archive.export_to_cold_storage import export_to_cold_storage
from holdfast.flows.archive.prove_cold_storage import prove_cold_storage
from holdfast.flows.archive.purge_orders import purge_orders
from holdfast.flows.archive.verify_archive import verify_new_batches
from holdfast.runtime import Runtime
from local.postgres import Address

DATABASE = "bench_archive"
LIMIT_MINUTES = 15
READS = 30
COPIED = (
    "orders.orders",
    "orders.order_items",
    "orders.order_allocations",
    "inventory.reservations",
    "orders.order_status_history",
    "payments.payments",
    "payments.payment_events",
)
Step = Callable[[Runtime, datetime], Any]


def time_box() -> Callable[[], float]:
    """What is left of a run's quarter of an hour."""
    ends = time.monotonic() + LIMIT_MINUTES * 60
    return lambda: ends - time.monotonic()


def _archive(runtime: Runtime, now: datetime) -> Any:
    return archive_orders(runtime, lambda: now, time_box()).orders


def _verify(runtime: Runtime, now: datetime) -> Any:
    verified = verify_new_batches(runtime, lambda: now, time_box())
    assert not verified.tally.findings
    return verified.tally.checked


def _purge(runtime: Runtime, now: datetime) -> Any:
    return purge_orders(runtime, lambda: now + timedelta(days=8), time_box()).orders


def _export(runtime: Runtime, now: datetime) -> Any:
    return export_to_cold_storage(runtime, lambda: now + timedelta(days=8), time_box()).orders


def _prove(runtime: Runtime, now: datetime) -> Any:
    proof = prove_cold_storage(runtime, lambda: now + timedelta(days=8), time_box())
    assert not proof.broken
    return proof.orders


STEPS: dict[str, Step] = {
    "archive": _archive,
    "verify all": _verify,
    "purge": _purge,
    "export, read back": _export,
    "prove again": _prove,
}


def run_step(database: Address, bucket: str, name: str, now: datetime) -> tuple[float, float, Any]:
    """Seconds, peak MB and orders of one step, in a process of its own, as a function has it."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_in_process, (database, bucket, name, now))


def runtime_of(database: Address, bucket: str) -> Runtime:
    """The system's runtime with a key and a bucket."""
    runtime = make_runtime(database, role=SYSTEM_ROLE)
    runtime.__dict__["keyring"] = Keyring("a benchmark's secret is known to everybody")
    object.__setattr__(runtime.settings, "archive_bucket", bucket)
    return runtime


def _in_process(database: Address, bucket: str, name: str, now: datetime) -> tuple[float, float, Any]:
    runtime = runtime_of(database, bucket)
    begin = time.perf_counter()
    done = STEPS[name](runtime, now)
    seconds = time.perf_counter() - begin
    runtime.database.engine.dispose()
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, done


def insert_select_seconds(engine: Any) -> float:
    """Copy the same rows, table by table, into tables without an index."""
    begin = time.perf_counter()
    for name in COPIED:
        run_sql(engine, f"CREATE TABLE copy_of_{name.replace('.', '_')} AS SELECT * FROM {name}")
    seconds = time.perf_counter() - begin
    for name in COPIED:
        run_sql(engine, f"DROP TABLE copy_of_{name.replace('.', '_')}")
    return seconds


def pyarrow_seconds(bucket: str) -> tuple[float, float]:
    """Write and read what was exported once more, as plain tables, file by file."""
    write = read = 0.0
    with TemporaryDirectory() as folder:
        path, again = Path(folder) / "a.parquet", Path(folder) / "b.parquet"
        for entry in boto3.resource("s3").Bucket(bucket).objects.filter(Prefix="orders/"):
            path.write_bytes(entry.get()["Body"].read())
            content = pq.read_table(path)
            begin = time.perf_counter()
            pq.write_table(content, again, compression="zstd", row_group_size=500)
            middle = time.perf_counter()
            pq.read_table(again)
            write, read = write + middle - begin, read + time.perf_counter() - middle
    return write, read


def read_one_by_one(runtime: Runtime, order_ids: Sequence[UUID], now: datetime) -> Spread:
    """Milliseconds to find an order in the index and fetch its document, proven."""
    taken = []
    for order_id in order_ids:
        begin = time.perf_counter()
        with runtime.database.transaction(ORGANIZATION_ID, now=now) as transaction:
            entry = find_entry(transaction, str(order_id))
        assert entry is not None
        json.loads(read_document(runtime, ORGANIZATION_ID, entry, now, "system:bench"))
        taken.append((time.perf_counter() - begin) * 1000)
    return Spread.of(taken)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.archive", description=__doc__)
    parser.add_argument("--orders", type=int, default=20_000)
    options = parser.parse_args(arguments)
    orders: int = options.orders
    heading(
        f"archive: {orders:,} orders of 3 lines, 7 history rows, 2 payment events, six years old",
        "each step by its real flow in a process of its own, one client, a quarter of an hour at most",
        "limits: CREATE TABLE AS of the same rows; pyarrow writing and reading the same tables",
    )
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ.update(
        AWS_ENDPOINT_URL=f"http://{host}:{port}",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_ACCESS_KEY_ID="bench",
        AWS_SECRET_ACCESS_KEY="bench",
    )
    bucket = f"bench-{uuid.uuid4().hex}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    now = datetime.now(UTC)
    with cluster() as running:
        database = running.create(DATABASE)
        with connected(database) as engine:
            open_shop(engine)
            seed_old_orders(engine, orders, oldest=now - timedelta(days=2_280), newest=now - timedelta(days=2_200))
            run_sql(engine, "VACUUM ANALYZE")
            run_sql(engine, "CHECKPOINT")
            copying = insert_select_seconds(engine)
            run_sql(engine, "CHECKPOINT")
            rows, taken = [], {}
            for name in STEPS:
                seconds, peak_mb, done = run_step(database, bucket, name, now)
                taken[name] = seconds
                finished = "" if done == orders else f" of {orders:,}"
                rows.append(
                    [name, f"{done:,}{finished}", f"{seconds:.1f}", f"{seconds / orders * 1e6:.0f}", f"{peak_mb:.0f}"]
                )
                if name in {"archive", "purge"}:
                    run_sql(engine, "VACUUM ANALYZE")  # days pass, and autovacuum with them
            table(("step", "orders", "seconds", "us an order", "peak MB"), rows)
            writing, reading = pyarrow_seconds(bucket)
            left = count(engine, "SELECT count(*) FROM orders.orders")
            with engine.connect() as connection:
                known = [row[0] for row in connection.exec_driver_sql("SELECT order_id FROM archive.archive_index")]
        runtime = runtime_of(database, bucket)
        reads = read_one_by_one(runtime, random.sample(known, min(READS, len(known))), now)
        runtime.database.engine.dispose()
    server.stop()
    table(
        ("ratio", "ours s", "limit s", "limit / ours"),
        [
            ["archive + verify all : copying", f"{taken['archive'] + taken['verify all']:.1f}", f"{copying:.1f}",
             f"{copying / (taken['archive'] + taken['verify all']):.2f}"],
            ["export, read back : pyarrow", f"{taken['export, read back']:.1f}", f"{writing + reading:.1f}",
             f"{(writing + reading) / taken['export, read back']:.2f}"],
        ],
    )  # fmt: skip
    print(f"   one order out of cold storage: {reads:.0f} ms; left in the active tables: {left}")


if __name__ == "__main__":
    main()
