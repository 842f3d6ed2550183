"""Erase a customer's data, across all tiers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.flows.archive.hold_orders import is_held
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, NotFound
from holdfast.values.ids import uuid7

_REFUSALS: Final = {
    "held": "an order of the customer is under a legal hold",
    "under_way": "an order of the customer is still under way",
}


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
