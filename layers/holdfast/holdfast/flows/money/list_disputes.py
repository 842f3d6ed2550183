"""The shop's disputes by status, newest first."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import plain, records
from holdfast.payments.disputes import DisputeStatus
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller

__all__ = ["PAGE_MAX_ROWS", "DisputeStatus", "list_disputes"]

PAGE_MAX_ROWS: Final = 100


def list_disputes(
    runtime: Runtime, caller: Caller, *, status: DisputeStatus, before: UUID | None, limit: int, now: datetime
) -> dict[str, Any]:
    """Return a page of disputes and the cursor of the next page. Raises Forbidden."""
    limit = min(limit, PAGE_MAX_ROWS)
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.LIST_DISPUTES)
        rows = records(
            transaction.rows(
                """
                SELECT d.id, p.order_id, o.order_number, d.payment_id, p.gateway, d.gateway_dispute_id, d.status,
                       d.outcome, d.reason, d.amount AS amount_minor, d.lost_amount AS lost_minor, d.currency, d.due_at,
                       d.closed_at, d.created_at
                  FROM payments.disputes d
                  JOIN payments.payments p ON p.organization_id = d.organization_id AND p.id = d.payment_id
                  JOIN orders.orders o ON o.organization_id = p.organization_id AND o.id = p.order_id
                 WHERE d.organization_id = :organization_id AND d.status = :status
                   AND (CAST(:before AS uuid) IS NULL OR d.id < CAST(:before AS uuid))
                 ORDER BY d.id DESC LIMIT :limit
                """,
                organization_id=transaction.tenant,
                status=status,
                before=before,
                limit=limit,
            )
        )
    disputes = [plain(row) for row in rows]
    return {"disputes": disputes, "next_before": disputes[-1]["id"] if len(disputes) == limit else None}
