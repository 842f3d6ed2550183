"""A shipment leaves once its money is captured: at once, or when the capture's answer, a webhook or the watchdog says.

Whoever records news of a payment calls ``leave_if_paid`` in the same transaction, so that money and shipment agree at
every moment: captured and shipped, or neither. If the capture fails, the shipment stays packed.
"""

from typing import Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.orders.locked_order import LockedOrder, LockedPayment, lock_order
from holdfast.flows.shipping.follow_shipments import announce, follow_shipments
from holdfast.flows.shipping.locked_shipments import LockedParcels, LockedShipment, paying, shipments_of
from holdfast.orders.lifecycle import SHIPS
from holdfast.values.shipping import ShipmentStatus

_STAYS: Final = """
    UPDATE fulfillment.shipments SET leaving_since = NULL, captured_when_left = NULL, version = version + 1
     WHERE organization_id = :organization_id AND id = :id AND leaving_since IS NOT NULL
"""


def leave_if_paid(transaction: Transaction, order_id: UUID) -> None:
    """Decide on the order's shipment that waits for its money, if there is one.

    It leaves if the money is captured. It stops waiting and stays packed if the order is no longer one that ships, or
    if no capture is under way any more. The order's row is locked here, whether or not the caller holds the lock
    already, and the decision is based on what the lock shows.
    """
    order = lock_order(transaction, order_id)
    if order.leaving is None:
        return
    shipments = shipments_of(transaction, order_id)
    shipment = next(one for one in shipments if one.id == order.leaving)
    if order.status in SHIPS and captured_of(order) >= (shipment.captured_when_left or 0):
        depart(transaction, LockedParcels(order, shipment, shipments))
    elif order.status not in SHIPS or not is_being_captured(transaction, order_id):
        transaction.execute(_STAYS, organization_id=transaction.tenant, id=shipment.id)


def depart(transaction: Transaction, parcels: LockedParcels) -> None:
    """Record that the shipment left, write its message to the outbox, and let the order follow."""
    shipment = parcels.shipment
    transaction.execute(
        """
        UPDATE fulfillment.shipments
           SET status = :shipped, shipped_at = :now, packed_at = COALESCE(packed_at, :now),
               picked_at = COALESCE(picked_at, :now), leaving_since = NULL,
               captured_when_left = COALESCE(captured_when_left, :captured), version = version + 1
         WHERE organization_id = :organization_id AND id = :id
        """,
        organization_id=transaction.tenant,
        id=shipment.id,
        shipped=ShipmentStatus.SHIPPED,
        captured=min(captured_of(parcels.order), parcels.order.total),
        now=transaction.now,
    )
    announce(transaction, "shipment.shipped", parcels.order, shipment)
    follow_shipments(transaction, parcels.order, f"{shipment.number} left")


def captured_of(order: LockedOrder) -> int:
    """Return how much was captured of the payment that pays for the order, in minor units."""
    payment = paying(order)
    return 0 if payment is None else payment.captured_amount


def is_being_captured(transaction: Transaction, order_id: UUID) -> bool:
    """Whether a capture for the order is decided and its outcome is still unknown."""
    running: bool = transaction.value(
        """
        SELECT EXISTS (SELECT 1 FROM orders.order_operations x
                        WHERE x.organization_id = :organization_id AND x.order_id = :order_id
                          AND x.operation = 'capture' AND x.state = 'running')
        """,
        organization_id=transaction.tenant,
        order_id=order_id,
    )
    return running


def was_captured_for(transaction: Transaction, shipment: LockedShipment, payment: LockedPayment) -> bool:
    """Whether a capture for this shipment was carried out, or is still undecided at the gateway.

    What the gateway says of a capture counts more than how the operation ended: one that was given up for want of an
    answer may have taken the shipment's share, or may still take it.
    """
    alive = [one.gateway_capture_id for one in payment.facts.captures if one.stands or one.is_pending]
    taken: bool = transaction.value(
        """
        SELECT EXISTS (SELECT 1 FROM orders.order_operations x
                        WHERE x.organization_id = :organization_id AND x.order_id = :order_id
                          AND x.operation = 'capture' AND x.subject_id = :shipment_id
                          AND (x.state = 'done' OR x.gateway_id = ANY (CAST(:alive AS text[]))))
        """,
        organization_id=transaction.tenant,
        order_id=shipment.order_id,
        shipment_id=shipment.id,
        alive=alive,
    )
    return taken


def is_first(shipments: tuple[LockedShipment, ...]) -> bool:
    """Whether nothing of the order has left yet."""
    return all(one.shipped_at is None for one in shipments)


def is_last(shipments: tuple[LockedShipment, ...], leaving: LockedShipment) -> bool:
    """Whether nothing of the order remains in a warehouse once this shipment has left."""
    return not any(one.is_here and one.id != leaving.id for one in shipments)
