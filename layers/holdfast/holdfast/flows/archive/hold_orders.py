"""Legal holds: an order under hold is neither archived, purged, exported nor erased until the hold is released."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, plain, records
from holdfast.flows.archive.archived_documents import find_entry
from holdfast.flows.archive.operate_archive import PAGE_MAX_ROWS
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import NotFound
from holdfast.values.ids import uuid7, uuid_or_none

_HOLDS: Final = """
    SELECT h.id, h.order_id, h.reason, h.placed_by, h.created_at, h.released_at, h.released_by, h.release_reason
      FROM archive.legal_holds h
     WHERE h.organization_id = :organization_id
"""
_PAGE: Final = " AND (CAST(:before AS uuid) IS NULL OR h.id < CAST(:before AS uuid)) ORDER BY h.id DESC LIMIT :limit"
_OPEN_PAGE: Final = _HOLDS + " AND h.released_at IS NULL" + _PAGE
_WHOLE_PAGE: Final = _HOLDS + _PAGE
_OPEN_HOLD: Final = _HOLDS + " AND h.order_id = :order_id AND h.reason = :reason AND h.released_at IS NULL"
_ONE_HOLD: Final = _HOLDS + " AND h.id = :id"
# This writes a new version of the row, so that an archival whose snapshot has the order but not the hold starts anew.
_ACTIVE_ORDER: Final = """
    UPDATE orders.orders o SET metadata = o.metadata
     WHERE o.organization_id = :organization_id AND (o.id = :id OR o.order_number = :number)
    RETURNING o.id, o.customer_id
"""


def place_hold(runtime: Runtime, caller: Caller, reference: str, *, reason: str, now: datetime) -> dict[str, Any]:
    """Place a hold on an order, in whichever tier it is. The same reason again returns the existing hold.

    Raises Forbidden or NotFound.
    """

    def work(transaction: Transaction) -> dict[str, Any]:
        require(transaction, caller, Operation.PLACE_LEGAL_HOLD)
        order_id, customer_id = _locked_order(transaction, reference)
        transaction.execute(
            """
            INSERT INTO archive.legal_holds (organization_id, id, order_id, customer_id, reason, placed_by, created_at)
            VALUES (:organization_id, :id, :order_id, :customer_id, :reason, :actor, :now)
            ON CONFLICT (organization_id, order_id, reason) WHERE released_at IS NULL DO NOTHING
            """,
            organization_id=transaction.tenant,
            id=uuid7(now),
            order_id=order_id,
            customer_id=customer_id,
            reason=reason,
            actor=transaction.actor,
            now=now,
        )
        [held] = records(
            transaction.rows(_OPEN_HOLD, organization_id=transaction.tenant, order_id=order_id, reason=reason)
        )
        return plain(held)

    return runtime.database.transact(caller.organization_id, work, now=now, actor=caller.actor)


def _locked_order(transaction: Transaction, reference: str) -> tuple[UUID, UUID]:
    active = transaction.row(
        _ACTIVE_ORDER, organization_id=transaction.tenant, id=uuid_or_none(reference), number=reference.upper()
    )
    if active is not None:
        return active.id, active.customer_id
    entry = find_entry(transaction, reference)
    if entry is None:
        raise NotFound("there is no such order")
    return entry.order_id, entry.customer_id


def release_hold(runtime: Runtime, caller: Caller, hold_id: UUID, *, reason: str, now: datetime) -> dict[str, Any]:
    """Release a hold. A hold that was released before stays as it is. Raises Forbidden or NotFound."""

    def work(transaction: Transaction) -> dict[str, Any]:
        require(transaction, caller, Operation.RELEASE_LEGAL_HOLD)
        transaction.execute(
            """
            UPDATE archive.legal_holds SET released_at = :now, released_by = :actor, release_reason = :reason
             WHERE organization_id = :organization_id AND id = :id AND released_at IS NULL
            """,
            organization_id=transaction.tenant,
            id=hold_id,
            actor=transaction.actor,
            reason=reason,
            now=now,
        )
        found = records(transaction.rows(_ONE_HOLD, organization_id=transaction.tenant, id=hold_id))
        if not found:
            raise NotFound("there is no such hold")
        return plain(found[0])

    return runtime.database.transact(caller.organization_id, work, now=now, actor=caller.actor)


def list_holds(
    runtime: Runtime, caller: Caller, *, only_open: bool, before: UUID | None, limit: int, now: datetime
) -> dict[str, Any]:
    """Return a page of holds, newest first. Raises Forbidden."""
    limit = min(limit, PAGE_MAX_ROWS)
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.LIST_LEGAL_HOLDS)
        statement = _OPEN_PAGE if only_open else _WHOLE_PAGE
        rows = records(transaction.rows(statement, organization_id=transaction.tenant, before=before, limit=limit))
    holds = [plain(row) for row in rows]
    return {"holds": holds, "next_before": holds[-1]["id"] if len(holds) == limit else None}


def is_held(transaction: Transaction, customer_id: UUID) -> bool:
    """Return whether any order of the customer is under a hold."""
    return bool(
        transaction.value(
            """
            SELECT EXISTS (SELECT 1 FROM archive.legal_holds h WHERE h.organization_id = :o
                              AND h.customer_id = :customer_id AND h.released_at IS NULL)
            """,
            o=transaction.tenant,
            customer_id=customer_id,
        )
    )
