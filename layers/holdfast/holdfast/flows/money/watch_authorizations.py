"""Act on authorizations about to expire: capture or renew what is held in time, or release it.

This covers all of the held money, or what captures left of it. It is released if no live order needs it. An
authorization is handled once: what is decided about it is committed before the gateway is asked. If its capture failed
for good it is with a person, at the latest a day before it ends.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.checkout.charge_payment import (
    GATEWAY_DEADLINE_SECONDS,
    GatewayAnswer,
    Question,
    ask_gateway,
    attempt_of,
    record,
)
from holdfast.flows.money.capture_payment import capture_due
from holdfast.flows.money.gateway_run import GatewayRun
from holdfast.flows.money.request_capture import CaptureReason, request_capture, what_is_left_to_capture
from holdfast.flows.money.return_money import return_money_owed
from holdfast.flows.money.settlement import write
from holdfast.flows.money.settlement_document import Settlement
from holdfast.flows.money.whole_steps import whole_steps
from holdfast.flows.operations.ring_bell import ring_outbox_bell
from holdfast.flows.orders.locked_order import LockedOrder, LockedPayment, lock_order
from holdfast.gateways.answers import event_from_snapshot
from holdfast.gateways.port import RenewsAuthorizations
from holdfast.gateways.registry import GATEWAY_NAMES
from holdfast.orders.lifecycle import TERMINAL, OrderStatus
from holdfast.payments.capture_policy import BEFORE_EXPIRY, Remedy, remedy_before_expiry
from holdfast.runtime import Runtime
from holdfast.values.errors import Rejected, Transient
from holdfast.values.money import Money

BATCH_MAX_PAYMENTS: Final = 50
LEARN_EVERY: Final = timedelta(hours=1)
ACTOR: Final = "system:watch_authorizations"

_logger = logging.getLogger(__name__)


def watch_authorizations(runtime: Runtime, clock: Callable[[], datetime], run: GatewayRun | None = None) -> int:
    """Handle authorizations that end within about a day and a half; return how many were looked at."""
    run = run or GatewayRun()
    _learn_ends(runtime, clock, run)
    with runtime.database.transaction(None, now=clock(), actor=ACTOR) as transaction:
        rows = expiring(transaction, clock() + BEFORE_EXPIRY)
    done = 0
    for organization_id, order_id, payment_id in rows:
        if not run.has_time():
            break
        try:
            _look_after(runtime, organization_id, order_id, payment_id, clock, run)
            done += 1
        except Exception:
            # One payment's failure must not keep the others waiting.
            _logger.exception("payment %s, whose authorization is about to end, could not be looked after", payment_id)
    return done


def _learn_ends(runtime: Runtime, clock: Callable[[], datetime], run: GatewayRun) -> None:
    """Ask the gateway about held money whose expiry is not known, once an hour until it is.

    A webhook need not tell when its authorization ends. Without the date an authorization could end uncaptured and
    nobody would miss it.
    """
    now = clock()
    with runtime.database.transaction(None, now=now, actor=ACTOR) as transaction:
        rows = transaction.rows(
            """
            SELECT p.organization_id, p.order_id, p.id, p.gateway_account_id FROM payments.payments p
             WHERE p.capturable_amount > 0 AND p.authorization_expires_at IS NULL AND p.gateway = ANY (:gateways)
               AND COALESCE(p.updated_at, p.created_at) <= :unheard_since
               AND p.gateway_account_id <> ALL (CAST(:left_alone AS uuid[]))
             ORDER BY p.authorization_expires_at LIMIT :limit
            """,
            gateways=[name for name in GATEWAY_NAMES if runtime.gateways.wiring(name).can_be_asked],
            unheard_since=now - LEARN_EVERY,
            left_alone=run.left_alone,
            limit=BATCH_MAX_PAYMENTS,
        )
    for row in rows:
        if not run.has_time():
            return
        if not run.may_ask(row.gateway_account_id):
            continue
        try:
            _learn_end(runtime, row.organization_id, row.order_id, row.id, clock, run)
        except Exception:
            # As above: one failure must not keep the others waiting.
            _logger.exception("the gateway could not be asked when the authorization of payment %s ends", row.id)


def _learn_end(
    runtime: Runtime,
    organization_id: UUID,
    order_id: UUID,
    payment_id: UUID,
    clock: Callable[[], datetime],
    run: GatewayRun,
) -> None:
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        order = lock_order(transaction, order_id)
    attempt = attempt_of(organization_id, order, order.payment(payment_id))
    answer = ask_gateway(runtime, attempt, clock, Question.LOOK_UP)
    run.note(attempt.gateway_account_id, is_answered=answer.is_heard)
    recorded = record(runtime, attempt, answer, clock, ACTOR)
    if recorded.owes_money:
        return_money_owed(runtime, organization_id, order_id, clock, run)
    ring_outbox_bell(runtime)


def expiring(transaction: Transaction, end: datetime) -> list[tuple[UUID, UUID, UUID]]:
    """Return the payments whose authorization ends by ``end`` and about which nothing is decided.

    Each is (organization, order, payment). What was decided is carried out by whoever resumes operations, and what
    failed is with a person. A refund decides nothing about what is still held.
    """
    rows = transaction.rows(
        """
        SELECT p.organization_id, p.order_id, p.id FROM payments.payments p
         WHERE p.capturable_amount > 0 AND p.authorization_expires_at <= :end
           AND (SELECT true FROM orders.order_operations x
                 WHERE x.organization_id = p.organization_id AND x.order_id = p.order_id AND x.payment_id = p.id
                   AND ((x.state = 'running' AND x.operation = 'capture')
                        OR (x.state = 'failed' AND x.reason = 'authorization_expires')
                        OR x.operation = 'return_money')
                 LIMIT 1) IS NULL
         ORDER BY p.authorization_expires_at LIMIT :limit
        """,
        end=end,
        limit=BATCH_MAX_PAYMENTS,
    )
    return [(row.organization_id, row.order_id, row.id) for row in rows]


def _look_after(
    runtime: Runtime,
    organization_id: UUID,
    order_id: UUID,
    payment_id: UUID,
    clock: Callable[[], datetime],
    run: GatewayRun,
) -> None:
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        order = lock_order(transaction, order_id)
        payment = order.payment(payment_id)
        if not payment.is_held or payment.is_owed_back or not run.may_ask(payment.gateway_account_id):
            return
        if not _is_live(order):
            write(transaction, order, Settlement(order_id=order.id, return_money_of=((payment.id, "other"),)))
    if not _is_live(order):
        return_money_owed(runtime, organization_id, order_id, clock, run)
    elif not _renew(runtime, organization_id, order, payment, clock, run):
        _capture(runtime, organization_id, order_id, payment_id, clock, run)
    ring_outbox_bell(runtime)


def _is_live(order: LockedOrder) -> bool:
    """Return whether the held money pays for the order.

    An order that waits for its money although some is held was not paid in full.
    """
    return order.status not in TERMINAL | {
        OrderStatus.PENDING_PAYMENT,
        OrderStatus.PAYMENT_PROCESSING,
        OrderStatus.PAYMENT_FAILED,
    }


def _renew(
    runtime: Runtime,
    organization_id: UUID,
    order: LockedOrder,
    payment: LockedPayment,
    clock: Callable[[], datetime],
    run: GatewayRun,
) -> bool:
    """Renew the authorization if the shop wants the money held and the gateway can renew.

    Returns ``False`` if the authorization still ends when it did before. What captures left is not renewed: a gateway
    would hold the whole amount again, or less than it knows. The idempotency key is derived from the expiry that is to
    be moved, so a renewal that is repeated after a crash is the same renewal.
    """
    try:
        gateway = runtime.gateways.gateway(payment.gateway, payment.secret_reference, payment.merchant_account)
        can_renew = isinstance(gateway, RenewsAuthorizations)
        wanted = remedy_before_expiry(order.capture_policy, can_renew=can_renew) is Remedy.RENEW
        if not wanted or payment.captured_amount > 0 or not isinstance(gateway, RenewsAuthorizations):
            return False
        ends_at = payment.facts.authorization_expires_at or payment.created_at
        begun = time.monotonic()
        with run.listening(payment.gateway_account_id):
            snapshot = gateway.reauthorize(
                str(payment.gateway_transaction_id),
                Money(payment.amount, payment.currency),
                idempotency_key=f"renew-{payment.id}-{ends_at.timestamp():.0f}",
                deadline_seconds=GATEWAY_DEADLINE_SECONDS,
            )
    except (Rejected, Transient) as error:
        _logger.info("the authorization of payment %s is not renewed: %s", payment.id, error)
        return False
    event = event_from_snapshot(snapshot, payment.id, clock())
    answer = GatewayAnswer("reauthorize", event, snapshot, round((time.monotonic() - begun) * 1000))
    recorded = record(runtime, attempt_of(organization_id, order, payment), answer, clock, ACTOR)
    if recorded.owes_money:
        return_money_owed(runtime, organization_id, order.id, clock, run)
    renewed_until = snapshot.authorization_expires_at
    return renewed_until is not None and renewed_until > clock() + BEFORE_EXPIRY


def _capture(
    runtime: Runtime,
    organization_id: UUID,
    order_id: UUID,
    payment_id: UUID,
    clock: Callable[[], datetime],
    run: GatewayRun,
) -> None:
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        order = lock_order(transaction, order_id)
        payment = order.payment(payment_id)
        if not payment.is_held or payment.is_owed_back or not _is_live(order):
            return
        left_minor = whole_steps(payment, what_is_left_to_capture(transaction, order, payment))
        if left_minor > 0:
            request_capture(transaction, order, payment, left_minor, reason=CaptureReason.AUTHORIZATION_EXPIRES)
    capture_due(runtime, organization_id, order_id, clock, run)
