"""Money paid beyond an order's price goes back: once, never more than was taken, whoever learns of it first.

An order's price falls when its address is changed. The change itself gives back money that was taken before. Money that
was only under way then is given back by the news that it was taken. Both decide under the order's lock with the same
figure, which follows from what is on record (``payments.price_difference``), and write the refund and its operation in
their own transaction. The gateway is asked afterwards, and a process that dies in between is resumed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from holdfast.flows.money.refund_news import refund_row
from holdfast.flows.money.refund_purses import purses_of
from holdfast.flows.money.settlement_document import Settlement
from holdfast.flows.money.whole_steps import whole_steps
from holdfast.flows.orders.locked_order import LockedOrder, LockedPayment, LockedRefund
from holdfast.orders.lifecycle import TERMINAL
from holdfast.payments.model import RefundReason, RefundStatus
from holdfast.payments.price_difference import owed_minor
from holdfast.payments.state import PaymentFacts
from holdfast.values.ids import uuid7

ACTOR: Final = "system:price_difference"


@dataclass(frozen=True, slots=True)
class Difference:
    """A refund of what was taken beyond the price, and the operation that carries it out, as rows."""

    refund: Mapping[str, Any]
    operation: Mapping[str, Any]


def give_back_difference(
    order: LockedOrder, payment: LockedPayment, facts: PaymentFacts, settlement: Settlement, now: datetime
) -> Settlement:
    """Add to the settlement the refund of what was taken beyond the price of an order that goes on.

    An order that is over gives back all of its money anyway.
    """
    if (settlement.path or (order.status,))[-1] in TERMINAL or settlement.return_money_of:
        return settlement
    found = differences_of(order, payment, facts, now)
    return replace(
        settlement,
        refunds=(*settlement.refunds, *(difference.refund for difference in found)),
        operations=(*settlement.operations, *(difference.operation for difference in found)),
    )


def differences_of(
    order: LockedOrder, payment: LockedPayment, facts: PaymentFacts, now: datetime
) -> tuple[Difference, ...]:
    """Return what of the payment is to go back now: one refund, or one for each capture that it is taken from.

    The result is empty if nothing is owed, it was decided before, or the whole payment goes back. ``order`` carries the
    present price, and ``facts`` are what is known of the payment now.
    """
    if payment.is_owed_back:
        return ()
    mine = [refund for refund in order.refunds if refund.payment_id == payment.id]
    as_known = replace(
        payment,
        facts=facts,
        captured_amount=facts.taken_minor,
        refunded_amount=facts.refunded_minor,
        refunding_amount=sum(refund.amount for refund in mine if refund.is_open),
        charged_back_amount=facts.charged_back_minor,
    )
    owed = owed_minor(
        price_minor=order.total,
        taken_minor=facts.taken_minor,
        decided_minor=sum(refund.amount for refund in mine if refund.reason == RefundReason.PRICE_DIFFERENCE),
        returnable_minor=as_known.returnable,
    )
    found = []
    for purse in purses_of(order, as_known) if owed else ():
        # An amount smaller than the gateway can express is not given back, because it cannot be requested.
        if amount_minor := whole_steps(payment, min(owed, purse.left_minor)):
            found.append(_difference(payment, amount_minor, purse.gateway_capture_id, now))
            owed -= amount_minor
    return tuple(found)


def _difference(payment: LockedPayment, amount_minor: int, gateway_capture_id: str | None, now: datetime) -> Difference:
    refund = LockedRefund(
        id=uuid7(now),
        payment_id=payment.id,
        amount=amount_minor,
        shipping_amount=0,
        status="pending",
        reason=RefundReason.PRICE_DIFFERENCE,
        gateway_refund_id=None,
        gateway_capture_id=gateway_capture_id,
    )
    return Difference(
        refund_row(refund, payment, RefundStatus.PENDING, created_by=ACTOR),
        {
            "id": str(uuid7(now)),
            "payment_id": str(payment.id),
            "operation": "refund",
            "subject_id": str(refund.id),
            "amount": amount_minor,
            "reason": RefundReason.PRICE_DIFFERENCE,
        },
    )
