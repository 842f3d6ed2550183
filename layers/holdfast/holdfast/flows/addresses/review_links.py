"""Links of address reviews."""

from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.runtime import Runtime


def review_url(runtime: Runtime, transaction: Transaction, order_id: UUID) -> str | None:
    """The link for the order's open review."""
    return None
