"""Transfers of goods between warehouses: request, ship, receive bit by bit, cancel and list.

The transfer's row is locked first, then its two levels in the one agreed order. Nobody who has locked a level waits for
a transfer, so nothing can deadlock.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.flows.claims.claimed_change import Render, change_once
from holdfast.flows.claims.idempotency import Answer, Claim
from holdfast.flows.stock.locked_levels import lock_levels, move_stock
from holdfast.flows.stock.read_stock import warehouse_code
from holdfast.inventory.stock import LevelKey, refused
from holdfast.inventory.transfers import Transfer, TransferStatus, arrive, call_off, ship
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, InvalidInput, NotFound
from holdfast.values.ids import uuid7

PAGE_MAX_ROWS: Final = 100


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks, under which idempotency key."""

    caller: Caller
    claim: Claim


def request_transfer(
    runtime: Runtime,
    request: Request,
    *,
    variant_id: UUID,
    from_warehouse_id: UUID,
    to_warehouse_id: UUID,
    quantity: int,
    reason: str,
    now: datetime,
    render: Render,
) -> Answer:
    """Create a pending transfer. It reserves nothing yet. Raises InvalidInput or NotFound."""

    def change(transaction: Transaction) -> Mapping[str, Any]:
        if from_warehouse_id == to_warehouse_id:
            message = "is where the goods are"
            raise InvalidInput("two warehouses are needed", errors=[{"field": "to_warehouse_id", "message": message}])
        for warehouse_id in (from_warehouse_id, to_warehouse_id):
            warehouse_code(transaction, warehouse_id)
        _check_variant(transaction, variant_id)
        lock_levels(transaction, [(from_warehouse_id, variant_id), (to_warehouse_id, variant_id)])
        transfer_id = uuid7(now)
        transaction.execute(
            """
            INSERT INTO inventory.transfers (organization_id, id, variant_id, from_warehouse_id, to_warehouse_id,
                                             quantity, reason, requested_by, created_at)
            VALUES (:organization_id, :id, :variant_id, :from_warehouse_id, :to_warehouse_id, :quantity, :reason,
                    :requested_by, :now)
            """,
            organization_id=transaction.tenant,
            id=transfer_id,
            variant_id=variant_id,
            from_warehouse_id=from_warehouse_id,
            to_warehouse_id=to_warehouse_id,
            quantity=quantity,
            reason=reason,
            requested_by=transaction.actor,
            now=now,
        )
        return _found(transaction, transfer_id)

    return change_once(runtime, request.caller, request.claim, Operation.REQUEST_TRANSFER, now, change, render)


def ship_transfer(runtime: Runtime, request: Request, transfer_id: UUID, now: datetime, render: Render) -> Answer:
    """Record that the goods left the source.

    Raises NotFound, or Conflict if the transfer is not pending or the goods are not free.
    """
    return _step(runtime, request, Operation.SHIP_TRANSFER, transfer_id, ship, {}, now, render)


def receive_transfer(
    runtime: Runtime,
    request: Request,
    transfer_id: UUID,
    *,
    received_quantity: int,
    written_off_quantity: int,
    reason: str | None,
    now: datetime,
    render: Render,
) -> Answer:
    """Record that some or all goods arrived, or are written off. The rest stays in transit.

    Raises NotFound or Conflict.
    """
    return _step(
        runtime,
        request,
        Operation.RECEIVE_TRANSFER,
        transfer_id,
        lambda transfer: arrive(transfer, received_quantity, written_off_quantity),
        {"write_off_reason": reason if written_off_quantity else None},
        now,
        render,
    )


def cancel_transfer(
    runtime: Runtime, request: Request, transfer_id: UUID, reason: str, now: datetime, render: Render
) -> Answer:
    """Cancel the transfer. What is in transit goes back to the source. Raises NotFound or Conflict."""
    reasons = {"cancel_reason": reason}
    return _step(runtime, request, Operation.CANCEL_TRANSFER, transfer_id, call_off, reasons, now, render)


def _step(
    runtime: Runtime,
    request: Request,
    operation: Operation,
    transfer_id: UUID,
    decide: Callable[[Transfer], Transfer],
    reasons: Mapping[str, str | None],
    now: datetime,
    render: Render,
) -> Answer:
    def change(transaction: Transaction) -> Mapping[str, Any]:
        before = _locked(transaction, transfer_id)
        after = decide(before)
        _move(transaction, before, after)
        _write(transaction, after, reasons)
        return _found(transaction, transfer_id)

    return change_once(runtime, request.caller, request.claim, operation, now, change, render)


def _move(transaction: Transaction, before: Transfer, after: Transfer) -> None:
    """Move the stock: what left the source, what reached the destination, what came back, and what is incoming.

    Raises Conflict if the goods are not free.
    """
    out = after.in_transit if before.status is TransferStatus.PENDING else 0
    changes: dict[tuple[str, LevelKey], int] = {
        ("transfer_out", before.source): out,
        ("transfer_in", before.destination): after.received - before.received,
        ("transfer_in", before.source): after.returned - before.returned,
    }
    moving = {which: pieces for which, pieces in changes.items() if pieces}
    incoming = after.in_transit - before.in_transit
    if not moving and not incoming:
        return
    levels = lock_levels(transaction, [before.source, before.destination])
    for (movement, key), pieces in moving.items():
        found = refused(levels, {key: -pieces if movement == "transfer_out" else pieces})
        if found:
            raise Conflict(f"the goods are not free: {found[0].message}", available=found[0].level.available)
        reference = ("transfer", before.id)
        move_stock(transaction, movement, {key: pieces}, reference=reference, reason=None)
    if incoming:
        transaction.execute(
            """
            UPDATE inventory.stock_levels SET incoming = incoming + :change
             WHERE organization_id = :organization_id AND warehouse_id = :warehouse_id AND variant_id = :variant_id
            """,
            organization_id=transaction.tenant,
            warehouse_id=before.to_warehouse_id,
            variant_id=before.variant_id,
            change=incoming,
        )


def _locked(transaction: Transaction, transfer_id: UUID) -> Transfer:
    row = transaction.row(
        """
        SELECT t.id, t.variant_id, t.from_warehouse_id, t.to_warehouse_id, t.quantity, t.status, t.received_quantity,
               t.written_off_quantity, t.returned_quantity
          FROM inventory.transfers t WHERE t.organization_id = :organization_id AND t.id = :id
           FOR NO KEY UPDATE
        """,
        organization_id=transaction.tenant,
        id=transfer_id,
    )
    if row is None:
        raise NotFound("there is no such transfer")
    return Transfer(
        row.id,
        row.variant_id,
        row.from_warehouse_id,
        row.to_warehouse_id,
        row.quantity,
        TransferStatus(row.status),
        row.received_quantity,
        row.written_off_quantity,
        row.returned_quantity,
    )


def _write(transaction: Transaction, after: Transfer, reasons: Mapping[str, str | None]) -> None:
    transaction.execute(
        """
        UPDATE inventory.transfers
           SET status = :status, received_quantity = :received, written_off_quantity = :written_off,
               returned_quantity = :returned, version = version + 1,
               write_off_reason = COALESCE(CAST(:write_off_reason AS text), write_off_reason),
               cancel_reason = CAST(:cancel_reason AS text),
               shipped_at = CASE WHEN :status = 'in_transit' THEN COALESCE(shipped_at, CAST(:now AS timestamptz))
                                 ELSE shipped_at END,
               received_at = CASE WHEN CAST(:received AS integer) > received_quantity THEN CAST(:now AS timestamptz)
                                  ELSE received_at END,
               cancelled_at = CASE WHEN :status = 'cancelled' THEN CAST(:now AS timestamptz) END
         WHERE organization_id = :organization_id AND id = :id
        """,
        organization_id=transaction.tenant,
        id=after.id,
        status=str(after.status),
        received=after.received,
        written_off=after.written_off,
        returned=after.returned,
        write_off_reason=reasons.get("write_off_reason"),
        cancel_reason=reasons.get("cancel_reason"),
        now=transaction.now,
    )


def list_transfers(
    runtime: Runtime,
    caller: Caller,
    *,
    status: TransferStatus | None,
    to_warehouse_id: UUID | None,
    before: UUID | None,
    limit: int,
    now: datetime,
) -> dict[str, Any]:
    """Return a page of transfers, newest first, and the cursor of the next page. Raises Forbidden."""
    limit = min(limit, PAGE_MAX_ROWS)
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.LIST_TRANSFERS)
        rows = transaction.rows(
            """
            SELECT t.id, t.variant_id, v.sku, t.from_warehouse_id, t.to_warehouse_id, t.quantity, t.received_quantity,
                   t.written_off_quantity, t.returned_quantity, t.status, t.reason, t.write_off_reason,
                   t.cancel_reason, t.requested_by, t.version, t.created_at, t.shipped_at, t.received_at,
                   t.cancelled_at
              FROM (SELECT * FROM inventory.transfers f
                     WHERE f.organization_id = :organization_id
                       AND (CAST(:status AS text) IS NULL OR f.status = :status)
                       AND (CAST(:to_warehouse_id AS uuid) IS NULL OR f.to_warehouse_id = :to_warehouse_id)
                       AND (CAST(:before AS uuid) IS NULL OR f.id < CAST(:before AS uuid))
                     ORDER BY f.id DESC LIMIT :limit) AS t
              JOIN catalog.variants v ON v.organization_id = :organization_id AND v.id = t.variant_id
             ORDER BY t.id DESC
            """,
            organization_id=transaction.tenant,
            status=status,
            to_warehouse_id=to_warehouse_id,
            before=before,
            limit=limit,
        )
    transfers = [_shown(row) for row in records(rows)]
    return {"transfers": transfers, "next_before": transfers[-1]["id"] if len(transfers) == limit else None}


def _found(transaction: Transaction, transfer_id: UUID) -> Mapping[str, Any]:
    rows = transaction.rows(
        """
        SELECT t.id, t.variant_id, v.sku, t.from_warehouse_id, t.to_warehouse_id, t.quantity, t.received_quantity,
               t.written_off_quantity, t.returned_quantity, t.status, t.reason, t.write_off_reason, t.cancel_reason,
               t.requested_by, t.version, t.created_at, t.shipped_at, t.received_at, t.cancelled_at
          FROM inventory.transfers t
          JOIN catalog.variants v ON v.organization_id = t.organization_id AND v.id = t.variant_id
         WHERE t.organization_id = :organization_id AND t.id = :id
        """,
        organization_id=transaction.tenant,
        id=transfer_id,
    )
    return _shown(records(rows)[0])


def _check_variant(transaction: Transaction, variant_id: UUID) -> None:
    known = transaction.value(
        "SELECT v.id FROM catalog.variants v"
        " WHERE v.organization_id = :organization_id AND v.id = :id AND v.deleted_at IS NULL",
        organization_id=transaction.tenant,
        id=variant_id,
    )
    if known is None:
        raise NotFound("there is no such variant")


def _shown(row: Mapping[str, Any]) -> Mapping[str, Any]:
    instants = ("created_at", "shipped_at", "received_at", "cancelled_at")
    ids = ("id", "variant_id", "from_warehouse_id", "to_warehouse_id")
    return {
        **row,
        **{name: str(row[name]) for name in ids},
        **{name: row[name] and row[name].isoformat() for name in instants},
    }
