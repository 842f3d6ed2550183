"""An order follows its shipments: its fulfillment status, its own status, and what is announced of both."""

from typing import Any
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.money.settlement import write
from holdfast.flows.money.settlement_document import Settlement
from holdfast.flows.orders.locked_order import LockedOrder
from holdfast.flows.shipping.locked_shipments import LockedShipment
from holdfast.orders.lifecycle import path_following
from holdfast.orders.model import FulfillmentStatus
from holdfast.values.caller import without_shopper
from holdfast.values.ids import uuid7


def follow_shipments(
    transaction: Transaction, order: LockedOrder, notes: str | None = None, *, refunding: bool = False
) -> None:
    """Lead the order to where its goods are now. Its row is the caller's, and ``order`` is as it was locked; with
    ``refunding``, a refund was asked for since. What a refund called off may be to ship again until its money is back.
    """
    goods: str = transaction.value(
        "SELECT fulfillment.project_fulfillment(:organization_id, :order_id)",
        organization_id=transaction.tenant,
        order_id=order.id,
    )
    path = path_following(order.status, FulfillmentStatus(goods))
    is_undecided = refunding or any(refund.is_open for refund in order.refunds)
    if path and not (is_undecided and goods == FulfillmentStatus.CANCELLED):
        topics = tuple(f"order.{step}" for step in path)
        write(transaction, order, Settlement(order_id=order.id, path=path, notes=notes, topics=topics))


def plan_shipments(transaction: Transaction, order_id: UUID) -> None:
    """What is on no shipment is put on the plan of its warehouse."""
    transaction.value(
        "SELECT fulfillment.plan_shipments(:organization_id, :order_id, :now, :actor)",
        organization_id=transaction.tenant,
        order_id=order_id,
        now=transaction.now,
        actor=without_shopper(transaction.actor),
    )


def announce(transaction: Transaction, topic: str, order: LockedOrder, shipment: LockedShipment, **more: Any) -> None:
    """Announce a step of a shipment. Its message carries the version that the step led to."""
    transaction.execute(
        """
        INSERT INTO operations.outbox (organization_id, id, topic, aggregate_type, aggregate_id, sequence, payload,
                                       created_at)
        VALUES (:organization_id, :id, :topic, 'shipment', :shipment_id, :version, CAST(:payload AS jsonb), :now)
        """,
        organization_id=transaction.tenant,
        id=uuid7(transaction.now),
        topic=topic,
        shipment_id=shipment.id,
        version=shipment.version + 1,
        payload={
            "order_id": str(order.id),
            "order_number": order.order_number,
            "shipment_id": str(shipment.id),
            "shipment_number": shipment.number,
            **more,
        },
        now=transaction.now,
    )
