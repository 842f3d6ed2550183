"""Export a customer's data: the profile, and every order in whichever tier it is."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.flows.archive.archived_documents import find_entry, view_archived
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import NotFound

EXPORT_MAX_ORDERS: Final = 50

_PROFILE: Final = """
    SELECT c.id, c.email, c.phone, c.first_name, c.last_name, c.timezone, c.status, c.created_at,
           (SELECT COALESCE(jsonb_agg(jsonb_build_object('type', a.type, 'address', a.address,
                                                         'is_default', a.is_default) ORDER BY a.id), '[]')
              FROM tenancy.customer_addresses a
             WHERE a.organization_id = c.organization_id AND a.customer_id = c.id
               AND a.deleted_at IS NULL) AS addresses,
           (SELECT COALESCE(jsonb_agg(jsonb_build_object('gateway', m.gateway, 'brand', m.brand,
                                                         'last_four', m.last_four) ORDER BY m.id), '[]')
              FROM tenancy.payment_methods m
             WHERE m.organization_id = c.organization_id AND m.customer_id = c.id
               AND m.deleted_at IS NULL) AS payment_methods
      FROM tenancy.customers c
     WHERE c.organization_id = :organization_id AND c.id = :customer_id
"""
_ORDERS: Final = """
    SELECT o.id, false AS is_archived FROM orders.orders o
     WHERE o.organization_id = :organization_id AND o.customer_id = :customer_id AND o.deleted_at IS NULL
       AND (CAST(:before AS uuid) IS NULL OR o.id < CAST(:before AS uuid))
     ORDER BY o.id DESC LIMIT :limit
"""
_ARCHIVED_ORDERS: Final = """
    SELECT x.order_id AS id, true AS is_archived FROM archive.archive_index x
     WHERE x.organization_id = :organization_id AND x.customer_id = :customer_id AND x.location <> 'restored'
       AND (CAST(:before AS uuid) IS NULL OR x.order_id < CAST(:before AS uuid))
     ORDER BY x.order_id DESC LIMIT :limit
"""


def export_customer(
    runtime: Runtime, caller: Caller, customer_id: UUID, *, before: UUID | None, limit: int, now: datetime
) -> dict[str, Any]:
    """Return a page of everything about a customer: the profile, and orders from every tier, newest first.

    Raises Forbidden or NotFound.
    """
    limit = min(limit, EXPORT_MAX_ORDERS)
    with runtime.database.transaction(
        caller.organization_id, now=now, actor=caller.actor, one_snapshot=True
    ) as transaction:
        require(transaction, caller, Operation.EXPORT_CUSTOMER)
        profile = transaction.row(_PROFILE, organization_id=transaction.tenant, customer_id=customer_id)
        if profile is None:
            raise NotFound("there is no such customer")
        page = {"organization_id": transaction.tenant, "customer_id": customer_id, "before": before, "limit": limit}
        found = records(transaction.rows(_ORDERS, **page)) + records(transaction.rows(_ARCHIVED_ORDERS, **page))
        newest = sorted(found, key=lambda row: UUID(str(row["id"])), reverse=True)[:limit]
        views = {row["id"]: _active_view(transaction, row["id"]) for row in newest if not row["is_archived"]}
    orders = [
        views[row["id"]] if not row["is_archived"] else _archived_view(runtime, caller, row["id"], now)
        for row in newest
    ]
    known = records([profile])[0]
    return {
        "customer": {**known, "id": str(known["id"]), "created_at": known["created_at"].isoformat()},
        "orders": orders,
        "next_before": str(newest[-1]["id"]) if len(newest) == limit else None,
    }


def _active_view(transaction: Transaction, order_id: UUID) -> Mapping[str, Any]:
    view: Mapping[str, Any] = transaction.value(
        "SELECT checkout.order_view(:organization_id, :order_id)",
        organization_id=transaction.tenant,
        order_id=order_id,
    )
    return view


def _archived_view(runtime: Runtime, caller: Caller, order_id: UUID, now: datetime) -> Mapping[str, Any]:
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        entry = find_entry(transaction, str(order_id))
    if entry is None:
        raise NotFound("there is no such order")
    return view_archived(runtime, caller.organization_id, entry, now, caller.actor)
