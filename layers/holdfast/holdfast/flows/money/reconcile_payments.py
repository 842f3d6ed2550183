"""Ask the gateways about the payments of each day, and compare what they say with what is known here.

A day is asked about when it is over, and none is left out: what was not finished, because no run came, a gateway was
away or there was too much of it, is gone on with before the next day is begun. One call at a time, outside any
transaction, bounded by count and by time; the cursor (the last event whose payment was looked at) moves in the
transaction that notes what was found, so that a run that dies goes on where it was and counts nothing twice. What is
clear is settled like any other news; the rest is written down for a person.

Banks send refunds back days and weeks after they were made, and the news of it may be lost like any other: with a day
go the payments of refunds that were made a week and a month before it.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from typing import Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.checkout.charge_payment import GATEWAY_DEADLINE_SECONDS, GatewayAnswer, attempt_of, record
from holdfast.flows.money.look_for_differences import ACTOR
from holdfast.flows.money.money_differences import Found, close_differences, open_at_gateways, record_differences
from holdfast.flows.money.return_money import return_money_owed
from holdfast.flows.orders.locked_order import LockedPayment, lock_order
from holdfast.gateways.answers import event_from_snapshot
from holdfast.gateways.port import CaptureOutcome, GatewayRefused, Outcome, PaymentSnapshot
from holdfast.payments.reconciliation import FROM_GATEWAY, Books, DifferenceKind, Mismatch, Truth, is_clear, mismatches
from holdfast.runtime import Runtime
from holdfast.values.errors import Rejected, Transient

ASKED_PER_RUN_MAX: Final = 1_000
RECHECKED_PER_RUN_MAX: Final = 100
PAGE_MAX_ROWS: Final = 100
SILENCES_MAX: Final = 3
DAYS_BACK_MAX: Final = 30
"""How long ago a day may be that is still gone on with: as long as the money of an order is looked after."""
REFUND_LOOK_DAYS: Final = (30, 7)
"""How many days after it was made a refund is looked at again; gateways send one back within thirty days."""
COMMITTED_SECONDS: Final = 600
"""How long after midnight the last news of a day is surely committed: only then is the day finished."""
_OVER: Final = frozenset({Outcome.DECLINED, Outcome.CANCELLED})

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """What asking about one payment led to."""

    payment: LockedPayment
    order_id: UUID
    truth: Truth | None
    """None: the gateway does not know it."""
    found: tuple[Mismatch, ...]


@dataclass(frozen=True, slots=True)
class Swept:
    """``days``: that were gone on with, oldest first; all of them but perhaps the last are finished."""

    asked: int
    days: tuple[date, ...]


def sweep_days(
    runtime: Runtime, organization_id: UUID, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]
) -> Swept:
    """Go on asking about every day (UTC) that is over and not finished, the oldest first."""
    asked, days = 0, []
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        unfinished = _unfinished_days(transaction)
    for day in unfinished:
        asked += sweep_day(runtime, organization_id, day, clock, time_left_seconds, ASKED_PER_RUN_MAX - asked)
        days.append(day)
        with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
            if not _is_finished(transaction, day):
                break
    return Swept(asked, tuple(days))


def sweep_day(
    runtime: Runtime,
    organization_id: UUID,
    day: date,
    clock: Callable[[], datetime],
    time_left_seconds: Callable[[], float],
    asked_max: int = ASKED_PER_RUN_MAX,
) -> int:
    """Go on asking about the payments that had news on ``day`` (UTC); answers how many were asked about.

    A payment whose gateway is silent is passed over; after a few of them the run ends, for the gateway is down, and the
    next one goes on from there.
    """
    asked = silences = 0
    while asked < asked_max and time_left_seconds() > 0:
        with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
            rows = _next_page(transaction, day, min(PAGE_MAX_ROWS, asked_max - asked))
        if not rows:
            return asked
        for event_id, payment_id, order_id, is_of_day in rows:
            if time_left_seconds() <= 0:
                return asked
            told = None
            try:
                told = _told(runtime, organization_id, order_id, payment_id, clock)
            except Transient:
                silences += 1
                if silences > SILENCES_MAX:
                    return asked
            with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
                if _move_cursor(transaction, day, event_id) and told is not None:
                    _note(transaction, told)
                    if is_of_day:
                        _add_up(transaction, day, told)
                    asked += 1
    return asked


def recheck_differences(
    runtime: Runtime, organization_id: UUID, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]
) -> int:
    """Ask again about payments whose gateway disagreed; answers how many were asked about."""
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        rows = open_at_gateways(transaction, RECHECKED_PER_RUN_MAX)
    asked = 0
    for row in rows:
        if time_left_seconds() <= 0:
            break
        told = None
        with suppress(Transient):
            told = _told(runtime, organization_id, row["order_id"], row["payment_id"], clock)
        if told is not None:
            with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
                _note(transaction, told)
            asked += 1
    return asked


def _unfinished_days(transaction: Transaction) -> list[date]:
    """Days that are over, oldest first, from the first whose news is looked at; yesterday in any case."""
    yesterday = transaction.now.date() - timedelta(days=1)
    first = yesterday - timedelta(days=DAYS_BACK_MAX - 1)
    rows = transaction.rows(
        """
        SELECT CAST(d.day AS date) AS day
          FROM generate_series(
                   GREATEST(CAST(:first AS timestamp), LEAST(CAST(:yesterday AS timestamp), (
                       SELECT date_trunc('day', e.received_at AT TIME ZONE 'UTC') FROM payments.payment_events e
                        WHERE e.organization_id = :organization_id AND e.id >= tenancy.uuid_v7_floor(:oldest)
                        ORDER BY e.id LIMIT 1))),
                   CAST(:yesterday AS timestamp), interval '1 day') AS d (day)
          LEFT JOIN payments.money_sweeps s
            ON s.organization_id = :organization_id AND s.day = CAST(d.day AS date)
         WHERE s.finished_at IS NULL ORDER BY d.day
        """,
        organization_id=transaction.tenant,
        yesterday=yesterday.isoformat(),
        first=first.isoformat(),
        oldest=datetime.combine(first - timedelta(days=max(REFUND_LOOK_DAYS)), time_of_day(), transaction.now.tzinfo),
    )
    return [row.day for row in rows]


def _is_finished(transaction: Transaction, day: date) -> bool:
    return bool(
        transaction.value(
            """
            SELECT finished_at IS NOT NULL FROM payments.money_sweeps
             WHERE organization_id = :organization_id AND day = CAST(:day AS date)
            """,
            organization_id=transaction.tenant,
            day=day.isoformat(),
        )
    )


def _next_page(transaction: Transaction, day: date, limit: int) -> list[tuple[UUID, UUID, UUID, bool]]:
    """(event, payment, order, is of the day): refunds of earlier days, then each payment of the day once, at its last
    event of that day. When there is none left the day is finished."""
    begin = datetime.combine(day, time_of_day(), tzinfo=transaction.now.tzinfo)
    end = begin + timedelta(days=1)
    transaction.execute(
        """
        INSERT INTO payments.money_sweeps (organization_id, day, after_event_id, created_at)
        VALUES (:organization_id, CAST(:day AS date), tenancy.uuid_v7_floor(:oldest), :now)
        ON CONFLICT ON CONSTRAINT money_sweeps_pkey DO NOTHING
        """,
        organization_id=transaction.tenant,
        day=day.isoformat(),
        oldest=begin - timedelta(days=max(REFUND_LOOK_DAYS)),
        now=transaction.now,
    )
    rows = transaction.rows(
        """
        SELECT e.id, e.payment_id, e.order_id, l.days_before = 0 AS is_of_day
          FROM payments.money_sweeps s
         CROSS JOIN (
            SELECT b.days_before, tenancy.uuid_v7_floor(d.begin - b.days_before * interval '24 hours') AS after,
                   tenancy.uuid_v7_floor(d.begin - (b.days_before - 1) * interval '24 hours') AS until
              FROM unnest(CAST(:days_before AS integer[])) AS b (days_before),
                   (SELECT CAST(:day_begin AS timestamptz) AS begin) d) l
         CROSS JOIN LATERAL (
            SELECT e.id, e.payment_id, p.order_id FROM payments.payment_events e
              JOIN payments.payments p ON p.organization_id = e.organization_id AND p.id = e.payment_id
             WHERE e.organization_id = s.organization_id AND e.id > GREATEST(s.after_event_id, l.after)
               AND e.id < l.until AND (l.days_before = 0 OR e.event_type = 'refund_succeeded')
               AND p.gateway_transaction_id IS NOT NULL
               AND NOT EXISTS (
                   SELECT 1 FROM payments.payment_events later
                    WHERE later.organization_id = e.organization_id AND later.payment_id = e.payment_id
                      AND later.id > e.id AND later.id < l.until
                      AND (l.days_before = 0 OR later.event_type = 'refund_succeeded'))
             ORDER BY e.id LIMIT :limit) e
         WHERE s.organization_id = :organization_id AND s.day = CAST(:day AS date) AND s.finished_at IS NULL
         ORDER BY e.id LIMIT :limit
        """,
        organization_id=transaction.tenant,
        day=day.isoformat(),
        day_begin=begin,
        days_before=[*REFUND_LOOK_DAYS, 0],
        limit=limit,
    )
    if not rows and transaction.now >= end + timedelta(seconds=COMMITTED_SECONDS):
        transaction.execute(
            """
            UPDATE payments.money_sweeps SET finished_at = COALESCE(finished_at, :now)
             WHERE organization_id = :organization_id AND day = CAST(:day AS date)
            """,
            organization_id=transaction.tenant,
            day=day.isoformat(),
            now=transaction.now,
        )
    return [(row.id, row.payment_id, row.order_id, row.is_of_day) for row in rows]


def _move_cursor(transaction: Transaction, day: date, event_id: UUID) -> bool:
    """``False``: another run was here first."""
    return bool(
        transaction.execute(
            """
            UPDATE payments.money_sweeps SET after_event_id = :event_id
             WHERE organization_id = :organization_id AND day = CAST(:day AS date) AND after_event_id < :event_id
            """,
            organization_id=transaction.tenant,
            day=day.isoformat(),
            event_id=event_id,
        )
    )


def _told(
    runtime: Runtime, organization_id: UUID, order_id: UUID, payment_id: UUID, clock: Callable[[], datetime]
) -> Told | None:
    """Ask about one payment, settle what is clear; ``None``: there is nobody to ask. Raises Transient."""
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        order = lock_order(transaction, order_id)
    payment = order.payment(payment_id)
    if payment.gateway_transaction_id is None or not runtime.gateways.wiring(payment.gateway).can_be_asked:
        return None
    begun = time.monotonic()
    try:
        gateway = runtime.gateways.gateway(payment.gateway, payment.secret_reference, payment.merchant_account)
        snapshot = gateway.fetch(payment.gateway_transaction_id, deadline_seconds=GATEWAY_DEADLINE_SECONDS)
    except GatewayRefused as refused:
        return Told(payment, order_id, None, ()) if refused.is_about_attempt else None
    except Rejected as refused:
        _logger.warning("payment %s could not be asked about: %s", payment_id, refused)
        return None
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


def _note(transaction: Transaction, told: Told) -> None:
    """Write down what differs, close what differs no more."""
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


def _add_up(transaction: Transaction, day: date, told: Told) -> None:
    transaction.execute(
        """
        INSERT INTO payments.money_report_daily AS r (
            organization_id, day, currency, asked, asked_captured, asked_refunded, gateway_captured, gateway_refunded,
            computed_at)
        VALUES (:organization_id, CAST(:day AS date), :currency, 1, :captured, :refunded, :their_captured,
                :their_refunded, :now)
        ON CONFLICT ON CONSTRAINT money_report_daily_pkey DO UPDATE
           SET asked = r.asked + 1, asked_captured = r.asked_captured + excluded.asked_captured,
               asked_refunded = r.asked_refunded + excluded.asked_refunded,
               gateway_captured = r.gateway_captured + excluded.gateway_captured,
               gateway_refunded = r.gateway_refunded + excluded.gateway_refunded
        """,
        organization_id=transaction.tenant,
        day=day.isoformat(),
        currency=told.payment.currency,
        captured=told.payment.captured_amount,
        refunded=told.payment.refunded_amount,
        their_captured=told.truth.captured if told.truth else 0,
        their_refunded=told.truth.refunded if told.truth else 0,
        now=transaction.now,
    )
