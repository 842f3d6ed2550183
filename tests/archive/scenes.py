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
    """Make a key and a bucket, and return the environment of a house with an archive."""
    reference, bucket = f"holdfast/archive/{uuid.uuid4().hex}", f"archive-{uuid.uuid4().hex}"
    boto3.client("secretsmanager").create_secret(Name=reference, SecretString=json.dumps(SECRET))
    boto3.client("s3").create_bucket(Bucket=bucket)
    return {"ARCHIVE_KEY_SECRET": reference, "ARCHIVE_BUCKET": bucket}


def delivered(house: House, count: int = 1, **how: Any) -> list[str]:
    """Place orders, have them paid and delivered, and return their ids."""
    order_ids = [ordered(house, **how) for _ in range(count)]
    house.work()
    for order_id in order_ids:
        shipping.delivered(house, order_id)
    return order_ids


def years_pass(house: House, years: float = 3) -> None:
    """Let everything in the house grow old."""
    house.clock.advance(days=365.25 * years)


def old_at_once(house: House) -> None:
    """Let nothing wait: what is settled may be archived, purged and moved to cold storage at once."""
    for name in ("after_months", "settled_days", "grace_days", "cold_after_months"):
        house.sql(
            "UPDATE tenancy.organizations SET settings = settings || jsonb_build_object(CAST(:name AS text), 0)",
            name=f"archive_{name}",
        )


def plenty() -> float:
    """Time enough, in seconds."""
    return 600.0


def runs(times: int) -> Callable[[], float]:
    """Return a ``time_left_seconds`` that leaves time for this many steps and no more."""
    left = iter([600.0] * times)
    return lambda: next(left, 0.0)


def archive(house: House, **how: Any) -> Archived:
    """Run the first part of ``archival`` for a day."""
    return archive_orders(house.system, house.clock, plenty, **how)


def verify(house: House, **how: Any) -> Verified:
    """Run ``archive_verification`` as it follows the sealing of batches."""
    return verify_new_batches(house.system, house.clock, plenty, **how)


def scan(house: House) -> Verified:
    """Run the monthly scan of everything."""
    return full_scan(house.system, house.clock, plenty)


def spot(house: House, **how: Any) -> Verified:
    """Run the nightly spot check."""
    return spot_check(house.system, house.clock, plenty, **how)


def purge(house: House) -> Purged:
    """Run what ``archival`` does once the grace period has passed."""
    return purge_orders(house.system, house.clock, plenty)


def prove(house: House) -> ChainProof:
    """Prove the whole chain, from its first batch."""
    return prove_chain(house.system, house.organization_id, house.clock, plenty, actor="system:test")


def put_away(house: House) -> None:
    """Archive and verify, wait until the grace period has passed, and purge."""
    archive(house)
    verify(house)
    house.clock.advance(days=8)
    purge(house)


def documents(house: House) -> dict[UUID, str]:
    """Return the newest version of every order's archived document."""
    rows = house.rows("SELECT order_id, document FROM archive.archived_orders ORDER BY order_id, version")
    return {row["order_id"]: row["document"] for row in rows}


def export(house: House) -> Exported:
    """Run the first part of ``cold_export`` for a month."""
    return export_to_cold_storage(house.system, house.clock, plenty)


def prove_cold(house: House) -> ColdProof:
    """Run the second part of ``cold_export``."""
    return prove_cold_storage(house.system, house.clock, plenty)


def bucket(house: House) -> Any:
    """Return the bucket of cold storage."""
    return boto3.resource("s3").Bucket(house.environment["ARCHIVE_BUCKET"])


def objects(house: House) -> dict[str, bytes]:
    """Return the contents of the bucket by key."""
    return {entry.key: entry.get()["Body"].read() for entry in bucket(house).objects.all()}


def parquet(house: House) -> tuple[str, bytes]:
    """Return the key and the content of the only file of orders."""
    [found] = [(key, body) for key, body in objects(house).items() if key.endswith(".parquet")]
    return found


def cold(house: House, count: int = 3) -> list[str]:
    """Put orders into the archive that are old enough for cold storage, and return their ids."""
    order_ids = delivered(house, count)
    years_pass(house)
    put_away(house)
    years_pass(house, 3)
    return order_ids


def asked_for(house: House, month: date | None = None, *, stays_days: int = 30) -> Mapping[str, Any]:
    """Ask for a month as a manager; by default the month of the oldest verified file."""
    month = month or house.value("SELECT min(month) FROM archive.cold_files WHERE state = 'verified'")
    return request_month(
        house.runtime, staff(house), month, reason="an audit", stays_days=stays_days, now=house.clock()
    )


def bring_months(house: House, time_left_seconds: Callable[[], float] = plenty) -> Restored:
    """Run ``cold_export`` over the months that were asked for."""
    return restore_months(house.system, house.clock, time_left_seconds)
