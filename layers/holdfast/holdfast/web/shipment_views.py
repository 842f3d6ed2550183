"""The API's responses about shipments, as models (see ``web.views``)."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from holdfast.fulfillment.lifecycle import FailureReason
from holdfast.orders.lifecycle import OrderStatus
from holdfast.values.shipping import ShipmentStatus


class ParcelItem(BaseModel):
    """How many of a line are in a shipment."""

    order_item_id: UUID
    quantity: int


class Parcel(BaseModel):
    """A shipment as the order's owner sees it. ``delivered_at`` is by the carrier's clock."""

    id: UUID
    shipment_number: str
    status: ShipmentStatus
    carrier: str | None
    tracking_number: str | None
    tracking_url: str | None
    estimated_delivery_at: datetime | None
    shipped_at: datetime | None
    delivered_at: datetime | None
    items: list[ParcelItem]


class ShipmentItem(BaseModel):
    """How many of a line are in a shipment."""

    order_item_id: UUID
    sku: str
    name: str
    quantity: int


class Shipment(BaseModel):
    """A parcel of an order from one warehouse. ``leaving_since``: it waits for its money. ``reships_id`` is the failed
    shipment whose goods it sends again; ``actual_delivery_at`` is by the carrier's clock, ``delivered_at`` by ours."""

    id: UUID
    shipment_number: str
    order_id: UUID
    order_number: str
    order_status: OrderStatus
    fulfillment_status: str
    warehouse_id: UUID
    warehouse: str
    status: ShipmentStatus
    carrier: str | None
    tracking_number: str | None
    tracking_url: str | None
    cost_minor: int
    currency: str
    estimated_delivery_at: datetime | None
    actual_delivery_at: datetime | None
    leaving_since: datetime | None
    reships_id: UUID | None
    reshipped_at: datetime | None
    failure_reason: FailureReason | None
    failure_notes: str | None
    cancel_reason: str | None
    version: int
    created_at: datetime
    picked_at: datetime | None
    packed_at: datetime | None
    shipped_at: datetime | None
    delivered_at: datetime | None
    failed_at: datetime | None
    cancelled_at: datetime | None
    notification_sent_at: datetime | None
    items: list[ShipmentItem]


class ShipmentAnswer(BaseModel):
    """One shipment."""

    shipment: Shipment


class ShipmentPage(BaseModel):
    """Shipments, oldest first. ``next_after`` is the next page's ``after``; ``null`` on the last page."""

    shipments: list[Shipment]
    next_after: UUID | None


ANSWERS: tuple[type[BaseModel], ...] = (ShipmentAnswer, ShipmentPage)
"""The models that routes refer to by name."""
