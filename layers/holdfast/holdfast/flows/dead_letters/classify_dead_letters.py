"""Find the error class of a dead letter, when it is buried and whenever people change the classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.payments.dead_letters import WAITING, DeadLetterAction, DeadLetterStatus, status_of
from holdfast.payments.error_classes import ErrorClass, Failure, first_match

BATCH_MAX_ROWS: Final = 500


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a dead letter belongs among the classes."""

    error_class: ErrorClass | None
    status: DeadLetterStatus
    replay_at: datetime | None

    @property
    def class_id(self) -> UUID | None:
        return None if self.error_class is None else self.error_class.id


@dataclass(frozen=True, slots=True)
class Reclassified:
    """What a change of the classes did to the waiting dead letters."""

    looked_at: int
    changed: int


def hold_classes(transaction: Transaction, *, to_change: bool = False) -> None:
    """Lock the organization's error classes until the transaction ends, to read them or ``to_change`` them.

    Readers share the lock; a change excludes them. So no dead letter is classified by rules that were replaced while it
    was being buried. Whoever changes a class takes this lock first, before locking the class's row.
    """
    statement = (
        "SELECT pg_advisory_xact_lock(hashtextextended('payments.error_classes ' || :organization_id, 0))"
        if to_change
        else "SELECT pg_advisory_xact_lock_shared(hashtextextended('payments.error_classes ' || :organization_id, 0))"
    )
    transaction.rows(statement, organization_id=str(transaction.tenant))


def active_classes(transaction: Transaction) -> list[ErrorClass]:
    """Return the organization's active classes in the order in which they are tried."""
    rows = transaction.rows(
        """
        SELECT id, match_order, event_type, gateway_pattern, failure_code_pattern, message_keywords,
               auto_replay_enabled, auto_replay_delay_seconds, min_confidence, successful_replays, failed_replays,
               cooldown_until
          FROM payments.error_classes WHERE organization_id = :organization_id AND active ORDER BY match_order
        """,
        organization_id=transaction.tenant,
    )
    return [error_class_from(record) for record in records(rows)]


def error_class_from(record: Any) -> ErrorClass:
    """Build an ErrorClass from a row of ``payments.error_classes``."""
    return ErrorClass(**{**record, "message_keywords": tuple(record["message_keywords"])})


def match_class(transaction: Transaction, failure: Failure) -> ErrorClass | None:
    """Return the first active class that matches; the classes are locked until the transaction ends."""
    hold_classes(transaction)
    return first_match(active_classes(transaction), failure)


def place(error_class: ErrorClass | None, now: datetime, *, replays: int = 0, is_assigned: bool = False) -> Placed:
    """Return the status and the replay time that follow from a class."""
    status = status_of(
        classified=error_class is not None,
        replays_by_itself=error_class is not None and error_class.replays_by_itself(now),
        replays=replays,
        is_assigned=is_assigned,
    )
    if error_class is None or status is not DeadLetterStatus.AUTO_REPLAY_SCHEDULED:
        return Placed(error_class, status, None)
    return Placed(error_class, status, now + timedelta(seconds=error_class.auto_replay_delay_seconds))


def reclassify_waiting(transaction: Transaction) -> Reclassified:
    """Match every waiting dead letter against the classes as this transaction left them.

    Dead letters that are being replayed at this moment are skipped: they are classified again if the replay fails. So
    is one whose auto-replay died, until the schedule has recorded that.
    """
    hold_classes(transaction, to_change=True)
    classes = active_classes(transaction)
    looked_at = changed = 0
    for status in sorted(WAITING):
        after: tuple[int, UUID] = (0, UUID(int=0))
        while rows := _waiting(transaction, status, after):
            changed += _move(transaction, status, rows, classes)
            looked_at += len(rows)
            after = (rows[-1].urgency, rows[-1].id)
    return Reclassified(looked_at, changed)


def _waiting(transaction: Transaction, status: DeadLetterStatus, after: tuple[int, UUID]) -> Sequence[Any]:
    return transaction.rows(
        """
        SELECT id, urgency, event_type, gateway, failure_code, failure_reason, error_class_id, replays, assigned_to
          FROM payments.dead_letters
         WHERE organization_id = :organization_id AND status = :status AND (urgency, id) > (:urgency, :id)
           AND (replay_lease_until IS NULL OR (replay_lease_until <= :now AND status <> 'auto_replay_scheduled'))
         ORDER BY urgency, id LIMIT :limit
           FOR UPDATE SKIP LOCKED
        """,
        organization_id=transaction.tenant,
        status=status,
        urgency=after[0],
        id=after[1],
        limit=BATCH_MAX_ROWS,
        now=transaction.now,
    )


def _move(
    transaction: Transaction, status: DeadLetterStatus, rows: Sequence[Any], classes: Sequence[ErrorClass]
) -> int:
    """Write the new place of the dead letters that belong somewhere else now; return how many."""
    moves: list[tuple[UUID, Placed]] = []
    for row in rows:
        found = first_match(classes, Failure(row.event_type, row.gateway, row.failure_code, row.failure_reason))
        placed = place(found, transaction.now, replays=row.replays, is_assigned=row.assigned_to is not None)
        if (placed.class_id, placed.status) != (row.error_class_id, status):
            moves.append((row.id, placed))
    if not moves:
        return 0
    transaction.execute(
        """
        WITH moves AS (
            SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:classes AS uuid[]), CAST(:statuses AS text[]),
                                 CAST(:times AS timestamptz[])) AS m (id, error_class_id, status, replay_at)
        ), moved AS (
            UPDATE payments.dead_letters d
               SET error_class_id = m.error_class_id, status = m.status, replay_at = m.replay_at,
                   version = d.version + 1
              FROM moves m WHERE d.organization_id = :organization_id AND d.id = m.id
            RETURNING d.id, d.status
        )
        INSERT INTO payments.dead_letter_history
            (organization_id, dead_letter_id, sequence, action, from_status, to_status, changed_by, notes, created_at)
        SELECT :organization_id, m.id, COALESCE((SELECT max(h.sequence) FROM payments.dead_letter_history h
                WHERE h.organization_id = :organization_id AND h.dead_letter_id = m.id), 0) + 1,
               CASE m.status WHEN 'auto_replay_scheduled' THEN :scheduled ELSE :classified END, :from_status, m.status,
               :actor, 'the error classes changed', :now
          FROM moved m
        """,
        organization_id=transaction.tenant,
        ids=[str(identifier) for identifier, _ in moves],
        classes=[placed.class_id and str(placed.class_id) for _, placed in moves],
        statuses=[str(placed.status) for _, placed in moves],
        times=[placed.replay_at and placed.replay_at.isoformat() for _, placed in moves],
        scheduled=DeadLetterAction.AUTO_REPLAY_SCHEDULED,
        classified=DeadLetterAction.CLASSIFIED,
        from_status=status,
        actor=transaction.actor,
        now=transaction.now,
    )
    return len(moves)
