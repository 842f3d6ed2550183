"""Hundreds of old orders at once: sampled verification, and the sums of what lies in cold storage."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import duckdb
import pytest
from sqlalchemy import Engine, text

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
from tests.archive.scenes import SECRET, archive_environment, plenty
from tests.house import ROLE_PASSWORD

ORDERS = 400
HIGH_VALUE = 10


@dataclass
class Crowd:
    """A shop with old orders: its database, its schedules, and the instant."""

    engine: Engine
    runtime: Runtime
    now: datetime

    def row(self, statement: str) -> dict[str, object]:
        with self.engine.connect() as connection:
            return dict(connection.execute(text(statement)).one()._mapping)


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
        assert batch["detectable_fraction"] == 1  # of what was left to chance nothing was looked at


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
