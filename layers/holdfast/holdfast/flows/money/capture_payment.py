"""Carry out decided captures (``request_capture``): ask the gateway outside any transaction, then settle its answer.

The watchdog resumes what was not finished. A capture does not change the order's status. If the gateway identifies its
captures, a decision ends with the news of its own capture, whatever other captures exist.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import ClassVar, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.checkout.charge_payment import (
    GATEWAY_DEADLINE_SECONDS,
    GatewayAnswer,
    attempt_of,
    record_answer,
)
from holdfast.flows.money.gateway_run import GatewayRun
from holdfast.flows.money.let_go_of_rest import let_go_of_rest
from holdfast.flows.money.owed_operations import (
    LEASE_SECONDS,
    End,
    Kind,
    Owed,
    claim_due,
    finish,
    reason_of,
    take_back_attempt,
    try_later,
    wait,
)
from holdfast.flows.money.return_money import return_money_owed
from holdfast.flows.operations.call_person import call_person
from holdfast.flows.operations.process_names import Process
from holdfast.flows.operations.ring_bell import ring_outbox_bell
from holdfast.flows.orders.locked_order import LockedOrder, LockedPayment, lock_order
from holdfast.flows.shipping.leave_warehouse import leave_if_paid
from holdfast.gateways.answers import event_from_snapshot
from holdfast.gateways.port import (
    ANSWER_EVENT_TYPE,
    CaptureOutcome,
    Gateway,
    GatewayEvent,
    GatewayRefused,
    PaymentSnapshot,
)
from holdfast.orders.lifecycle import TERMINAL
from holdfast.runtime import Runtime
from holdfast.values.errors import NotRepresentable, Rejected
from holdfast.values.money import Money
from holdfast.values.payment_events import EventType

ACTOR: Final = "system:capture_payment"
PROCESS: Final = Process.CAPTURE_FAILED
_UNWANTED: Final = "not captured: the money goes back"

_logger = logging.getLogger(__name__)


class CaptureFailed(Rejected):
    """Held money could not be captured, and what it was to pay for is not paid."""

    code: ClassVar[str] = "capture_failed"


def capture_due(
    runtime: Runtime,
    organization_id: UUID,
    order_id: UUID,
    clock: Callable[[], datetime],
    run: GatewayRun | None = None,
) -> None:
    """Carry out the captures decided for one order, as far as ``run`` has time and the gateway answers.

    Operations that fail stay recorded as due; the watchdog resumes them.
    """
    run = run or GatewayRun()
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        claimed = claim_due(transaction, order_id, (Kind.CAPTURE,))
    for owed in claimed:
        try:
            _carry_out(runtime, organization_id, owed, clock, run)
        except Exception as error:
            _logger.warning("the capture of order %s: %s", order_id, error, exc_info=True)
            _postpone(runtime, organization_id, owed, error, clock())
    ring_outbox_bell(runtime)


def _carry_out(
    runtime: Runtime, organization_id: UUID, owed: Owed, clock: Callable[[], datetime], run: GatewayRun
) -> None:
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        order = lock_order(transaction, owed.order_id)
        payment = order.payment(owed.payment_id)
        if not (run.has_time() and run.may_ask(payment.gateway_account_id)):
            take_back_attempt(transaction, owed)
            return
        is_taken = _is_taken(payment, owed)
        if not is_taken and _is_over(transaction, order, payment, owed):
            leave_if_paid(transaction, order.id)
            return
    if is_taken:
        let_go_of_rest(runtime, organization_id, order, payment, owed, clock)
        with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
            lock_order(transaction, owed.order_id)
            finish(transaction, owed, End.DONE)
            leave_if_paid(transaction, owed.order_id)
        return
    attempt = attempt_of(organization_id, order, payment)
    gateway = runtime.gateways.gateway(payment.gateway, payment.secret_reference, payment.merchant_account)
    with run.listening(payment.gateway_account_id):
        answer = _ask(gateway, payment, owed, clock)

    def work(transaction: Transaction) -> bool:
        recorded = record_answer(transaction, attempt, answer)
        _conclude(transaction, owed, answer, gateway, is_wanted=recorded.view["status"] not in TERMINAL)
        leave_if_paid(transaction, owed.order_id)
        return recorded.owes_money

    if runtime.database.transact(organization_id, work, now=clock(), actor=ACTOR):
        return_money_owed(runtime, organization_id, owed.order_id, clock, run)


def _is_taken(payment: LockedPayment, owed: Owed) -> bool:
    """Return whether this very capture has already been made.

    It is recognized by its id, or, where captures have none, by there being only one. Raises CaptureFailed if the
    gateway accepted the capture and it failed later.
    """
    if owed.gateway_id is None:
        return payment.captured_amount > 0 and not payment.facts.captures
    for capture in payment.facts.captures:
        if capture.gateway_capture_id == owed.gateway_id:
            if capture.status == CaptureOutcome.FAILED:
                raise CaptureFailed(payment.facts.failure_message or payment.facts.failure_code or "it failed there")
            return capture.stands
    return False


def _is_over(transaction: Transaction, order: LockedOrder, payment: LockedPayment, owed: Owed) -> bool:
    """Return whether there is nothing to ask now: the money goes back, or another capture must end first.

    Raises CaptureFailed if the money is no longer held. With several captures only the gateway knows whether this one
    took what is missing.
    """
    if order.status in TERMINAL or payment.is_owed_back:
        finish(transaction, owed, End.DONE, _UNWANTED)
        return True
    if owed.is_final and _is_another_under_way(transaction, owed):
        # A final capture releases the rest, so it must not overtake a capture that was decided before it.
        wait(transaction, owed, LEASE_SECONDS)
        return True
    if not payment.is_held and not payment.facts.captures:
        raise CaptureFailed(f"the money is not held any more: the payment is {payment.status}")
    return False


def _is_another_under_way(transaction: Transaction, owed: Owed) -> bool:
    return bool(
        transaction.value(
            """
            SELECT count(*) FROM orders.order_operations
             WHERE organization_id = :organization_id AND order_id = :order_id AND payment_id = :payment_id
               AND operation = 'capture' AND state = 'running' AND NOT is_final
            """,
            organization_id=transaction.tenant,
            order_id=owed.order_id,
            payment_id=owed.payment_id,
        )
    )


def _ask(gateway: Gateway, payment: LockedPayment, owed: Owed, clock: Callable[[], datetime]) -> GatewayAnswer:
    """Ask for the capture and return the answer; a refusal of this capture is an answer as well."""
    begun = time.monotonic()
    snapshot = None
    try:
        snapshot = gateway.capture(
            str(payment.gateway_transaction_id),
            Money(owed.amount_minor or payment.amount, payment.currency),
            idempotency_key=f"capture-{owed.id}",
            is_final=owed.is_final,
            deadline_seconds=GATEWAY_DEADLINE_SECONDS,
        )
        event = event_from_snapshot(snapshot, payment.id, clock())
    except GatewayRefused as refused:
        if not refused.is_about_attempt:
            raise
        event = _refusal(refused, payment, owed, clock())
    return GatewayAnswer("capture", event, snapshot, round((time.monotonic() - begun) * 1000))


def _refusal(refused: GatewayRefused, payment: LockedPayment, owed: Owed, now: datetime) -> GatewayEvent:
    """Express a refusal as an event of ours.

    If the payment has several captures, the refusal is not reported as a failure of the payment: other captures may
    stand.
    """
    told = {"code": refused.failure_code, "message": refused.detail}
    event = GatewayEvent(
        gateway_event_id=f"ours:{owed.id}:{owed.attempts}",
        gateway_event_type=ANSWER_EVENT_TYPE,
        event_type=EventType.CAPTURE_FAILED,
        occurred_at=now,
        payment_id=payment.id,
        failure_code=refused.failure_code,
        failure_message=refused.detail,
        payload=told,
    )
    return replace(event, event_type=EventType.CAPTURE_REQUESTED) if payment.facts.captures else event


def _conclude(
    transaction: Transaction, owed: Owed, answer: GatewayAnswer, gateway: Gateway, *, is_wanted: bool
) -> None:
    """Apply the answer to the decision, in the transaction that records the answer."""
    event, outcome = answer.event, _outcome(answer, gateway)
    _note_name(transaction, owed, answer.snapshot)
    if outcome is CaptureOutcome.SUCCEEDED:
        finish(transaction, owed, End.DONE)
    elif outcome is CaptureOutcome.PENDING and not owed.is_last_attempt:
        # The webhook will tell. Until then the same request is repeated under the same key and gets the same answer.
        try_later(transaction, owed, "the gateway has not decided")
    elif not is_wanted:
        finish(transaction, owed, End.DONE, _UNWANTED)
    else:
        why = event.failure_message or event.failure_code or f"the gateway says {event.event_type}"
        _give_up(transaction, owed, CaptureFailed(why))


def _outcome(answer: GatewayAnswer, gateway: Gateway) -> CaptureOutcome:
    """Return the outcome of this very capture.

    Where captures have ids, a payment that is captured says nothing about this one.
    """
    snapshot = answer.snapshot
    if snapshot is not None and snapshot.capture_id is not None:
        return next(one.status for one in snapshot.captures if one.gateway_capture_id == snapshot.capture_id)
    if answer.event.event_type is EventType.CAPTURE_SUCCEEDED:
        return CaptureOutcome.FAILED if gateway.multiple_captures else CaptureOutcome.SUCCEEDED
    return CaptureOutcome.PENDING if answer.event.event_type in _UNDECIDED else CaptureOutcome.FAILED


_UNDECIDED: Final = frozenset({EventType.PAYMENT_PROCESSING, EventType.AUTHORIZATION_SUCCEEDED})


def _note_name(transaction: Transaction, owed: Owed, snapshot: PaymentSnapshot | None) -> None:
    if snapshot is None or snapshot.capture_id is None:
        return
    transaction.execute(
        """
        UPDATE orders.order_operations SET gateway_id = :gateway_id
         WHERE organization_id = :organization_id AND id = :id AND gateway_id IS DISTINCT FROM :gateway_id
        """,
        organization_id=transaction.tenant,
        id=owed.id,
        gateway_id=snapshot.capture_id,
    )


def _postpone(runtime: Runtime, organization_id: UUID, owed: Owed, error: Exception, now: datetime) -> None:
    """Note the failure and retry later; call a person after the last attempt or where a retry is pointless."""
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        if isinstance(error, CaptureFailed | NotRepresentable) or owed.is_last_attempt:
            lock_order(transaction, owed.order_id)
            _give_up(transaction, owed, error)
            leave_if_paid(transaction, owed.order_id)
        else:
            try_later(transaction, owed, reason_of(error))


def _give_up(transaction: Transaction, owed: Owed, error: Exception) -> None:
    finish(transaction, owed, End.FAILED, reason_of(error))
    payload = {
        "operation_id": str(owed.id),
        "payment_id": str(owed.payment_id),
        "subject_id": owed.subject_id and str(owed.subject_id),
        "amount_minor": owed.amount_minor,
    }
    call_person(transaction, PROCESS, owed.order_id, f"held money could not be taken: {error}", payload)
