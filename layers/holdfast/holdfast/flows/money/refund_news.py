"""What news of a refund means beside the money: its row, the topics, who is called, the one step back.

Part of ``settlement.decide``. All of it follows from what the refund was and what is known of it now, so that the same
news has no effect the second time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any, Final
from uuid import UUID

from holdfast.flows.operations.process_names import Call, Process
from holdfast.flows.orders.locked_order import LockedOrder, LockedPayment, LockedRefund
from holdfast.orders.lifecycle import TERMINAL, OrderStatus
from holdfast.payments.model import RefundStatus
from holdfast.payments.state import PaymentFacts, PaymentNews, RefundFact
from holdfast.values.ids import uuid7
from holdfast.values.payment_events import EventType

REFUND_NEWS: Final = frozenset({EventType.REFUND_REQUESTED, EventType.REFUND_SUCCEEDED, EventType.REFUND_FAILED})


@dataclass(frozen=True, slots=True)
class RefundNews:
    """What is to be written beside the payment's own columns."""

    rows: tuple[Mapping[str, Any], ...] = ()
    topics: tuple[str, ...] = ()
    failures: tuple[Call, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


def read_refund_news(
    order: LockedOrder,
    payment: LockedPayment,
    facts: PaymentFacts,
    news: PaymentNews,
    refund_id: UUID | None,
    now: datetime,
    *,
    gateway_capture_id: str | None = None,
) -> RefundNews:
    """Read news about a refund: one of ours, or one made at the gateway's own console."""
    if news.event_type not in REFUND_NEWS or news.gateway_refund_id is None:
        return RefundNews()
    fact = next(fact for fact in facts.refunds if fact.gateway_refund_id == news.gateway_refund_id)
    ours = _refund_meant(order, payment, fact, refund_id)
    status = RefundStatus.PROCESSING if fact.status is RefundStatus.PENDING else fact.status
    row = refund_row(
        ours or LockedRefund(uuid7(now), payment.id, fact.amount_minor, 0, "pending", "other", None),
        payment,
        status,
        gateway_refund_id=fact.gateway_refund_id,
        gateway_capture_id=gateway_capture_id,
        failure_code=news.failure_code,
    )
    if ours is not None and ours.status == status:
        return RefundNews(rows=(row,))
    told: dict[str, Any] = {"refund_id": row["id"], "amount_minor": row["amount"], "currency": payment.currency}
    # A second payment that goes back is no refund of the order; an order that is over has had its own announcement.
    is_of_order = not payment.is_owed_back and order.status not in TERMINAL
    if status is RefundStatus.SUCCEEDED and is_of_order:
        return RefundNews(rows=(row,), topics=("order.partially_refunded",), extra=told)
    if status is RefundStatus.FAILED:
        failure = refund_failure(order, payment, row["amount"], news.failure_code or "failed", UUID(row["id"]))
        return RefundNews(rows=(row,), topics=("order.refund_failed",), failures=(failure,), extra=told)
    return RefundNews(rows=(row,))


def _refund_meant(
    order: LockedOrder, payment: LockedPayment, fact: RefundFact, refund_id: UUID | None
) -> LockedRefund | None:
    """Return the refund of ours that the gateway's refund corresponds to, or ``None`` for a new one.

    It is matched by the gateway's id, else by our id if the gateway's refund carries it, else with one of ours of the
    same amount that was given up and that a person made by hand. If a second refund at the gateway carries the same id
    of ours, it is another refund.
    """
    of_payment = [refund for refund in order.refunds if refund.payment_id == payment.id]
    known = (refund for refund in of_payment if refund.gateway_refund_id == fact.gateway_refund_id)
    unanswered = [refund for refund in of_payment if refund.gateway_refund_id is None]
    carried = (refund for refund in unanswered if refund.id == refund_id)
    by_hand = (r for r in unanswered if r.is_open and r.is_given_up and r.amount == fact.amount_minor)
    return next(chain(known, carried, by_hand), None)


def refund_row(
    refund: LockedRefund,
    payment: LockedPayment,
    status: RefundStatus,
    *,
    gateway_refund_id: str | None = None,
    gateway_capture_id: str | None = None,
    failure_code: str | None = None,
    created_by: str = "gateway",
) -> dict[str, Any]:
    """Return a refund as ``checkout.settle`` takes it.

    For a refund that exists already, only the status, the gateway's ids and the failure code are written.
    """
    return {
        "id": str(refund.id),
        "payment_id": str(payment.id),
        "amount": refund.amount,
        "shipping_amount": refund.shipping_amount,
        "currency": payment.currency,
        "reason": refund.reason,
        "is_full_refund": refund.amount == payment.amount,
        "status": status,
        "gateway_refund_id": gateway_refund_id,
        "gateway_capture_id": refund.gateway_capture_id or gateway_capture_id,
        "failure_code": failure_code,
        "created_by": created_by,
    }


def refund_failure(
    order: LockedOrder,
    payment: LockedPayment,
    amount: int,
    reason: str,
    refund_id: UUID,
    operation_id: UUID | None = None,
) -> Call:
    """Return the call to a person for a refund that did not arrive: the shopper waits for the money.

    ``operation_id`` is the operation that was given up, if any.
    """
    detail = f"a refund of {amount} {payment.currency} of order {order.order_number} did not arrive: {reason}"
    payload = {"refund_id": str(refund_id), "payment_id": str(payment.id), "amount": amount}
    given_up = {} if operation_id is None else {"operation_id": str(operation_id)}
    return Process.REFUND_FAILED, detail, payload | given_up


def step_back(
    order: LockedOrder, payment: LockedPayment, facts: PaymentFacts, *, has_money: bool
) -> OrderStatus | None:
    """Return the status to which the order returns when a refund that had moved it fails after all, else ``None``.

    An order leaves ``refunded`` when money of the payment is with the shop again, and ``partially_refunded`` when none
    of it is with the shopper any more. An order that a refund cancelled stays cancelled: its goods are gone, and its
    money is owed.
    """
    if facts.refunded_minor >= payment.refunded_amount:
        return None
    if order.status is OrderStatus.REFUNDED and has_money:
        return order.status_before
    if order.status is OrderStatus.PARTIALLY_REFUNDED and facts.refunded_minor == 0:
        return order.status_before
    return None
