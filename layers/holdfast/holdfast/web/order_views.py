"""The API's responses about orders, what is in them and what became of them, as models; see ``holdfast.web.views``."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from holdfast.orders.lifecycle import OrderStatus
from holdfast.payments.model import RefundReason, RefundStatus, RestockReason
from holdfast.values.shipping import ShippingPreference
from holdfast.web import address_views, shipment_views


class Amounts(BaseModel):
    """total = subtotal - discount + tax + shipping."""

    subtotal_minor: int
    tax_minor: int
    shipping_minor: int
    discount_minor: int
    total_minor: int


class OrderAmounts(Amounts):
    """The figures of an order, and what of them was given back."""

    refunded_minor: int


class TaxLine(BaseModel):
    """All lines taxed at one rate. The rate is a decimal text, in hundredths of a percent."""

    country: str
    region: str | None
    rate_basis_points: str
    taxable_minor: int
    tax_minor: int


class PostalAddress(BaseModel):
    """An address as it was given."""

    name: str
    line1: str
    line2: str | None
    city: str
    region: str | None
    postal_code: str
    country: str
    phone: str | None


class OrderItem(BaseModel):
    """A line of an order, as it was sold."""

    id: UUID
    variant_id: UUID
    sku: str
    name: str
    option_values: dict[str, Any]
    unit_price_minor: int
    quantity: int
    subtotal_minor: int
    tax_minor: int
    discount_minor: int
    refunded_quantity: int
    refunded_minor: int


class Allocation(BaseModel):
    """From which warehouse (by code) how much of an item leaves; ``null`` distance: the address was not located."""

    order_item_id: UUID
    warehouse_id: UUID
    warehouse: str
    quantity: int
    distance_km: float | None


class Capture(BaseModel):
    """One of several captures of a payment, at a gateway that names them. ``at``: when it succeeded or failed."""

    amount_minor: int
    status: Literal["pending", "succeeded", "failed"]
    is_final: bool
    at: datetime | None


class Payment(BaseModel):
    """An attempt to pay. ``client_action`` is what the shopper's client needs while the status is requires_action."""

    id: UUID
    attempt: int
    gateway: str
    status: Literal[
        "pending",
        "processing",
        "requires_action",
        "authorized",
        "captured",
        "partially_refunded",
        "refunded",
        "failed",
        "cancelled",
    ]
    amount_minor: int
    captured_minor: int
    capturable_minor: int
    captures: list[Capture]
    refunded_minor: int
    charged_back_minor: int
    currency: str
    brand: str | None
    last_four: str | None
    failure_code: str | None
    failure_message: str | None
    client_action: dict[str, Any] | None
    created_at: datetime


class Step(BaseModel):
    """One step of the order's history. ``changed_by`` is a kind of actor (customer, staff, system ...), not a name."""

    sequence: int
    from_status: OrderStatus | None = Field(alias="from")
    to_status: OrderStatus = Field(alias="to")
    changed_by: str
    notes: str | None
    at: datetime


class Order(BaseModel):
    """An order with everything its owner may see."""

    id: UUID
    order_number: str
    customer_id: UUID
    email: str
    status: OrderStatus
    payment_status: str
    fulfillment_status: str
    currency: str
    amounts: OrderAmounts
    has_open_dispute: bool
    tax_lines: list[TaxLine]
    shipping_preference: ShippingPreference
    is_split_shipment: bool
    shipping_address: PostalAddress
    billing_address: PostalAddress
    notes: str | None
    source: Literal["web", "mobile", "api", "marketplace"]
    version: int
    created_at: datetime
    confirmed_at: datetime | None
    cancelled_at: datetime | None
    items: list[OrderItem]
    allocations: list[Allocation]
    reallocations: list[address_views.ReallocationStep]
    address_changes: list[address_views.AddressChange]
    shipments: list[shipment_views.Parcel]
    payments: list[Payment]
    timeline: list[Step]


class OrderAnswer(BaseModel):
    """One order."""

    order: Order


class ReaddressedOrder(BaseModel):
    """An order with another shipping address."""

    order: Order
    reallocation: address_views.Reallocation
    price: address_views.PriceChange


class PaidOrder(BaseModel):
    """An order and the attempt that this request made to pay it."""

    order: Order
    payment: Payment


class RefundItem(BaseModel):
    """What a refund says of a line. ``quantity`` 0: the rest of its money, from another payment than its units."""

    order_item_id: UUID
    quantity: int
    amount_minor: int
    restock: bool
    restock_reason: RestockReason | None


class Refund(BaseModel):
    """Money given back, or on its way. ``amount_minor`` has the shipping in it. ``notes`` and ``created_by`` are the
    staff's alone."""

    id: UUID
    payment_id: UUID
    status: RefundStatus
    amount_minor: int
    shipping_minor: int
    currency: str
    reason: RefundReason
    is_full_refund: bool
    failure_code: str | None
    items: list[RefundItem]
    created_at: datetime
    completed_at: datetime | None
    notes: str | None = None
    created_by: str | None = None


class RefundList(BaseModel):
    """The refunds of an order, oldest first."""

    refunds: list[Refund]


class RefundedOrder(BaseModel):
    """The refunds that this request made, one for each payment they are taken from, and the order."""

    refunds: list[Refund]
    order: Order


class OrderSummary(BaseModel):
    """An order in a list."""

    id: UUID
    order_number: str
    status: OrderStatus
    payment_status: str
    fulfillment_status: str
    currency: str
    total_minor: int
    refunded_minor: int
    has_open_dispute: bool
    created_at: datetime


class OrderPage(BaseModel):
    """Orders, newest first. ``next_before`` is the next page's ``before``; ``null`` on the last page. ``has_archived``:
    such orders live in the archive, and ``include_archived=true`` shows them."""

    orders: list[OrderSummary]
    next_before: UUID | None
    has_archived: bool


class QuotedItem(BaseModel):
    """A line as it would be sold."""

    variant_id: UUID
    sku: str
    name: str
    quantity: int
    unit_price_minor: int
    subtotal_minor: int
    tax_minor: int


class Assignment(BaseModel):
    """From which warehouse (by code) how much of a variant would leave."""

    warehouse: str
    variant_id: UUID
    quantity: int


class QuotedAllocation(BaseModel):
    """Where the order would ship from. ``reasons`` tells candidates, scores and penalties; its form may change."""

    is_split: bool
    shipping_cost_minor: int
    assignments: list[Assignment]
    reasons: dict[str, Any]


class Quote(BaseModel):
    """What a checkout would cost at this moment. Nothing is held."""

    currency: str
    amounts: Amounts
    tax_lines: list[TaxLine]
    items: list[QuotedItem]
    geocode_quality: str
    allocation: QuotedAllocation


class TimelineEntry(BaseModel):
    """One thing that happened to an order. ``sequence`` numbers what is numbered: steps, messages, movements."""

    at: datetime
    kind: Literal[
        "payment",
        "payment_event",
        "api_call",
        "status",
        "address_review",
        "address_change",
        "reallocation",
        "stock_movement",
        "capture",
        "refund",
        "dispute",
        "shipment",
        "operation",
        "message",
        "mail",
        "dead_letter",
        "process_failure",
    ]
    sequence: int | None
    id: str
    what: str
    data: dict[str, Any]


class OrderTimeline(BaseModel):
    """Everything known of an order, in order of time. ``is_complete`` is false when there is more than is shown."""

    order_id: UUID
    order_number: str
    entries: list[TimelineEntry]
    is_complete: bool


ANSWERS: tuple[type[BaseModel], ...] = (
    OrderAnswer,
    OrderPage,
    OrderTimeline,
    PaidOrder,
    Quote,
    ReaddressedOrder,
    RefundList,
    RefundedOrder,
)
"""The models that routes refer to by name."""
