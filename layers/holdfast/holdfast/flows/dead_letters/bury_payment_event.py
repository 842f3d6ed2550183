"""Turn a payment event that is given up into a dead letter: classified, prioritized and on the record.

The dead letter is written in the same transaction as the record of the failure. So no event is given up without a dead
letter, and none has a dead letter while it is still being tried.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.dead_letters.classify_dead_letters import match_class, place
from holdfast.flows.dead_letters.dead_letter_record import add_step, failure_code_of, first_frame_of_ours, reason_of
from holdfast.payments.dead_letters import DeadLetterAction, fingerprint_of, priority_of
from holdfast.payments.error_classes import Failure
from holdfast.values.ids import uuid7
from holdfast.values.payment_events import EventType


def bury(transaction: Transaction, claimed: Mapping[str, Any], error: Exception) -> UUID:
    """Bury an event that ``payments.claim_event`` returned and whose last attempt raised ``error``.

    Returns the id of the dead letter. The event itself keeps its type and its payload. An event that is given up a
    second time keeps its dead letter.
    """
    event_type = EventType(claimed["event_type"])
    failure_code = failure_code_of(error, claimed["news"].get("failure_code"))
    reason = reason_of(error)
    failure = Failure(event_type, claimed["gateway"], failure_code, reason)
    placed = place(match_class(transaction, failure), transaction.now)
    dead_letter_id: UUID = transaction.value(
        """
        INSERT INTO payments.dead_letters
            (organization_id, id, event_id, payment_id, gateway, event_type, payload, failure_reason, failure_code,
             fingerprint, error_class_id, attempts, status, priority, replay_at, created_at)
        SELECT e.organization_id, :id, e.id, e.payment_id, e.gateway, e.event_type, e.payload, :reason, :failure_code,
               :fingerprint, :error_class_id, e.attempts, :status, :priority, :replay_at, :now
          FROM payments.payment_events e WHERE e.organization_id = :organization_id AND e.id = :event_id
        ON CONFLICT ON CONSTRAINT dead_letters_once DO UPDATE
           SET payment_id = excluded.payment_id, failure_reason = excluded.failure_reason,
               failure_code = excluded.failure_code, fingerprint = excluded.fingerprint,
               error_class_id = excluded.error_class_id, attempts = excluded.attempts, status = excluded.status,
               replay_at = excluded.replay_at, replay_lease_until = NULL, alerted_at = NULL, resolved_at = NULL,
               resolution_notes = NULL, version = dead_letters.version + 1
        RETURNING id
        """,
        organization_id=transaction.tenant,
        id=uuid7(transaction.now),
        event_id=UUID(claimed["id"]),
        reason=reason,
        failure_code=failure_code,
        fingerprint=fingerprint_of(event_type, failure_code, type(error).__name__, first_frame_of_ours(error)),
        error_class_id=placed.class_id,
        status=placed.status,
        priority=priority_of(event_type),
        replay_at=placed.replay_at,
        now=transaction.now,
    )
    add_step(transaction, dead_letter_id, DeadLetterAction.DEAD_LETTERED, None, placed.status, reason)
    if placed.class_id is not None:
        transaction.execute(
            """
            UPDATE payments.error_classes SET last_seen_at = :now
             WHERE organization_id = :organization_id AND id = :id
            """,
            organization_id=transaction.tenant,
            id=placed.class_id,
            now=transaction.now,
        )
    return dead_letter_id
