"""List orders, newest first, page by page: their own for shoppers, all of the shop's for staff."""

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
_ARCHIVED_COLUMNS: Final = """
    x.order_id AS id, x.order_number, x.status, x.payment_status, x.fulfillment_status, x.currency,
    x.total AS total_minor, x.refunded AS refunded_minor, false AS has_open_dispute, x.ordered_at AS created_at
"""
_ARCHIVED_OF_CUSTOMER: Final = f"""
    SELECT {_ARCHIVED_COLUMNS} FROM archive.archive_index x
     WHERE x.organization_id = :organization_id AND x.customer_id = :customer_id AND x.location <> 'restored'
       AND (CAST(:before AS uuid) IS NULL OR x.order_id < CAST(:before AS uuid))
       AND (CAST(:status AS text) IS NULL OR x.status = :status)
     ORDER BY x.order_id DESC LIMIT :limit
"""
_ARCHIVED_BY_STATUS: Final = f"""
    SELECT {_ARCHIVED_COLUMNS} FROM archive.archive_index x
     WHERE x.organization_id = :organization_id AND x.status = :status AND x.location <> 'restored'
       AND (CAST(:before AS uuid) IS NULL OR x.order_id < CAST(:before AS uuid))
     ORDER BY x.order_id DESC LIMIT :limit
"""
_ARCHIVED_ALL: Final = f"""
    SELECT {_ARCHIVED_COLUMNS} FROM archive.archive_index x
     WHERE x.organization_id = :organization_id AND x.location <> 'restored'
       AND (CAST(:before AS uuid) IS NULL OR x.order_id < CAST(:before AS uuid))
     ORDER BY x.order_id DESC LIMIT :limit
"""


def list_orders(
    runtime: Runtime,
    caller: Caller,
    *,
    status: OrderStatus | None,
    before: UUID | None,
    limit: int,
    now: datetime,
    include_archived: bool = False,
) -> dict[str, Any]:
    """Return a page of orders and the cursor of the next page. Raises Forbidden.

    ``before`` is the cursor: only orders with lower ids, which are older, are listed. ``has_archived`` in the answer
    says whether the archive has such orders older than ``before``, also without ``include_archived``.
    """
    limit = min(limit, PAGE_MAX_ROWS)
    page: Mapping[str, Any] = {"before": before, "limit": limit, "status": status}
    # An order that moves to another tier meanwhile is listed once.
    with runtime.database.transaction(
        caller.organization_id, now=now, actor=caller.actor, one_snapshot=True
    ) as transaction:
        require(transaction, caller, Operation.LIST_ORDERS)
        customer_id = None if caller.kind is CallerKind.STAFF else _customer_id(transaction, caller)
        if customer_id is None and caller.kind is not CallerKind.STAFF:
            return {"orders": [], "next_before": None, "has_archived": False}
        rows = _rows(transaction, (_ALL, _BY_STATUS, _OF_CUSTOMER), customer_id, page)
        archive = (_ARCHIVED_ALL, _ARCHIVED_BY_STATUS, _ARCHIVED_OF_CUSTOMER)
        archived = _rows(transaction, archive, customer_id, page if include_archived else {**page, "limit": 1})
    if include_archived:
        rows = sorted([*rows, *archived], key=lambda row: UUID(str(row["id"])), reverse=True)[:limit]
    orders = [{**row, "id": str(row["id"]), "created_at": row["created_at"].isoformat()} for row in rows]
    return {
        "orders": orders,
        "next_before": orders[-1]["id"] if len(orders) == limit else None,
        "has_archived": bool(archived),
    }


def _rows(
    transaction: Transaction, statements: tuple[str, str, str], customer_id: UUID | None, page: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    everything, by_status, of_customer = statements
    tenant = transaction.tenant
    if customer_id is not None:
        return records(transaction.rows(of_customer, organization_id=tenant, customer_id=customer_id, **page))
    if page["status"] is not None:
        return records(transaction.rows(by_status, organization_id=tenant, **page))
    return records(transaction.rows(everything, organization_id=tenant, before=page["before"], limit=page["limit"]))


def _customer_id(transaction: Transaction, caller: Caller) -> UUID | None:
    customer_id: UUID | None = caller.guest_id or transaction.value(
        "SELECT id FROM tenancy.customers WHERE organization_id = :organization_id AND auth_subject = :subject"
        " AND deleted_at IS NULL",
        organization_id=transaction.tenant,
        subject=caller.subject,
    )
    return customer_id
