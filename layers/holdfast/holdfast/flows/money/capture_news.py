"""What a person has to be told about captures, apart from the money itself. Part of ``settlement.decide``."""

from collections.abc import Iterator
from typing import Final

from holdfast.flows.operations.process_names import Call, Process
from holdfast.flows.orders.locked_order import LockedOrder, LockedPayment
from holdfast.orders.lifecycle import TERMINAL, OrderStatus
from holdfast.payments.state import PaymentFacts

_NOT_UNDER_WAY: Final = TERMINAL | {
    OrderStatus.PENDING_PAYMENT,
    OrderStatus.PAYMENT_PROCESSING,
    OrderStatus.PAYMENT_FAILED,
}


def told_of_captures(order: LockedOrder, payment: LockedPayment, facts: PaymentFacts) -> Iterator[Call]:
    """Yield what a person must be told about captures, whatever the payment's status.

    Either one of several captures fell through while the order goes on, or the captures took more than the payment's
    amount.
    """
    told = {"payment_id": str(payment.id), "currency": payment.currency}
    goes_on = order.status not in _NOT_UNDER_WAY and not payment.is_owed_back
    fell_minor = facts.lost_minor - payment.facts.lost_minor
    if fell_minor > 0 and goes_on and facts.captures:
        detail = f"a capture of {fell_minor} {payment.currency} of order {order.order_number} fell through"
        yield Process.PAYMENT_FELL_THROUGH, detail, {**told, "amount_minor": fell_minor}
    if facts.overcaptured_minor > payment.facts.overcaptured_minor:
        over_minor = facts.overcaptured_minor
        detail = f"{over_minor} {payment.currency} too much was captured for order {order.order_number}"
        yield Process.CAPTURED_TOO_MUCH, detail, {**told, "amount_minor": over_minor}
