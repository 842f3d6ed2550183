"""Release the stock of expired holds, and cancel orders that were never paid.

Two runs at the same time are safe: batches are claimed with SKIP LOCKED. A checkout waits for the stock update of one
batch at most. Work that does not fit into the time is left to the next run.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.operations.in_turn import in_turn
from holdfast.runtime import Runtime

BATCH_MAX_ROWS: Final = 1_000
GRACE_SECONDS: Final = 900
"""How long an expired hold is left to the watchdog while the outcome of its payment at the gateway is open."""
ABANDONED_AFTER_SECONDS: Final = 2 * 3600
ACTOR: Final = "system:reservation_expiry"

_logger = logging.getLogger(__name__)


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
    """Release holds and cancel orders in bounded batches while there is time."""
    now = clock()
    released, all_released = _drain(runtime, _with_due_holds(runtime, now), _release_batch, clock, time_left_seconds)
    cancelled, all_cancelled = _drain(
        runtime, _with_abandoned_orders(runtime, now), _cancel_batch, clock, time_left_seconds
    )
    rolled_up, _ = _drain(runtime, _with_crowded_load(runtime, now), _roll_up, clock, time_left_seconds, once=True)
    return Expired(released, cancelled, rolled_up, all_released and all_cancelled)


def _drain(
    runtime: Runtime,
    organizations: list[UUID],
    batch: Callable[[Transaction], int],
    clock: Callable[[], datetime],
    time_left_seconds: Callable[[], float],
    *,
    once: bool = False,
) -> tuple[int, bool]:
    """Run one batch per organization in turn. Return how many rows changed, and whether everything was done.

    The turns keep a large organization from starving the others. The rotating start (``in_turn``) keeps the first ones
    from starving the last when the time ends within the first round.
    """
    done, waiting, all_done = 0, in_turn(organizations, clock()), True
    while waiting:
        still_waiting = []
        for organization_id in waiting:
            if time_left_seconds() <= 0:
                return done, False
            try:
                changed = runtime.database.transact(organization_id, batch, now=clock(), actor=ACTOR)
            except Exception:
                # A failure of one organization must not tie up the stock of the others. The run counts as unfinished.
                _logger.exception("the expiry could not finish organization %s", organization_id)
                all_done = False
                continue
            done += changed
            if changed >= BATCH_MAX_ROWS and not once:
                still_waiting.append(organization_id)
        waiting = still_waiting
    return done, all_done


def _release_batch(transaction: Transaction) -> int:
    return int(
        transaction.execute_and_commit(
            "SELECT checkout.release_due_holds(:organization_id, :now, :limit, :grace_seconds, :actor)",
            organization_id=transaction.tenant,
            now=transaction.now,
            limit=BATCH_MAX_ROWS,
            grace_seconds=GRACE_SECONDS,
            actor=ACTOR,
        )
    )


def _cancel_batch(transaction: Transaction) -> int:
    return int(
        transaction.execute_and_commit(
            "SELECT checkout.cancel_abandoned_orders(:organization_id, :now, :unchanged_since, :limit, :actor)",
            organization_id=transaction.tenant,
            now=transaction.now,
            unchanged_since=transaction.now - timedelta(seconds=ABANDONED_AFTER_SECONDS),
            limit=BATCH_MAX_ROWS,
            actor=ACTOR,
        )
    )


def _roll_up(transaction: Transaction) -> int:
    return int(
        transaction.execute_and_commit(
            "SELECT inventory.roll_up_daily_load(:organization_id, :now)",
            organization_id=transaction.tenant,
            now=transaction.now,
        )
    )


def _with_due_holds(runtime: Runtime, now: datetime) -> list[UUID]:
    return _organizations(
        runtime,
        now,
        """
        SELECT o.id FROM tenancy.organizations o
         WHERE EXISTS (SELECT 1 FROM inventory.reservations r
                        WHERE r.organization_id = o.id AND r.status = 'active' AND r.expires_at <= :at)
        """,
        at=now,
    )


def _with_abandoned_orders(runtime: Runtime, now: datetime) -> list[UUID]:
    return _organizations(
        runtime,
        now,
        """
        SELECT o.id FROM tenancy.organizations o
         WHERE EXISTS (SELECT 1 FROM orders.orders w
                        WHERE w.organization_id = o.id AND w.status IN ('pending_payment', 'payment_failed')
                          AND w.status_changed_at <= :at)
        """,
        at=now - timedelta(seconds=ABANDONED_AFTER_SECONDS),
    )


def _with_crowded_load(runtime: Runtime, now: datetime) -> list[UUID]:
    return _organizations(
        runtime,
        now,
        """
        SELECT DISTINCT organization_id FROM (
            SELECT organization_id FROM inventory.warehouse_daily_load
             GROUP BY organization_id, warehouse_id, load_date HAVING count(*) > 1) crowded
        """,
    )


def _organizations(runtime: Runtime, now: datetime, statement: str, **parameters: datetime) -> list[UUID]:
    with runtime.database.transaction(None, now=now, actor=ACTOR) as transaction:
        return [row[0] for row in transaction.rows(statement, **parameters)]
