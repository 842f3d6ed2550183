"""Cancel orders that were never paid."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.operations.in_batches import in_batches, organizations_with
from holdfast.runtime import Runtime

ABANDONED_AFTER_SECONDS: Final = 2 * 3600


def cancel_unpaid_orders(
    runtime: Runtime, clock: Callable[[], datetime], time_left_seconds: Callable[[], float], *, actor: str
) -> tuple[int, bool]:
    """Cancel orders that waited for their payment for too long. Return how many, and whether all were reached."""
    organizations = _with_abandoned_orders(runtime, clock(), actor)
    return in_batches(runtime, organizations, _cancel_batch, clock, time_left_seconds, actor=actor)


def _cancel_batch(transaction: Transaction, limit: int) -> int:
    return int(
        transaction.execute_and_commit(
            "SELECT checkout.cancel_abandoned_orders(:organization_id, :now, :unchanged_since, :limit, :actor)",
            organization_id=transaction.tenant,
            now=transaction.now,
            unchanged_since=transaction.now - timedelta(seconds=ABANDONED_AFTER_SECONDS),
            limit=limit,
            actor=transaction.actor,
        )
    )


def _with_abandoned_orders(runtime: Runtime, now: datetime, actor: str) -> list[UUID]:
    return organizations_with(
        runtime,
        now,
        """
        SELECT o.id FROM tenancy.organizations o
         WHERE EXISTS (SELECT 1 FROM orders.orders w
                        WHERE w.organization_id = o.id AND w.status IN ('pending_payment', 'payment_failed')
                          AND w.status_changed_at <= :at)
        """,
        actor=actor,
        at=now - timedelta(seconds=ABANDONED_AFTER_SECONDS),
    )
