"""The refunds of an order, for those who may see it. Internal notes are shown to staff only."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.orders.find_order import order_id_of
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation
from holdfast.values.caller import Caller, CallerKind

_INTERNAL: Final = ("notes", "created_by")


def list_refunds(runtime: Runtime, caller: Caller, reference: str, now: datetime) -> Sequence[Mapping[str, Any]]:
    """Return the order's refunds, oldest first. Raises Forbidden or NotFound."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        order_id = order_id_of(transaction, caller, reference, Operation.LIST_REFUNDS)
        refunds = refunds_of(transaction, order_id)
    hidden = ("request_key", *(() if caller.kind is CallerKind.STAFF else _INTERNAL))
    return [{name: value for name, value in refund.items() if name not in hidden} for refund in refunds]


def refunds_of(transaction: Transaction, order_id: UUID) -> list[dict[str, Any]]:
    """Return every refund of the order with its lines, oldest first."""
    rows = transaction.rows(
        """
        SELECT jsonb_build_object(
                   'id', r.id, 'payment_id', r.payment_id, 'status', r.status, 'amount_minor', r.amount,
                   'shipping_minor', r.shipping_amount, 'currency', r.currency, 'reason', r.reason,
                   'is_full_refund', r.is_full_refund, 'failure_code', r.failure_code, 'created_at', r.created_at,
                   'completed_at', r.completed_at, 'notes', r.notes, 'created_by', r.created_by,
                   'request_key', r.request_key,
                   'items', (SELECT COALESCE(jsonb_agg(jsonb_build_object(
                                        'order_item_id', i.order_item_id, 'quantity', i.quantity,
                                        'amount_minor', i.amount, 'restock', i.restock,
                                        'restock_reason', i.restock_reason) ORDER BY i.id), '[]')
                               FROM payments.refund_items i
                              WHERE i.organization_id = r.organization_id AND i.refund_id = r.id)) AS refund
          FROM payments.refunds r
         WHERE r.organization_id = :organization_id AND r.order_id = :order_id
         ORDER BY r.id
        """,
        organization_id=transaction.tenant,
        order_id=order_id,
    )
    return [dict(row.refund) for row in rows]
