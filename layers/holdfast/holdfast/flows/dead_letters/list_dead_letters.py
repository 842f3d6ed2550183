"""Dead letters as a queue, most urgent and oldest first, and one dead letter with everything about it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, plain, records
from holdfast.payments.dead_letters import RESOLVED, DeadLetterPriority, DeadLetterStatus
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import InvalidInput, NotFound

PAGE_MAX_ROWS: Final = 100
OPEN: Final = tuple(status for status in DeadLetterStatus if status not in RESOLVED)
"""Statuses in which somebody or something still has to act."""

_BEFORE_ALL: Final = (0, UUID(int=0))

# One short index scan for each status, none longer than the page.
_PAGE: Final = """
    SELECT d.id, d.event_id, d.payment_id, d.gateway, d.event_type, d.failure_reason, d.failure_code, d.fingerprint,
           d.error_class_id, c.class_name, d.attempts, d.status, d.priority, d.assigned_to, d.replay_at, d.replays,
           d.last_replayed_at, d.was_auto_replayed, d.alerted_at, d.resolved_at, d.resolution_notes, d.version,
           d.created_at, d.updated_at
      FROM unnest(CAST(:statuses AS text[])) AS s (status)
     CROSS JOIN LATERAL (
         SELECT q.* FROM payments.dead_letters q
          WHERE q.organization_id = :organization_id AND q.status = s.status
            AND (q.urgency, q.id) > (:after_urgency, CAST(:after AS uuid))
            AND (CAST(:priority AS text) IS NULL OR q.priority = :priority)
            AND (CAST(:error_class_id AS uuid) IS NULL OR q.error_class_id = :error_class_id)
            AND (CAST(:assigned_to AS text) IS NULL OR q.assigned_to = :assigned_to)
            AND (CAST(:fingerprint AS text) IS NULL OR q.fingerprint = :fingerprint)
          ORDER BY q.urgency, q.id LIMIT :limit) d
      LEFT JOIN payments.error_classes c ON c.organization_id = :organization_id AND c.id = d.error_class_id
     ORDER BY d.urgency, d.id LIMIT :limit
"""
_ONE: Final = """
    SELECT d.id, d.event_id, d.payment_id, d.gateway, d.event_type, d.failure_reason, d.failure_code, d.fingerprint,
           d.error_class_id, c.class_name, d.attempts, d.status, d.priority, d.assigned_to, d.replay_at, d.replays,
           d.last_replayed_at, d.was_auto_replayed, d.alerted_at, d.resolved_at, d.resolution_notes, d.version,
           d.created_at, d.updated_at, d.payload,
           jsonb_build_object(
               'gateway_event_id', e.gateway_event_id, 'gateway_event_type', e.gateway_event_type,
               'gateway_transaction_id', e.gateway_transaction_id, 'occurred_at', e.occurred_at,
               'received_at', e.received_at, 'correlation_id', e.correlation_id, 'state', e.state,
               'attempts', e.attempts, 'next_attempt_at', e.next_attempt_at, 'last_error', e.last_error,
               'processed_at', e.processed_at) AS event,
           CASE WHEN y.id IS NOT NULL THEN jsonb_build_object(
               'id', y.id, 'attempt', y.attempt, 'status', y.status, 'amount_minor', y.amount,
               'captured_minor', y.captured_amount, 'refunded_minor', y.refunded_amount,
               'currency', y.currency) END AS payment,
           CASE WHEN o.id IS NOT NULL THEN jsonb_build_object(
               'id', o.id, 'order_number', o.order_number, 'status', o.status) END AS order,
           (SELECT jsonb_agg(jsonb_build_object(
                       'sequence', h.sequence, 'action', h.action, 'from', h.from_status, 'to', h.to_status,
                       'changed_by', h.changed_by, 'notes', h.notes, 'at', h.created_at) ORDER BY h.sequence)
              FROM payments.dead_letter_history h
             WHERE h.organization_id = d.organization_id AND h.dead_letter_id = d.id) AS history
      FROM payments.dead_letters d
      JOIN payments.payment_events e ON e.organization_id = d.organization_id AND e.id = d.event_id
      LEFT JOIN payments.error_classes c ON c.organization_id = d.organization_id AND c.id = d.error_class_id
      LEFT JOIN payments.payments y ON y.organization_id = d.organization_id
           AND y.id = COALESCE(e.payment_id, d.payment_id)
      LEFT JOIN orders.orders o ON o.organization_id = y.organization_id AND o.id = y.order_id
     WHERE d.organization_id = :organization_id AND d.id = :id
"""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which dead letters to list; ``None`` does not filter by the column. Without a status: the open ones."""

    status: DeadLetterStatus | None = None
    priority: DeadLetterPriority | None = None
    error_class_id: UUID | None = None
    assigned_to: str | None = None
    fingerprint: str | None = None


def list_dead_letters(
    runtime: Runtime, caller: Caller, filters: Filters, *, after: UUID | None, limit: int, now: datetime
) -> dict[str, Any]:
    """Return a page of the queue and the cursor of the next page.

    Raises Forbidden, or InvalidInput for a cursor that is not a dead letter.
    """
    limit = min(limit, PAGE_MAX_ROWS)
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.LIST_DEAD_LETTERS)
        urgency, last = _BEFORE_ALL if after is None else _place_of(transaction, after)
        rows = records(
            transaction.rows(
                _PAGE,
                organization_id=transaction.tenant,
                statuses=[str(status) for status in (OPEN if filters.status is None else (filters.status,))],
                after_urgency=urgency,
                after=last,
                priority=filters.priority,
                error_class_id=filters.error_class_id,
                assigned_to=filters.assigned_to,
                fingerprint=filters.fingerprint,
                limit=limit,
            )
        )
    letters = [plain(row) for row in rows]
    return {"dead_letters": letters, "next_after": letters[-1]["id"] if len(letters) == limit else None}


def _place_of(transaction: Transaction, after: UUID) -> tuple[int, UUID]:
    """Return where a dead letter stands in the queue, whatever became of it since it was read."""
    urgency = transaction.value(
        "SELECT urgency FROM payments.dead_letters WHERE organization_id = :organization_id AND id = :id",
        organization_id=transaction.tenant,
        id=after,
    )
    if urgency is None:
        problem = {"field": "query.after", "message": "is no dead letter"}
        raise InvalidInput("there is no such place in the queue", errors=[problem])
    return urgency, after


def find_dead_letter(runtime: Runtime, caller: Caller, dead_letter_id: UUID, now: datetime) -> dict[str, Any]:
    """Return one dead letter with payload, event, history, payment and order. Raises Forbidden or NotFound."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.FIND_DEAD_LETTER)
        return view_of(transaction, dead_letter_id)


def view_of(transaction: Transaction, dead_letter_id: UUID) -> dict[str, Any]:
    """Return a dead letter as the API answers it. Raises NotFound."""
    row = transaction.row(_ONE, organization_id=transaction.tenant, id=dead_letter_id)
    if row is None:
        raise NotFound("there is no such dead letter")
    return plain(records([row])[0])
