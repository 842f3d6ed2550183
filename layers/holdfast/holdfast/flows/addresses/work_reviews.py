"""What staff can do about a review: say that the address is right, correct it, extend the deadline, or call it off.

Each action is made under an Idempotency-Key by someone who has seen the version that it changes, and is recorded with
who did it and when.
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
"""Turns the order's current address into its new one."""


@dataclass(frozen=True, slots=True)
class ReviewRequest:
    """Who asks, under which idempotency key, about which review, at which version. ``notes`` go on record."""

    caller: Caller
    claim: Claim
    review_id: UUID
    version: int
    notes: str | None = None


def resolve_review(runtime: Runtime, request: ReviewRequest, clock: Callable[[], datetime], render: Render) -> Answer:
    """Confirm the order, because the address is right as it is. Raises Forbidden, NotFound or Conflict."""

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
    """Correct the address on the shopper's behalf.

    ``is_confirmed`` says that the address is right even if it is not found. Raises Forbidden, NotFound, Conflict,
    InvalidInput, or AddressNotFound for an address that is neither found nor confirmed.
    """
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
    """Extend the deadline and move the reminder with it. The shopper is told, with a link that is valid as long.

    Raises Forbidden, NotFound, or Conflict, also for a deadline that is beyond the bound or not an extension.
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
    """Cancel the order, and return money and goods.

    This is for a shopper who cannot be reached or does not want the order any more. Raises Forbidden, NotFound or
    Conflict.
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
    """Take one step under the locks of order and review, and do what follows from it after the commit."""
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
    """Return the new address with its position, or ``None`` if the review has ended.

    A request that is refused anyway, or was answered before, must not cause a call to the geocoder.
    """
    caller, now = request.caller, clock()
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.CORRECT_ADDRESS_REVIEW)
        review = one_review(transaction, request.review_id)
        if review["resolved_at"] is not None:
            return None
        whole = address(address_under_review(transaction, UUID(review["order_id"])))
    return look_for(runtime, caller.organization_id, whole, clock, is_confirmed=is_confirmed, is_shoppers=False)
