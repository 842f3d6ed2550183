"""Hundreds of old orders at once: the cost of a batch, sampled verification, and the totals of cold storage."""

import json
import random
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pytest
from sqlalchemy import Engine, Row, text

from bench.cluster import SYSTEM_ROLE, connected
from bench.old_orders import seed_old_orders
from bench.shop import make_runtime, open_shop
from holdfast.archive.policy import Strategy
from holdfast.archive.sampling import sample_size
from holdfast.archive.sealing import Keyring
from holdfast.flows.archive.archive_orders import archive_orders
from holdfast.flows.archive.export_to_cold_storage import export_to_cold_storage
from holdfast.flows.archive.purge_orders import purge_orders
from holdfast.flows.archive.verify_archive import verify_new_batches
from holdfast.runtime import Runtime
from local.postgres import Address, Server
from tests.archive.scenes import SECRET, archive_environment, plenty, runs
from tests.premises import ROLE_PASSWORD

ORDERS = 400
HIGH_VALUE = 10


@dataclass
class Crowd:
    """A shop with old orders: its database, its schedules and the current time."""

    engine: Engine
    runtime: Runtime
    now: datetime

    def row(self, statement: str) -> dict[str, object]:
        with self.engine.connect() as connection:
            return dict(connection.execute(text(statement)).one()._mapping)

    def rows(self, statement: str) -> list[Row[Any]]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement)).all())


@pytest.fixture
def crowd(postgres: Server, db: Address, aws: str) -> Iterator[Crowd]:
    superuser = replace(postgres.admin, database=db.database)
    now = datetime.now(UTC)
    environment = archive_environment()
    with connected(superuser) as engine:
        open_shop(engine)
        seed_old_orders(engine, ORDERS, oldest=now - timedelta(days=2_280), newest=now - timedelta(days=2_200))
        runtime = make_runtime(replace(db, password=ROLE_PASSWORD), role=SYSTEM_ROLE)
        object.__setattr__(runtime.settings.database, "password", ROLE_PASSWORD)
        object.__setattr__(runtime.settings, "archive_bucket", environment["ARCHIVE_BUCKET"])
        runtime.__dict__["keyring"] = Keyring(SECRET["key"])
        yield Crowd(engine, runtime, now)
        runtime.database.engine.dispose()


@pytest.mark.parametrize("strategy", Strategy)
def test_a_batch_is_verified_by_its_strategy_and_says_what_that_can_promise(crowd: Crowd, strategy: Strategy) -> None:
    with crowd.engine.connect() as connection:
        connection.execute(
            text(
                "UPDATE tenancy.organizations SET settings = settings"
                " || jsonb_build_object('archive_strategy', CAST(:s AS text))"
            ),
            {"s": strategy.value},
        )
    archive_orders(crowd.runtime, lambda: crowd.now, plenty)
    verified = verify_new_batches(crowd.runtime, lambda: crowd.now, plenty, chance=random.Random(7))
    assert verified.tally.findings == []
    batch = crowd.row(
        "SELECT status, population, target_sample_size, sample_size, high_value_verified, detectable_fraction, strata"
        " FROM archive.archive_batches"
    )
    assert (batch["status"], batch["population"], batch["high_value_verified"]) == ("verified", ORDERS, HIGH_VALUE)
    left = sample_size(ORDERS - HIGH_VALUE)
    target, looked_at = {
        Strategy.FULL: (None, ORDERS),
        Strategy.SAMPLED: (left, left + HIGH_VALUE),
        Strategy.HIGH_VALUE_ONLY: (None, HIGH_VALUE),
    }[strategy]
    assert (batch["target_sample_size"], batch["sample_size"]) == (target, looked_at)
    strata = batch["strata"]
    assert isinstance(strata, list)
    if strategy is Strategy.SAMPLED:
        assert sum(stratum["sampled"] for stratum in strata) == left
        assert len(strata) in (3, 4)
    if strategy is Strategy.HIGH_VALUE_ONLY:
        assert batch["detectable_fraction"] == 1  # none of the rest was sampled


def test_the_sums_of_cold_storage_agree_with_its_manifests_by_month_and_currency(crowd: Crowd, tmp_path: Path) -> None:
    archive_orders(crowd.runtime, lambda: crowd.now, plenty)
    verify_new_batches(crowd.runtime, lambda: crowd.now, plenty)
    later = crowd.now + timedelta(days=8)
    assert purge_orders(crowd.runtime, lambda: later, plenty).orders == ORDERS
    assert export_to_cold_storage(crowd.runtime, lambda: later, plenty).orders == ORDERS
    manifests = {}
    for entry in boto3.resource("s3").Bucket(crowd.runtime.settings.archive_bucket).objects.all():
        body = entry.get()["Body"].read()
        if entry.key.endswith(".json"):
            manifest = json.loads(body)
            for currency, total in manifest["totals"].items():
                manifests[manifest["month"], currency] = (total["orders"], total["total_minor"])
        else:
            (tmp_path / Path(entry.key).name).write_bytes(body)
    sums = duckdb.sql(
        "SELECT strftime(ordered_at AT TIME ZONE 'UTC', '%Y-%m'), currency, count(*), sum(total_minor)::BIGINT"
        f" FROM '{tmp_path}/*.parquet' GROUP BY 1, 2"
    ).fetchall()
    assert {(month, currency): (orders, total) for month, currency, orders, total in sums} == manifests
    assert {currency for _, currency in manifests} == {"EUR", "USD"}
    assert sum(orders for orders, _ in manifests.values()) == ORDERS


def round_trips(crowd: Crowd, work: Callable[[], object]) -> int:
    """Return how many round trips to the server a run takes; the pool has one connection."""

    def so_far() -> int:
        connection = crowd.runtime.database.engine.raw_connection()
        try:
            assert connection.dbapi_connection is not None
            return int(connection.dbapi_connection.round_trips)
        finally:
            connection.close()

    before = so_far()
    work()
    return so_far() - before


def archive_one_batch(crowd: Crowd, orders: int) -> None:
    done = archive_orders(crowd.runtime, lambda: crowd.now, runs(1), batch_max_orders=orders)
    assert (done.orders, done.batches) == (orders, 1)


def verify_one_batch(crowd: Crowd) -> int:
    verified = verify_new_batches(crowd.runtime, lambda: crowd.now, runs(1))
    assert (verified.batches, verified.tally.findings) == (1, [])
    return verified.tally.checked


def test_a_batch_takes_as_many_round_trips_whatever_its_size(crowd: Crowd) -> None:
    assert round_trips(crowd, lambda: archive_one_batch(crowd, 10)) <= 15
    small = round_trips(crowd, lambda: archive_one_batch(crowd, 20))
    large = round_trips(crowd, lambda: archive_one_batch(crowd, 300))
    assert large == small
    looks = {}
    for _ in range(3):
        checked: list[int] = []
        trips = round_trips(crowd, lambda into=checked: into.append(verify_one_batch(crowd)))
        looks[checked[0]] = trips
    assert looks[300] == looks[20] == looks[10] <= 16
    later = crowd.now + timedelta(days=8)
    purges = [round_trips(crowd, lambda: purge_orders(crowd.runtime, lambda: later, runs(1))) for _ in range(3)]
    assert len(set(purges)) == 1


def test_memory_holds_a_batch_and_not_the_archive(crowd: Crowd) -> None:
    archive_one_batch(crowd, 40)
    verify_one_batch(crowd)  # so that imports and caches are loaded
    peaks = []
    tracemalloc.start()
    try:
        for batches in (1, 7):
            tracemalloc.reset_peak()
            held, _ = tracemalloc.get_traced_memory()
            archive_orders(crowd.runtime, lambda: crowd.now, runs(batches), batch_max_orders=40)
            verify_new_batches(crowd.runtime, lambda: crowd.now, plenty)
            peaks.append(tracemalloc.get_traced_memory()[1] - held)
    finally:
        tracemalloc.stop()
    one, seven = peaks
    assert one < 4 * 2**20
    assert seven < one + 2**19


def test_runs_of_verification_at_once_share_the_batches(crowd: Crowd) -> None:
    archive_orders(crowd.runtime, lambda: crowd.now, plenty, batch_max_orders=100)
    [first, *_] = (row[0] for row in crowd.rows("SELECT id FROM archive.archive_batches ORDER BY id"))
    with crowd.engine.connect() as other:
        other.exec_driver_sql("BEGIN")
        other.execute(text("SELECT 1 FROM archive.archive_batches WHERE id = :id FOR NO KEY UPDATE"), {"id": first})
        assert verify_new_batches(crowd.runtime, lambda: crowd.now, plenty).batches == 3
        later = crowd.now + timedelta(days=8)
        assert purge_orders(crowd.runtime, lambda: later, plenty).orders == 300
        other.exec_driver_sql("ROLLBACK")
    assert verify_new_batches(crowd.runtime, lambda: crowd.now, plenty).batches == 1
    assert crowd.row("SELECT count(*) AS looks FROM archive.reconciliation_log")["looks"] == 4
