"""Find one order by id or number, for those who may see it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.archive.archived_documents import view_archived
from holdfast.flows.archive.find_archived import find_archived
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.errors import NotFound
from holdfast.values.ids import uuid_or_none


def find_order(runtime: Runtime, caller: Caller, reference: str, now: datetime) -> Mapping[str, Any]:
    """Return the order's view, whether the order is active or archived.

    Raises NotFound, also for an order that belongs to somebody else.
    """
    for find in (_find_active, _find_archived):
        try:
            return find(runtime, caller, reference, now)
        except NotFound:
            continue
    return _find_active(runtime, caller, reference, now)  # restored while the archive was searched


def _find_active(runtime: Runtime, caller: Caller, reference: str, now: datetime) -> Mapping[str, Any]:
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        order_id = order_id_of(transaction, caller, reference)
        view: Mapping[str, Any] | None = transaction.execute_and_commit(
            "SELECT checkout.order_view(:organization_id, :order_id)",
            organization_id=caller.organization_id,
            order_id=order_id,
        )
    if view is None:
        raise NotFound("there is no such order")
    return view


def _find_archived(runtime: Runtime, caller: Caller, reference: str, now: datetime) -> Mapping[str, Any]:
    entry = find_archived(runtime, caller.organization_id, reference, now, caller.actor)
    if entry is None or not _may_see(runtime, caller, entry.customer_id, now):
        raise NotFound("there is no such order")
    return view_archived(runtime, caller.organization_id, entry, now, caller.actor)


def _may_see(runtime: Runtime, caller: Caller, customer_id: UUID, now: datetime) -> bool:
    if caller.kind is CallerKind.STAFF:
        return True
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        return bool(
            transaction.value(
                """
                SELECT c.id = :guest_id OR c.auth_subject = :subject FROM tenancy.customers c
                 WHERE c.organization_id = :organization_id AND c.id = :customer_id AND c.deleted_at IS NULL
                """,
                organization_id=transaction.tenant,
                customer_id=customer_id,
                subject=caller.subject if caller.kind is CallerKind.CUSTOMER else None,
                guest_id=caller.guest_id,
            )
        )


def order_id_of(
    transaction: Transaction, caller: Caller, reference: str, operation: Operation = Operation.FIND_ORDER
) -> UUID:
    """Return the id of an order that the caller may use for ``operation``: shoppers their own orders, staff any.

    Raises Forbidden or NotFound.
    """
    require(transaction, caller, operation)
    order_id: UUID | None = transaction.value(
        """
        SELECT o.id FROM orders.orders o
         WHERE o.organization_id = :organization_id AND o.deleted_at IS NULL
           AND (o.id = :id OR o.order_number = :number)
           AND (:is_staff OR o.customer_id = (
               SELECT c.id FROM tenancy.customers c
                WHERE c.organization_id = :organization_id AND c.deleted_at IS NULL
                  AND (c.auth_subject = :subject OR c.id = :guest_id)))
        """,
        organization_id=transaction.tenant,
        id=uuid_or_none(reference),
        number=reference.upper(),
        is_staff=caller.kind is CallerKind.STAFF,
        subject=caller.subject if caller.kind is CallerKind.CUSTOMER else None,
        guest_id=caller.guest_id,
    )
    if order_id is None:
        raise NotFound("there is no such order")
    return order_id
