"""Delete verified orders from the active tables after their grace period. The database checks the conditions too."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from holdfast.archive.policy import ArchivePolicy
from holdfast.flows.archive.organizations import EachByItself, organizations
from holdfast.runtime import Runtime

ACTOR: Final = "system:archival"


@dataclass(frozen=True, slots=True)
class Purged:
    """What one run deleted, and how many batches are due but blocked because something was found wrong."""

    orders: int
    blocked_batches: int
    finished: bool


def purge_orders(runtime: Runtime, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]) -> Purged:
    """Purge the batches that are due, oldest first, each in a transaction of its own, while there is time."""
    orders = blocked = 0
    with EachByItself() as each:
        for organization_id, policy in organizations(runtime, clock(), ACTOR):
            with each.organization(organization_id):
                before = policy.verified_before(clock())
                for batch_id, is_blocked in _due(runtime, organization_id, before, clock()):
                    if time_left_seconds() <= 0:
                        return Purged(orders, blocked, finished=False)
                    if is_blocked:
                        blocked += 1
                    else:
                        orders += _purge(runtime, organization_id, batch_id, policy, clock())
    return Purged(orders, blocked, finished=True)


def _purge(runtime: Runtime, organization_id: UUID, batch_id: UUID, policy: ArchivePolicy, now: datetime) -> int:
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        return int(
            transaction.execute_and_commit(
                "SELECT archive.purge_batch(:organization_id, :batch_id, :verified_before, :now)",
                organization_id=organization_id,
                batch_id=batch_id,
                verified_before=policy.verified_before(now),
                now=now,
            )
        )


def _due(runtime: Runtime, organization_id: UUID, verified_before: datetime, now: datetime) -> list[tuple[UUID, bool]]:
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        rows = transaction.rows(
            """
            SELECT b.id, b.status = 'failed' OR EXISTS (
                       SELECT 1 FROM archive.discrepancies d WHERE d.organization_id = b.organization_id
                          AND d.batch_id = b.id AND d.resolved_at IS NULL) AS is_blocked
              FROM archive.archive_batches b
             WHERE b.organization_id = :organization_id AND b.status IN ('verified', 'failed') AND b.purged_at IS NULL
               AND COALESCE(b.verified_at, b.completed_at) <= :verified_before
             ORDER BY b.id
            """,
            organization_id=organization_id,
            verified_before=verified_before,
        )
    return [(row.id, row.is_blocked) for row in rows]
