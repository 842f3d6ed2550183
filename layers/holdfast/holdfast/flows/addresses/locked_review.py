"""A review with its order, both locked, for deciding on the review's next step.

The order's row is locked first and the review's after it. A correction, the deadline and a cancellation of the same
order wait for each other there, and each checks again what the one before it left.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from holdfast.addresses.model import OPEN_REVIEWS, AddressReviewStatus
from holdfast.database.transaction import Transaction
from holdfast.flows.orders.locked_order import LockedOrder, lock_order
from holdfast.values.address import Address
from holdfast.values.errors import NotFound


@dataclass(frozen=True, slots=True)
class LockedReview:
    """A review whose order's row is locked by the transaction."""

    id: UUID
    order: LockedOrder
    status: AddressReviewStatus
    nonce: str
    first_deadline_at: datetime
    deadline_at: datetime
    version: int

    @property
    def is_open(self) -> bool:
        """Whether the address is still to be settled."""
        return self.status in OPEN_REVIEWS


def lock_review(transaction: Transaction, review_id: UUID) -> LockedReview:
    """Lock the order's row, then the review's, until the transaction ends. Raises NotFound."""
    order_id = transaction.value(
        "SELECT r.order_id FROM addresses.reviews r WHERE r.organization_id = :organization_id AND r.id = :id",
        organization_id=transaction.tenant,
        id=review_id,
    )
    if order_id is None:
        raise NotFound("there is no such address review")
    order = lock_order(transaction, order_id)
    [row] = transaction.rows(
        """
        SELECT r.id, r.status, r.nonce, r.first_deadline_at, r.deadline_at, r.version
          FROM addresses.reviews r WHERE r.organization_id = :organization_id AND r.id = :id FOR NO KEY UPDATE
        """,
        organization_id=transaction.tenant,
        id=review_id,
    )
    return LockedReview(
        row.id, order, AddressReviewStatus(row.status), row.nonce, row.first_deadline_at, row.deadline_at, row.version
    )


def address_under_review(transaction: Transaction, order_id: UUID) -> Address:
    """Return the present shipping address of an order."""
    document: Mapping[str, Any] = transaction.value(
        "SELECT o.shipping_address FROM orders.orders o WHERE o.organization_id = :organization_id AND o.id = :id",
        organization_id=transaction.tenant,
        id=order_id,
    )
    return Address(**document)
