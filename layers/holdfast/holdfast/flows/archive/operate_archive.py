"""What the operations team can see of the archive and do with it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.archive import sampling
from holdfast.archive.policy import BatchStatus, Location, Strategy
from holdfast.database.transaction import Transaction, plain, records
from holdfast.flows.archive.find_archived import find_archived
from holdfast.flows.archive.prove_chain import prove_chain
from holdfast.flows.archive.restore_order import restore_order
from holdfast.flows.archive.verify_archive import Verified, verify_batch
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, NotFound
from holdfast.values.ids import uuid_or_none

PAGE_MAX_ROWS: Final = 100

_BATCHES: Final = """
    SELECT b.id, b.status, b.strategy, b.orders, b.oldest_order_at, b.newest_order_at, b.totals, b.chain_position,
           encode(b.root, 'hex') AS root, encode(b.previous_root, 'hex') AS previous_root, b.population,
           b.target_sample_size, b.sample_size, b.high_value_verified, b.strata, b.discrepancies, b.purged_orders,
           b.created_at, b.completed_at, b.verified_at, b.purged_at
      FROM archive.archive_batches b
     WHERE b.organization_id = :organization_id AND (CAST(:before AS uuid) IS NULL OR b.id < CAST(:before AS uuid))
"""
_ALL_BATCHES: Final = _BATCHES + " ORDER BY b.id DESC LIMIT :limit"
_BATCHES_BY_STATUS: Final = _BATCHES + " AND b.status = :status ORDER BY b.id DESC LIMIT :limit"
_ONE_BATCH: Final = _BATCHES + " AND b.id = :id LIMIT :limit"
_DISCREPANCIES: Final = """
    SELECT d.id, d.batch_id, d.order_id, d.kind, d.details, d.found_by, d.created_at, d.resolved_at, d.resolved_by,
           d.resolution
      FROM archive.discrepancies d
     WHERE d.organization_id = :organization_id AND (CAST(:before AS uuid) IS NULL OR d.id < CAST(:before AS uuid))
"""
_OPEN: Final = _DISCREPANCIES + " AND d.resolved_at IS NULL ORDER BY d.id DESC LIMIT :limit"
_ALL: Final = _DISCREPANCIES + " ORDER BY d.id DESC LIMIT :limit"


def list_batches(
    runtime: Runtime, caller: Caller, *, status: BatchStatus | None, before: UUID | None, limit: int, now: datetime
) -> dict[str, Any]:
    """Return a page of batches, newest first, each with what its last verification can promise. Raises Forbidden."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.LIST_ARCHIVE_BATCHES)
        page = {"organization_id": transaction.tenant, "before": before, "limit": min(limit, PAGE_MAX_ROWS)}
        if status is None:
            rows = records(transaction.rows(_ALL_BATCHES, **page))
        else:
            rows = records(transaction.rows(_BATCHES_BY_STATUS, **page, status=status))
    batches = [_batch(row) for row in rows]
    return {"batches": batches, "next_before": batches[-1]["id"] if len(batches) == page["limit"] else None}


def list_discrepancies(
    runtime: Runtime, caller: Caller, *, only_open: bool, before: UUID | None, limit: int, now: datetime
) -> dict[str, Any]:
    """Return a page of discrepancies, newest first. Raises Forbidden."""
    limit = min(limit, PAGE_MAX_ROWS)
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.LIST_ARCHIVE_DISCREPANCIES)
        page = {"organization_id": transaction.tenant, "before": before, "limit": limit}
        rows = records(transaction.rows(_OPEN if only_open else _ALL, **page))
    found = [plain(row) for row in rows]
    return {"discrepancies": found, "next_before": found[-1]["id"] if len(found) == limit else None}


def reconcile_batch(
    runtime: Runtime, caller: Caller, batch_id: UUID, *, strategy: Strategy | None, now: datetime
) -> dict[str, Any]:
    """Verify a batch now and return it as it is afterwards. Raises Forbidden, NotFound or Conflict."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.RECONCILE_ARCHIVE_BATCH)
        batch = _find_batch(transaction, batch_id)
    if batch["status"] == BatchStatus.IN_PROGRESS:
        raise Conflict("the batch is being filled")
    verify_batch(runtime, caller.organization_id, batch_id, now, caller.actor, Verified(), strategy=strategy)
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        return _batch(_find_batch(transaction, batch_id))


def prove_archive(
    runtime: Runtime, caller: Caller, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]
) -> dict[str, Any]:
    """Prove the organization's whole chain and report its first break, if there is one. Raises Forbidden."""
    with runtime.database.transaction(caller.organization_id, now=clock(), actor=caller.actor) as transaction:
        require(transaction, caller, Operation.PROVE_ARCHIVE)
    proof = prove_chain(runtime, caller.organization_id, clock, time_left_seconds, actor=caller.actor)
    return plain(asdict(proof))


def restore_archived_order(
    runtime: Runtime, caller: Caller, reference: str, *, reason: str, now: datetime
) -> dict[str, Any]:
    """Restore an order into the active tables. A repetition changes nothing. Raises Forbidden or NotFound."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.RESTORE_ARCHIVED_ORDER)
        back = _brought_back(transaction, reference)
    entry = find_archived(runtime, caller.organization_id, reference, now, caller.actor) if back is None else None
    if back is not None:
        return {"order_id": str(back), "was_in": Location.RESTORED, "restored": False}
    if entry is None:
        raise NotFound("there is no such order in the archive")
    restored = restore_order(runtime, caller.organization_id, entry.order_id, now, caller.actor, reason)
    return {"order_id": str(entry.order_id), "was_in": entry.location, "restored": restored}


def _brought_back(transaction: Transaction, reference: str) -> UUID | None:
    """Return the order's id if it was in the archive and is active again."""
    order_id: UUID | None = transaction.value(
        """
        SELECT x.order_id FROM archive.archive_index x
         WHERE x.organization_id = :o AND x.location = 'restored'
           AND (x.order_id = :id OR x.order_number = :number)
        """,
        o=transaction.tenant,
        id=uuid_or_none(reference),
        number=reference.upper(),
    )
    return order_id


def _find_batch(transaction: Transaction, batch_id: UUID) -> Mapping[str, Any]:
    rows = records(transaction.rows(_ONE_BATCH, organization_id=transaction.tenant, before=None, id=batch_id, limit=1))
    if not rows:
        raise NotFound("there is no such batch")
    return rows[0]


def _batch(row: Mapping[str, Any]) -> dict[str, Any]:
    looked_at, high_value = row["sample_size"], row["high_value_verified"]
    statement = None
    if looked_at is not None:
        sampled = looked_at == row["population"]
        statement = (
            sampling.statement(row["population"], looked_at)
            if sampled
            else sampling.statement(row["population"] - high_value, looked_at - high_value)
        )
    return {**plain(row), "statement": statement}
