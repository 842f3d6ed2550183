"""Everything that happened to one order, as one timeline: what shoppers and gateways did, and what came of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from holdfast.database.transaction import records
from holdfast.flows.orders.find_order import order_id_of
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation
from holdfast.values.caller import Caller

ENTRIES_MAX: Final = 1_000

# One statement, so that it is a snapshot of one moment. At the same instant, causes come before effects (rank). The
# payloads exchanged with gateways are not shown, because they may name people.
_TIMELINE: Final = """
    WITH o AS (
        SELECT organization_id, id FROM orders.orders WHERE organization_id = :organization_id AND id = :order_id
    ), attempts AS MATERIALIZED (
        SELECT p.* FROM payments.payments p JOIN o ON p.organization_id = o.organization_id AND p.order_id = o.id
    ), events AS MATERIALIZED (
        SELECT e.* FROM attempts a
          JOIN payments.payment_events e ON e.organization_id = a.organization_id AND e.payment_id = a.id
    ), refunded AS MATERIALIZED (
        SELECT r.* FROM o JOIN payments.refunds r ON r.organization_id = o.organization_id AND r.order_id = o.id
    ), disputed AS MATERIALIZED (
        SELECT d.* FROM attempts a
          JOIN payments.disputes d ON d.organization_id = a.organization_id AND d.payment_id = a.id
    ), shipped AS MATERIALIZED (
        SELECT s.* FROM o JOIN fulfillment.shipments s ON s.organization_id = o.organization_id AND s.order_id = o.id
    ), buried AS MATERIALIZED (
        SELECT d.* FROM events e
          JOIN payments.dead_letters d ON d.organization_id = e.organization_id AND d.event_id = e.id
    ), moved AS MATERIALIZED (
        SELECT l.* FROM o JOIN orders.reallocations l ON l.organization_id = o.organization_id AND l.order_id = o.id
    ), subjects AS MATERIALIZED (
        SELECT organization_id, id FROM o
        UNION SELECT organization_id, id FROM moved
        UNION SELECT organization_id, id FROM attempts
        UNION SELECT organization_id, id FROM events
        UNION SELECT organization_id, id FROM refunded
        UNION SELECT organization_id, id FROM disputed
        UNION SELECT organization_id, id FROM shipped
        UNION SELECT organization_id, id FROM buried
        UNION SELECT m.organization_id, m.id
          FROM o JOIN notifications.messages m ON m.organization_id = o.organization_id AND m.order_id = o.id
    ), entries AS (
        SELECT created_at AS at, 1 AS rank, 'payment' AS kind, attempt::bigint AS sequence, id::text AS id,
               'attempt ' || attempt || ' with ' || gateway AS what,
               jsonb_build_object('status', status, 'amount_minor', amount, 'captured_minor', captured_amount,
                                  'refunded_minor', refunded_amount, 'currency', currency) AS data
          FROM attempts
        UNION ALL
        SELECT c.created_at, 2, 'api_call', NULL, c.id::text, c.target || ': ' || c.method || ' ' || c.path,
               jsonb_build_object('status', c.status, 'duration_ms', c.duration_ms, 'related_id', c.related_id)
          FROM subjects s
          JOIN operations.api_calls c ON c.organization_id = s.organization_id AND c.related_id = s.id
        UNION ALL
        SELECT received_at, 3, 'payment_event', NULL, id::text, COALESCE(event_type, gateway_event_type),
               jsonb_build_object('gateway', gateway, 'gateway_event_id', gateway_event_id, 'payment_id', payment_id,
                                  'gateway_event_type', gateway_event_type, 'occurred_at', occurred_at, 'state', state,
                                  'attempts', attempts, 'processed_at', processed_at, 'last_error', last_error,
                                  'amount_minor', news -> 'amount_minor', 'captured_minor', news -> 'captured_minor',
                                  'currency', news -> 'currency', 'correlation_id', correlation_id)
          FROM events
        UNION ALL
        SELECT h.created_at, 4, 'status', h.sequence, o.id || '-' || h.sequence,
               CASE WHEN h.from_status IS NULL THEN h.to_status ELSE h.from_status || ' -> ' || h.to_status END,
               jsonb_build_object('from', h.from_status, 'to', h.to_status, 'changed_by', h.changed_by,
                                  'notes', h.notes)
          FROM o JOIN orders.order_status_history h ON h.organization_id = o.organization_id AND h.order_id = o.id
        UNION ALL
        SELECT COALESCE((c ->> 'succeeded_at')::timestamptz, (c ->> 'failed_at')::timestamptz, x.created_at,
                        a.created_at),
               5, 'capture', NULL, a.id || '-' || (c ->> 'gateway_capture_id'), 'capture ' || (c ->> 'status'),
               jsonb_build_object('payment_id', a.id, 'amount_minor', c -> 'amount_minor', 'currency', a.currency,
                                  'gateway_capture_id', c ->> 'gateway_capture_id', 'is_final', c -> 'is_final',
                                  'subject_id', x.subject_id, 'reason', x.reason, 'requested_by', x.requested_by,
                                  'failed_at', c ->> 'failed_at')
          FROM attempts a
         CROSS JOIN LATERAL jsonb_array_elements(a.facts -> 'captures') c
          LEFT JOIN orders.order_operations x ON x.organization_id = a.organization_id AND x.order_id = a.order_id
               AND x.payment_id = a.id AND x.operation = 'capture' AND x.gateway_id = c ->> 'gateway_capture_id'
        UNION ALL
        SELECT s.created_at, 5, 'address_review', s.sequence, s.review_id || '-' || s.sequence,
               'address review ' || s.step,
               jsonb_build_object('review_id', s.review_id, 'taken_by', s.taken_by, 'notes', s.notes,
                                  'deadline_at', s.details -> 'deadline_at', 'from', s.details -> 'from',
                                  'to', s.details -> 'to')
          FROM o JOIN addresses.reviews r ON r.organization_id = o.organization_id AND r.order_id = o.id
          JOIN addresses.review_steps s ON s.organization_id = r.organization_id AND s.review_id = r.id
        UNION ALL
        SELECT c.created_at, 4, 'address_change', c.version, o.id || '-address-' || c.version, c.cause,
               jsonb_build_object('changed_by', c.replaced_by, 'geocode_quality', c.geocode_quality,
                                  'required_review', c.required_review, 'total_minor', c.total,
                                  'asked_minor', c.total_anew, 'total_after_minor', c.total_after)
          FROM o JOIN orders.order_address_versions c
            ON c.organization_id = o.organization_id AND c.order_id = o.id
        UNION ALL
        SELECT created_at, 5, 'reallocation', sequence, id::text, cause || ' ' || outcome,
               jsonb_build_object('reason', reason, 'old_cost_minor', old_cost, 'new_cost_minor', new_cost,
                                  'saving_minor', saving, 'from', reasons -> 'from', 'to', reasons -> 'to',
                                  'decided_by', decided_by)
          FROM moved
        UNION ALL
        SELECT created_at, 5, 'refund', NULL, id::text, 'refund ' || status,
               jsonb_build_object('payment_id', payment_id, 'amount_minor', amount, 'currency', currency,
                                  'reason', reason, 'gateway_refund_id', gateway_refund_id,
                                  'gateway_capture_id', gateway_capture_id,
                                  'completed_at', completed_at, 'failure_code', failure_code, 'created_by', created_by)
          FROM refunded
        UNION ALL
        SELECT created_at, 6, 'dispute', NULL, id::text, 'dispute ' || status,
               jsonb_build_object('payment_id', payment_id, 'amount_minor', amount, 'currency', currency,
                                  'reason', reason, 'gateway_dispute_id', gateway_dispute_id,
                                  'due_at', due_at, 'outcome', outcome)
          FROM disputed
        UNION ALL
        SELECT created_at, 6, 'shipment', NULL, id::text, 'shipment ' || shipment_number || ' ' || status,
               jsonb_build_object('warehouse_id', warehouse_id, 'carrier', carrier, 'tracking_number', tracking_number,
                                  'picked_at', picked_at, 'packed_at', packed_at, 'shipped_at', shipped_at,
                                  'delivered_at', delivered_at, 'failed_at', failed_at,
                                  'failure_reason', failure_reason, 'cancelled_at', cancelled_at,
                                  'cancel_reason', cancel_reason, 'reships_id', reships_id)
          FROM shipped
        UNION ALL
        SELECT m.created_at, 7, 'stock_movement', m.level_version, m.id::text, m.type || ' ' || m.quantity,
               jsonb_build_object('warehouse_id', m.warehouse_id, 'variant_id', m.variant_id, 'reason', m.reason,
                                  'on_hand', m.on_hand_after, 'reserved', m.reserved_after,
                                  'performed_by', m.performed_by)
          FROM subjects s
          JOIN inventory.stock_movements m ON m.organization_id = s.organization_id AND m.reference_id = s.id
        UNION ALL
        SELECT x.created_at, 8, 'operation', NULL, x.id::text, x.operation || ' ' || x.state,
               jsonb_build_object('payment_id', x.payment_id, 'subject_id', x.subject_id, 'amount_minor', x.amount,
                                  'is_final', x.is_final, 'gateway_id', x.gateway_id,
                                  'reason', x.reason, 'requested_by', x.requested_by, 'attempts', x.attempts,
                                  'finished_at', x.finished_at, 'last_error', x.last_error)
          FROM o JOIN orders.order_operations x ON x.organization_id = o.organization_id AND x.order_id = o.id
        UNION ALL
        SELECT b.created_at, 9, 'message', b.sequence, b.id::text, b.topic,
               jsonb_build_object('published_at', b.published_at, 'attempts', b.attempts)
          FROM subjects s
          JOIN operations.outbox b ON b.organization_id = s.organization_id AND b.aggregate_id = s.id
        UNION ALL
        SELECT COALESCE(m.sent_at, m.created_at), 10, 'mail', NULL, m.id::text, m.kind || ' ' || m.status,
               jsonb_build_object('attempts', m.attempts, 'language', m.language, 'last_error', m.last_error,
                                  'feedback', m.feedback, 'feedback_at', m.feedback_at, 'resends', m.resends)
          FROM o JOIN notifications.messages m ON m.organization_id = o.organization_id AND m.order_id = o.id
        UNION ALL
        SELECT created_at, 11, 'dead_letter', NULL, id::text, event_type || ' ' || status,
               jsonb_build_object('event_id', event_id, 'priority', priority, 'failure_reason', failure_reason,
                                  'assigned_to', assigned_to, 'resolved_at', resolved_at)
          FROM buried
        UNION ALL
        SELECT f.created_at, 12, 'process_failure', NULL, f.id::text, f.process_name || ' ' || f.status,
               jsonb_build_object('related_id', f.related_id, 'details', f.details, 'assigned_to', f.assigned_to,
                                  'resolved_at', f.resolved_at, 'resolved_by', f.resolved_by)
          FROM subjects s
          JOIN operations.process_failures f ON f.organization_id = s.organization_id AND f.related_id = s.id
    )
    SELECT at, kind, sequence, id, what, data FROM entries ORDER BY at, rank, sequence, id LIMIT :limit
"""


def order_timeline(runtime: Runtime, caller: Caller, reference: str, now: datetime) -> dict[str, Any]:
    """Return the order's timeline, oldest first, at most ``ENTRIES_MAX`` entries. Raises Forbidden or NotFound."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        order_id = order_id_of(transaction, caller, reference, Operation.SHOW_ORDER_TIMELINE)
        number = transaction.value(
            "SELECT order_number FROM orders.orders WHERE organization_id = :organization_id AND id = :id",
            organization_id=transaction.tenant,
            id=order_id,
        )
        found = records(
            transaction.rows(_TIMELINE, organization_id=transaction.tenant, order_id=order_id, limit=ENTRIES_MAX + 1)
        )
    return {
        "order_id": str(order_id),
        "order_number": number,
        "entries": [_entry(row) for row in found[:ENTRIES_MAX]],
        "is_complete": len(found) <= ENTRIES_MAX,
    }


def _entry(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "at": row["at"].isoformat()}
