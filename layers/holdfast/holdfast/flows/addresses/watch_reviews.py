"""The scheduled work on reviews: remind the shopper at half time, and cancel the order at the deadline.

It runs every minute over all organizations, within its time limit. An organization whose work fails does not keep
others from their turn, and each run begins with another one, so that the last are reached however much the first have
to do. Runs may be repeated and may overlap: a row that somebody else has locked is left to them, and everything is
checked again under its lock.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from holdfast.addresses.model import AddressReviewStatus, AddressReviewStep
from holdfast.database.transaction import Transaction
from holdfast.flows.addresses.locked_review import lock_review
from holdfast.flows.addresses.review_of_step import ReviewEnding
from holdfast.flows.money.return_money import return_money_owed
from holdfast.flows.money.settlement import write
from holdfast.flows.operations.call_person import call_person
from holdfast.flows.operations.in_turn import in_turn
from holdfast.flows.operations.process_names import Process
from holdfast.flows.operations.ring_bell import ring_outbox_bell
from holdfast.flows.orders.cancel_order import cancellation
from holdfast.orders.lifecycle import OrderStatus
from holdfast.runtime import Runtime

ACTOR: Final = "system:address_review"
REMINDERS_MAX_ROWS: Final = 500
"""Per organization, in one transaction."""
DEADLINES_MAX_ROWS: Final = 500
"""Per organization and run; each deadline is a transaction of its own."""
PROCESS: Final = Process.ADDRESS_REVIEW_DEADLINE

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Watched:
    """What one run did."""

    reminded: int = 0
    cancelled: int = 0
    failed: int = 0
    """Orders that could not be cancelled (a person is called for each), and organizations whose deadlines or reminders
    could not be processed. The next run tries all of them again."""


def watch_reviews(runtime: Runtime, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]) -> Watched:
    """Send the reminders and cancel the orders that are due."""
    done = Watched()
    with runtime.database.transaction(None, now=clock(), actor=ACTOR) as transaction:
        organizations = in_turn(_with_due(transaction), transaction.now)
    for organization_id in organizations:
        if time_left_seconds() <= 0:
            break
        # Deadlines come first, because a reminder can wait a minute longer.
        with _guarded(organization_id, "deadlines", done):
            _cancel_due(runtime, organization_id, clock, time_left_seconds, done)
        with _guarded(organization_id, "reminders", done):
            done.reminded += runtime.database.transact(organization_id, _remind, now=clock(), actor=ACTOR)
    if done.reminded or done.cancelled:
        ring_outbox_bell(runtime)
    return done


@contextmanager
def _guarded(organization_id: UUID, what: str, done: Watched) -> Iterator[None]:
    """Log and count a failure, so that it stops neither the other organizations nor this one's other work."""
    try:
        yield
    except Exception:
        _logger.exception("the %s of address reviews of organization %s failed", what, organization_id)
        done.failed += 1


def _with_due(transaction: Transaction) -> list[UUID]:
    rows = transaction.rows(
        """
        SELECT r.organization_id FROM addresses.reviews r WHERE r.resolved_at IS NULL AND r.deadline_at <= :now
        UNION
        SELECT r.organization_id FROM addresses.reviews r
         WHERE r.resolved_at IS NULL AND r.reminded_at IS NULL AND r.reminder_at <= :now
         ORDER BY organization_id
        """,
        now=transaction.now,
    )
    return [row[0] for row in rows]


def _remind(transaction: Transaction) -> int:
    """Mark and announce the reminders that are due in one statement, so that each goes out once or is not marked.

    The message has the sequence number of its order's last step.
    """
    return transaction.execute(
        """
        WITH due AS (
            SELECT r.id FROM addresses.reviews r
             WHERE r.organization_id = :organization_id AND r.resolved_at IS NULL AND r.reminded_at IS NULL
               AND r.reminder_at <= :now AND r.deadline_at > :now
             ORDER BY r.id LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
        ), reminded AS (
            UPDATE addresses.reviews r SET reminded_at = :now, steps = r.steps + 1
              FROM due WHERE r.organization_id = :organization_id AND r.id = due.id
            RETURNING r.id, r.order_id, r.steps, r.deadline_at
        ), noted AS (
            INSERT INTO addresses.review_steps (organization_id, review_id, sequence, step, taken_by, created_at)
            SELECT :organization_id, id, steps, :step, :actor, :now FROM reminded
        )
        INSERT INTO operations.outbox (organization_id, id, topic, aggregate_type, aggregate_id, sequence, payload,
                                       created_at)
        SELECT :organization_id, tenancy.uuid_v7(:now), 'order.address_review_reminder', 'order', o.id,
               o.status_sequence,
               jsonb_build_object('order_id', o.id, 'order_number', o.order_number, 'status', o.status,
                                  'review_id', m.id, 'deadline_at', m.deadline_at), :now
          FROM reminded m
          JOIN orders.orders o ON o.organization_id = :organization_id AND o.id = m.order_id
        """,
        organization_id=transaction.tenant,
        now=transaction.now,
        actor=transaction.actor,
        step=str(AddressReviewStep.REMINDED),
        limit=REMINDERS_MAX_ROWS,
    )


def _cancel_due(
    runtime: Runtime,
    organization_id: UUID,
    clock: Callable[[], datetime],
    time_left_seconds: Callable[[], float],
    done: Watched,
) -> None:
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        due = transaction.rows(
            """
            SELECT r.id, r.order_id FROM addresses.reviews r
             WHERE r.organization_id = :organization_id AND r.resolved_at IS NULL AND r.deadline_at <= :now
             ORDER BY r.deadline_at, r.id LIMIT :limit
            """,
            organization_id=organization_id,
            now=transaction.now,
            limit=DEADLINES_MAX_ROWS,
        )
    for review in due:
        if time_left_seconds() <= 0:
            return
        order_id: UUID = review.order_id
        try:
            if _cancel(runtime, organization_id, review.id, order_id, clock()):
                done.cancelled += 1
                return_money_owed(runtime, organization_id, order_id, clock)
        except Exception as error:
            # One order's failure must not keep the others from their deadlines.
            _logger.exception("the review of order %s could not be ended", order_id)
            done.failed += 1
            with _guarded(organization_id, "calls for a person", done):
                _call(runtime, organization_id, order_id, error, clock())


def _cancel(runtime: Runtime, organization_id: UUID, review_id: UUID, order_id: UUID, now: datetime) -> bool:
    """Cancel the order and return whether that was done.

    It is not if the address was settled or the deadline extended in the meantime, or while the order is locked.
    """

    def work(transaction: Transaction) -> bool:
        free = transaction.value(
            """
            SELECT o.id FROM orders.orders o WHERE o.organization_id = :organization_id AND o.id = :id
               FOR NO KEY UPDATE SKIP LOCKED
            """,
            organization_id=transaction.tenant,
            id=order_id,
        )
        if free is None:
            return False
        review = lock_review(transaction, review_id)
        if not review.is_open or transaction.now < review.deadline_at:
            return False
        if review.order.status is not OrderStatus.ADDRESS_REVIEW:
            raise RuntimeError(f"an open review of an order that is {review.order.status}")
        ending = ReviewEnding(AddressReviewStatus.CANCELLED, AddressReviewStep.EXPIRED)
        settlement = cancellation(review.order, "nobody settled the address by the deadline", "address_review")
        write(transaction, review.order, replace(settlement, review_ending=ending))
        return True

    return runtime.database.transact(organization_id, work, now=now, actor=ACTOR)


def _call(runtime: Runtime, organization_id: UUID, order_id: UUID, error: Exception, now: datetime) -> None:
    details = f"an order could not be cancelled at the deadline of its address review: {type(error).__name__}"
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        call_person(transaction, PROCESS, order_id, details)
