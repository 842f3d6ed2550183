"""What was paid beyond an order's price goes back: once, never more than was taken, whoever learns of it first.

An order's price falls when its address is changed. Money that was taken before is given back by the change itself;
money that was only under way then, by the news that it was taken. Both decide under the order's lock with the same
figure, which follows from what is on record (``payments.price_difference``), and write the refund and the operation
that carries it out with their own transaction: the gateway is asked afterwards, and whoever dies in between is resumed.
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
    """With what the payment took beyond the price of an order that goes on; one that is over gives all of it back."""
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
    """What of the payment is to go back now: one refund, or one for each capture that it is taken from. Empty where
    nothing is owed, or it was decided before, or all of the payment goes back.

    ``order`` costs what it says it costs, and ``facts`` are what is known of the payment now.
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
        # Less than the gateway can express is not given back: it could not be asked for.
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
