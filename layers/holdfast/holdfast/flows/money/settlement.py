"""What news of money means for an order: a pure decision, and the one statement that writes it.

Webhooks, answers and fetched snapshots all go through here. The decision looks at what *is* known of the payment and
never at which event came, so repetition and order of arrival cannot matter.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from holdfast.database.transaction import Transaction
from holdfast.flows.checkout.payment_means import kept_method
from holdfast.flows.money.capture_news import told_of_captures
from holdfast.flows.money.dispute_effects import DisputeEffects, dispute_effects
from holdfast.flows.money.payment_news import Tidings
from holdfast.flows.money.price_difference import give_back_difference
from holdfast.flows.money.refund_news import REFUND_NEWS, RefundNews, read_refund_news, step_back
from holdfast.flows.money.settlement_document import Settlement, settlement_document
from holdfast.flows.operations.process_names import Process
from holdfast.flows.orders.locked_order import MONEY_STATUSES, LockedOrder, LockedPayment
from holdfast.orders.lifecycle import TERMINAL, OrderStatus, path_to_confirmed
from holdfast.orders.model import derive_payment_status
from holdfast.payments.disputes import DISPUTE_NEWS
from holdfast.payments.facts_record import to_json
from holdfast.payments.model import OPEN_STATUSES, PaymentStatus
from holdfast.payments.state import PaymentFacts, derive_status, join
from holdfast.values.errors import InvalidInput
from holdfast.values.ids import uuid7
from holdfast.values.payment_events import EventType

FIRST_CHECK_SECONDS: Final = 60
CHECK_DELAY_MAX_SECONDS: Final = 3600

_WAITING_FOR_MONEY: Final = frozenset(
    {OrderStatus.PENDING_PAYMENT, OrderStatus.PAYMENT_PROCESSING, OrderStatus.PAYMENT_FAILED}
)
_NOT_SHIPPED: Final = _WAITING_FOR_MONEY | {
    OrderStatus.PAYMENT_CONFIRMED,
    OrderStatus.ADDRESS_REVIEW,
    OrderStatus.CONFIRMED,
    OrderStatus.PROCESSING,
}
_SHIPPED: Final = frozenset(
    {
        OrderStatus.PARTIALLY_SHIPPED,
        OrderStatus.SHIPPED,
        OrderStatus.DELIVERED,
        OrderStatus.PARTIALLY_REFUNDED,
    }
)
_CAPTURE_NEWS: Final = frozenset({EventType.CAPTURE_REQUESTED, EventType.CAPTURE_SUCCEEDED, EventType.CAPTURE_FAILED})


def decide(order: LockedOrder, payment: LockedPayment, tidings: Tidings, now: datetime) -> Settlement:
    """Decide what the news means for the order. Raises InvalidInput for news that cannot be true of the payment."""
    _refuse_foreign(payment, tidings)
    facts = join(payment.facts, tidings.news)
    status = derive_status(facts)
    of_capture = tidings.gateway_capture_id
    news = read_refund_news(order, payment, facts, tidings.news, tidings.refund_id, now, gateway_capture_id=of_capture)
    settlement = Settlement(
        order_id=order.id,
        event_id=tidings.event_id,
        payment=_payment_columns(order, payment, facts, status, tidings, now),
        refunds=news.rows,
        payment_status=derive_payment_status(
            status if other.id == payment.id else other.status for other in order.payments
        ),
        failures=tuple(told_of_captures(order, payment, facts)),
        refunded=_refunded(order, payment, facts),
    )
    disputed = dispute_effects(order, payment, facts, tidings.news.gateway_dispute_id, uuid7(now))
    followed = _follow(order, payment, status, facts, settlement)
    return _announce(news, disputed, give_back_difference(order, payment, facts, followed, now))


def _refunded(order: LockedOrder, payment: LockedPayment, facts: PaymentFacts) -> int:
    """Return how much of the order's price was given back, in minor units.

    Money that was collected beyond the price is given back first.
    """
    others = [other for other in order.payments if other.id != payment.id]
    given = facts.refunded_minor + sum(other.refunded_amount for other in others)
    collected = facts.collected_minor + sum(other.captured_amount for other in others)
    return min(order.total, max(0, given - max(0, collected - order.total)))


def _announce(news: RefundNews, disputed: DisputeEffects, settlement: Settlement) -> Settlement:
    """Add what is announced. The topics of the order's own step (refunded, cancelled) cover the refund behind it."""
    return replace(
        settlement,
        topics=(*(settlement.topics or news.topics), *disputed.topics),
        failures=(*settlement.failures, *news.failures, *disputed.failures),
        extra={**settlement.extra, **news.extra, **disputed.extra},
        disputed=disputed,
    )


def _refuse_foreign(payment: LockedPayment, tidings: Tidings) -> None:
    """Raise InvalidInput for news of another transaction, currency or amount, whatever reference it carries."""
    if tidings.currency is not None and tidings.currency != payment.currency:
        raise InvalidInput(f"news in {tidings.currency} about a payment in {payment.currency}")
    transaction_ids = {tidings.gateway_transaction_id, payment.gateway_transaction_id} - {None}
    if len(transaction_ids) > 1:
        raise InvalidInput(f"news of {tidings.gateway_transaction_id}; the payment is {payment.gateway_transaction_id}")
    is_of_whole = tidings.news.event_type not in REFUND_NEWS | DISPUTE_NEWS | _CAPTURE_NEWS
    if is_of_whole and tidings.news.amount_minor not in (None, payment.amount):
        raise InvalidInput(f"news of {tidings.news.amount_minor} about a payment of {payment.amount}")


def _follow(
    order: LockedOrder, payment: LockedPayment, status: PaymentStatus, facts: PaymentFacts, settlement: Settlement
) -> Settlement:
    """Return what becomes of the order now that its payment is ``status``."""
    if (before := step_back(order, payment, facts, has_money=status in MONEY_STATUSES)) is not None:
        return replace(settlement, path=(before,), is_reversal=True, notes="a refund failed after all")
    match status:
        case PaymentStatus.AUTHORIZED | PaymentStatus.CAPTURED | PaymentStatus.PARTIALLY_REFUNDED:
            return _money_came(order, payment, facts, settlement)
        case PaymentStatus.FAILED | PaymentStatus.CANCELLED:
            return _money_went(order, payment, status, facts, settlement)
        case PaymentStatus.PROCESSING | PaymentStatus.REQUIRES_ACTION:
            path = (OrderStatus.PAYMENT_PROCESSING,) if order.status is OrderStatus.PENDING_PAYMENT else ()
            return replace(settlement, path=path, extend_holds_until=order.held_until(payment.created_at))
        case PaymentStatus.REFUNDED:
            return _money_returned(order, payment, settlement)
        case _:
            return settlement


def _others(order: LockedOrder, payment: LockedPayment, *, with_money: bool) -> list[LockedPayment]:
    """Return the order's other attempts that have money; without ``with_money`` also those that still may get it."""
    return [
        other
        for other in order.payments
        if other.id != payment.id and (other.has_money or (not with_money and other.is_open))
    ]


def _money_came(order: LockedOrder, payment: LockedPayment, facts: PaymentFacts, settlement: Settlement) -> Settlement:
    """Confirm an order that waits for money; return money that came twice or for an order that is over.

    Less than the order costs confirms nothing, and a person is called.
    """
    if order.status in TERMINAL:
        return _money_came_late(payment, facts, settlement)
    if any(not other.is_owed_back for other in _others(order, payment, with_money=True)):
        return replace(settlement, return_money_of=((payment.id, "duplicate"),))
    if order.status is OrderStatus.DELIVERED and settlement.refunded:
        # Who is told of a refund, and when, is decided with the refund: this may be news of something else.
        return replace(settlement, path=(OrderStatus.PARTIALLY_REFUNDED,), notes="refunded in part")
    if order.status not in _WAITING_FOR_MONEY:
        return settlement
    if not facts.covers_amount:
        detail = f"order {order.order_number} was paid in part: neither confirmed nor returned"
        return _with_failure(settlement, Process.PAID_TOO_LITTLE, detail, payment)
    return confirm(order, settlement) if order.is_held else replace(settlement, needs_stock=True)


def _money_came_late(payment: LockedPayment, facts: PaymentFacts, settlement: Settlement) -> Settlement:
    """Return money that came for an order that is over.

    If the payment is owed back already, the shopper has been told before.
    """
    is_gone = 0 < facts.taken_minor == facts.refunded_minor + facts.charged_back_minor
    if is_gone and facts.remaining_minor == 0:
        return settlement
    topics = () if payment.is_owed_back else ("order.late_payment_returned",)
    return replace(settlement, return_money_of=((payment.id, "late_payment"),), topics=topics)


def _money_went(
    order: LockedOrder, payment: LockedPayment, status: PaymentStatus, facts: PaymentFacts, settlement: Settlement
) -> Settlement:
    """Handle an attempt that came to nothing, or money that fell through after it had confirmed the order.

    In the first case the order waits for another attempt; in the second a person must know.
    """
    if order.status in _WAITING_FOR_MONEY:
        if order.status is OrderStatus.PAYMENT_FAILED or _others(order, payment, with_money=False):
            return settlement
        notes = facts.failure_message or facts.failure_code or f"payment {status}"
        return replace(settlement, path=(OrderStatus.PAYMENT_FAILED,), notes=notes, topics=("order.payment_failed",))
    if order.status in TERMINAL or not payment.has_money or payment.is_owed_back:
        return settlement
    detail = f"the money of order {order.order_number} fell through after it was confirmed: {facts.failure_code}"
    return _with_failure(settlement, Process.PAYMENT_FELL_THROUGH, detail, payment)


def _with_failure(settlement: Settlement, name: Process, detail: str, payment: LockedPayment) -> Settlement:
    return replace(settlement, failures=(*settlement.failures, (name, detail, {"payment_id": str(payment.id)})))


def _money_returned(order: LockedOrder, payment: LockedPayment, settlement: Settlement) -> Settlement:
    """Handle a payment that was given back in full: before anything was shipped that is a cancellation.

    Goods that were sold but never left return to stock.
    """
    if _others(order, payment, with_money=order.status not in _WAITING_FOR_MONEY):
        return settlement
    ending = replace(settlement, return_sold=any(hold.status == "completed" for hold in order.holds))
    if order.status in _NOT_SHIPPED:
        return replace(
            ending,
            path=(OrderStatus.CANCELLED,),
            notes="refunded in full before anything was shipped",
            resolve_holds="cancelled" if order.has_live_holds else None,
            topics=("order.cancelled",),
        )
    if order.status in _SHIPPED:
        return replace(ending, path=(OrderStatus.REFUNDED,), notes="refunded in full", topics=("order.refunded",))
    return settlement


def confirm(order: LockedOrder, settlement: Settlement) -> Settlement:
    """Sell the stock and move the order to its confirmation, or to the address review: money and stock are there."""
    path = path_to_confirmed(order.status)
    if order.needs_address_review and path:
        path = (*path[:-1], OrderStatus.ADDRESS_REVIEW)
    topic = "order.address_review_needed" if order.needs_address_review else "order.confirmed"
    return replace(
        settlement, path=path, notes="paid", resolve_holds="completed", topics=("order.paid", topic), needs_stock=False
    )


def cancel_for_lost_stock(order: LockedOrder, payment: LockedPayment, settlement: Settlement) -> Settlement:
    """Cancel an order whose money came after its hold was gone and its goods were sold.

    The money goes back, and a person is told. The order can always be cancelled in one step, because every status that
    waits for money may be followed by ``cancelled`` directly.
    """
    detail = f"order {order.order_number} was paid after its hold expired and its stock was sold; the money goes back"
    told = {"payment_id": str(payment.id), "amount": payment.amount}
    return replace(
        settlement,
        path=(OrderStatus.CANCELLED,),
        notes="paid too late: the stock was gone, the money is returned",
        resolve_holds="cancelled" if order.has_live_holds else None,
        return_money_of=((payment.id, "late_payment"),),
        failures=(*settlement.failures, (Process.LATE_PAYMENT, detail, told)),
        topics=("order.cancelled",),
        extra={**settlement.extra, "reason": "late_payment"},
        needs_stock=False,
    )


def write(transaction: Transaction, order: LockedOrder, settlement: Settlement, *, commit: bool = False) -> Any:
    """Write a settlement and return the order's new view; with ``commit`` the COMMIT is sent along with it.

    Raises StaleFacts if the order or its stock has changed meanwhile, which the order's lock rules out unless there is
    a bug.
    """
    run = transaction.execute_and_commit if commit else transaction.value
    return run(
        "SELECT checkout.settle(:organization_id, CAST(:settlement AS jsonb))",
        organization_id=transaction.tenant,
        settlement=settlement_document(transaction, order, settlement),
    )


def _payment_columns(
    order: LockedOrder,
    payment: LockedPayment,
    facts: PaymentFacts,
    status: PaymentStatus,
    tidings: Tidings,
    now: datetime,
) -> dict[str, Any]:
    expires_at = facts.authorization_expires_at
    check_at = (
        now if _came_back(payment, status, tidings) else next_check_at(order, payment, status, payment.checks, now)
    )
    return {
        "id": str(payment.id),
        "status": status,
        "facts": to_json(facts),
        "captured_amount": facts.taken_minor,
        "capturable_amount": facts.remaining_minor,
        "refunded_amount": facts.refunded_minor,
        "charged_back_amount": facts.charged_back_minor,
        "gateway_transaction_id": tidings.gateway_transaction_id,
        "method": tidings.method,
        "brand": tidings.brand,
        "last_four": tidings.last_four,
        "client_action": tidings.client_action,
        "failure_code": facts.failure_code if status is PaymentStatus.FAILED else None,
        "failure_message": facts.failure_message if status is PaymentStatus.FAILED else None,
        "authorization_expires_at": expires_at and expires_at.isoformat(),
        "next_check_at": check_at and check_at.isoformat(),
        "checks": payment.checks,
        "saved_method": kept_method(payment, status, tidings.saved_method, now),
    }


def _came_back(payment: LockedPayment, status: PaymentStatus, tidings: Tidings) -> bool:
    """Return whether the gateway says that the shopper has acted and the money waits for us (PayPal).

    Such a payment is checked at once; if that did not help, it is checked on schedule like any other.
    """
    told_by_gateway = tidings.gateway_transaction_id is not None
    acted = status is PaymentStatus.REQUIRES_ACTION and tidings.news.event_type is EventType.PAYMENT_PROCESSING
    return told_by_gateway and acted and payment.checks == 0


def next_check_at(
    order: LockedOrder, payment: LockedPayment, status: PaymentStatus, checks: int, now: datetime
) -> datetime | None:
    """Return when the watchdog asks the gateway next: in a minute, doubling with each check up to an hour.

    A shopper who has to act has the lifetime of the hold. ``None`` for a payment that is not open.
    """
    if status not in OPEN_STATUSES:
        return None
    if status is PaymentStatus.REQUIRES_ACTION and (held_until := order.held_until(payment.created_at)) > now:
        return held_until
    return now + timedelta(seconds=min(FIRST_CHECK_SECONDS * 2**checks, CHECK_DELAY_MAX_SECONDS))
