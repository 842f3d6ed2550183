"""What of a payment can be given back, and from what: the payment as a whole, or capture by capture."""

from holdfast.flows.orders.locked_order import LockedOrder, LockedPayment
from holdfast.gateways.registry import GATEWAYS
from holdfast.payments.refund_plan import Purse


def purses_of(order: LockedOrder, payment: LockedPayment) -> tuple[Purse, ...]:
    """Return the purses of the payment: captured money neither given back nor on its way back.

    A payment without such money has no purse. At a gateway where each refund belongs to one capture there is a purse
    for each capture, the oldest first, so that one refund of ours is one of the gateway's. What a lost dispute took is
    subtracted from the youngest captures.
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
