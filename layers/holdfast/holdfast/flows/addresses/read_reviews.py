"""Read address reviews as they are shown: to staff with all steps, to the shopper as the correction page needs it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.addresses.model import AddressReviewStatus
from holdfast.database.transaction import Transaction, records
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import NotFound

PAGE_MAX_ROWS: Final = 100
_IDS: Final = ("id", "order_id")
_INSTANTS: Final = (
    "deadline_at",
    "extendable_until_at",
    "reminder_at",
    "reminded_at",
    "notified_at",
    "resolved_at",
    "created_at",
)

_SHOWN: Final = """
    SELECT r.id, r.order_id, o.order_number, r.status, o.shipping_preference, o.shipping_address AS address, f.reason,
           f.fallback, r.timezone, r.deadline_at, r.first_deadline_at + interval '336 hours' AS extendable_until_at,
           r.reminder_at, r.reminded_at, r.notified_at, r.resolved_at, r.resolved_by, r.version, r.created_at
      FROM (SELECT w.* FROM addresses.reviews w WHERE w.organization_id = :organization_id
"""
_PAGE: Final = """
               AND (CAST(:due_before AS timestamptz) IS NULL OR w.deadline_at < :due_before)
               AND (CAST(:after AS uuid) IS NULL
                    OR (w.deadline_at, w.id) > (CAST(:after_deadline_at AS timestamptz), CAST(:after AS uuid)))
             ORDER BY w.deadline_at, w.id LIMIT :limit
"""
# The reason is that of the lookup with which the review began.
_WITH_ITS_ORDER: Final = """
           ) AS r
      JOIN orders.orders o ON o.organization_id = :organization_id AND o.id = r.order_id
      LEFT JOIN LATERAL (SELECT g.reason, g.fallback FROM addresses.geocode_failures g
                          WHERE g.organization_id = :organization_id AND g.order_id = r.order_id
                            AND g.created_at <= r.created_at
                          ORDER BY g.id DESC LIMIT 1) AS f ON true
     ORDER BY r.deadline_at, r.id
"""
_ONE: Final = _SHOWN + " AND w.id = :id" + _WITH_ITS_ORDER
_OPEN_PAGE: Final = _SHOWN + " AND w.resolved_at IS NULL" + _PAGE + _WITH_ITS_ORDER
_PAGE_OF_STATUS: Final = _SHOWN + " AND w.status = :status" + _PAGE + _WITH_ITS_ORDER


def list_reviews(
    runtime: Runtime,
    caller: Caller,
    *,
    status: AddressReviewStatus | None,
    due_before: datetime | None,
    after: UUID | None,
    limit: int,
    now: datetime,
) -> dict[str, Any]:
    """Return a page of reviews, nearest deadline first: the open ones, or those with one status.

    Raises Forbidden, or NotFound for a cursor that is not a review.
    """
    limit = min(limit, PAGE_MAX_ROWS)
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.LIST_ADDRESS_REVIEWS)
        page: dict[str, Any] = {
            "organization_id": transaction.tenant,
            "due_before": due_before,
            "after": after,
            "after_deadline_at": None if after is None else _deadline(transaction, after),
            "limit": limit,
        }
        if status is None:
            rows = transaction.rows(_OPEN_PAGE, **page)
        else:
            rows = transaction.rows(_PAGE_OF_STATUS, **page, status=str(status))
    reviews = [_shown(row) for row in records(rows)]
    return {"address_reviews": reviews, "next_after": reviews[-1]["id"] if len(reviews) == limit else None}


def find_review(runtime: Runtime, caller: Caller, review_id: UUID, now: datetime) -> dict[str, Any]:
    """Return a review with its steps. Raises Forbidden or NotFound."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.FIND_ADDRESS_REVIEW)
        return review_with_steps(transaction, review_id)


def review_with_steps(transaction: Transaction, review_id: UUID) -> dict[str, Any]:
    """Return a review as staff see it, oldest step first. Raises NotFound."""
    steps = transaction.rows(
        """
        SELECT s.sequence, s.step, s.taken_by, s.notes, s.details, s.created_at AS at FROM addresses.review_steps s
         WHERE s.organization_id = :organization_id AND s.review_id = :id ORDER BY s.sequence
        """,
        organization_id=transaction.tenant,
        id=review_id,
    )
    told = [{**step, "at": step["at"].isoformat()} for step in records(steps)]
    return {**one_review(transaction, review_id), "steps": told}


def one_review(transaction: Transaction, review_id: UUID) -> dict[str, Any]:
    """Return a review without its steps. Raises NotFound."""
    rows = records(transaction.rows(_ONE, organization_id=transaction.tenant, id=review_id))
    if not rows:
        raise NotFound("there is no such address review")
    return _shown(rows[0])


def _deadline(transaction: Transaction, review_id: UUID) -> datetime:
    deadline_at: datetime | None = transaction.value(
        "SELECT r.deadline_at FROM addresses.reviews r WHERE r.organization_id = :organization_id AND r.id = :id",
        organization_id=transaction.tenant,
        id=review_id,
    )
    if deadline_at is None:
        raise NotFound("there is no such address review to go on after")
    return deadline_at


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **row,
        **{name: str(row[name]) for name in _IDS},
        **{name: row[name] and row[name].isoformat() for name in _INSTANTS},
    }
