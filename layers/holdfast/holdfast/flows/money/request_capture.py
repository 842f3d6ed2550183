"""Decide to capture held money.

The decision is a row of ``order_operations``. Its id is the idempotency key of the call, so asking twice captures once.
Whoever decides (a shipment, staff, an authorization about to expire) calls ``request_capture`` in its own transaction,
and ``capture_payment.capture_due`` carries it out afterwards.

A payment may be captured several times if its gateway supports that. Each capture is a decision of its own, and an
amount that is decided but not yet known to be captured counts as captured when the next one is decided.
"""

from enum import StrEnum
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.money.whole_steps import require_whole_steps
from holdfast.flows.orders.locked_order import LockedOrder, LockedPayment
from holdfast.gateways.registry import GATEWAYS
from holdfast.orders.lifecycle import TERMINAL
from holdfast.values.errors import Conflict, InvalidInput
from holdfast.values.ids import uuid7


class CaptureReason(StrEnum):
    """Why the money is captured now."""

    SHIPMENT = "shipment"
    BY_HAND = "by_hand"
    AUTHORIZATION_EXPIRES = "authorization_expires"


def request_capture(
    transaction: Transaction,
    order: LockedOrder,
    payment: LockedPayment,
    amount_minor: int,
    *,
    reason: CaptureReason,
    subject_id: UUID | None = None,
    is_final: bool = True,
    request_key: str | None = None,
) -> UUID | None:
    """Record the decision to capture; the caller commits and then calls ``capture_payment.capture_due``.

    Returns the id of the operation, or ``None`` if this was decided before and is under way or done.

    ``subject_id`` is what the capture is for, such as a shipment; each subject is captured for once, unless that
    failed. With ``is_final`` no other capture follows and the rest is released; at a gateway that captures only once
    every capture is final, whatever the caller says. ``request_key`` is the Idempotency-Key of the request that asked
    for it.

    Raises Conflict if the money goes back, if none is held (any more) or if the wanted amount is already being
    captured, and InvalidInput for more than is held or than the order costs. Except where the money goes back, both
    tell what is left in ``capturable_minor``. Raises NotRepresentable for an amount that the gateway cannot express
    (see ``whole_steps``).
    """
    if _is_decided(transaction, payment, subject_id):
        return None
    _refuse_unless_capturable(transaction, order, payment, amount_minor)
    requested: UUID | None = transaction.value(
        """
        INSERT INTO orders.order_operations (organization_id, id, order_id, payment_id, operation, subject_id, amount,
                                             is_final, request_key, reason, requested_by, next_attempt_at, created_at)
        VALUES (:organization_id, :id, :order_id, :payment_id, 'capture', :subject_id, :amount, :is_final,
                :request_key, :reason, :actor, :now, :now)
        ON CONFLICT DO NOTHING
        RETURNING id
        """,
        organization_id=transaction.tenant,
        id=uuid7(transaction.now),
        order_id=order.id,
        payment_id=payment.id,
        subject_id=subject_id,
        amount=amount_minor,
        is_final=is_final or not GATEWAYS[payment.gateway].multiple_captures,
        request_key=request_key,
        reason=reason,
        actor=transaction.actor,
        now=transaction.now,
    )
    return requested


def _refuse_unless_capturable(
    transaction: Transaction, order: LockedOrder, payment: LockedPayment, amount_minor: int
) -> None:
    if order.status in TERMINAL or payment.is_owed_back:
        raise Conflict("the money of this order is on its way back")
    if not payment.is_held:
        raise Conflict(f"no money is held: the payment is {payment.status}", capturable_minor=0)
    held_minor, left_minor = order.capturable(payment), what_is_left_to_capture(transaction, order, payment)
    if not 0 < amount_minor <= held_minor:
        raise InvalidInput(
            f"{amount_minor} of {held_minor} cannot be captured",
            errors=[{"field": "amount_minor", "message": f"from 1 to {held_minor}, which is what is held, and owed"}],
            capturable_minor=left_minor,
        )
    if amount_minor > left_minor:
        raise Conflict("a capture of this payment is under way", capturable_minor=left_minor)
    require_whole_steps(payment, amount_minor)


def what_is_left_to_capture(transaction: Transaction, order: LockedOrder, payment: LockedPayment) -> int:
    """Return how much a new capture can take, in minor units.

    That is what is held, owed, and neither decided nor pending at the gateway. The caller holds the order's lock, under
    which every capture is decided.
    """
    running = transaction.rows(
        """
        SELECT amount, is_final, gateway_id FROM orders.order_operations
         WHERE organization_id = :organization_id AND order_id = :order_id AND payment_id = :payment_id
           AND operation = 'capture' AND state = 'running'
        """,
        organization_id=transaction.tenant,
        order_id=order.id,
        payment_id=payment.id,
    )
    known = {capture.gateway_capture_id: capture for capture in payment.facts.captures}
    # A running decision whose capture the gateway knows counts with the gateway's figures; any other with what was
    # decided.
    unheard = [row for row in running if row.gateway_id not in known]
    pending = [capture for capture in known.values() if capture.is_pending]
    if any(row.is_final for row in unheard) or any(capture.is_final for capture in pending):
        return 0
    decided_minor = sum(int(row.amount) for row in unheard)
    return max(0, order.capturable(payment) - decided_minor - sum(capture.amount_minor for capture in pending))


def _is_decided(transaction: Transaction, payment: LockedPayment, subject_id: UUID | None) -> bool:
    if subject_id is None:
        return False
    return bool(
        transaction.value(
            """
            SELECT count(*) FROM orders.order_operations
             WHERE organization_id = :organization_id AND payment_id = :payment_id AND subject_id = :subject_id
               AND operation = 'capture' AND state IN ('running', 'done')
            """,
            organization_id=transaction.tenant,
            payment_id=payment.id,
            subject_id=subject_id,
        )
    )
