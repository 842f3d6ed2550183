"""Take held money: the decision is committed first, the gateway is asked outside any transaction, its answer settles.

A decision is a row of ``order_operations``; its id is the key of the call, so that asking twice captures once. Whoever
decides (a shipment, staff, an authorization about to run out) calls ``request_capture`` in its own transaction and
``capture_due`` after it; the watchdog resumes what was not finished. A capture does not move its order.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.checkout.charge_payment import (
    GATEWAY_DEADLINE_SECONDS,
    GatewayAnswer,
    attempt_of,
    record_answer,
)
from holdfast.flows.money.return_money import return_money_owed
from holdfast.flows.operations.call_person import call_person
from holdfast.flows.operations.process_names import Process
from holdfast.flows.operations.ring_bell import ring_outbox_bell
from holdfast.flows.orders.locked_order import LockedOrder, LockedPayment, lock_order
from holdfast.gateways.port import ANSWER_EVENT_TYPE, GatewayEvent, GatewayRefused, event_from_snapshot
from holdfast.orders.lifecycle import TERMINAL
from holdfast.payments.model import PaymentStatus
from holdfast.runtime import Runtime
from holdfast.values.errors import Conflict, InvalidInput, Rejected
from holdfast.values.ids import uuid7
from holdfast.values.money import Money
from holdfast.values.payment_events import EventType

ATTEMPTS_MAX: Final = 12
LEASE_SECONDS: Final = 60
RETRY_DELAY_MAX_SECONDS: Final = 3600
ACTOR: Final = "system:capture_payment"
PROCESS: Final = Process.CAPTURE_FAILED

_logger = logging.getLogger(__name__)


class CaptureFailed(Rejected):
    """Held money could not be taken. What was to be paid with it is not paid."""

    code: ClassVar[str] = "capture_failed"


class CaptureReason(StrEnum):
    """Why the money is taken now."""

    SHIPMENT = "shipment"
    BY_HAND = "by_hand"
    AUTHORIZATION_EXPIRES = "authorization_expires"


@dataclass(frozen=True, slots=True)
class Capture:
    """A decision to capture, as committed."""

    id: UUID
    order_id: UUID
    payment_id: UUID
    amount_minor: int
    attempts: int


def request_capture(
    transaction: Transaction,
    order: LockedOrder,
    payment: LockedPayment,
    amount_minor: int,
    *,
    reason: CaptureReason,
    subject_id: UUID | None = None,
) -> UUID | None:
    """Decide to capture; the caller commits and then calls ``capture_due``. ``None``: it was decided before and is
    under way. ``subject_id`` is what it is for, such as a shipment.

    Raises Conflict where no money is held (any more) and InvalidInput for more than is held.
    """
    if order.status in TERMINAL or payment.is_owed_back:
        raise Conflict("the money of this order is on its way back")
    if payment.status is not PaymentStatus.AUTHORIZED:
        raise Conflict(f"no money is held: the payment is {payment.status}")
    if not 0 < amount_minor <= payment.amount:
        raise InvalidInput(
            f"{amount_minor} of {payment.amount} cannot be captured",
            errors=[{"field": "amount_minor", "message": f"from 1 to {payment.amount}, which is what is held"}],
        )
    requested: UUID | None = transaction.value(
        """
        INSERT INTO orders.order_operations (organization_id, id, order_id, payment_id, operation, subject_id, amount,
                                             reason, requested_by, next_attempt_at, created_at)
        VALUES (:organization_id, :id, :order_id, :payment_id, 'capture', :subject_id, :amount, :reason, :actor, :now,
                :now)
        ON CONFLICT (organization_id, order_id, operation, payment_id, subject_id) WHERE state = 'running' DO NOTHING
        RETURNING id
        """,
        organization_id=transaction.tenant,
        id=uuid7(transaction.now),
        order_id=order.id,
        payment_id=payment.id,
        subject_id=subject_id,
        amount=amount_minor,
        reason=reason,
        actor=transaction.actor,
        now=transaction.now,
    )
    return requested


def capture_due(runtime: Runtime, organization_id: UUID, order_id: UUID, clock: Callable[[], datetime]) -> None:
    """Carry out what was decided about one order. Failures stay recorded as due: the watchdog resumes them."""
    now = clock()
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        rows = transaction.rows(
            """
            UPDATE orders.order_operations
               SET attempts = attempts + 1, next_attempt_at = :lease_until
             WHERE organization_id = :organization_id AND order_id = :order_id AND state = 'running'
               AND operation = 'capture' AND next_attempt_at <= :now
            RETURNING id, order_id, payment_id, amount, attempts
            """,
            organization_id=organization_id,
            order_id=order_id,
            now=now,
            lease_until=now + timedelta(seconds=LEASE_SECONDS),
        )
    for row in rows:
        capture = Capture(row.id, row.order_id, row.payment_id, row.amount, row.attempts)
        try:
            _carry_out(runtime, organization_id, capture, clock)
        except Exception as error:
            _logger.warning("the capture of order %s: %s", order_id, error, exc_info=True)
            _postpone(runtime, organization_id, capture, error, clock())
    ring_outbox_bell(runtime)


def _carry_out(runtime: Runtime, organization_id: UUID, capture: Capture, clock: Callable[[], datetime]) -> None:
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        order = lock_order(transaction, capture.order_id)
        payment = order.payment(capture.payment_id)
        if _is_over(transaction, order, payment, capture):
            return
    attempt = attempt_of(organization_id, order, payment)
    answer = _ask(runtime, payment, capture, clock)

    def work(transaction: Transaction) -> bool:
        recorded = record_answer(transaction, attempt, answer)
        _conclude(transaction, capture, answer.event, is_wanted=recorded.view["status"] not in TERMINAL)
        return recorded.owes_money

    if runtime.database.transact(organization_id, work, now=clock(), actor=ACTOR):
        return_money_owed(runtime, organization_id, capture.order_id, clock)


def _is_over(transaction: Transaction, order: LockedOrder, payment: LockedPayment, capture: Capture) -> bool:
    """Whether nothing is left to ask for: the money was taken, or goes back. Raises CaptureFailed when it is gone."""
    if payment.captured_amount > 0:
        _finish(transaction, capture, "done", None)
        return True
    if order.status in TERMINAL or payment.is_owed_back:
        _finish(transaction, capture, "done", "not captured: the money goes back")
        return True
    if payment.status is not PaymentStatus.AUTHORIZED:
        raise CaptureFailed(f"the money is not held any more: the payment is {payment.status}")
    return False


def _ask(runtime: Runtime, payment: LockedPayment, capture: Capture, clock: Callable[[], datetime]) -> GatewayAnswer:
    """The gateway's answer; a refusal of the capture as such is one too."""
    begun = time.monotonic()
    snapshot = None
    try:
        gateway = runtime.gateways.gateway(payment.gateway, payment.secret_reference, payment.merchant_account)
        snapshot = gateway.capture(
            str(payment.gateway_transaction_id),
            Money(capture.amount_minor, payment.currency),
            idempotency_key=f"capture-{capture.id}",
            deadline_seconds=GATEWAY_DEADLINE_SECONDS,
        )
        event = event_from_snapshot(snapshot, payment.id, clock())
    except GatewayRefused as refused:
        if not refused.is_about_attempt:
            raise
        event = _refusal(refused, payment, capture, clock())
    return GatewayAnswer("capture", event, snapshot, round((time.monotonic() - begun) * 1000))


def _refusal(refused: GatewayRefused, payment: LockedPayment, capture: Capture, now: datetime) -> GatewayEvent:
    return GatewayEvent(
        gateway_event_id=f"ours:{capture.id}:{capture.attempts}",
        gateway_event_type=ANSWER_EVENT_TYPE,
        event_type=EventType.CAPTURE_FAILED,
        occurred_at=now,
        payment_id=payment.id,
        failure_code=refused.failure_code,
        failure_message=refused.detail,
        payload={"code": refused.failure_code, "message": refused.detail},
    )


def _conclude(transaction: Transaction, capture: Capture, event: GatewayEvent, *, is_wanted: bool) -> None:
    """What the answer means for the decision; with the answer, in one transaction."""
    if event.event_type is EventType.CAPTURE_SUCCEEDED:
        _finish(transaction, capture, "done", None)
    elif event.event_type in _UNDECIDED and capture.attempts < ATTEMPTS_MAX:
        # Its webhook tells. Until then the same question is asked again, and answered the same.
        _try_later(transaction, capture, "the gateway has not decided")
    elif not is_wanted:
        _finish(transaction, capture, "done", "not captured: the money goes back")
    else:
        why = event.failure_message or event.failure_code or f"the gateway says {event.event_type}"
        _give_up(transaction, capture, CaptureFailed(why))


_UNDECIDED: Final = frozenset({EventType.PAYMENT_PROCESSING, EventType.AUTHORIZATION_SUCCEEDED})


def _postpone(runtime: Runtime, organization_id: UUID, capture: Capture, error: Exception, now: datetime) -> None:
    """Note the failure and try later; after the last attempt, or where trying again is pointless, call a person."""
    hopeless = isinstance(error, CaptureFailed) or capture.attempts >= ATTEMPTS_MAX
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        if hopeless:
            _give_up(transaction, capture, error)
        else:
            _try_later(transaction, capture, f"{type(error).__name__}: {error}")


def _try_later(transaction: Transaction, capture: Capture, why: str) -> None:
    delay_seconds = min(LEASE_SECONDS * 2 ** (capture.attempts - 1), RETRY_DELAY_MAX_SECONDS)
    transaction.execute(
        """
        UPDATE orders.order_operations SET next_attempt_at = :retry_at, last_error = :why
         WHERE organization_id = :organization_id AND id = :id AND state = 'running'
        """,
        organization_id=transaction.tenant,
        id=capture.id,
        retry_at=transaction.now + timedelta(seconds=delay_seconds),
        why=why,
    )


def _give_up(transaction: Transaction, capture: Capture, error: Exception) -> None:
    why = f"{type(error).__name__}: {error}"
    _finish(transaction, capture, "failed", why)
    payload = {
        "operation_id": str(capture.id),
        "payment_id": str(capture.payment_id),
        "amount_minor": capture.amount_minor,
    }
    call_person(transaction, PROCESS, capture.order_id, f"held money could not be taken: {error}", payload)


def _finish(transaction: Transaction, capture: Capture, state: str, last_error: str | None) -> None:
    transaction.execute(
        """
        UPDATE orders.order_operations SET state = :state, finished_at = :now, last_error = :last_error
         WHERE organization_id = :organization_id AND id = :id AND state = 'running'
        """,
        organization_id=transaction.tenant,
        id=capture.id,
        state=state,
        now=transaction.now,
        last_error=last_error,
    )
