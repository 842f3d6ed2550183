"""Give money back as decided: one requested refund, or all that an order must not keep.

Returning all of it means to cancel what is open, void what is held and refund what was taken. The decision is committed
first (``order_operations``: ``refund`` for one, ``return_money`` for all). This flow carries it out step by step,
records each step, and can be resumed by anybody at any point. A refund's row is committed before the gateway is called,
and its id is the idempotency key of the call, so calling twice refunds once.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import ClassVar, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.checkout.charge_payment import (
    GATEWAY_DEADLINE_SECONDS,
    UNDECIDED,
    GatewayAnswer,
    attempt_of,
    find_attempt,
    record,
)
from holdfast.flows.money.gateway_run import GatewayRun
from holdfast.flows.money.owed_operations import (
    NOT_EXECUTED_MAX_DAYS,
    End,
    Kind,
    Owed,
    claim_due,
    finish,
    may_be_executed,
    reason_of,
    take_back_attempt,
    try_later,
    wait,
)
from holdfast.flows.money.refund_at_gateway import (
    RefundTooOld,
    ask_for_refund,
    has_refund_failed_since,
    key_may_be_forgotten,
    look_at_refund,
)
from holdfast.flows.money.refund_news import refund_failure, refund_row
from holdfast.flows.money.refund_purses import purses_of
from holdfast.flows.money.settlement import write
from holdfast.flows.money.settlement_document import Settlement
from holdfast.flows.operations.process_names import Call, Process
from holdfast.flows.orders.locked_order import LockedOrder, LockedPayment, LockedRefund, lock_order
from holdfast.flows.shipping.follow_refunds import follow_refunds, may_move_parcels
from holdfast.gateways.answers import event_from_snapshot
from holdfast.gateways.port import Gateway, GatewayEvent, GatewayRefused, surely_not_executed
from holdfast.payments.model import RefundStatus
from holdfast.runtime import Runtime
from holdfast.values.errors import Rejected, Transient
from holdfast.values.ids import uuid7

STEPS_MAX: Final = 13
"""Find, cancel, refund each of ten captures, and check at the end. What needs more goes on in the next run."""
PENDING_REFUND_LOOK_SECONDS: Final = 3600
"""How often a refund that the gateway accepted but has not finished is polled: its webhook may be lost."""
ON_ITS_WAY_SECONDS: Final = 60
"""How long to wait for a charge of which nothing was heard: twice as long as the charging function can run."""
ACTOR: Final = "system:return_money"

_logger = logging.getLogger(__name__)


class RefundFailed(Rejected):
    """The gateway accepted the refund and could not carry it out: the money has to reach the shopper another way."""

    code: ClassVar[str] = "refund_failed"


def return_money_owed(
    runtime: Runtime,
    organization_id: UUID,
    order_id: UUID,
    clock: Callable[[], datetime],
    run: GatewayRun | None = None,
) -> None:
    """Carry out what is owed for one order, as far as ``run`` has time and the gateway answers.

    Operations that fail stay recorded as due; the watchdog resumes them.
    """
    now, run = clock(), run or GatewayRun()
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        claimed = claim_due(transaction, order_id, (Kind.RETURN_MONEY, Kind.REFUND))
    for operation in claimed:
        _carry_out(runtime, organization_id, operation, clock, run)


def _carry_out(
    runtime: Runtime, organization_id: UUID, operation: Owed, clock: Callable[[], datetime], run: GatewayRun
) -> None:
    try:
        for step in range(STEPS_MAX):
            if not _step(runtime, organization_id, operation, clock, run, may_look=step == 0):
                return
    except Exception as error:
        _logger.warning("money owed back for order %s: %s", operation.order_id, error, exc_info=True)
        _postpone(runtime, organization_id, operation, error, clock())


def _step(
    runtime: Runtime,
    organization_id: UUID,
    operation: Owed,
    clock: Callable[[], datetime],
    run: GatewayRun,
    *,
    may_look: bool,
) -> bool:
    """Take one step towards the return of the money; return ``False`` if nothing is left to do now.

    ``may_look`` allows polling a refund that the gateway has accepted but not finished, which is worth one call a run.
    """
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        order = lock_order(transaction, operation.order_id)
        payment = order.payment(operation.payment_id)
        if not (run.has_time() and run.may_ask(payment.gateway_account_id)):
            take_back_attempt(transaction, operation)
            return False
        ask = _next_call(transaction, order, payment, operation, clock)
        if ask is None:
            finish(transaction, operation, End.DONE)
            return False
        if not may_look and ask.func is look_at_refund:
            wait(transaction, operation, PENDING_REFUND_LOOK_SECONDS)
            return False
    gateway = runtime.gateways.gateway(payment.gateway, payment.secret_reference, payment.merchant_account)
    attempt = attempt_of(organization_id, order, payment)
    begun = time.monotonic()
    with run.listening(payment.gateway_account_id):
        event = ask(gateway)
    duration_ms = round((time.monotonic() - begun) * 1000)
    record(runtime, attempt, GatewayAnswer("return_money", event, None, duration_ms), clock, ACTOR)
    return True


def _next_call(
    transaction: Transaction,
    order: LockedOrder,
    payment: LockedPayment,
    operation: Owed,
    clock: Callable[[], datetime],
) -> "partial[GatewayEvent] | None":
    """Return the one call that the payment's state requires, or ``None`` if all of the money is back.

    Raises RefundFailed, RefundTooOld or Transient.
    """
    underway = _refund_at_gateway(order, payment, operation)
    if operation.subject_id is not None:
        refund = order.refund(operation.subject_id)
        if not refund.is_open:
            return None
        look = partial(look_at_refund, payment, refund, clock)
        return look if underway is not None else _ask_for(transaction, payment, refund, operation, clock)
    if payment.is_open or payment.is_held:
        _wait_for_what_is_on_its_way(transaction, payment)
        return partial(_find_or_cancel, transaction.tenant, order, payment, operation, clock)
    if payment.captured_amount <= payment.refunded_amount + payment.charged_back_amount:
        return None
    of_payment = [refund for refund in order.refunds if refund.payment_id == payment.id]
    failed = has_refund_failed_since(transaction, order, payment, operation.created_at)
    begun = next((refund for refund in of_payment if refund.status == "pending"), None)
    # With several captures the next refund is requested while the gateway still works on the previous one.
    if begun is None and payment.returnable > 0 and not failed:
        begun = _open_refund(transaction, order, payment, operation)
    if begun is not None:
        return _ask_for(transaction, payment, begun, operation, clock)
    if underway is not None:
        return partial(look_at_refund, payment, underway, clock)
    raise RefundFailed(f"the gateway could not refund payment {payment.id}")


def _ask_for(
    transaction: Transaction,
    payment: LockedPayment,
    refund: LockedRefund,
    operation: Owed,
    clock: Callable[[], datetime],
) -> "partial[GatewayEvent]":
    """Return the call that requests the refund.

    Raises RefundTooOld for a refund that may have been made already and could be made a second time.
    """
    forgotten = key_may_be_forgotten(payment, refund, transaction.now)
    if forgotten and may_be_executed(transaction, operation.order_id, payment.id, but_attempts=1):
        raise RefundTooOld(
            f"nothing is known of refund {refund.id}, and it is too old to be asked for again: see {payment.gateway}"
        )
    return partial(ask_for_refund, payment, refund, clock)


def _wait_for_what_is_on_its_way(transaction: Transaction, payment: LockedPayment) -> None:
    """Raise Transient for a young attempt of which nothing was heard.

    Whoever committed it may be charging at this moment. The answer or the webhook will tell which transaction to give
    up. To look the payment up would mean to charge it, because that is how most gateways are asked (``Gateway.find``).
    """
    if payment.gateway_transaction_id is not None:
        return
    if transaction.now >= payment.created_at + timedelta(seconds=ON_ITS_WAY_SECONDS):
        return
    heard = transaction.value(
        """
        SELECT count(*) FROM payments.payment_events WHERE organization_id = :organization_id AND payment_id = :id
        """,
        organization_id=transaction.tenant,
        id=payment.id,
    )
    if not heard:
        raise Transient("the charge may be on its way to the gateway")


def _refund_at_gateway(order: LockedOrder, payment: LockedPayment, operation: Owed) -> LockedRefund | None:
    """Return a refund of the operation that the gateway has accepted but not finished."""
    return next(
        (
            refund
            for refund in order.refunds
            if refund.payment_id == payment.id
            and refund.is_open
            and refund.gateway_refund_id is not None
            and operation.subject_id in (None, refund.id)
        ),
        None,
    )


def _open_refund(transaction: Transaction, order: LockedOrder, payment: LockedPayment, operation: Owed) -> LockedRefund:
    """Commit a new refund of the rest, or of what one of its captures has left, before it is requested."""
    reason = operation.reason if operation.reason in _REFUND_REASONS else "other"
    purse = purses_of(order, payment)[0]
    opened = LockedRefund(
        id=uuid7(transaction.now),
        payment_id=payment.id,
        amount=purse.left_minor,
        shipping_amount=0,
        status="pending",
        reason=reason,
        gateway_refund_id=None,
        gateway_capture_id=purse.gateway_capture_id,
    )
    row = refund_row(opened, payment, RefundStatus.PENDING, created_by=transaction.actor)
    write(transaction, order, Settlement(order_id=order.id, refunds=(row,)))
    return opened


_REFUND_REASONS: Final = frozenset({"customer_request", "duplicate", "late_payment"})


def _find_or_cancel(
    organization_id: UUID,
    order: LockedOrder,
    payment: LockedPayment,
    operation: Owed,
    clock: Callable[[], datetime],
    gateway: Gateway,
) -> GatewayEvent:
    """Give up what was not captured. If the gateway's id is not known, the payment has to be found first."""
    transaction_id = payment.gateway_transaction_id
    if transaction_id is None:
        found = find_attempt(gateway, attempt_of(organization_id, order, payment), clock())
        if found is None:
            raise Transient("the gateway does not know the payment yet")
        if found.outcome not in UNDECIDED:
            return event_from_snapshot(found, payment.id, clock())
        # Its id may be one that is never stored (Adyen, while the shopper acts), so the id just found is cancelled.
        transaction_id = found.gateway_transaction_id
    # Each attempt has its own key: under an old key a gateway may repeat an old refusal, or an old "received". The time
    # tells attempts apart, and not their number, which begins anew when staff retry. Cancelling twice does no harm.
    snapshot = gateway.cancel(
        transaction_id,
        idempotency_key=f"cancel-{operation.id}-{clock().timestamp():.0f}",
        deadline_seconds=GATEWAY_DEADLINE_SECONDS,
    )
    if snapshot.outcome in UNDECIDED:
        raise Transient("the gateway has taken the cancellation and not decided it yet")
    return event_from_snapshot(snapshot, payment.id, clock())


def _postpone(runtime: Runtime, organization_id: UUID, operation: Owed, error: Exception, now: datetime) -> None:
    """Note the failure and retry later; call a person after the last attempt or where a retry is pointless."""
    is_lost = isinstance(error, RefundTooOld)
    says_nothing = isinstance(error, GatewayRefused) and not error.is_about_attempt
    refused = isinstance(error, Rejected) and not is_lost and not says_nothing
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        if surely_not_executed(error):
            take_back_attempt(transaction, operation, reason_of(error))
            if now - operation.created_at < timedelta(days=NOT_EXECUTED_MAX_DAYS):
                return
        elif not (refused or is_lost or operation.is_last_attempt):
            try_later(transaction, operation, reason_of(error))
            return
        finish(transaction, operation, End.FAILED, reason_of(error))
        _give_up(transaction, operation, error, refused=refused)


def _give_up(transaction: Transaction, operation: Owed, error: Exception, *, refused: bool) -> None:
    """Call a person.

    A refund that the gateway refused to begin no longer reserves money. If it exists there all the same, its webhook
    finds the row by its id. A refund whose outcome nobody knows goes on reserving its money.
    """
    order = lock_order(transaction, operation.order_id)
    payment = order.payment(operation.payment_id)
    refused_rows = tuple(
        refund_row(refund, payment, RefundStatus.FAILED, failure_code=_failure_code(error))
        for refund in order.refunds
        if refused
        and refund.payment_id == payment.id
        and refund.status == "pending"
        and refund.gateway_refund_id is None
        and operation.subject_id in (None, refund.id)
    )
    payload = {"operation_id": str(operation.id), "payment_id": str(operation.payment_id)}
    failure: Call
    if operation.subject_id is not None:
        amount = order.refund(operation.subject_id).amount
        failure = refund_failure(order, payment, amount, str(error), operation.subject_id, operation.id)
    else:
        name = Process.REFUND_FAILED if isinstance(error, RefundFailed) else Process.RETURN_MONEY
        failure = (name, f"money owed back could not be returned: {error}", payload)
    settlement = Settlement(
        order_id=order.id,
        refunds=refused_rows,
        failures=(failure,),
        topics=("order.refund_failed",) if refused_rows and operation.subject_id is not None else (),
        extra={"refund_id": operation.subject_id and str(operation.subject_id)},
    )
    view = write(transaction, order, settlement)
    if may_move_parcels(order, settlement):
        follow_refunds(transaction, order.id, view, is_reversal=False)


def _failure_code(error: Exception) -> str:
    return error.failure_code if isinstance(error, GatewayRefused) else "not_asked"
