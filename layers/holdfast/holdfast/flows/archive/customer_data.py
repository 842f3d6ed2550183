"""A customer's data as a whole: export it, or erase it, across all tiers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.flows.archive.archived_documents import find_entry, view_archived
from holdfast.flows.archive.hold_orders import is_held
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, NotFound
from holdfast.values.ids import uuid7

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
_REFUSALS: Final = {
    "held": "an order of the customer is under a legal hold",
    "under_way": "an order of the customer is still under way",
}


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


def erase_customer(
    runtime: Runtime, caller: Caller, customer_id: UUID, *, reason: str, now: datetime
) -> dict[str, Any]:
    """Erase a customer's data in every tier and return the tombstone. A repetition returns the same tombstone.

    Raises Forbidden or NotFound, or Conflict while an order is under way or under a legal hold.
    """

    def work(transaction: Transaction) -> dict[str, Any]:
        require(transaction, caller, Operation.ERASE_CUSTOMER)
        if is_held(transaction, customer_id):
            raise Conflict(_REFUSALS["held"])
        done: Mapping[str, Any] = transaction.value(
            "SELECT archive.erase_customer(:organization_id, :customer_id, :now, :id, :reason, :actor)",
            organization_id=transaction.tenant,
            customer_id=customer_id,
            now=now,
            id=uuid7(now),
            reason=reason,
            actor=transaction.actor,
        )
        if done["outcome"] == "unknown":
            raise NotFound("there is no such customer")
        if done["outcome"] in _REFUSALS:
            raise Conflict(_REFUSALS[done["outcome"]])
        [tombstone] = records(
            transaction.rows(
                """
                SELECT e.id, e.customer_id, e.active_orders, e.archived_orders, e.reason, e.requested_by, e.created_at
                  FROM archive.erasures e WHERE e.organization_id = :o AND e.customer_id = :customer_id
                """,
                o=transaction.tenant,
                customer_id=customer_id,
            )
        )
        return {
            **tombstone,
            "id": str(tombstone["id"]),
            "customer_id": str(tombstone["customer_id"]),
            "created_at": tombstone["created_at"].isoformat(),
        }

    return runtime.database.transact(caller.organization_id, work, now=now, actor=caller.actor)
