"""The steps of a shipment on the road: it is in transit, is delivered, or fails to arrive."""

from datetime import datetime
from functools import partial
from typing import Final

from holdfast.database.transaction import Transaction
from holdfast.flows.claims.claimed_change import Render
from holdfast.flows.claims.idempotency import Answer
from holdfast.flows.operations.call_person import call_person
from holdfast.flows.operations.process_names import Process
from holdfast.flows.shipping.follow_shipments import announce, follow_shipments
from holdfast.flows.shipping.locked_shipments import LockedParcels, LockedShipment
from holdfast.flows.shipping.prepare_shipment import Request, take_step
from holdfast.fulfillment.lifecycle import FailureReason, check_step
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation
from holdfast.values.errors import Conflict, InvalidInput
from holdfast.values.shipping import ShipmentStatus

PROCESS: Final = Process.SHIPMENT_FAILED


def shipment_in_transit(runtime: Runtime, request: Request, now: datetime, render: Render) -> Answer:
    """Record that the carrier has the shipment. Raises NotFound, Conflict (it changed since) or TransitionRefused."""
    return take_step(runtime, request, Operation.MOVE_SHIPMENT, _in_transit, now, render)


def deliver_shipment(
    runtime: Runtime, request: Request, delivered_at: datetime | None, now: datetime, render: Render
) -> Answer:
    """Record that the shipment arrived. ``delivered_at`` is by the carrier's clock; it defaults to ``now``.

    One that had failed is no longer failed, and the process failure about it is resolved.

    Raises NotFound, Conflict (it changed since; it failed and was sent again), TransitionRefused, or InvalidInput for a
    time in the future.
    """
    return take_step(
        runtime, request, Operation.DELIVER_SHIPMENT, partial(_deliver, at=delivered_at or now), now, render
    )


def fail_shipment(
    runtime: Runtime, request: Request, reason: FailureReason, notes: str | None, now: datetime, render: Render
) -> Answer:
    """Record that the shipment will not arrive.

    A person decides whether it is sent again or its money is refunded. Stock does not change: goods that come back to
    the warehouse are booked by a receipt, or by the refund that declares them resellable.

    Raises NotFound, Conflict (it changed since) or TransitionRefused (it never left).
    """
    return take_step(runtime, request, Operation.FAIL_SHIPMENT, partial(_fail, reason=reason, notes=notes), now, render)


def _in_transit(transaction: Transaction, parcels: LockedParcels) -> None:
    check_step(parcels.shipment.status, ShipmentStatus.IN_TRANSIT)
    transaction.execute(
        """
        UPDATE fulfillment.shipments SET status = 'in_transit', version = version + 1
         WHERE organization_id = :organization_id AND id = :id
        """,
        organization_id=transaction.tenant,
        id=parcels.shipment.id,
    )
    follow_shipments(transaction, parcels.order)


def _deliver(transaction: Transaction, parcels: LockedParcels, at: datetime) -> None:
    check_step(parcels.shipment.status, ShipmentStatus.DELIVERED)
    if parcels.shipment.is_reshipped:
        raise Conflict("the shipment is sent again already")
    if at > transaction.now:
        message = "is yet to come"
        raise InvalidInput(f"delivered_at {message}", errors=[{"field": "delivered_at", "message": message}])
    transaction.execute(
        """
        UPDATE fulfillment.shipments
           SET status = 'delivered', delivered_at = :now, actual_delivery_at = :at, failed_at = NULL,
               failure_reason = NULL, failure_notes = NULL, version = version + 1
         WHERE organization_id = :organization_id AND id = :id
        """,
        organization_id=transaction.tenant,
        id=parcels.shipment.id,
        at=at,
        now=transaction.now,
    )
    if parcels.shipment.status is ShipmentStatus.FAILED:
        resolve_failure(transaction, parcels.shipment, "it arrived after all")
    announce(transaction, "shipment.delivered", parcels.order, parcels.shipment)
    follow_shipments(transaction, parcels.order)


def _fail(transaction: Transaction, parcels: LockedParcels, reason: FailureReason, notes: str | None) -> None:
    shipment = parcels.shipment
    check_step(shipment.status, ShipmentStatus.FAILED)
    transaction.execute(
        """
        UPDATE fulfillment.shipments
           SET status = 'failed', failed_at = :now, failure_reason = :reason, failure_notes = :notes,
               version = version + 1
         WHERE organization_id = :organization_id AND id = :id
        """,
        organization_id=transaction.tenant,
        id=shipment.id,
        reason=reason,
        notes=notes,
        now=transaction.now,
    )
    announce(transaction, "shipment.failed", parcels.order, shipment, reason=reason)
    details = f"shipment {shipment.number} is {reason.replace('_', ' ')}: send it again, or give the money back"
    call_person(transaction, PROCESS, shipment.id, details, {"order_id": str(shipment.order_id)})
    follow_shipments(transaction, parcels.order)


def resolve_failure(transaction: Transaction, shipment: LockedShipment, notes: str) -> None:
    """Resolve the process failure about a failed shipment, if it is open."""
    transaction.execute(
        """
        UPDATE operations.process_failures
           SET status = 'resolved', resolved_by = :actor, resolved_at = :now, resolution_notes = :notes,
               version = version + 1
         WHERE organization_id = :organization_id AND process_name = :process AND related_id = :shipment_id
           AND status = 'open'
        """,
        organization_id=transaction.tenant,
        actor=transaction.actor,
        notes=notes,
        process=PROCESS,
        shipment_id=shipment.id,
        now=transaction.now,
    )
