"""Give money back as it was decided: one refund that was asked for, or all that an order must not keep (cancel what is
open, void what is held, refund what was taken).

The decision is committed first (``order_operations``: ``refund`` for the one, ``return_money`` for the other); this
flow carries it out step by step, each step recorded, and can be resumed by anybody at any point. A refund's row is
committed before the gateway is called, and its id is the key of the call: calling twice refunds once.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
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
from holdfast.flows.money.refund_at_gateway import ask_for_refund, look_at_refund
from holdfast.flows.money.refund_news import refund_failure, refund_row
from holdfast.flows.money.settlement import Settlement, write
from holdfast.flows.operations.process_names import Call, Process
from holdfast.flows.orders.locked_order import LockedOrder, LockedPayment, LockedRefund, lock_order
from holdfast.gateways.port import Gateway, GatewayEvent, GatewayRefused, event_from_snapshot
from holdfast.payments.model import PaymentStatus, RefundStatus
from holdfast.runtime import Runtime
from holdfast.values.errors import Rejected, Transient
from holdfast.values.ids import uuid7

STEPS_MAX: Final = 4
"""Find, cancel, refund, and a look at the end: no payment needs more in one go."""
ATTEMPTS_MAX: Final = 12
RETRY_DELAY_MAX_SECONDS: Final = 3600
PENDING_REFUND_LOOK_SECONDS: Final = 3600
"""How often a refund that the gateway has taken and not finished is asked about: its webhook may be lost."""
ON_ITS_WAY_SECONDS: Final = 60
"""How long a charge that nothing was heard of is waited for: twice as long as the function that asks for it lives."""
ACTOR: Final = "system:return_money"

_logger = logging.getLogger(__name__)


class RefundFailed(Rejected):
    """The gateway took the refund and could not carry it out: the money has to reach the shopper another way."""

    code: ClassVar[str] = "refund_failed"


@dataclass(frozen=True, slots=True)
class Operation:
    """A payment whose money goes back: all that is left of it, or one refund."""

    id: UUID
    order_id: UUID
    payment_id: UUID
    refund_id: UUID | None
    reason: str
    attempts: int


def return_money_owed(runtime: Runtime, organization_id: UUID, order_id: UUID, clock: Callable[[], datetime]) -> None:
    """Carry out what is owed for one order. Failures stay recorded as due: the watchdog resumes them."""
    now = clock()
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        operations = _claim_operations(transaction, order_id, now)
    for operation in operations:
        _carry_out(runtime, organization_id, operation, clock)


def _claim_operations(transaction: Transaction, order_id: UUID, now: datetime) -> list[Operation]:
    rows = transaction.rows(
        """
        UPDATE orders.order_operations
           SET attempts = attempts + 1, next_attempt_at = :retry_at
         WHERE organization_id = :organization_id AND order_id = :order_id AND state = 'running'
           AND operation IN ('return_money', 'refund') AND next_attempt_at <= :now
        RETURNING id, order_id, payment_id, subject_id, reason, attempts
        """,
        organization_id=transaction.tenant,
        order_id=order_id,
        now=now,
        retry_at=now + timedelta(seconds=60),
    )
    return [Operation(row.id, row.order_id, row.payment_id, row.subject_id, row.reason, row.attempts) for row in rows]


def _carry_out(runtime: Runtime, organization_id: UUID, operation: Operation, clock: Callable[[], datetime]) -> None:
    try:
        for step in range(STEPS_MAX):
            if not _step(runtime, organization_id, operation, clock, may_look=step == 0):
                return
    except Exception as error:
        _logger.warning("money owed back for order %s: %s", operation.order_id, error, exc_info=True)
        _postpone(runtime, organization_id, operation, error, clock())


def _step(
    runtime: Runtime, organization_id: UUID, operation: Operation, clock: Callable[[], datetime], *, may_look: bool
) -> bool:
    """One step towards the money's return; ``False`` when nothing is left to do now. ``may_look``: at a refund that the
    gateway has and has not finished, which is worth one look a run."""
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        order = lock_order(transaction, operation.order_id)
        payment = order.payment(operation.payment_id)
        ask = _next_call(transaction, order, payment, operation, clock)
        if ask is None:
            _finish(transaction, operation, "done", None)
            return False
        if not may_look and _refund_at_gateway(order, payment, operation) is not None:
            _wait(transaction, operation)
            return False
    gateway = runtime.gateways.gateway(payment.gateway, payment.secret_reference, payment.merchant_account)
    attempt = attempt_of(organization_id, order, payment)
    begun = time.monotonic()
    event = ask(gateway)
    duration_ms = round((time.monotonic() - begun) * 1000)
    record(runtime, attempt, GatewayAnswer("return_money", event, None, duration_ms), clock, ACTOR)
    return True


def _next_call(
    transaction: Transaction,
    order: LockedOrder,
    payment: LockedPayment,
    operation: Operation,
    clock: Callable[[], datetime],
) -> Callable[[Gateway], GatewayEvent] | None:
    """The one call that the payment's state asks for; ``None``: all of it is back. Raises RefundFailed."""
    underway = _refund_at_gateway(order, payment, operation)
    if operation.refund_id is not None:
        refund = order.refund(operation.refund_id)
        if not refund.is_open:
            return None
        return partial(ask_for_refund if underway is None else look_at_refund, payment, refund, clock)
    if payment.is_open or payment.status is PaymentStatus.AUTHORIZED:
        _wait_for_what_is_on_its_way(transaction, payment)
        return partial(_find_or_cancel, transaction.tenant, order, payment, operation, clock)
    if payment.captured_amount <= payment.refunded_amount + payment.charged_back_amount:
        return None
    if underway is not None:
        return partial(look_at_refund, payment, underway, clock)
    if any(refund.payment_id == payment.id and refund.status == "failed" for refund in order.refunds):
        raise RefundFailed(f"the gateway could not refund payment {payment.id}")
    return partial(ask_for_refund, payment, _open_refund(transaction, order, payment, operation), clock)


def _wait_for_what_is_on_its_way(transaction: Transaction, payment: LockedPayment) -> None:
    """Raises Transient for a young attempt that nothing was heard of: whoever committed it may be asking for the money
    at this moment. Its answer or its webhook says where to give it up; to look for it would be to charge it, for that
    is how most gateways are asked (``Gateway.find``)."""
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


def _refund_at_gateway(order: LockedOrder, payment: LockedPayment, operation: Operation) -> LockedRefund | None:
    """A refund of the operation that the gateway has taken and not finished."""
    return next(
        (
            refund
            for refund in order.refunds
            if refund.payment_id == payment.id
            and refund.is_open
            and refund.gateway_refund_id is not None
            and operation.refund_id in (None, refund.id)
        ),
        None,
    )


def _open_refund(
    transaction: Transaction, order: LockedOrder, payment: LockedPayment, operation: Operation
) -> LockedRefund:
    """The refund to ask for: one begun earlier whose answer is missing, or a new one for the rest."""
    for refund in order.refunds:
        if refund.payment_id == payment.id and refund.status == "pending":
            return refund
    reason = operation.reason if operation.reason in _REFUND_REASONS else "other"
    opened = LockedRefund(uuid7(transaction.now), payment.id, payment.returnable, 0, "pending", reason, None)
    row = refund_row(opened, payment, RefundStatus.PENDING, created_by=transaction.actor)
    write(transaction, order, Settlement(order_id=order.id, refunds=(row,)))
    return opened


_REFUND_REASONS: Final = frozenset({"customer_request", "duplicate", "late_payment"})


def _find_or_cancel(
    organization_id: UUID,
    order: LockedOrder,
    payment: LockedPayment,
    operation: Operation,
    clock: Callable[[], datetime],
    gateway: Gateway,
) -> GatewayEvent:
    """Give up what was not captured. What may have been begun has to be found first."""
    transaction_id = payment.gateway_transaction_id
    if transaction_id is None:
        found = find_attempt(gateway, attempt_of(organization_id, order, payment), clock())
        if found is None:
            raise Transient("the gateway does not know the payment yet")
        if found.outcome not in UNDECIDED:
            return event_from_snapshot(found, payment.id, clock())
        # Its id may be one that is never stored (Adyen, while the shopper acts): it is given up by what was found.
        transaction_id = found.gateway_transaction_id
    # A key for each attempt: under an old one a gateway may repeat an old refusal. Cancelling twice does no harm.
    snapshot = gateway.cancel(
        transaction_id,
        idempotency_key=f"cancel-{operation.id}-{operation.attempts}",
        deadline_seconds=GATEWAY_DEADLINE_SECONDS,
    )
    if snapshot.outcome in UNDECIDED:
        raise Transient("the gateway has taken the cancellation and not decided it yet")
    return event_from_snapshot(snapshot, payment.id, clock())


def _wait(transaction: Transaction, operation: Operation) -> None:
    """The rest is the gateway's. Waiting is no failure: the attempts begin anew."""
    transaction.execute(
        """
        UPDATE orders.order_operations SET attempts = 0, next_attempt_at = :look_at, last_error = NULL
         WHERE organization_id = :organization_id AND id = :id AND state = 'running'
        """,
        organization_id=transaction.tenant,
        id=operation.id,
        look_at=transaction.now + timedelta(seconds=PENDING_REFUND_LOOK_SECONDS),
    )


def _finish(transaction: Transaction, operation: Operation, state: str, last_error: str | None) -> None:
    transaction.execute(
        """
        UPDATE orders.order_operations SET state = :state, finished_at = :now, last_error = :last_error
         WHERE organization_id = :organization_id AND id = :id AND state = 'running'
        """,
        organization_id=transaction.tenant,
        id=operation.id,
        state=state,
        now=transaction.now,
        last_error=last_error,
    )


def _postpone(runtime: Runtime, organization_id: UUID, operation: Operation, error: Exception, now: datetime) -> None:
    """Note the failure and try later; after the last attempt, or where trying again is pointless, call a person."""
    refused = isinstance(error, Rejected) and not (isinstance(error, GatewayRefused) and not error.is_about_attempt)
    hopeless = refused or operation.attempts >= ATTEMPTS_MAX
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        if not hopeless:
            delay_seconds = min(30 * 2**operation.attempts, RETRY_DELAY_MAX_SECONDS)
            transaction.execute(
                """
                UPDATE orders.order_operations SET next_attempt_at = :retry_at, last_error = :error
                 WHERE organization_id = :organization_id AND id = :id AND state = 'running'
                """,
                organization_id=organization_id,
                id=operation.id,
                retry_at=now + timedelta(seconds=delay_seconds),
                error=f"{type(error).__name__}: {error}",
            )
            return
        _finish(transaction, operation, "failed", f"{type(error).__name__}: {error}")
        _give_up(transaction, operation, error, refused=refused)


def _give_up(transaction: Transaction, operation: Operation, error: Exception, *, refused: bool) -> None:
    """Call a person. A refund that the gateway refused to begin holds no money back any more; should it exist there
    all the same, its webhook finds the row by its id. One that nobody knows the end of goes on holding it."""
    order = lock_order(transaction, operation.order_id)
    payment = order.payment(operation.payment_id)
    refused_rows = tuple(
        refund_row(refund, payment, RefundStatus.FAILED, failure_code=_failure_code(error))
        for refund in order.refunds
        if refused
        and refund.payment_id == payment.id
        and refund.status == "pending"
        and refund.gateway_refund_id is None
        and operation.refund_id in (None, refund.id)
    )
    payload = {"operation_id": str(operation.id), "payment_id": str(operation.payment_id)}
    failure: Call
    if operation.refund_id is not None:
        amount = order.refund(operation.refund_id).amount
        failure = refund_failure(order, payment, amount, str(error), operation.refund_id)
    else:
        name = Process.REFUND_FAILED if isinstance(error, RefundFailed) else Process.RETURN_MONEY
        failure = (name, f"money owed back could not be returned: {error}", payload)
    write(
        transaction,
        order,
        Settlement(
            order_id=order.id,
            refunds=refused_rows,
            failures=(failure,),
            topics=("order.refund_failed",) if refused_rows and operation.refund_id is not None else (),
            extra={"refund_id": operation.refund_id and str(operation.refund_id)},
        ),
    )


def _failure_code(error: Exception) -> str:
    return error.failure_code if isinstance(error, GatewayRefused) else "not_asked"
