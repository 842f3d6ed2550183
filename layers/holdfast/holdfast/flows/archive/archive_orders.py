"""Archive old and settled orders, batch by batch: copied, indexed, checksummed and marked in one transaction.

Several runs may work concurrently, and each may end anywhere, because a batch is one transaction. A second, short
transaction gives the batch its place in the chain; a batch that was filled but not sealed is sealed by the next run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from holdfast.archive.policy import BATCH_MAX_ORDERS, DOCUMENT_SCHEMA, ArchivePolicy
from holdfast.database.transaction import Transaction
from holdfast.flows.archive.organizations import EachByItself, organizations
from holdfast.flows.archive.sealed_parts import as_array, as_parameter, seal_parts
from holdfast.runtime import Runtime
from holdfast.values.ids import uuid7

ACTOR: Final = "system:archival"


@dataclass(frozen=True, slots=True)
class Archived:
    """What one run did. ``finished`` is false when the time ran out before the orders did."""

    orders: int
    batches: int
    finished: bool


@dataclass(frozen=True, slots=True)
class _Filled:
    batch_id: UUID
    orders: int
    last_order_id: str


def archive_orders(
    runtime: Runtime,
    clock: Callable[[], datetime],
    time_left_seconds: Callable[[], float],
    *,
    batch_max_orders: int = BATCH_MAX_ORDERS,
) -> Archived:
    """Archive every order that may be archived, organization by organization, while there is time."""
    orders = batches = 0
    with EachByItself() as each:
        for organization_id, policy in organizations(runtime, clock(), ACTOR):
            with each.organization(organization_id):
                seal_batches(runtime, organization_id, clock())
                after = str(UUID(int=0))
                while True:
                    if time_left_seconds() <= 0:
                        return Archived(orders, batches, finished=False)
                    filled = _fill(runtime, organization_id, policy, after, batch_max_orders, clock())
                    if filled is None:
                        break
                    _seal(runtime, organization_id, filled.batch_id, clock())
                    orders, batches, after = orders + filled.orders, batches + 1, filled.last_order_id
    return Archived(orders, batches, finished=True)


def _fill(
    runtime: Runtime, organization_id: UUID, policy: ArchivePolicy, after: str, batch_max_orders: int, now: datetime
) -> _Filled | None:
    def work(transaction: Transaction) -> _Filled | None:
        claimed: str | None = transaction.value(
            """
            SELECT array_to_string(archive.claim_orders(
                :organization_id, :placed_before, :settled_before, CAST(:after AS uuid), :limit), ',')
            """,
            organization_id=organization_id,
            placed_before=policy.placed_before(now),
            settled_before=policy.settled_before(now),
            after=after,
            limit=batch_max_orders,
        )
        if not claimed:
            return None
        order_ids = claimed.split(",")
        sealed = seal_parts(transaction, runtime.keyring, order_ids)
        batch = {
            "id": str(uuid7(now)),
            "cutoff_at": policy.placed_before(now).isoformat(),
            "strategy": policy.strategy,
            "document_schema": DOCUMENT_SCHEMA,
            "high_value_minor": policy.high_value_minor,
        }
        transaction.execute_and_commit(
            """
            SELECT archive.fill_batch(:organization_id, :now, CAST(:batch AS jsonb), CAST(:order_ids AS uuid[]),
                                      CAST(:sealed AS text[]))
            """,
            organization_id=organization_id,
            now=now,
            batch=batch,
            order_ids=as_array(order_ids),
            sealed=as_parameter(sealed),
        )
        return _Filled(UUID(str(batch["id"])), len(order_ids), order_ids[-1])

    # In one snapshot, what is sealed and what is copied are of the same moment although two statements read them.
    return runtime.database.transact(organization_id, work, now=now, actor=ACTOR, one_snapshot=True)


def seal_batches(runtime: Runtime, organization_id: UUID, now: datetime) -> int:
    """Give every filled batch of an organization its place in the chain. Return how many were sealed."""
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        rows = transaction.rows(
            "SELECT id FROM archive.archive_batches WHERE organization_id = :o AND status = 'in_progress' ORDER BY id",
            o=organization_id,
        )
    return sum(_seal(runtime, organization_id, row[0], now) for row in rows)


def _seal(runtime: Runtime, organization_id: UUID, batch_id: UUID, now: datetime) -> bool:
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        position = transaction.execute_and_commit(
            "SELECT archive.seal_batch(:organization_id, :batch_id, :now)",
            organization_id=organization_id,
            batch_id=batch_id,
            now=now,
        )
    return position is not None
