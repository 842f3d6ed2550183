"""The shipments of an order whose row the transaction has locked: the basis of decisions about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.flows.orders.locked_order import LockedOrder, LockedPayment, lock_order
from holdfast.fulfillment.contents import Line, Piece
from holdfast.fulfillment.lifecycle import NOT_LEFT
from holdfast.orders.lifecycle import SHIPS
from holdfast.values.errors import Conflict, NotFound, TransitionRefused
from holdfast.values.shipping import ShipmentStatus


@dataclass(frozen=True, slots=True)
class LockedShipment:
    """One shipment of the order."""

    id: UUID
    order_id: UUID
    number: str
    warehouse_id: UUID
    status: ShipmentStatus
    version: int
    cost: int
    is_leaving: bool
    captured_when_left: int | None
    """How much of the order's money must be captured in total before it leaves, or had to be, in minor units."""
    reships_id: UUID | None
    is_reshipped: bool
    shipped_at: datetime | None
    pieces: tuple[Piece, ...]

    @property
    def is_here(self) -> bool:
        """Whether it is still in its warehouse and is going to leave."""
        return self.status in NOT_LEFT


@dataclass(frozen=True, slots=True)
class LockedParcels:
    """The order, the one shipment in question, and all shipments of the order."""

    order: LockedOrder
    shipment: LockedShipment
    all: tuple[LockedShipment, ...]

    @property
    def lines(self) -> tuple[Line, ...]:
        """The order's lines as shipping sees them."""
        return lines_of(self.order)


def lines_of(order: LockedOrder) -> tuple[Line, ...]:
    """Return the order's lines as shipping sees them. Units under refund do not leave, even if it is only under way."""
    withheld = [item for refund in order.refunds if refund.counts for item in refund.items]
    return tuple(
        Line(
            order_item_id=item.id,
            quantity=item.quantity,
            worth_minor=item.worth,
            left=item.left,
            withheld=sum(told.unshipped for told in withheld if told.order_item_id == item.id),
        )
        for item in order.items
    )


def lock_shipment(transaction: Transaction, shipment_id: UUID) -> LockedParcels:
    """Lock the row of the shipment's order, then read the order and its shipments. Raises NotFound."""
    order = lock_order(transaction, order_of(transaction, shipment_id))
    shipments = shipments_of(transaction, order.id)
    return LockedParcels(order, next(one for one in shipments if one.id == shipment_id), shipments)


def order_of(transaction: Transaction, shipment_id: UUID) -> UUID:
    """Return the id of a shipment's order. Raises NotFound."""
    order_id: UUID | None = transaction.value(
        "SELECT s.order_id FROM fulfillment.shipments s WHERE s.organization_id = :organization_id AND s.id = :id",
        organization_id=transaction.tenant,
        id=shipment_id,
    )
    if order_id is None:
        raise NotFound("there is no such shipment")
    return order_id


def shipments_of(transaction: Transaction, order_id: UUID) -> tuple[LockedShipment, ...]:
    """Return all shipments of an order, oldest first. The caller holds the lock on the order's row."""
    rows = transaction.rows(
        """
        SELECT s.id, s.order_id, s.shipment_number, s.warehouse_id, s.status, s.version, s.cost,
               s.leaving_since IS NOT NULL AS is_leaving, s.captured_when_left, s.reships_id,
               s.reshipped_at IS NOT NULL AS is_reshipped, s.shipped_at,
               (SELECT COALESCE(jsonb_agg(jsonb_build_object('allocation_id', i.allocation_id, 'quantity', i.quantity,
                                                             'order_item_id', i.order_item_id)), '[]')
                  FROM fulfillment.shipment_items i
                 WHERE i.organization_id = s.organization_id AND i.shipment_id = s.id) AS pieces
          FROM fulfillment.shipments s
         WHERE s.organization_id = :organization_id AND s.order_id = :order_id
         ORDER BY s.id
        """,
        organization_id=transaction.tenant,
        order_id=order_id,
    )
    return tuple(_shipment_from(row) for row in records(rows))


def _shipment_from(row: Mapping[str, Any]) -> LockedShipment:
    pieces: Sequence[Mapping[str, Any]] = row["pieces"]
    return LockedShipment(
        id=row["id"],
        order_id=row["order_id"],
        number=row["shipment_number"],
        warehouse_id=row["warehouse_id"],
        status=ShipmentStatus(row["status"]),
        version=row["version"],
        cost=row["cost"],
        is_leaving=row["is_leaving"],
        captured_when_left=row["captured_when_left"],
        reships_id=row["reships_id"],
        is_reshipped=row["is_reshipped"],
        shipped_at=row["shipped_at"],
        pieces=tuple(
            Piece(UUID(piece["allocation_id"]), UUID(piece["order_item_id"]), piece["quantity"]) for piece in pieces
        ),
    )


def check_version(shipment: LockedShipment, version: int) -> None:
    """Raise Conflict unless ``version``, which the caller saw, is the shipment's current one."""
    if shipment.version != version:
        raise Conflict(
            f"the shipment changed since: it is {shipment.status}, version {shipment.version}",
            current_version=shipment.version,
            status_now=shipment.status,
        )


def check_order_ships(order: LockedOrder) -> None:
    """Raise an error unless the order may be shipped.

    Raises TransitionRefused for an order that is not, or no longer, to be shipped. Raises Conflict for one whose money
    is no longer authorized or captured: its shipments wait for a person.
    """
    if order.status not in SHIPS:
        raise TransitionRefused(f"an order that is {order.status} is not shipped", current=order.status, allowed=[])
    if order.payments and paying(order) is None:
        raise Conflict("the money of this order fell through: nothing of it is shipped", payment_status="failed")


def paying(order: LockedOrder) -> LockedPayment | None:
    """Return the payment whose money pays for the order, if there is one."""
    return next((payment for payment in order.payments if payment.has_money and not payment.is_owed_back), None)
