"""Daily housekeeping: create partitions ahead of time, and delete what has passed its retention."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from holdfast.runtime import Runtime

MONTHS_AHEAD: Final = 3
OUTBOX_RETENTION_DAYS: Final = 7
API_CALLS_RETENTION_DAYS: Final = 90
CAPACITY_OVERRIDES_RETENTION_DAYS: Final = 90
STAGING_RETENTION_DAYS: Final = 1
MESSAGES_RETENTION_DAYS: Final = 400
"""Longer than the archive of the event bus keeps events, so that a replayed event finds its mail already sent."""
AUDIT_RETENTION_DAYS: Final = 3_653
MOVEMENTS_RETENTION_DAYS: Final = 3_653
HISTORY_EMPTY_DAYS: Final = 365
"""After this, an empty month of the history was emptied by the archive, and is not one that is still being filled."""
PURGE_BATCH_MAX_ROWS: Final = 5_000
ACTOR: Final = "system:housekeeping"

# A batch is found along an index and deleted by row address (ctid). A join would scan the whole table for each batch.
_PURGES: Final = {
    "outbox": (
        """
        DELETE FROM operations.outbox WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM operations.outbox WHERE published_at < :before ORDER BY published_at LIMIT :limit))
        """,
        timedelta(days=OUTBOX_RETENTION_DAYS),
    ),
    "idempotency_keys": (
        """
        DELETE FROM orders.idempotency_keys WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM orders.idempotency_keys WHERE expires_at < :before ORDER BY expires_at LIMIT :limit))
        """,
        timedelta(0),
    ),
    "api_calls": (
        """
        DELETE FROM operations.api_calls WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM operations.api_calls WHERE id < tenancy.uuid_v7_floor(:before) ORDER BY id LIMIT :limit))
        """,
        timedelta(days=API_CALLS_RETENTION_DAYS),
    ),
    # A place that is used often has its expiry extended, so what is deleted is old or out of use.
    "geocode_cache": (
        """
        DELETE FROM addresses.geocode_cache WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM addresses.geocode_cache WHERE expires_at < :before ORDER BY expires_at LIMIT :limit))
        """,
        timedelta(0),
    ),
    # Left behind by imports that died half way.
    "geocode_import_staging": (
        """
        DELETE FROM addresses.geocode_import_staging WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM addresses.geocode_import_staging WHERE import_id < tenancy.uuid_v7_floor(:before)
             ORDER BY import_id LIMIT :limit))
        """,
        timedelta(days=STAGING_RETENTION_DAYS),
    ),
    "messages": (
        """
        DELETE FROM notifications.messages WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM notifications.messages WHERE id < tenancy.uuid_v7_floor(:before) ORDER BY id LIMIT :limit))
        """,
        timedelta(days=MESSAGES_RETENTION_DAYS),
    ),
    "capacity_overrides": (
        """
        DELETE FROM inventory.capacity_overrides WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM inventory.capacity_overrides WHERE ends_on < CAST(:before AS date) LIMIT :limit))
        """,
        timedelta(days=CAPACITY_OVERRIDES_RETENTION_DAYS),
    ),
}


@dataclass(frozen=True, slots=True)
class Kept:
    """What one run did. An alarm goes off if ``default_partition_rows`` is above zero: a month that was due had no
    partition."""

    partitions_made: int
    default_partition_rows: int
    purged: dict[str, int]
    months_dropped: int


def keep_house(runtime: Runtime, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]) -> Kept:
    """Create partitions, then purge in bounded batches while there is time."""
    now = clock()
    first = now.date() - timedelta(days=31)
    with runtime.database.transaction(None, now=now, actor=ACTOR) as transaction:
        # Orders that were brought back from months that had been dropped are nobody's omission.
        made = int(transaction.value("SELECT operations.make_earlier_partitions(CAST(:first AS date))", first=first))
        strays = int(transaction.value("SELECT operations.default_partition_rows()"))
        made += int(
            transaction.value(
                "SELECT operations.make_partitions(CAST(:first AS date), :months)", first=first, months=MONTHS_AHEAD + 1
            )
        )
        dropped = int(
            transaction.value(
                "SELECT archive.drop_old_months(CAST(:audit AS date), CAST(:history AS date))",
                audit=_month_of(now, AUDIT_RETENTION_DAYS),
                history=_month_of(now, HISTORY_EMPTY_DAYS),
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
    dropped += _drop_movements(runtime, now, time_left_seconds)
    return Kept(made, strays, purged, dropped)


def _drop_movements(runtime: Runtime, now: datetime, time_left_seconds: Callable[[], float]) -> int:
    """Drop the months of the ledger that have passed their retention, oldest first, and return how many.

    Each leaves its opening balances behind.
    """
    before, dropped = _month_of(now, MOVEMENTS_RETENTION_DAYS), 0
    while time_left_seconds() > 0:
        with runtime.database.transaction(None, now=now, actor=ACTOR) as transaction:
            month = transaction.value(
                "SELECT inventory.drop_month_of_movements(CAST(:before AS date), :now)", before=before, now=now
            )
        if month is None:
            break
        dropped += 1
    return dropped


def _month_of(now: datetime, days_ago: int) -> date:
    """Return the first day of the month ``days_ago``. Every day of the months before it is older than that."""
    return (now.date() - timedelta(days=days_ago)).replace(day=1)
