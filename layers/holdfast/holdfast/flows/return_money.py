"""Give back what an order must not keep: cancel what is open, void what is held, refund what was taken.

The decision that money goes back is committed with the cancellation (``order_operations``); this flow carries it out
step by step, each step recorded, and can be resumed by anybody at any point. A refund's row is committed before the
gateway is called, and its id is the key of the call: calling twice refunds once.
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
from holdfast.flows.charge_payment import (
    GATEWAY_DEADLINE_SECONDS,
    UNDECIDED,
    GatewayAnswer,
    attempt_of,
    find_attempt,
    record,
)
from holdfast.flows.locked_order import LockedOrder, LockedPayment, LockedRefund, lock_order
from holdfast.gateways.port import (
    Gateway,
    GatewayEvent,
    GatewayRefused,
    RefundSnapshot,
    event_from_refund_snapshot,
    event_from_snapshot,
)
from holdfast.payments.model import PaymentStatus
from holdfast.runtime import Runtime
from holdfast.values.errors import Rejected, Transient
from holdfast.values.ids import uuid7
from holdfast.values.money import Money

STEPS_MAX: Final = 4
"""Find, cancel, refund, and a look at the end: no payment needs more in one go."""
ATTEMPTS_MAX: Final = 12
RETRY_DELAY_MAX_SECONDS: Final = 3600
PENDING_REFUND_LOOK_SECONDS: Final = 3600
"""How often a refund that the gateway has taken and not finished is asked about: its webhook may be lost."""
ACTOR: Final = "system:return_money"

_logger = logging.getLogger(__name__)


class RefundFailed(Rejected):
    """The gateway took the refund and could not carry it out: the money has to reach the shopper another way."""

    code: ClassVar[str] = "refund_failed"


@dataclass(frozen=True, slots=True)
class Operation:
    """A payment whose money is owed back."""

    id: UUID
    order_id: UUID
    payment_id: UUID
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
           AND operation = 'return_money' AND next_attempt_at <= :now
        RETURNING id, order_id, payment_id, reason, attempts
        """,
        organization_id=transaction.tenant,
        order_id=order_id,
        now=now,
        retry_at=now + timedelta(seconds=60),
    )
    return [Operation(row.id, row.order_id, row.payment_id, row.reason, row.attempts) for row in rows]


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
        if not may_look and _refund_at_gateway(order, payment) is not None:
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
    if payment.is_open or payment.status is PaymentStatus.AUTHORIZED:
        return partial(_find_or_cancel, transaction.tenant, order, payment, operation, clock)
    if payment.captured_amount <= payment.refunded_amount:
        return None
    underway = _refund_at_gateway(order, payment)
    if underway is not None:
        return partial(_look_at_refund, payment, underway, clock)
    if any(refund.payment_id == payment.id and refund.status == "failed" for refund in order.refunds):
        raise RefundFailed(f"the gateway could not refund payment {payment.id}")
    return partial(_refund, payment, _open_refund(transaction, order, payment, operation), clock)


def _refund_at_gateway(order: LockedOrder, payment: LockedPayment) -> LockedRefund | None:
    """A refund the gateway has taken and not finished."""
    return next(
        (
            refund
            for refund in order.refunds
            if refund.payment_id == payment.id
            and refund.status in ("pending", "processing")
            and refund.gateway_refund_id is not None
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
    opened = LockedRefund(uuid7(transaction.now), payment.id, payment.returnable, "pending", reason, None)
    transaction.execute(
        """
        WITH opened AS (
            INSERT INTO payments.refunds (organization_id, id, order_id, payment_id, amount, currency, reason,
                                          is_full_refund, created_by, created_at)
            VALUES (:organization_id, :id, :order_id, :payment_id, :amount, :currency, :reason, :is_full, :actor, :now)
            RETURNING amount)
        UPDATE payments.payments SET refunding_amount = refunding_amount + (SELECT amount FROM opened)
         WHERE organization_id = :organization_id AND id = :payment_id
        """,
        organization_id=transaction.tenant,
        id=opened.id,
        order_id=order.id,
        payment_id=payment.id,
        amount=opened.amount,
        currency=payment.currency,
        reason=reason,
        is_full=opened.amount == payment.amount,
        actor=transaction.actor,
        now=transaction.now,
    )
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


def _refund(
    payment: LockedPayment, refund: LockedRefund, clock: Callable[[], datetime], gateway: Gateway
) -> GatewayEvent:
    # The same refund is always the same request under the same key.
    snapshot = gateway.refund(
        _transaction_id(payment),
        Money(refund.amount, payment.currency),
        idempotency_key=f"refund-{refund.id}",
        refund_id=refund.id,
        reason=refund.reason,
        deadline_seconds=GATEWAY_DEADLINE_SECONDS,
    )
    return _refund_event(snapshot, payment, refund.id, clock())


def _look_at_refund(
    payment: LockedPayment, refund: LockedRefund, clock: Callable[[], datetime], gateway: Gateway
) -> GatewayEvent:
    snapshot = gateway.fetch_refund(str(refund.gateway_refund_id), deadline_seconds=GATEWAY_DEADLINE_SECONDS)
    return _refund_event(snapshot, payment, refund.id, clock())


def _refund_event(snapshot: RefundSnapshot, payment: LockedPayment, refund_id: UUID, now: datetime) -> GatewayEvent:
    return event_from_refund_snapshot(
        snapshot, transaction_id=_transaction_id(payment), payment_id=payment.id, refund_id=refund_id, now=now
    )


def _transaction_id(payment: LockedPayment) -> str:
    if payment.gateway_transaction_id is None:
        raise RuntimeError("money was captured in a transaction that is not known")
    return payment.gateway_transaction_id


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
        if refused:
            _drop_refund(transaction, operation, error)
        transaction.execute(
            """
            INSERT INTO operations.process_failures
                (organization_id, id, process_name, related_id, details, payload, created_at)
            VALUES (:organization_id, :id, 'ReturnMoney', :order_id, :details, CAST(:payload AS jsonb), :now)
            ON CONFLICT (organization_id, process_name, related_id) WHERE status = 'open' DO NOTHING
            """,
            organization_id=organization_id,
            id=uuid7(now),
            order_id=operation.order_id,
            details=f"money owed back could not be returned: {error}",
            payload={"operation_id": str(operation.id), "payment_id": str(operation.payment_id)},
            now=now,
        )


def _drop_refund(transaction: Transaction, operation: Operation, error: Exception) -> None:
    """A refund that the gateway refused to begin holds no money back any more. Should it exist there all the same, its
    webhook finds the row by its id."""
    transaction.execute(
        """
        WITH dropped AS (
            UPDATE payments.refunds SET status = 'failed', failure_code = :code, completed_at = :now
             WHERE organization_id = :organization_id AND payment_id = :payment_id
               AND status = 'pending' AND gateway_refund_id IS NULL
            RETURNING amount)
        UPDATE payments.payments
           SET refunding_amount = refunding_amount - (SELECT COALESCE(sum(amount), 0) FROM dropped)
         WHERE organization_id = :organization_id AND id = :payment_id AND EXISTS (SELECT 1 FROM dropped)
        """,
        organization_id=transaction.tenant,
        payment_id=operation.payment_id,
        code=error.failure_code if isinstance(error, GatewayRefused) else "not_asked",
        now=transaction.now,
    )
