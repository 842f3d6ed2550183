"""What news of captures means for a person, beside the money. Part of ``settlement.decide``."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from holdfast.flows.orders.locked_order import LockedOrder, LockedPayment
from holdfast.orders.lifecycle import TERMINAL, OrderStatus
from holdfast.payments.state import PaymentFacts

_NOT_UNDER_WAY: Final = TERMINAL | {
    OrderStatus.PENDING_PAYMENT,
    OrderStatus.PAYMENT_PROCESSING,
    OrderStatus.PAYMENT_FAILED,
}


def told_of_captures(
    order: LockedOrder, payment: LockedPayment, facts: PaymentFacts
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """What a person has to know of captures, whatever the payment is by it: one of several fell through while the order
    goes on, or they took more than the payment amounts to."""
    told = {"payment_id": str(payment.id), "currency": payment.currency}
    goes_on = order.status not in _NOT_UNDER_WAY and not payment.is_owed_back
    fell_minor = facts.lost_minor - payment.facts.lost_minor
    if fell_minor > 0 and goes_on and facts.captures:
        detail = f"a capture of {fell_minor} {payment.currency} of order {order.order_number} fell through"
        yield "PaymentFellThrough", detail, {**told, "amount_minor": fell_minor}
    if facts.overcaptured_minor > payment.facts.overcaptured_minor:
        over_minor = facts.overcaptured_minor
        detail = f"{over_minor} {payment.currency} too much was captured for order {order.order_number}"
        yield "CapturedTooMuch", detail, {**told, "amount_minor": over_minor}
