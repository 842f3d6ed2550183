"""The watchdog of money: what was stored and not processed, payments that stay open, money still owed back."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.charge_payment import ask_gateway, attempt_of, record_answer
from holdfast.flows.locked_order import LockedOrder, LockedPayment, lock_order
from holdfast.flows.return_money import return_money_owed
from holdfast.flows.settlement import next_check_at
from holdfast.gateways.port import Gateway, PaymentSnapshot
from holdfast.payments.model import PaymentStatus
from holdfast.runtime import Runtime
from holdfast.values.ids import uuid7

SWEEP_MAX_EVENTS: Final = 500
SWEEP_GRACE_SECONDS: Final = 20
"""How long an event may wait for its own message before the sweep sends another."""
CHECKS_MAX_PAYMENTS: Final = 50
RETURNS_MAX_ORDERS: Final = 50
CHECKS_BEFORE_ALARM: Final = 8
ACTOR: Final = "system:payment_watchdog"

_logger = logging.getLogger(__name__)


def sweep_payment_events(runtime: Runtime, now: datetime) -> int:
    """Announce again every stored event that is due and unprocessed; answers how many."""
    with runtime.database.transaction(None, now=now, actor=ACTOR) as transaction:
        rows = transaction.rows(
            """
            SELECT organization_id, id FROM payments.payment_events
             WHERE state IN ('pending', 'retry_scheduled') AND next_attempt_at <= :due
             ORDER BY next_attempt_at LIMIT :limit
            """,
            due=now - timedelta(seconds=SWEEP_GRACE_SECONDS),
            limit=SWEEP_MAX_EVENTS,
        )
    return runtime.payment_events_queue.send_all(
        [{"organization_id": str(row.organization_id), "payment_event_id": str(row.id)} for row in rows]
    )


def check_payments(runtime: Runtime, clock: Callable[[], datetime]) -> int:
    """Ask the gateway for the truth about payments that stay open too long; answers how many were asked about."""
    with runtime.database.transaction(None, now=clock(), actor=ACTOR) as transaction:
        rows = transaction.rows(
            """
            SELECT organization_id, id, order_id FROM payments.payments
             WHERE next_check_at IS NOT NULL AND next_check_at <= :now
             ORDER BY next_check_at LIMIT :limit
            """,
            now=clock(),
            limit=CHECKS_MAX_PAYMENTS,
        )
    return sum(_guarded(partial(_check, runtime, row.organization_id, row.order_id, row.id, clock)) for row in rows)


def resume_returns(runtime: Runtime, clock: Callable[[], datetime]) -> int:
    """Go on with money that is owed back; answers how many orders were looked at."""
    with runtime.database.transaction(None, now=clock(), actor=ACTOR) as transaction:
        rows = transaction.rows(
            """
            SELECT DISTINCT organization_id, order_id FROM (
                SELECT organization_id, order_id FROM orders.order_operations
                 WHERE state = 'running' AND next_attempt_at <= :now
                 ORDER BY next_attempt_at LIMIT :limit) due
            """,
            now=clock(),
            limit=RETURNS_MAX_ORDERS,
        )
    for row in rows:
        _guarded(partial(return_money_owed, runtime, row.organization_id, row.order_id, clock))
    return len(rows)


def _guarded(work: Callable[[], Any]) -> int:
    """One payment's trouble must not keep the others waiting; it stays due and is logged."""
    try:
        work()
    except Exception:
        _logger.exception("the watchdog could not finish one payment")
        return 0
    return 1


def _check(
    runtime: Runtime, organization_id: UUID, order_id: UUID, payment_id: UUID, clock: Callable[[], datetime]
) -> None:
    now = clock()
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        order = lock_order(transaction, order_id)
        payment = order.payment(payment_id)
        if not _postpone_check(transaction, order, payment):
            return
    gateway = runtime.gateways.gateway(payment.gateway, payment.secret_reference, payment.merchant_account)
    attempt = attempt_of(organization_id, order, payment)
    hopeless = not order.has_live_holds or payment.status is PaymentStatus.REQUIRES_ACTION
    answer = ask_gateway(runtime, attempt, clock, call=partial(_truth, gateway, payment, hopeless))
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        view = record_answer(transaction, attempt, answer)
    if view["status"] == "cancelled":
        return_money_owed(runtime, organization_id, order_id, clock)


def _truth(
    gateway: Gateway, payment: LockedPayment, hopeless: bool, attempt: Any, *, deadline_seconds: float
) -> PaymentSnapshot | None:
    """What the payment is at the gateway; one that nobody waits for any more is cancelled there if it still can be."""
    transaction_id = payment.gateway_transaction_id
    if transaction_id is None:
        snapshot = gateway.find(attempt, deadline_seconds=deadline_seconds)
        if snapshot is None:
            return None
        transaction_id = snapshot.gateway_transaction_id
    if hopeless:
        return gateway.cancel(transaction_id, idempotency_key=f"cancel-{payment.id}", deadline_seconds=deadline_seconds)
    return gateway.fetch(transaction_id, deadline_seconds=deadline_seconds)


def _postpone_check(transaction: Transaction, order: LockedOrder, payment: LockedPayment) -> bool:
    """Claim the check by moving the next one, committed before the gateway is asked; ``False``: nothing to check."""
    checks = payment.checks + 1
    following = next_check_at(payment.status, checks, transaction.now)
    claimed = transaction.execute(
        """
        UPDATE payments.payments SET next_check_at = :following, checks = :checks
         WHERE organization_id = :organization_id AND id = :id AND next_check_at <= :now
        """,
        organization_id=transaction.tenant,
        id=payment.id,
        following=following,
        checks=checks,
        now=transaction.now,
    )
    if claimed and checks == CHECKS_BEFORE_ALARM:
        transaction.execute(
            """
            INSERT INTO operations.process_failures
                (organization_id, id, process_name, related_id, details, created_at)
            VALUES (:organization_id, :id, 'PaymentUndecided', :payment_id, :details, :now)
            ON CONFLICT (organization_id, process_name, related_id) WHERE status = 'open' DO NOTHING
            """,
            organization_id=transaction.tenant,
            id=uuid7(transaction.now),
            payment_id=payment.id,
            details=f"the payment of order {order.order_number} is {payment.status} after {checks} checks",
            now=transaction.now,
        )
    return bool(claimed) and following is not None
