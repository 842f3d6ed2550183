"""Give back what an order must not keep: cancel what is open, void what is held, refund what was taken.

The decision that money goes back is committed with the cancellation (``order_operations``); this flow carries it out
step by step, each step recorded, and can be resumed by anybody at any point. A refund's row is committed before the
gateway is called, and its id is the key of the call: calling twice refunds once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.charge_payment import (
    GATEWAY_DEADLINE_SECONDS,
    GatewayAnswer,
    attempt_of,
    record_answer,
)
from holdfast.flows.locked_order import LockedOrder, LockedPayment, lock_order
from holdfast.gateways.port import Gateway, GatewayEvent, event_from_refund_snapshot, event_from_snapshot
from holdfast.payments.model import PaymentStatus
from holdfast.runtime import Runtime
from holdfast.values.errors import HoldfastError, Rejected, Transient
from holdfast.values.ids import uuid7
from holdfast.values.money import Money

STEPS_MAX: Final = 4
"""Find, cancel, refund, and a look at the end: no payment needs more in one go."""
ATTEMPTS_MAX: Final = 12
RETRY_DELAY_MAX_SECONDS: Final = 3600
ACTOR: Final = "system:return_money"


@dataclass(frozen=True, slots=True)
class Operation:
    """A payment whose money is owed back."""

    id: UUID
    order_id: UUID
    payment_id: UUID | None
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
        for _ in range(STEPS_MAX):
            if not _step(runtime, organization_id, operation, clock):
                return
    except HoldfastError as error:
        _postpone(runtime, organization_id, operation, error, clock())


def _step(runtime: Runtime, organization_id: UUID, operation: Operation, clock: Callable[[], datetime]) -> bool:
    """One step towards the money's return; ``False`` when nothing is left to do now."""
    now = clock()
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        order = lock_order(transaction, operation.order_id)
        payment = _next_payment(order, operation)
        if payment is None:
            _finish(transaction, operation, "done", None)
            return False
        refund_id = _open_refund(transaction, order, payment, operation) if payment.captured_amount else None
    event = _ask(runtime, organization_id, order, payment, refund_id, clock)
    now = clock()
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        record_answer(transaction, attempt_of(organization_id, order, payment), GatewayAnswer(event, None, 0))
    return True


def _next_payment(order: LockedOrder, operation: Operation) -> LockedPayment | None:
    """The payment of the operation that still has something to give back."""
    concerned = [p for p in order.payments if operation.payment_id is None or p.id == operation.payment_id]
    for payment in concerned:
        if payment.is_open or payment.status is PaymentStatus.AUTHORIZED:
            return payment
        if payment.captured_amount > payment.refunded_amount and not _awaits_gateway(order, payment):
            return payment
    return None


def _awaits_gateway(order: LockedOrder, payment: LockedPayment) -> bool:
    """A refund the gateway has taken and not finished: its webhook, or the watchdog, brings the end."""
    return payment.returnable == 0 and all(
        refund.gateway_refund_id is not None
        for refund in order.refunds
        if refund.payment_id == payment.id and refund.status in ("pending", "processing")
    )


def _open_refund(
    transaction: Transaction, order: LockedOrder, payment: LockedPayment, operation: Operation
) -> UUID | None:
    """The refund to ask for: one begun earlier whose answer is missing, or a new one for all that is returnable."""
    for refund in order.refunds:
        if refund.payment_id == payment.id and refund.status == "pending" and refund.gateway_refund_id is None:
            return refund.id
    refund_id = uuid7(transaction.now)
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
        id=refund_id,
        order_id=order.id,
        payment_id=payment.id,
        amount=payment.returnable,
        currency=payment.currency,
        reason=operation.reason if operation.reason in _REFUND_REASONS else "other",
        is_full=payment.returnable == payment.amount,
        actor=transaction.actor,
        now=transaction.now,
    )
    return refund_id


_REFUND_REASONS: Final = frozenset({"customer_request", "duplicate", "late_payment"})


def _ask(
    runtime: Runtime,
    organization_id: UUID,
    order: LockedOrder,
    payment: LockedPayment,
    refund_id: UUID | None,
    clock: Callable[[], datetime],
) -> GatewayEvent:
    """The one call that the payment's state asks for. Raises Transient or Rejected."""
    gateway = runtime.gateways.gateway(payment.gateway, payment.secret_reference, payment.merchant_account)
    bounded: Mapping[str, Any] = {"deadline_seconds": GATEWAY_DEADLINE_SECONDS}
    transaction_id = payment.gateway_transaction_id
    if transaction_id is None:
        found = gateway.find(attempt_of(organization_id, order, payment).request(), **bounded)
        if found is None:
            raise Transient("the gateway does not know the payment yet")
        return event_from_snapshot(found, payment.id, clock())
    if refund_id is None:
        return _cancel(gateway, payment, transaction_id, bounded, clock)
    amount = next((r.amount for r in order.refunds if r.id == refund_id), payment.returnable)
    snapshot = gateway.refund(
        transaction_id,
        Money(amount, payment.currency),
        idempotency_key=f"refund-{refund_id}",
        refund_id=refund_id,
        **bounded,
    )
    return event_from_refund_snapshot(
        snapshot, transaction_id=transaction_id, payment_id=payment.id, refund_id=refund_id, now=clock()
    )


def _cancel(
    gateway: Gateway,
    payment: LockedPayment,
    transaction_id: str,
    bounded: Mapping[str, Any],
    clock: Callable[[], datetime],
) -> GatewayEvent:
    cancel = partial(gateway.cancel, transaction_id, idempotency_key=f"cancel-{payment.id}")
    return event_from_snapshot(cancel(**bounded), payment.id, clock())


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


def _postpone(
    runtime: Runtime, organization_id: UUID, operation: Operation, error: HoldfastError, now: datetime
) -> None:
    """Note the failure and try later; after the last attempt, or where trying again is pointless, call a person."""
    hopeless = isinstance(error, Rejected) or operation.attempts >= ATTEMPTS_MAX
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
