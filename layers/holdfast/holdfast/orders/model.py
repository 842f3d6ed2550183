"""The values of an order's columns apart from its lifecycle, and how the two derived statuses are derived."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from holdfast.values.shipping import ShipmentStatus


class OrderSource(StrEnum):
    """Where the order was placed."""

    WEB = "web"
    MOBILE = "mobile"
    API = "api"
    MARKETPLACE = "marketplace"


class OrderPaymentStatus(StrEnum):
    """How the order's money stands, over all its payment attempts. The words are those of a payment's status."""

    PENDING = "pending"
    PROCESSING = "processing"
    REQUIRES_ACTION = "requires_action"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class FulfillmentStatus(StrEnum):
    """How far the order's goods have come, over all its shipments."""

    UNFULFILLED = "unfulfilled"
    IN_PREPARATION = "in_preparation"
    PARTIALLY_SHIPPED = "partially_shipped"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


# The first of these statuses that any attempt has is the order's: money held comes before money on its way, and money
# on its way before money gone. So a second capture that was given back does not hide the first, and a declined card
# does not hide the one being tried now.
_SPEAKS_FIRST: Final = (
    OrderPaymentStatus.CAPTURED,
    OrderPaymentStatus.PARTIALLY_REFUNDED,
    OrderPaymentStatus.AUTHORIZED,
    OrderPaymentStatus.PROCESSING,
    OrderPaymentStatus.REQUIRES_ACTION,
    OrderPaymentStatus.PENDING,
    OrderPaymentStatus.REFUNDED,
    OrderPaymentStatus.FAILED,
    OrderPaymentStatus.CANCELLED,
)

_ON_ITS_WAY: Final = frozenset({ShipmentStatus.SHIPPED, ShipmentStatus.IN_TRANSIT, ShipmentStatus.DELIVERED})
_BEING_PREPARED: Final = frozenset({ShipmentStatus.PICKED, ShipmentStatus.PACKED})


def derive_payment_status(attempts: Iterable[str]) -> OrderPaymentStatus:
    """Derive the order's payment status from all its payments' statuses, in any order; ``pending`` without any.

    Raises ValueError for a word that is no payment status.
    """
    stand = {OrderPaymentStatus(status) for status in attempts}
    return next((status for status in _SPEAKS_FIRST if status in stand), OrderPaymentStatus.PENDING)


def derive_fulfillment_status(shipments: Iterable[ShipmentStatus]) -> FulfillmentStatus:
    """Derive the order's fulfillment status from its shipments, in any order; ``unfulfilled`` without any.

    A cancelled shipment counts only if there is no other. A failed shipment counts as not yet shipped. Once its goods
    travel again in another shipment, the caller leaves it out, so that a re-shipment shows here and nowhere else. Once
    all that was in it is refunded, the caller passes ``cancelled`` in its place.
    """
    planned = list(shipments)
    live = [status for status in planned if status is not ShipmentStatus.CANCELLED]
    if not live:
        return FulfillmentStatus.CANCELLED if planned else FulfillmentStatus.UNFULFILLED
    if all(status is ShipmentStatus.DELIVERED for status in live):
        return FulfillmentStatus.DELIVERED
    if all(status in _ON_ITS_WAY for status in live):
        return FulfillmentStatus.SHIPPED
    if any(status in _ON_ITS_WAY for status in live):
        return FulfillmentStatus.PARTIALLY_SHIPPED
    if any(status in _BEING_PREPARED for status in live):
        return FulfillmentStatus.IN_PREPARATION
    return FulfillmentStatus.UNFULFILLED
