"""Which outbox event calls for which mail, and whether its content is still true when the mail is about to leave.

Events arrive at least once, late, and in any order. A mail is owed once for its subject and kind. What it says is taken
from the order as it is when it is sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from holdfast.notifications.facts import Facts
from holdfast.notifications.model import MailKind

LATE_PAYMENT: Final = "late_payment"

KIND_OF_TOPIC: Final[Mapping[str, MailKind]] = {
    "order.confirmed": MailKind.ORDER_CONFIRMED,
    "order.payment_failed": MailKind.PAYMENT_FAILED,
    "order.address_review_needed": MailKind.ADDRESS_CHECK,
    "order.address_review_reminder": MailKind.ADDRESS_REMINDER,
    "order.partially_refunded": MailKind.ORDER_REFUNDED,
    "order.refunded": MailKind.ORDER_REFUNDED,
    "order.cancelled": MailKind.ORDER_CANCELLED,
    "order.late_payment_returned": MailKind.LATE_PAYMENT_RETURNED,
    "shipment.shipped": MailKind.SHIPMENT_SHIPPED,
    "shipment.delivered": MailKind.SHIPMENT_DELIVERED,
}
"""The rule of the event bus (template.yaml) lets exactly these through. A test keeps the two in agreement."""

_OF_SHIPMENT: Final = frozenset({MailKind.SHIPMENT_SHIPPED, MailKind.SHIPMENT_DELIVERED})


@dataclass(frozen=True, slots=True)
class Occasion:
    """A mail that is owed."""

    kind: MailKind
    subject_id: UUID
    """What the mail is owed for, only once: the shipment or the event."""
    order_id: UUID
    shipment_id: UUID | None = None
    refund_id: UUID | None = None


def occasion_of(topic: str, event: Mapping[str, Any]) -> Occasion | None:
    """Return the mail that an event calls for, if any.

    Raises KeyError or ValueError for an event that lacks its ids.
    """
    kind = KIND_OF_TOPIC.get(topic)
    if kind is None:
        return None
    order_id = UUID(event["order_id"])
    if kind in _OF_SHIPMENT:
        shipment_id = UUID(event["shipment_id"])
        return Occasion(kind, shipment_id, order_id, shipment_id=shipment_id)
    if kind is MailKind.ORDER_CANCELLED and event.get("reason") == LATE_PAYMENT:
        kind = MailKind.LATE_PAYMENT_RETURNED
    refund_id = UUID(event["refund_id"]) if kind is MailKind.ORDER_REFUNDED and event.get("refund_id") else None
    return Occasion(kind, UUID(event["id"]), order_id, refund_id=refund_id)


def no_longer_true(kind: MailKind, facts: Facts) -> str | None:
    """Return why the mail must not be sent any more, or ``None`` if it may. An outdated alarm would only confuse."""
    is_over = facts.order.status in ("cancelled", "refunded")
    match kind:
        case MailKind.ORDER_CONFIRMED if is_over or facts.order.status == "address_review":
            return f"the order is {facts.order.status} by now"
        case MailKind.PAYMENT_FAILED if facts.order.status != "payment_failed":
            return f"the order is {facts.order.status} by now"
        case MailKind.ADDRESS_CHECK | MailKind.ADDRESS_REMINDER if facts.review is None:
            return "the address is no longer in review"
        case MailKind.SHIPMENT_SHIPPED if facts.shipment and facts.shipment.status in ("cancelled", "failed"):
            return f"the shipment is {facts.shipment.status} by now"
        case MailKind.ORDER_REFUNDED if facts.refund is not None and facts.refund.status == "failed":
            return "the refund failed after all"
        case _:
            return None
