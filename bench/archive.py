"""Archiving old orders: copied, checksummed and all verified; purged; moved to Parquet, proven, and read one by one.

``python -m bench.archive [--orders 1000 10000 100000] [--workers 1 2]``

The steps are the functions' own handlers. A run has a quarter of an hour; one that ends before its work does is
repeated, as its schedule would. The limits are the smallest things that move the same rows, and what they cost with the
keys that the tables have.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import random
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import boto3
import pyarrow.parquet as pq
from moto.server import ThreadedMotoServer

from bench.cluster import SYSTEM_ROLE, Cluster, cluster, connected, run_sql
from bench.old_orders import seed_old_orders
from bench.report import Spread, heading, table
from bench.shop import ORGANIZATION_ID, make_runtime, open_shop
from bench.statements import count
from holdfast.archive.sealing import Keyring
from holdfast.flows.archive.archived_documents import find_entry, read_document
from holdfast.runtime import Runtime, use
from local.postgres import Address

SEEDED = "bench_archive_seeded"
LIMIT_SECONDS = 15 * 60
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
KEPT = ("archive.archived_orders", "archive.archive_index", "archive.batch_leaves", "archive.payment_references")


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the measurement: the function that runs, its event, and the member of its answer that counts orders."""

    name: str
    function: str
    event: dict[str, str]
    counts: str
    in_parallel: bool = True


STEPS = (
    Step("archive", "archival", {"id": "bench"}, "archived"),
    Step("verify all", "archive_verification", {"id": "bench", "look": "post_archive"}, "checked"),
    Step("purge", "archival", {"id": "bench"}, "purged"),
    Step("export, read back, prove again", "cold_export", {"id": "bench"}, "exported", in_parallel=False),
)


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a step: wall-clock seconds, the memory of the largest process, the number of runs, the orders, and
    the seconds of its parts."""

    seconds: float
    peak_mb: float
    runs: int
    orders: int
    parts: dict[str, float]


class Context:
    """The part of Lambda's context that a function uses: how much of its quarter of an hour is left."""

    def __init__(self) -> None:
        self._ends = time.monotonic() + LIMIT_SECONDS

    def get_remaining_time_in_millis(self) -> int:
        return int((self._ends - time.monotonic()) * 1000)


def run_step(database: Address, bucket: str, step: Step, workers: int) -> Done:
    """Run the step in processes of their own, as functions have them. All of them begin at the same time."""
    workers = workers if step.in_parallel else 1
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, initializer=_warm, initargs=(step.function,)) as pool:
        pool.map(_is_warm, range(workers * 4), chunksize=1)
        begin = time.perf_counter()
        done = pool.starmap(_in_process, [(database, bucket, step)] * workers, chunksize=1)
        seconds = time.perf_counter() - begin
    parts = {name: each for one in done for name, each in one.parts.items()}
    return Done(
        seconds, max(one.peak_mb for one in done), max(one.runs for one in done), sum(one.orders for one in done), parts
    )


def _warm(function: str) -> None:
    import_module(f"functions.{function}.app")
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 -- metrics, for as long as the process lives


def _is_warm(_: int) -> None:
    """Do nothing: only a worker that has started can answer."""


def _in_process(database: Address, bucket: str, step: Step) -> Done:
    runtime = runtime_of(database, bucket)
    use(runtime)
    module = import_module(f"functions.{step.function}.app")
    parts: dict[str, float] = {}
    for name in ("export_to_cold_storage", "prove_cold_storage"):
        if hasattr(module, name):
            setattr(module, name, _timed(name, getattr(module, name), parts))
    begin = time.perf_counter()
    runs = orders = 0
    while True:
        answer = module.handler(step.event, Context())
        runs, orders = runs + 1, orders + int(answer[step.counts])
        assert not any(answer.get(name) for name in ("found", "broken", "blocked_batches")), answer
        if answer["finished"]:
            break
    seconds = time.perf_counter() - begin
    runtime.database.engine.dispose()
    return Done(seconds, _peak_mb(), runs, orders, parts)


def _peak_mb() -> float:
    """Return the most memory, in MB, that this process ever held.

    getrusage would include the parent, whose memory the process began with.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _timed(name: str, flow: Any, parts: dict[str, float]) -> Any:
    def call(*arguments: Any, **_only_due: Any) -> Any:
        # A tick proves only the files that are due. Those just exported are not, and their second reading is timed too.
        begin = time.perf_counter()
        try:
            return flow(*arguments)
        finally:
            parts[name] = parts.get(name, 0.0) + time.perf_counter() - begin

    return call


def runtime_of(database: Address, bucket: str) -> Runtime:
    """Return the system's runtime with a key and a bucket."""
    runtime = make_runtime(database, role=SYSTEM_ROLE)
    runtime.__dict__["keyring"] = Keyring("a benchmark's secret is known to everybody")
    object.__setattr__(runtime.settings, "archive_bucket", bucket)
    return runtime


def copying_seconds(engine: Any, names: Sequence[str], *, with_keys: bool) -> float:
    """Return the seconds it takes to copy all rows of some tables into tables without an index, or into tables with the
    same keys, indexes and checks."""
    copies = {name: f"copy_of_{name.replace('.', '_')}" for name in names}
    for name, copy in copies.items():
        keys = "INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES" if with_keys else ""
        run_sql(engine, f"CREATE TABLE {copy} (LIKE {name} {keys})")
    run_sql(engine, "CHECKPOINT")
    begin = time.perf_counter()
    for name, copy in copies.items():
        run_sql(engine, f"INSERT INTO {copy} SELECT * FROM {name}")
    seconds = time.perf_counter() - begin
    for copy in copies.values():
        run_sql(engine, f"DROP TABLE {copy}")
    run_sql(engine, "CHECKPOINT")
    return seconds


def pyarrow_seconds(bucket: str) -> tuple[float, float]:
    """Write and read what was exported once more, file by file, as plain tables. Return the seconds of each."""
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
    """Return the milliseconds it takes to find an order in the index and fetch its document, verified."""
    taken = []
    for order_id in order_ids:
        begin = time.perf_counter()
        with runtime.database.transaction(ORGANIZATION_ID, now=now) as transaction:
            entry = find_entry(transaction, str(order_id))
        assert entry is not None
        json.loads(read_document(runtime, ORGANIZATION_ID, entry, now, "system:bench"))
        taken.append((time.perf_counter() - begin) * 1000)
    return Spread.of(taken)


@contextmanager
def storage() -> Iterator[None]:
    """Run an S3 in this process."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ.update(
        AWS_ENDPOINT_URL=f"http://{host}:{port}",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_ACCESS_KEY_ID="bench",
        AWS_SECRET_ACCESS_KEY="bench",
        POWERTOOLS_SERVICE_NAME="bench",
    )
    try:
        yield
    finally:
        server.stop()


def measure(running: Cluster, orders: int, workers: int, now: datetime) -> None:
    """Run all steps on a copy of the seeded database, and what they are compared with."""
    database = running.create(f"bench_archive_{orders}_{workers}", template=SEEDED)
    bucket = f"bench-{uuid.uuid4().hex}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    done: dict[str, Done] = {}
    with connected(database) as engine:
        plain = copying_seconds(engine, COPIED, with_keys=False)
        keyed = copying_seconds(engine, COPIED, with_keys=True)
        for step in STEPS:
            done[step.name] = run_step(database, bucket, step, workers)
            if step.function == "archival":
                run_sql(engine, "VACUUM ANALYZE")  # in operation days pass here, and autovacuum runs
            if step.name == "verify all":
                own = copying_seconds(engine, KEPT, with_keys=True)
        left = count(engine, "SELECT count(*) FROM orders.orders")
        with engine.connect() as connection:
            known = [row[0] for row in connection.exec_driver_sql("SELECT order_id FROM archive.archive_index")]
    writing, reading = pyarrow_seconds(bucket)
    runtime = runtime_of(database, bucket)
    reads = read_one_by_one(runtime, random.sample(known, min(READS, len(known))), now)
    runtime.database.engine.dispose()
    running.drop(database.database)
    print(f"\n   {orders:,} orders, {workers} at once")
    table(
        ("step", "orders", "runs", "seconds", "us an order", "peak MB of a process"),
        [
            [name, f"{one.orders:,}", f"{one.runs}", f"{one.seconds:.1f}", f"{one.seconds / orders * 1e6:.0f}",
             f"{one.peak_mb:.0f}"]
            for name, one in done.items()
        ],
    )  # fmt: skip
    ours = done["archive"].seconds + done["verify all"].seconds
    parts = done[STEPS[-1].name].parts
    exporting, proving = parts["export_to_cold_storage"], parts["prove_cold_storage"]
    limits = (
        ("archive + verify all : INSERT ... SELECT of the same rows, no index", ours, plain),
        ("archive + verify all : the same with the tables' keys and indexes", ours, keyed),
        ("archive + verify all : INSERT ... SELECT of the archive's own rows, with keys", ours, own),
        ("export, read back : pyarrow writing and reading", exporting, writing + reading),
        ("prove again : pyarrow reading", proving, reading),
    )
    table(
        ("ratio", "ours s", "limit s", "limit / ours"),
        [[name, f"{taken:.1f}", f"{limit:.1f}", f"{limit / taken:.2f}"] for name, taken, limit in limits],
    )
    print(f"   one order out of cold storage: {reads:.0f} ms; left in the active tables: {left}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.archive", description=__doc__)
    parser.add_argument("--orders", type=int, nargs="+", default=[20_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1], help="archival and verification runs at once")
    options = parser.parse_args(arguments)
    heading(
        "archive: old orders of 3 lines, 7 history rows, 2 payment events, six years old",
        "each step by its function's handler in a process of its own, a quarter of an hour a run",
        "limits: INSERT ... SELECT without and with keys; pyarrow writing and reading the same tables",
    )
    now = datetime.now(UTC)
    with storage(), cluster() as running:
        for orders in options.orders:
            database = running.create(SEEDED)
            with connected(database) as engine:
                open_shop(engine)
                seed_old_orders(engine, orders, oldest=now - timedelta(days=2_280), newest=now - timedelta(days=2_200))
                # With no grace period, the next run purges what was verified.
                run_sql(engine, "UPDATE tenancy.organizations SET settings = settings || '{\"archive_grace_days\": 0}'")
                run_sql(engine, "VACUUM ANALYZE")
            for workers in options.workers:
                measure(running, orders, workers, now)
            running.drop(SEEDED)


if __name__ == "__main__":
    main()
