"""A shopper's orders, or the shop's for its staff: newest first, page by page."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.orders.lifecycle import OrderStatus
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller, CallerKind

PAGE_MAX_ROWS: Final = 100

_COLUMNS: Final = """
    o.id, o.order_number, o.status, o.payment_status, o.fulfillment_status, o.currency, o.total AS total_minor,
    o.refunded AS refunded_minor, o.has_open_dispute, o.created_at
"""
_OF_CUSTOMER: Final = f"""
    SELECT {_COLUMNS} FROM orders.orders o
     WHERE o.organization_id = :organization_id AND o.customer_id = :customer_id AND o.deleted_at IS NULL
       AND (CAST(:before AS uuid) IS NULL OR o.id < CAST(:before AS uuid))
       AND (CAST(:status AS text) IS NULL OR o.status = :status)
     ORDER BY o.id DESC LIMIT :limit
"""
_BY_STATUS: Final = f"""
    SELECT {_COLUMNS} FROM orders.orders o
     WHERE o.organization_id = :organization_id AND o.status = :status AND o.deleted_at IS NULL
       AND (CAST(:before AS uuid) IS NULL OR o.id < CAST(:before AS uuid))
     ORDER BY o.id DESC LIMIT :limit
"""
_ALL: Final = f"""
    SELECT {_COLUMNS} FROM orders.orders o
     WHERE o.organization_id = :organization_id AND o.deleted_at IS NULL
       AND (CAST(:before AS uuid) IS NULL OR o.id < CAST(:before AS uuid))
     ORDER BY o.id DESC LIMIT :limit
"""


def list_orders(
    runtime: Runtime,
    caller: Caller,
    *,
    status: OrderStatus | None,
    before: UUID | None,
    limit: int,
    now: datetime,
) -> dict[str, Any]:
    """A page of orders and the cursor of the next (``before``: ids older than this one). Raises Forbidden."""
    limit = min(limit, PAGE_MAX_ROWS)
    page: Mapping[str, Any] = {"before": before, "limit": limit, "status": status}
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        rows = _rows(transaction, caller, page)
    orders = [{**row, "id": str(row["id"]), "created_at": row["created_at"].isoformat()} for row in rows]
    return {"orders": orders, "next_before": orders[-1]["id"] if len(orders) == limit else None}


def _rows(transaction: Transaction, caller: Caller, page: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    tenant = transaction.tenant
    require(transaction, caller, Operation.LIST_ORDERS)
    if caller.kind is CallerKind.STAFF:
        if page["status"] is None:
            return records(transaction.rows(_ALL, organization_id=tenant, before=page["before"], limit=page["limit"]))
        return records(transaction.rows(_BY_STATUS, organization_id=tenant, **page))
    customer_id = caller.guest_id or transaction.value(
        "SELECT id FROM tenancy.customers WHERE organization_id = :organization_id AND auth_subject = :subject"
        " AND deleted_at IS NULL",
        organization_id=tenant,
        subject=caller.subject,
    )
    if customer_id is None:
        return []
    return records(transaction.rows(_OF_CUSTOMER, organization_id=tenant, customer_id=customer_id, **page))
