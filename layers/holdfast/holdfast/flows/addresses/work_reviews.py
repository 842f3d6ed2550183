"""What staff do about a review: say that the address is right, correct it, give the shopper more time, call it off.

Each under an Idempotency-Key, by whoever saw the version that is being changed, and on record with who and when.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from holdfast.addresses.model import AddressReviewStatus, AddressReviewStep
from holdfast.addresses.review_deadline import extended
from holdfast.database.transaction import Transaction
from holdfast.flows.addresses.locked_review import LockedReview, address_under_review, lock_review
from holdfast.flows.addresses.read_reviews import one_review, review_with_steps
from holdfast.flows.addresses.review_of_step import ReviewEnding
from holdfast.flows.addresses.settle_address import Correction, look_for, settle_address
from holdfast.flows.claims.claimed_change import Render, change_once
from holdfast.flows.claims.idempotency import Answer, Claim
from holdfast.flows.money.return_money import return_money_owed
from holdfast.flows.money.settlement import write
from holdfast.flows.money.settlement_document import Settlement
from holdfast.flows.operations.ring_bell import ring_outbox_bell
from holdfast.flows.orders.cancel_order import cancellation
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.address import Address
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict

Whole = Callable[[Address], Address]
"""From the address on the order to the one that it shall have."""


@dataclass(frozen=True, slots=True)
class ReviewRequest:
    """Who asks, under which key, about which review, and as of which version. ``notes`` go on record."""

    caller: Caller
    claim: Claim
    review_id: UUID
    version: int
    notes: str | None = None


def resolve_review(runtime: Runtime, request: ReviewRequest, clock: Callable[[], datetime], render: Render) -> Answer:
    """The address is right as it is: the order is confirmed. Raises Forbidden, NotFound or Conflict."""

    def step(transaction: Transaction, review: LockedReview) -> None:
        settle_address(transaction, review, None, request.notes)

    return _work(runtime, request, Operation.RESOLVE_ADDRESS_REVIEW, step, clock, render)


def correct_review(
    runtime: Runtime,
    request: ReviewRequest,
    address: Whole,
    clock: Callable[[], datetime],
    render: Render,
    *,
    is_confirmed: bool,
) -> Answer:
    """Correct the address on the shopper's behalf. Raises Forbidden, NotFound, Conflict, InvalidInput, or
    AddressNotFound unless it ``is_confirmed`` that the address is right whoever finds it."""
    correction = _look(runtime, request, address, clock, is_confirmed=is_confirmed)

    def step(transaction: Transaction, review: LockedReview) -> None:
        settle_address(transaction, review, correction, request.notes)

    answer = _work(runtime, request, Operation.CORRECT_ADDRESS_REVIEW, step, clock, render)
    if correction is not None:
        correction.search.written(clock())
    return answer


def extend_review(
    runtime: Runtime, request: ReviewRequest, until: datetime, clock: Callable[[], datetime], render: Render
) -> Answer:
    """Put the deadline off, and the reminder with it; the shopper is told, with a link that lasts as long.

    Raises Forbidden, NotFound, or Conflict, also for what is beyond the bound or no extension.
    """

    def step(transaction: Transaction, review: LockedReview) -> None:
        times = extended(transaction.now, review.first_deadline_at, review.deadline_at, until)
        transaction.execute(
            """
            UPDATE addresses.reviews
               SET deadline_at = :deadline_at, reminder_at = :reminder_at, reminded_at = NULL, version = version + 1
             WHERE organization_id = :organization_id AND id = :id
            """,
            organization_id=transaction.tenant,
            id=review.id,
            deadline_at=times.deadline_at,
            reminder_at=times.reminder_at,
        )
        details = {"from": review.deadline_at.isoformat(), "to": times.deadline_at.isoformat()}
        transaction.value(
            "SELECT addresses.take_review_step(:organization_id, :id, :step, :notes, CAST(:details AS jsonb),"
            " :now, :actor)",
            organization_id=transaction.tenant,
            id=review.id,
            step=str(AddressReviewStep.EXTENDED),
            notes=request.notes,
            details=details,
            now=transaction.now,
            actor=transaction.actor,
        )
        announcement = Settlement(
            order_id=review.order.id,
            topics=("order.address_review_needed",),
            extra={"review_id": str(review.id), "deadline_at": times.deadline_at.isoformat(), "is_extension": True},
        )
        write(transaction, review.order, announcement)

    return _work(runtime, request, Operation.EXTEND_ADDRESS_REVIEW, step, clock, render)


def cancel_review(runtime: Runtime, request: ReviewRequest, clock: Callable[[], datetime], render: Render) -> Answer:
    """Nobody can be reached, or the shopper does not want it any more: cancel the order, and return money and goods.

    Raises Forbidden, NotFound or Conflict.
    """

    def step(transaction: Transaction, review: LockedReview) -> None:
        settlement = cancellation(review.order, "the review of the address was called off", "address_review")
        ending = ReviewEnding(AddressReviewStatus.CANCELLED, AddressReviewStep.CANCELLED, request.notes)
        write(transaction, review.order, replace(settlement, review_ending=ending))

    return _work(runtime, request, Operation.CANCEL_ADDRESS_REVIEW, step, clock, render)


def _work(
    runtime: Runtime,
    request: ReviewRequest,
    operation: Operation,
    step: Callable[[Transaction, LockedReview], None],
    clock: Callable[[], datetime],
    render: Render,
) -> Answer:
    """One step under the locks of order and review, and what follows from it once it is committed."""
    worked: list[UUID] = []

    def change(transaction: Transaction) -> Mapping[str, Any]:
        review = lock_review(transaction, request.review_id)
        _refuse_unless_current(review, request.version, transaction.now)
        step(transaction, review)
        worked.append(review.order.id)
        return review_with_steps(transaction, review.id)

    answer = change_once(runtime, request.caller, request.claim, operation, clock(), change, render)
    for order_id in set(worked):
        return_money_owed(runtime, request.caller.organization_id, order_id, clock)
        ring_outbox_bell(runtime)
    return answer


def _refuse_unless_current(review: LockedReview, version: int, now: datetime) -> None:
    if not review.is_open:
        raise Conflict(f"the review is over: it was {review.status}", status_now=review.status, version=review.version)
    if review.version != version:
        raise Conflict("somebody else changed the review meanwhile: look at it again", version=review.version)
    if now >= review.deadline_at:
        raise Conflict(
            "the deadline has passed: the order is being cancelled", deadline_at=review.deadline_at.isoformat()
        )


def _look(
    runtime: Runtime,
    request: ReviewRequest,
    address: Whole,
    clock: Callable[[], datetime],
    *,
    is_confirmed: bool,
) -> Correction | None:
    """The new address with its place. What is refused anyway, or was answered before, asks no geocoder."""
    caller, now = request.caller, clock()
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.CORRECT_ADDRESS_REVIEW)
        review = one_review(transaction, request.review_id)
        if review["resolved_at"] is not None:
            return None
        whole = address(address_under_review(transaction, UUID(review["order_id"])))
    return look_for(runtime, caller.organization_id, whole, clock, is_confirmed=is_confirmed)
