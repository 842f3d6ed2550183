"""Publish what was committed: every outbox row at least once, none before its commit.

Rows are claimed with SKIP LOCKED, published, and marked in the same transaction; a relay that dies in between
publishes again. Rows the bus refuses stay and count their attempts; past a bound they wait for a person.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from holdfast.database.transaction import Transaction, records
from holdfast.messaging.event_bus import DomainEvent
from holdfast.runtime import Runtime

BATCH_MAX_ROWS: Final = 100
ATTEMPTS_MAX: Final = 50
ACTOR: Final = "system:outbox_relay"


def relay_outbox(runtime: Runtime, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]) -> int:
    """Publish until nothing is left, nothing moves, or the time is up; answers how many rows were published."""
    published = 0
    while time_left_seconds() > 0:
        with runtime.database.transaction(None, now=clock(), actor=ACTOR) as transaction:
            events = _claim(transaction)
            taken = runtime.event_bus.publish(events) if events else set()
            if events:
                _mark(transaction, events, [event.id for event in events if event.id in taken])
        published += len(taken)
        if len(events) < BATCH_MAX_ROWS or not taken:
            break
    return published


def _claim(transaction: Transaction) -> list[DomainEvent]:
    rows = transaction.rows(
        """
        SELECT id, organization_id, topic, aggregate_type, aggregate_id, sequence, payload, created_at
          FROM operations.outbox
         WHERE published_at IS NULL AND attempts < :attempts_max
         ORDER BY id LIMIT :limit
           FOR UPDATE SKIP LOCKED
        """,
        attempts_max=ATTEMPTS_MAX,
        limit=BATCH_MAX_ROWS,
    )
    return [DomainEvent(**record) for record in records(rows)]


def _mark(transaction: Transaction, events: list[DomainEvent], taken: list[object]) -> None:
    transaction.execute(
        """
        UPDATE operations.outbox
           SET attempts = attempts + 1,
               published_at = CASE WHEN id = ANY (CAST(:taken AS uuid[])) THEN CAST(:now AS timestamptz) END
         WHERE id = ANY (CAST(:claimed AS uuid[]))
           AND organization_id = ANY (CAST(:organizations AS uuid[]))
        """,
        taken=[str(identifier) for identifier in taken],
        claimed=[str(event.id) for event in events],
        organizations=sorted({str(event.organization_id) for event in events}),
        now=transaction.now,
    )
