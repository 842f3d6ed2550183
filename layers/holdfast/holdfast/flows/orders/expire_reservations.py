"""Release the stock of expired holds; the same run cancels unpaid orders and folds the day's load.

Two runs at the same time are safe: batches are claimed with SKIP LOCKED. A checkout waits for the stock update of one
batch at most. Work that does not fit into the time is left to the next run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.operations.in_batches import in_batches, organizations_with
from holdfast.flows.orders.cancel_unpaid_orders import cancel_unpaid_orders
from holdfast.flows.stock.fold_load import fold_load
from holdfast.runtime import Runtime

GRACE_SECONDS: Final = 900
"""How long an expired hold is left to the watchdog while the outcome of its payment at the gateway is open."""
ACTOR: Final = "system:reservation_expiry"


@dataclass(frozen=True, slots=True)
class Expired:
    """What one run did."""

    released: int
    cancelled: int
    rolled_up: int
    finished: bool
    """False if the time ran out before the work did, or an organization failed."""


def expire_reservations(
    runtime: Runtime, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]
) -> Expired:
    """Release holds, cancel orders and fold the load, in bounded batches while there is time."""
    holding = _with_due_holds(runtime, clock(), ACTOR)
    released, all_released = in_batches(runtime, holding, _release_batch, clock, time_left_seconds, actor=ACTOR)
    cancelled, all_cancelled = cancel_unpaid_orders(runtime, clock, time_left_seconds, actor=ACTOR)
    rolled_up = fold_load(runtime, clock, time_left_seconds, actor=ACTOR)
    return Expired(released, cancelled, rolled_up, all_released and all_cancelled)


def _release_batch(transaction: Transaction, limit: int) -> int:
    return int(
        transaction.execute_and_commit(
            "SELECT checkout.release_due_holds(:organization_id, :now, :limit, :grace_seconds, :actor)",
            organization_id=transaction.tenant,
            now=transaction.now,
            limit=limit,
            grace_seconds=GRACE_SECONDS,
            actor=transaction.actor,
        )
    )


def _with_due_holds(runtime: Runtime, now: datetime, actor: str) -> list[UUID]:
    return organizations_with(
        runtime,
        now,
        """
        SELECT o.id FROM tenancy.organizations o
         WHERE EXISTS (SELECT 1 FROM inventory.reservations r
                        WHERE r.organization_id = o.id AND r.status = 'active' AND r.expires_at <= :at)
        """,
        actor=actor,
        at=now,
    )
