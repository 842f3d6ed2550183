"""The steps of a shipment in the warehouse: it is picked, packed, or cancelled, and its goods wait in a new one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.claims.claimed_change import Render, change_once
from holdfast.flows.claims.idempotency import Answer, Claim
from holdfast.flows.operations.ring_bell import ring_outbox_bell
from holdfast.flows.shipping.follow_shipments import follow_shipments, plan_shipments
from holdfast.flows.shipping.locked_shipments import (
    LockedParcels,
    check_order_ships,
    check_version,
    lock_shipment,
)
from holdfast.flows.shipping.read_shipments import shipment_view
from holdfast.fulfillment.contents import check_may_leave
from holdfast.fulfillment.lifecycle import check_step
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict
from holdfast.values.shipping import ShipmentStatus


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks, under which idempotency key, about which shipment, in the version that they saw."""

    caller: Caller
    claim: Claim
    shipment_id: UUID
    version: int


def take_step(
    runtime: Runtime,
    request: Request,
    operation: Operation,
    act: Callable[[Transaction, LockedParcels], None],
    now: datetime,
    render: Render,
) -> Answer:
    """Act on one shipment in the version that the caller saw, once per idempotency key. The answer shows the result.

    ``act`` changes the shipment and everything that follows from it. Raises NotFound, Forbidden, Conflict (the shipment
    changed since), and whatever ``act`` raises.
    """

    def change(transaction: Transaction) -> Mapping[str, Any]:
        parcels = lock_shipment(transaction, request.shipment_id)
        check_version(parcels.shipment, request.version)
        act(transaction, parcels)
        return shipment_view(transaction, request.shipment_id)

    answer = change_once(runtime, request.caller, request.claim, operation, now, change, render)
    ring_outbox_bell(runtime)
    return answer


def pick_shipment(runtime: Runtime, request: Request, now: datetime, render: Render) -> Answer:
    """Record that the shipment's goods are off the shelf.

    From the first picked shipment on, the order is being processed and its address can no longer change. Raises
    NotFound, Conflict (it changed since; the order's money fell through) or TransitionRefused.
    """
    return take_step(
        runtime, request, Operation.PICK_SHIPMENT, partial(_prepare, to=ShipmentStatus.PICKED), now, render
    )


def pack_shipment(runtime: Runtime, request: Request, now: datetime, render: Render) -> Answer:
    """Record that the shipment is ready to leave. Raises NotFound, Conflict or TransitionRefused."""
    return take_step(
        runtime, request, Operation.PACK_SHIPMENT, partial(_prepare, to=ShipmentStatus.PACKED), now, render
    )


def cancel_shipment(runtime: Runtime, request: Request, reason: str, now: datetime, render: Render) -> Answer:
    """Cancel the shipment. Its goods go back to the shelf and onto a pending shipment, because they are still owed.

    Raises NotFound, TransitionRefused (it has left), or Conflict (it changed since; it waits for its money, which may
    be captured at this moment).
    """
    return take_step(runtime, request, Operation.CANCEL_SHIPMENT, partial(_call_off, reason=reason), now, render)


def _prepare(transaction: Transaction, parcels: LockedParcels, to: ShipmentStatus) -> None:
    shipment = parcels.shipment
    check_step(shipment.status, to)
    check_order_ships(parcels.order)
    check_may_leave(parcels.lines, shipment.pieces)
    transaction.execute(
        """
        UPDATE fulfillment.shipments
           SET status = :status, version = version + 1,
               picked_at = COALESCE(picked_at, :now),
               packed_at = CASE WHEN CAST(:status AS text) = 'packed' THEN CAST(:now AS timestamptz) END
         WHERE organization_id = :organization_id AND id = :id
        """,
        organization_id=transaction.tenant,
        id=shipment.id,
        status=to,
        now=transaction.now,
    )
    follow_shipments(transaction, parcels.order, f"{parcels.shipment.number} {to}")


def _call_off(transaction: Transaction, parcels: LockedParcels, reason: str) -> None:
    shipment = parcels.shipment
    check_step(shipment.status, ShipmentStatus.CANCELLED)
    if shipment.is_leaving:
        raise Conflict("the shipment waits for its money, which may be taken at this moment")
    transaction.value(
        "SELECT fulfillment.cancel_shipments(:organization_id, :order_id, CAST(:ids AS uuid[]), :now, :reason)",
        organization_id=transaction.tenant,
        order_id=shipment.order_id,
        ids=[shipment.id],
        now=transaction.now,
        reason=reason,
    )
    plan_shipments(transaction, shipment.order_id)
    follow_shipments(transaction, parcels.order)
