"""Ask a gateway about a payment and compare what it says with what is known here.

One call at a time, outside any transaction. A clear case is settled like any other news; the rest is recorded for a
person.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.checkout.charge_payment import GATEWAY_DEADLINE_SECONDS, GatewayAnswer, attempt_of, record
from holdfast.flows.money.look_for_differences import ACTOR
from holdfast.flows.money.money_differences import (
    Found,
    close_archived,
    close_differences,
    open_at_gateways,
    record_differences,
)
from holdfast.flows.money.return_money import return_money_owed
from holdfast.flows.orders.locked_order import LockedPayment, lock_order
from holdfast.gateways.answers import event_from_snapshot
from holdfast.gateways.port import CaptureOutcome, GatewayRefused, Outcome, PaymentSnapshot
from holdfast.payments.reconciliation import FROM_GATEWAY, Books, DifferenceKind, Mismatch, Truth, is_clear, mismatches
from holdfast.runtime import Runtime
from holdfast.values.errors import NotFound, Rejected, Transient

RECHECKED_PER_RUN_MAX: Final = 100
_OVER: Final = frozenset({Outcome.DECLINED, Outcome.CANCELLED})

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """What asking about one payment led to."""

    payment: LockedPayment
    order_id: UUID
    truth: Truth | None
    """``None``: the gateway does not know the payment."""
    found: tuple[Mismatch, ...]


def recheck_differences(
    runtime: Runtime, organization_id: UUID, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]
) -> int:
    """Ask again about payments whose gateway disagreed; return how many were asked about.

    What gets no answer, or one that cannot be recorded, stays with the person who was called about it.
    """
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        close_archived(transaction)
        rows = open_at_gateways(transaction, RECHECKED_PER_RUN_MAX)
    asked = 0
    for row in rows:
        if time_left_seconds() <= 0:
            break
        try:
            told = ask_about(runtime, organization_id, row["order_id"], row["payment_id"], clock)
        except Transient:
            continue
        except Exception:
            _logger.exception("payment %s could not be compared with its gateway again", row["payment_id"])
            continue
        if told is not None:
            with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
                note(transaction, told)
            asked += 1
    return asked


def ask_about(
    runtime: Runtime, organization_id: UUID, order_id: UUID, payment_id: UUID, clock: Callable[[], datetime]
) -> Told | None:
    """Ask about one payment and settle what is clear; return ``None`` if the gateway cannot be asked.

    Nor is it asked about an order that is in the archive. Raises Transient if there is no answer.
    """
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        try:
            order = lock_order(transaction, order_id)
        except NotFound:
            return None
    payment = order.payment(payment_id)
    if payment.gateway_transaction_id is None or not runtime.gateways.wiring(payment.gateway).can_be_asked:
        return None
    begun = time.monotonic()
    try:
        gateway = runtime.gateways.gateway(payment.gateway, payment.secret_reference, payment.merchant_account)
        snapshot = gateway.fetch(payment.gateway_transaction_id, deadline_seconds=GATEWAY_DEADLINE_SECONDS)
    except GatewayRefused as refused:
        if refused.is_about_attempt:
            return Told(payment, order_id, None, ())
        raise Transient(f"it refuses to be asked: {refused}") from refused
    except Rejected as refused:
        raise Transient(f"it could not be asked: {refused}") from refused
    truth = _truth(snapshot)
    if is_clear(_books(payment), truth):
        event = event_from_snapshot(snapshot, payment.id, clock())
        answer = GatewayAnswer("reconcile", event, snapshot, round((time.monotonic() - begun) * 1000))
        recorded = record(runtime, attempt_of(organization_id, order, payment), answer, clock, ACTOR)
        if recorded.owes_money:
            return_money_owed(runtime, organization_id, order_id, clock)
        with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
            payment = lock_order(transaction, order_id).payment(payment_id)
    return Told(payment, order_id, truth, tuple(mismatches(_books(payment), truth)))


def _books(payment: LockedPayment) -> Books:
    return Books(
        status=payment.status,
        amount=payment.amount,
        captured=payment.captured_amount,
        held=payment.facts.remaining_minor,
        refunded=payment.refunded_amount,
        refunding=payment.refunding_amount,
    )


def _truth(snapshot: PaymentSnapshot) -> Truth:
    pending = (capture.amount for capture in snapshot.captures if capture.status is CaptureOutcome.PENDING)
    return Truth(
        captured=snapshot.captured_minor,
        held=snapshot.capturable_minor + sum(amount.amount_minor for amount in pending),
        refunded=snapshot.refunded_minor,
        is_over=snapshot.outcome in _OVER,
    )


def note(transaction: Transaction, told: Told) -> None:
    """Record what differs and close what differs no more."""
    payment = told.payment
    found = told.found
    if told.truth is None:
        at_risk = payment.captured_amount or payment.amount
        found = (Mismatch(DifferenceKind.GATEWAY_UNKNOWN, at_risk, 0, at_risk),)
    record_differences(transaction, transaction.now.date().isoformat(), [_row(told, each) for each in found])
    close_differences(
        transaction,
        sorted(FROM_GATEWAY),
        not_seen_since=transaction.now,
        subject_id=payment.id,
        resolution="the gateway says the same",
    )


def _row(told: Told, mismatch: Mismatch) -> Found:
    payment = told.payment
    details = f"{mismatch.kind}: {mismatch.ours} here, {mismatch.gateways} at {payment.gateway} ({payment.currency})"
    return {
        "kind": mismatch.kind,
        "subject_id": payment.id,
        "order_id": told.order_id,
        "payment_id": payment.id,
        "ours": mismatch.ours,
        "gateways": mismatch.gateways,
        "amount_at_risk": mismatch.at_risk,
        "currency": payment.currency,
        "details": details,
    }
