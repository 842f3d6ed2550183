"""Daily housekeeping: partitions ahead of time, and what has outlived its use."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from holdfast.runtime import Runtime

MONTHS_AHEAD: Final = 3
OUTBOX_RETENTION_DAYS: Final = 7
API_CALLS_RETENTION_DAYS: Final = 90
CAPACITY_OVERRIDES_RETENTION_DAYS: Final = 90
PURGE_BATCH_MAX_ROWS: Final = 5_000
ACTOR: Final = "system:housekeeping"

_PURGES: Final = {
    "outbox": (
        """
        DELETE FROM operations.outbox WHERE (organization_id, id) IN (
            SELECT organization_id, id FROM operations.outbox
             WHERE published_at IS NOT NULL AND published_at < :before LIMIT :limit)
        """,
        timedelta(days=OUTBOX_RETENTION_DAYS),
    ),
    "idempotency_keys": (
        """
        DELETE FROM orders.idempotency_keys WHERE (organization_id, caller, operation, key) IN (
            SELECT organization_id, caller, operation, key FROM orders.idempotency_keys
             WHERE expires_at < :before LIMIT :limit)
        """,
        timedelta(0),
    ),
    "api_calls": (
        """
        DELETE FROM operations.api_calls WHERE (organization_id, id) IN (
            SELECT organization_id, id FROM operations.api_calls
             WHERE id < tenancy.uuid_v7_floor(:before) LIMIT :limit)
        """,
        timedelta(days=API_CALLS_RETENTION_DAYS),
    ),
    "capacity_overrides": (
        """
        DELETE FROM inventory.capacity_overrides WHERE (organization_id, id) IN (
            SELECT organization_id, id FROM inventory.capacity_overrides
             WHERE ends_on < CAST(:before AS date) LIMIT :limit)
        """,
        timedelta(days=CAPACITY_OVERRIDES_RETENTION_DAYS),
    ),
}


@dataclass(frozen=True, slots=True)
class Kept:
    """What one run did. ``default_partition_rows`` above zero raises an alarm: a month was missing."""

    partitions_made: int
    default_partition_rows: int
    purged: dict[str, int]


def keep_house(runtime: Runtime, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]) -> Kept:
    """Make partitions, then purge in bounded batches while there is time."""
    now = clock()
    with runtime.database.transaction(None, now=now, actor=ACTOR) as transaction:
        strays = int(transaction.value("SELECT operations.default_partition_rows()"))
        made = int(
            transaction.value(
                "SELECT operations.make_partitions(CAST(:today AS date), :months)",
                today=now.date() - timedelta(days=31),
                months=MONTHS_AHEAD + 1,
            )
        )
    purged = dict.fromkeys(_PURGES, 0)
    for name, (statement, age) in _PURGES.items():
        while time_left_seconds() > 0:
            with runtime.database.transaction(None, now=now, actor=ACTOR) as transaction:
                gone = transaction.execute(statement, before=now - age, limit=PURGE_BATCH_MAX_ROWS)
            purged[name] += gone
            if gone < PURGE_BATCH_MAX_ROWS:
                break
    return Kept(made, strays, purged)
