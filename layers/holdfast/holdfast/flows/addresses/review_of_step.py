"""What a step of an order means for its address review. The same statement writes the step and the review.

An order is under review exactly while its review is open. So whatever takes an order to ``address_review`` begins a
review, and whatever takes it out ends the review: a settled address, anybody's cancellation, or a full refund.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast.addresses.model import AddressReviewStatus, AddressReviewStep
from holdfast.addresses.review_begin import ReviewBasis, begin_review
from holdfast.database.transaction import Transaction
from holdfast.flows.operations.process_names import Call, Process
from holdfast.flows.orders.locked_order import LockedOrder
from holdfast.orders.lifecycle import OrderStatus
from holdfast.values.ids import uuid7

_NOTHING: Final = (None, ())


@dataclass(frozen=True, slots=True)
class ReviewEnding:
    """How a review ended, for endings that the order's step alone does not tell."""

    status: AddressReviewStatus
    step: AddressReviewStep
    notes: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def review_of_step(
    transaction: Transaction,
    order: LockedOrder,
    path: tuple[OrderStatus, ...],
    notes: str | None,
    ending: ReviewEnding | None,
) -> tuple[Mapping[str, Any] | None, tuple[Call, ...]]:
    """Return what ``checkout.settle`` is to write about the review, and the failures that a person must know about."""
    if not path:
        return _NOTHING
    if order.status is OrderStatus.ADDRESS_REVIEW:
        ended = ending or _ending_by(path[-1], notes)
        document = {"status": ended.status, "step": ended.step, "notes": ended.notes, "details": dict(ended.details)}
        return {"end": document}, ()
    if path[-1] is not OrderStatus.ADDRESS_REVIEW:
        return _NOTHING
    begun = begin_review(uuid7(transaction.now), _basis(transaction, order), order.preference, transaction.now)
    if begun.wrong_setting is None:
        return {"begin": begun.document}, ()
    detail = f"the deadline of the address review was counted on the region's own calendar: {begun.wrong_setting}"
    return {"begin": begun.document}, ((Process.BUSINESS_CALENDAR, detail, {"review_id": begun.document["id"]}),)


def _ending_by(status: OrderStatus, notes: str | None) -> ReviewEnding:
    if status is OrderStatus.CONFIRMED:
        return ReviewEnding(AddressReviewStatus.RESOLVED, AddressReviewStep.RESOLVED, notes)
    return ReviewEnding(AddressReviewStatus.CANCELLED, AddressReviewStep.CANCELLED, notes)


def _basis(transaction: Transaction, order: LockedOrder) -> ReviewBasis:
    """Read what the review is based on. This must be read now, because the address may be a new one."""
    [row] = transaction.rows(
        """
        SELECT o.shipping_address ->> 'country' AS country, o.shipping_address ->> 'region' AS region, c.timezone,
               g.settings ->> 'timezone' AS organization_timezone, g.settings -> 'business_calendars' AS calendars
          FROM orders.orders o
          JOIN tenancy.organizations g ON g.id = o.organization_id
          JOIN tenancy.customers c ON c.organization_id = o.organization_id AND c.id = o.customer_id
         WHERE o.organization_id = :organization_id AND o.id = :order_id
        """,
        organization_id=transaction.tenant,
        order_id=order.id,
    )
    return ReviewBasis(row.country, row.region, row.timezone, row.organization_timezone, row.calendars)
