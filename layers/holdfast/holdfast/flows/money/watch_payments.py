"""The payment watchdog: stored events not yet processed, payments that stay open, money still owed back."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.checkout.charge_payment import AttemptTooOld, Question, ask_gateway, attempt_of, record
from holdfast.flows.money.capture_payment import capture_due
from holdfast.flows.money.gateway_run import GatewayRun
from holdfast.flows.money.return_money import return_money_owed
from holdfast.flows.money.settlement import CHECK_DELAY_MAX_SECONDS, next_check_at
from holdfast.flows.operations.call_person import call_person
from holdfast.flows.operations.process_names import Process
from holdfast.flows.operations.ring_bell import ring_outbox_bell
from holdfast.flows.orders.locked_order import LockedOrder, LockedPayment, lock_order
from holdfast.runtime import Runtime
from holdfast.values.errors import Transient

SWEEP_MAX_EVENTS: Final = 500
SWEEP_GRACE_SECONDS: Final = 20
"""How long an event may wait for its own message, in seconds, before the sweep sends another."""
CHECKS_MAX_PAYMENTS: Final = 50
RETURNS_MAX_ORDERS: Final = 50
CHECKS_BEFORE_ALARM: Final = 8
ACTOR: Final = "system:payment_watchdog"
PROCESS: Final = Process.PAYMENT_UNDECIDED
UNCHECKED: Final = "the watchdog cannot check this payment; its log says why"

_logger = logging.getLogger(__name__)


def sweep_payment_events(runtime: Runtime, now: datetime) -> int:
    """Announce again every stored event that is due and unprocessed; return how many."""
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


def check_payments(runtime: Runtime, clock: Callable[[], datetime], run: GatewayRun | None = None) -> int:
    """Ask the gateway about payments that stay open too long; return how many were asked about."""
    run = run or GatewayRun()

    def due(transaction: Transaction, done: Sequence[UUID]) -> Sequence[Any]:
        return transaction.rows(
            """
            SELECT organization_id, id, order_id, gateway_account_id FROM payments.payments
             WHERE next_check_at IS NOT NULL AND next_check_at <= :now
               AND gateway_account_id <> ALL (CAST(:left_alone AS uuid[])) AND id <> ALL (CAST(:done AS uuid[]))
             ORDER BY next_check_at LIMIT :limit
            """,
            now=transaction.now,
            left_alone=run.left_alone,
            done=done,
            limit=CHECKS_MAX_PAYMENTS - len(done),
        )

    def check(row: Any) -> int:
        return _guarded(
            partial(_check, runtime, row.organization_id, row.order_id, row.id, clock, run),
            otherwise=partial(_set_aside, runtime, row.organization_id, row.id, clock),
        )

    return _each_due(runtime, clock, run, due, check)


def resume_returns(runtime: Runtime, clock: Callable[[], datetime], run: GatewayRun | None = None) -> int:
    """Resume returns of money and captures that are due; return how many orders were handled."""
    run = run or GatewayRun()

    def due(transaction: Transaction, done: Sequence[UUID]) -> Sequence[Any]:
        return transaction.rows(
            """
            SELECT x.organization_id, x.order_id AS id, p.gateway_account_id
              FROM orders.order_operations x
              JOIN payments.payments p ON p.organization_id = x.organization_id AND p.id = x.payment_id
             WHERE x.state = 'running' AND x.next_attempt_at <= :now
               AND p.gateway_account_id <> ALL (CAST(:left_alone AS uuid[]))
               AND x.order_id <> ALL (CAST(:done AS uuid[]))
             GROUP BY x.organization_id, x.order_id, p.gateway_account_id
             ORDER BY min(x.next_attempt_at) LIMIT :limit
            """,
            now=transaction.now,
            left_alone=run.left_alone,
            done=done,
            limit=RETURNS_MAX_ORDERS - len(done),
        )

    def resume(row: Any) -> int:
        return _guarded(partial(_resume, runtime, row.organization_id, row.id, clock, run))

    return _each_due(runtime, clock, run, due, resume)


def _each_due(
    runtime: Runtime,
    clock: Callable[[], datetime],
    run: GatewayRun,
    due: Callable[[Transaction, Sequence[UUID]], Sequence[Any]],
    work: Callable[[Any], int],
) -> int:
    """Work once on each due row while there is time; return how many were handled.

    If an account has to be skipped, the due rows are queried again without it: a gateway that is down must not fill the
    run with work that cannot be done.
    """
    done: list[UUID] = []
    worked = 0
    is_all = False
    while not is_all:
        with runtime.database.transaction(None, now=clock(), actor=ACTOR) as transaction:
            rows = due(transaction, done)
        is_all = True
        for row in rows:
            if not run.has_time():
                return worked
            if row.id in done:
                continue
            if not run.may_ask(row.gateway_account_id):
                is_all = False
                continue
            done.append(row.id)
            worked += work(row)
    return worked


def _resume(
    runtime: Runtime, organization_id: UUID, order_id: UUID, clock: Callable[[], datetime], run: GatewayRun
) -> None:
    return_money_owed(runtime, organization_id, order_id, clock, run)
    capture_due(runtime, organization_id, order_id, clock, run)


def _guarded(work: Callable[[], Any], *, otherwise: Callable[[], Any] | None = None) -> int:
    """Return 1 if the work succeeded, else 0: one payment's failure must not keep the others waiting.

    After an error that is not Transient, ``otherwise`` is run.
    """
    try:
        work()
    except Exception as error:
        _logger.exception("the watchdog could not finish one payment")
        if otherwise is not None and not isinstance(error, Transient):
            _guarded(otherwise)
        return 0
    return 1


def _set_aside(runtime: Runtime, organization_id: UUID, payment_id: UUID, clock: Callable[[], datetime]) -> None:
    """Postpone the check of a payment that cannot even be read, and tell a person.

    Otherwise it would be first in the queue for ever.
    """
    now = clock()
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        transaction.execute(
            """
            UPDATE payments.payments SET next_check_at = :later
             WHERE organization_id = :organization_id AND id = :id AND next_check_at <= :now
            """,
            organization_id=organization_id,
            id=payment_id,
            later=now + timedelta(seconds=CHECK_DELAY_MAX_SECONDS),
            now=now,
        )
        call_person(transaction, PROCESS, payment_id, UNCHECKED, renews=True)


def _check(
    runtime: Runtime,
    organization_id: UUID,
    order_id: UUID,
    payment_id: UUID,
    clock: Callable[[], datetime],
    run: GatewayRun,
) -> None:
    now = clock()
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        order = lock_order(transaction, order_id)
        payment = order.payment(payment_id)
        if not _postpone_check(transaction, order, payment):
            return
    attempt = attempt_of(organization_id, order, payment)
    # If nobody waits for the payment any more, it is ended at the gateway, provided that is still possible.
    question = Question.LOOK_UP if order.waits_for_money_at(now) else Question.GIVE_UP
    if question is Question.LOOK_UP and not _can_be_asked(runtime, payment):
        return
    try:
        answer = ask_gateway(runtime, attempt, clock, question)
    except AttemptTooOld as lost:
        _stop_checking(runtime, organization_id, payment, lost, clock())
        return
    run.note(payment.gateway_account_id, is_answered=answer.is_heard)
    recorded = record(runtime, attempt, answer, clock, ACTOR)
    if recorded.owes_money:
        return_money_owed(runtime, organization_id, order_id, clock, run)
    ring_outbox_bell(runtime)


def _can_be_asked(runtime: Runtime, payment: LockedPayment) -> bool:
    """Return whether asking the gateway tells anything.

    It does for an attempt whose answer was lost. For a payment that the gateway knows it does unless only webhooks tell
    (Adyen).
    """
    return payment.gateway_transaction_id is None or runtime.gateways.wiring(payment.gateway).can_be_asked


def _stop_checking(
    runtime: Runtime, organization_id: UUID, payment: LockedPayment, lost: AttemptTooOld, now: datetime
) -> None:
    """Leave the payment to a person. A webhook that still comes settles it all the same."""
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        transaction.execute(
            "UPDATE payments.payments SET next_check_at = NULL WHERE organization_id = :organization_id AND id = :id",
            organization_id=organization_id,
            id=payment.id,
        )
        call_person(transaction, PROCESS, payment.id, lost.detail, renews=True)


def _postpone_check(transaction: Transaction, order: LockedOrder, payment: LockedPayment) -> bool:
    """Claim the check by moving the next one; return ``False`` if there is nothing to check.

    The claim is committed before the gateway is asked.
    """
    checks = payment.checks + 1
    following = next_check_at(order, payment, payment.status, checks, transaction.now)
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
        details = f"the payment of order {order.order_number} is {payment.status} after {checks} checks"
        call_person(transaction, PROCESS, payment.id, details, renews=True)
    return bool(claimed) and following is not None
