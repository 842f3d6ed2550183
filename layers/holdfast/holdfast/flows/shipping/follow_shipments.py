"""An order follows its shipments: its fulfillment status, its own status, and the messages about both."""

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
    """Move the order to the status of its goods. The caller holds the lock on its row.

    ``order`` is the order as it was locked; ``refunding`` says that a refund was requested since. While a refund is
    undecided, goods that it called off may have to ship again, so the order does not move because of them.
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
    """Bring the pending shipments in line with what is left to ship: goods on no shipment join their warehouse's."""
    transaction.value(
        "SELECT fulfillment.plan_shipments(:organization_id, :order_id, :now, :actor)",
        organization_id=transaction.tenant,
        order_id=order_id,
        now=transaction.now,
        actor=without_shopper(transaction.actor),
    )


def announce(transaction: Transaction, topic: str, order: LockedOrder, shipment: LockedShipment, **more: Any) -> None:
    """Write a shipment's step to the outbox. The message carries the version that the step leads to."""
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
