"""Orders that are old enough, made by the real flows, and what the archive's schedules do in a house."""

import json
import uuid
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any
from uuid import UUID

import boto3

from holdfast.flows.archive.archive_orders import Archived, archive_orders
from holdfast.flows.archive.export_to_cold_storage import Exported, export_to_cold_storage
from holdfast.flows.archive.prove_chain import ChainProof, prove_chain
from holdfast.flows.archive.prove_cold_storage import ColdProof, prove_cold_storage
from holdfast.flows.archive.purge_orders import Purged, purge_orders
from holdfast.flows.archive.request_month import request_month
from holdfast.flows.archive.restore_month import Restored, restore_months
from holdfast.flows.archive.scan_archive import full_scan, spot_check
from holdfast.flows.archive.verify_archive import Verified, verify_new_batches
from tests import shipping
from tests.flows.actions import ordered, staff
from tests.house import House

SECRET = {"key": "a text of chance that no database ever sees: 3c9f0a"}


def archive_environment() -> dict[str, str]:
    """What a house with an archive has: a key, and a bucket."""
    reference, bucket = f"holdfast/archive/{uuid.uuid4().hex}", f"archive-{uuid.uuid4().hex}"
    boto3.client("secretsmanager").create_secret(Name=reference, SecretString=json.dumps(SECRET))
    boto3.client("s3").create_bucket(Bucket=bucket)
    return {"ARCHIVE_KEY_SECRET": reference, "ARCHIVE_BUCKET": bucket}


def delivered(house: House, count: int = 1, **how: Any) -> list[str]:
    """Orders that were paid and delivered."""
    order_ids = [ordered(house, **how) for _ in range(count)]
    house.work()
    for order_id in order_ids:
        shipping.delivered(house, order_id)
    return order_ids


def years_pass(house: House, years: float = 3) -> None:
    """Everything in the house grows old."""
    house.clock.advance(days=365.25 * years)


def old_at_once(house: House) -> None:
    """Nothing has to wait: what is settled may be archived, purged and moved to cold storage."""
    for name in ("after_months", "settled_days", "grace_days", "cold_after_months"):
        house.sql(
            "UPDATE tenancy.organizations SET settings = settings || jsonb_build_object(CAST(:name AS text), 0)",
            name=f"archive_{name}",
        )


def plenty() -> float:
    """Time enough."""
    return 600.0


def runs(times: int) -> Callable[[], float]:
    """Time for so many steps and no more."""
    left = iter([600.0] * times)
    return lambda: next(left, 0.0)


def archive(house: House, **how: Any) -> Archived:
    """A day's run of ``archival``, its first part."""
    return archive_orders(house.system, house.clock, plenty, **how)


def verify(house: House, **how: Any) -> Verified:
    """A run of ``archive_verification`` after batches were sealed."""
    return verify_new_batches(house.system, house.clock, plenty, **how)


def scan(house: House) -> Verified:
    """The monthly look at everything."""
    return full_scan(house.system, house.clock, plenty)


def spot(house: House, **how: Any) -> Verified:
    """The nightly look."""
    return spot_check(house.system, house.clock, plenty, **how)


def purge(house: House) -> Purged:
    """What ``archival`` does once the grace has passed."""
    return purge_orders(house.system, house.clock, plenty)


def prove(house: House) -> ChainProof:
    """The whole chain, from its first batch."""
    return prove_chain(house.system, house.organization_id, house.clock, plenty, actor="system:test")


def put_away(house: House) -> None:
    """Archive, verify, wait for the grace to pass, purge."""
    archive(house)
    verify(house)
    house.clock.advance(days=8)
    purge(house)


def documents(house: House) -> dict[UUID, str]:
    """The archived document of every order, its newest version."""
    rows = house.rows("SELECT order_id, document FROM archive.archived_orders ORDER BY order_id, version")
    return {row["order_id"]: row["document"] for row in rows}


def export(house: House) -> Exported:
    """A month's run of ``cold_export``, its first part."""
    return export_to_cold_storage(house.system, house.clock, plenty)


def prove_cold(house: House) -> ColdProof:
    """And its second."""
    return prove_cold_storage(house.system, house.clock, plenty)


def bucket(house: House) -> Any:
    """Where cold storage is."""
    return boto3.resource("s3").Bucket(house.environment["ARCHIVE_BUCKET"])


def objects(house: House) -> dict[str, bytes]:
    """Everything in it."""
    return {entry.key: entry.get()["Body"].read() for entry in bucket(house).objects.all()}


def parquet(house: House) -> tuple[str, bytes]:
    """The one file of orders, with its name."""
    [found] = [(key, body) for key, body in objects(house).items() if key.endswith(".parquet")]
    return found


def cold(house: House, count: int = 3) -> list[str]:
    """Orders that lie in the archive and are old enough for cold storage."""
    order_ids = delivered(house, count)
    years_pass(house)
    put_away(house)
    years_pass(house, 3)
    return order_ids


def asked_for(house: House, month: date | None = None, *, stays_days: int = 30) -> Mapping[str, Any]:
    """A month that a manager wants back; the one of the oldest file unless another is named."""
    month = month or house.value("SELECT min(month) FROM archive.cold_files WHERE state = 'verified'")
    return request_month(
        house.runtime, staff(house), month, reason="an audit", stays_days=stays_days, now=house.clock()
    )


def bring_months(house: House, time_left_seconds: Callable[[], float] = plenty) -> Restored:
    """A run of ``cold_export`` over the months that were asked for."""
    return restore_months(house.system, house.clock, time_left_seconds)
