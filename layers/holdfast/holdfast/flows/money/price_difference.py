"""What was paid beyond an order's price goes back: once, never more than was taken, whoever learns of it first.

An order's price falls when its address is changed. Money that was taken before is given back by the change itself;
money that was only under way then, by the news that it was taken. Both decide under the order's lock with the same
figure, which follows from what is on record (``payments.price_difference``), and write the refund and the operation
that carries it out with their own transaction: the gateway is asked afterwards, and whoever dies in between is resumed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from holdfast.flows.money.refund_news import refund_row
from holdfast.flows.orders.locked_order import LockedOrder, LockedPayment, LockedRefund
from holdfast.orders.lifecycle import TERMINAL
from holdfast.payments.model import RefundReason, RefundStatus
from holdfast.payments.price_difference import owed_minor
from holdfast.payments.state import PaymentFacts
from holdfast.values.ids import uuid7

if TYPE_CHECKING:
    from holdfast.flows.money.settlement import Settlement

ACTOR: Final = "system:price_difference"


@dataclass(frozen=True, slots=True)
class Difference:
    """A refund of what was taken beyond the price, and the operation that carries it out, as rows."""

    refund: Mapping[str, Any]
    operation: Mapping[str, Any]


def give_back_difference(
    order: LockedOrder, payment: LockedPayment, facts: PaymentFacts, settlement: "Settlement", now: datetime
) -> "Settlement":
    """With what the payment took beyond the price of an order that goes on; one that is over gives all of it back."""
    if (settlement.path or (order.status,))[-1] in TERMINAL or settlement.return_money_of:
        return settlement
    found = difference_of(order, payment, facts, now)
    if found is None:
        return settlement
    return replace(settlement, refunds=(*settlement.refunds, found.refund), operations=(found.operation,))


def difference_of(order: LockedOrder, payment: LockedPayment, facts: PaymentFacts, now: datetime) -> Difference | None:
    """What of the payment is to go back now; ``None``: nothing, or it was decided before, or all of it goes back.

    ``order`` costs what it says it costs, and ``facts`` are what is known of the payment now.
    """
    if payment.is_owed_back:
        return None
    mine = [refund for refund in order.refunds if refund.payment_id == payment.id]
    under_way_minor = sum(refund.amount for refund in mine if refund.is_open)
    amount_minor = owed_minor(
        price_minor=order.total,
        taken_minor=facts.taken_minor,
        decided_minor=sum(refund.amount for refund in mine if refund.reason == RefundReason.PRICE_DIFFERENCE),
        returnable_minor=facts.taken_minor - facts.refunded_minor - under_way_minor - facts.charged_back_minor,
    )
    return _difference(payment, amount_minor, now) if amount_minor else None


def _difference(payment: LockedPayment, amount_minor: int, now: datetime) -> Difference:
    refund_id: UUID = uuid7(now)
    refund = LockedRefund(refund_id, payment.id, amount_minor, 0, "pending", RefundReason.PRICE_DIFFERENCE, None)
    return Difference(
        refund_row(refund, payment, RefundStatus.PENDING, created_by=ACTOR),
        {
            "id": str(uuid7(now)),
            "payment_id": str(payment.id),
            "operation": "refund",
            "subject_id": str(refund_id),
            "amount": amount_minor,
            "reason": RefundReason.PRICE_DIFFERENCE,
        },
    )
