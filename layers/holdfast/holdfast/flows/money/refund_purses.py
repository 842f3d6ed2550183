"""What can be given back of a payment, and from what: the payment as a whole, or capture by capture."""

from holdfast.flows.orders.locked_order import LockedOrder, LockedPayment
from holdfast.gateways.registry import GATEWAYS
from holdfast.payments.refund_plan import Purse


def purses_of(order: LockedOrder, payment: LockedPayment) -> tuple[Purse, ...]:
    """What of the payment was captured and is neither given back nor on its way back; nothing of it: no purse.

    At a gateway whose refunds are each of one capture there is a purse for each, the oldest first, so that a refund of
    ours is one of the gateway's. What a lost dispute took is taken off the youngest.
    """
    left_minor, by_capture = payment.returnable, GATEWAYS[payment.gateway].refunds_captures
    captures = sorted(
        (capture for capture in payment.facts.captures if by_capture and capture.stands),
        key=lambda capture: (capture.succeeded_at, capture.gateway_capture_id),
    )
    if not captures:
        whole = Purse(payment.id, payment.captured_amount, left_minor)
        return (whole,) if left_minor > 0 else ()
    purses = []
    for capture in captures:
        given_minor = sum(
            refund.amount
            for refund in order.refunds
            if refund.payment_id == payment.id
            and refund.counts
            and refund.gateway_capture_id == capture.gateway_capture_id
        )
        of_capture_minor = min(capture.amount_minor - given_minor, left_minor)
        if of_capture_minor > 0:
            purses.append(Purse(payment.id, payment.captured_amount, of_capture_minor, capture.gateway_capture_id))
            left_minor -= of_capture_minor
    return tuple(purses)
