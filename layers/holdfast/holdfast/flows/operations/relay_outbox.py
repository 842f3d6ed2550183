"""Publish the outbox: every committed row at least once, none before its commit.

Rows are claimed with SKIP LOCKED, published, and marked in the same transaction. If a relay dies in between, they are
published again. Rows that the bus refuses stay and count their attempts; after ``ATTEMPTS_MAX`` they wait for a person.
A bus that is unavailable refuses nothing: what it took before stays published, and the rest waits without counting an
attempt, however often the bell rings meanwhile.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.flows.operations.call_person import call_person
from holdfast.flows.operations.process_names import Process
from holdfast.messaging.event_bus import BusUnavailable, DomainEvent
from holdfast.runtime import Runtime

BATCH_MAX_ROWS: Final = 100
ATTEMPTS_MAX: Final = 50
REFUSED_MAX_ROWS: Final = 500
"""A bus that refuses this many rows in one run is in trouble, so the rest is left to the next run."""
ACTOR: Final = "system:outbox_relay"
PROCESS: Final = Process.OUTBOX_RELAY


def relay_outbox(runtime: Runtime, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]) -> int:
    """Publish until nothing is left, the bus is in trouble, or the time is up. Return how many rows were published.

    Raises BusUnavailable after everything that the bus took is marked as published.
    """
    published = 0
    refused: list[str] = []
    away: BusUnavailable | None = None
    while away is None and time_left_seconds() > 0 and len(refused) < REFUSED_MAX_ROWS:
        with runtime.database.transaction(None, now=clock(), actor=ACTOR) as transaction:
            events = _claim(transaction, refused)
            if not events:
                break
            tried = events
            try:
                taken: Collection[UUID] = runtime.event_bus.publish(events)
            except BusUnavailable as error:
                away, taken = error, error.taken
                tried = [event for event in events if event.id in error.taken | error.refused]
            _mark(transaction, tried, [event.id for event in tried if event.id in taken])
        published += len(taken)
        refused += [str(event.id) for event in tried if event.id not in taken]
    _call_people(runtime, clock())
    if away is not None:
        raise away
    return published


def _claim(transaction: Transaction, refused: list[str]) -> list[DomainEvent]:
    """Claim the oldest rows, without those that the bus refused in this run: they must not hold up the others."""
    rows = transaction.rows(
        """
        SELECT id, organization_id, topic, aggregate_type, aggregate_id, sequence, payload, created_at
          FROM operations.outbox
         WHERE published_at IS NULL AND attempts < :attempts_max AND id <> ALL (CAST(:refused AS uuid[]))
         ORDER BY id LIMIT :limit
           FOR UPDATE SKIP LOCKED
        """,
        attempts_max=ATTEMPTS_MAX,
        refused=refused,
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


def _call_people(runtime: Runtime, now: datetime) -> None:
    """Call a person for rows that are not tried again: nothing committed may stay unpublished unnoticed."""
    with runtime.database.transaction(None, now=now, actor=ACTOR) as transaction:
        stuck = transaction.rows(
            """
            SELECT organization_id, id, topic, payload FROM operations.outbox
             WHERE published_at IS NULL AND attempts >= :attempts_max ORDER BY id LIMIT :limit
            """,
            attempts_max=ATTEMPTS_MAX,
            limit=BATCH_MAX_ROWS,
        )
    for row in stuck:
        with runtime.database.transaction(row.organization_id, now=now, actor=ACTOR) as transaction:
            details = f"the event bus refused {row.topic} {ATTEMPTS_MAX} times; it is not tried again"
            call_person(transaction, PROCESS, row.id, details, row.payload)
