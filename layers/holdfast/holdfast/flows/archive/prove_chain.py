"""Prove an organization's whole chain: every batch, its leaves, and its link to the batch before it.

The chain is also checked against the heads that were put away where nobody can overwrite them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from holdfast.archive.policy import ReconciliationType
from holdfast.database.transaction import Transaction
from holdfast.flows.archive.chain_heads import PutAway, heads_put_away, put_head_away
from holdfast.flows.archive.examine_orders import Finding, Tally, log_look, open_discrepancy
from holdfast.flows.archive.organizations import EachByItself, least_recently_looked_at
from holdfast.flows.archive.verify_archive import ACTOR, Verified, alert
from holdfast.flows.operations.call_person import call_person
from holdfast.flows.operations.process_names import Process
from holdfast.runtime import Runtime

GENESIS: Final = bytes(32)
"""The previous root of the first batch."""
PAGE_BATCHES: Final = 100
LATE_AFTER: Final = timedelta(days=7)
"""A chain that has not been proven whole for longer than this is reported as late."""


@dataclass(frozen=True, slots=True)
class ChainProof:
    """How far the chain was proven, and its first break: the position, the batch, and what is wrong."""

    batches: int
    orders: int
    root: str
    finished: bool
    break_position: int | None = None
    break_batch_id: UUID | None = None
    break_reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Reached:
    """The last batch that was proven."""

    position: int = 0
    root: bytes = GENESIS
    orders: int = 0
    batch_id: UUID | None = None

    def breaks(self, batch_id: UUID | None, reason: str) -> ChainProof:
        return ChainProof(self.position, self.orders, self.root.hex(), True, self.position + 1, batch_id, reason)


def prove_chains(runtime: Runtime, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]) -> Verified:
    """Prove the chain of every organization, beginning with the one whose last proof is the oldest.

    A proven head is put away. If a chain is too long for one run, the next run continues it.
    """
    verified = Verified()
    with EachByItself() as each:
        for organization_id, since in least_recently_looked_at(runtime, clock(), ACTOR, ReconciliationType.CHAIN):
            is_done = False
            if time_left_seconds() > 0:
                with each.organization(organization_id):
                    is_done = _prove(runtime, organization_id, clock, time_left_seconds, verified)
            if not is_done:
                verified.finished = False
                verified.late += since is not None and clock() - since > LATE_AFTER
    return verified


def _prove(
    runtime: Runtime,
    organization_id: UUID,
    clock: Callable[[], datetime],
    time_left_seconds: Callable[[], float],
    verified: Verified,
) -> bool:
    """Prove one chain, as far as there is time. Return whether that is done."""
    proof = prove_chain(runtime, organization_id, clock, time_left_seconds, actor=ACTOR)
    verified.batches += proof.batches
    verified.tally.checked += proof.orders
    if proof.break_reason is not None:
        verified.failed_batches += 1
        subject = proof.break_batch_id or organization_id
        broken = Tally(proof.orders, findings=[Finding(subject, "inconsistent", proof.break_reason)])
        verified.tally.findings += broken.findings
        alert(runtime, organization_id, subject, broken, what="the chain of the archive is broken")
        return True
    if proof.finished and proof.batches:
        put_head_away(runtime, organization_id, proof.batches, proof.root, clock())
    return proof.finished


def prove_chain(
    runtime: Runtime,
    organization_id: UUID,
    clock: Callable[[], datetime],
    time_left_seconds: Callable[[], float],
    *,
    actor: str,
) -> ChainProof:
    """Recompute every root up to the head.

    The proof starts where the last one ended if that ran out of time, or else at the first batch. A break opens a
    discrepancy of its batch. Raises Transient while the bucket does not answer.
    """
    began = time.monotonic()
    put_away = heads_put_away(runtime, organization_id)
    with runtime.database.transaction(organization_id, now=clock(), actor=actor) as transaction:
        reached = _reached(transaction)
    while time_left_seconds() > 0:
        page = runtime.database.transact(
            organization_id,
            lambda transaction, start=reached: _prove_page(transaction, start, put_away, began),  # type: ignore[misc]
            now=clock(),
            actor=actor,
            # The last page and the head are read in one snapshot: a batch sealed between them would look like a break.
            one_snapshot=True,
        )
        if isinstance(page, ChainProof):
            return page
        reached = page
    proof = ChainProof(reached.position, reached.orders, reached.root.hex(), finished=False)
    with runtime.database.transaction(organization_id, now=clock(), actor=actor) as transaction:
        _log(transaction, proof, Tally(checked=proof.orders), began, reached.batch_id)
    return proof


def _reached(transaction: Transaction) -> _Reached:
    """Return where the last proof ended, if it ran out of time.

    Its stored root is trusted only as far as the next batch continues from it. The next proof that starts at the first
    batch does not depend on it.
    """
    row = transaction.row(
        """
        SELECT r.is_complete, r.continues_after, r.details FROM archive.reconciliation_log r
         WHERE r.organization_id = :o AND r.type = 'chain' ORDER BY r.id DESC LIMIT 1
        """,
        o=transaction.tenant,
    )
    if row is None or row.is_complete or row.continues_after is None:
        return _Reached()
    said = row.details
    return _Reached(said["batches"], bytes.fromhex(said["root"]), said["orders"], row.continues_after)


def _prove_page(transaction: Transaction, reached: _Reached, put_away: PutAway, began: float) -> _Reached | ChainProof:
    """Prove the next page of batches. Return the proof once there are no more, or once one breaks the chain."""
    tenant = transaction.tenant
    page = transaction.rows(
        """
        SELECT b.id, b.root, b.orders FROM archive.archive_batches b
         WHERE b.organization_id = :o AND b.chain_position > :position ORDER BY b.chain_position LIMIT :limit
        """,
        o=tenant,
        position=reached.position,
        limit=PAGE_BATCHES,
    )
    for batch in page:
        position = reached.position + 1
        reason = transaction.value(
            "SELECT archive.break_of(:o, :batch_id, :position, CAST(:previous AS bytea))",
            o=tenant,
            batch_id=batch.id,
            position=position,
            previous=reached.root,
        )
        if reason is None and (key := put_away.contradiction(position, bytes(batch.root))) is not None:
            reason = _otherwise(key)
        if reason is not None:
            return _record(transaction, reached.breaks(batch.id, reason), began)
        reached = _Reached(position, bytes(batch.root), reached.orders + batch.orders, batch.id)
    if len(page) == PAGE_BATCHES:
        return reached
    return _record(transaction, _head(transaction, reached, put_away), began)


def _head(transaction: Transaction, reached: _Reached, put_away: PutAway) -> ChainProof:
    """Check the end of the chain against its head and the heads put away.

    These say how long the chain is, so a tail that was cut off shows here.
    """
    head = transaction.row(
        "SELECT position, root FROM archive.chain_heads WHERE organization_id = :o", o=transaction.tenant
    )
    position, root = (head.position, bytes(head.root)) if head is not None else (0, GENESIS)
    if position != reached.position:
        return reached.breaks(None, f"the head stands at position {position}, the last batch at {reached.position}")
    if root != reached.root:
        return reached.breaks(None, "the head has another root than the last batch")
    if (other := _contradicted(transaction, put_away)) is not None:
        return other
    if (beyond := put_away.beyond(position)) is not None:
        return reached.breaks(None, f"the chain was longer once: position {beyond[0]} was put away as {beyond[1]}")
    if put_away.unreadable:
        return reached.breaks(None, f"what was put away of the chain cannot be read: {put_away.unreadable[0]}")
    return ChainProof(reached.position, reached.orders, reached.root.hex(), finished=True)


def _contradicted(transaction: Transaction, put_away: PutAway) -> ChainProof | None:
    """Return the break at the first batch whose root is not the one put away, wherever in the chain this proof began.

    Return ``None`` if every root agrees.
    """
    batches = transaction.rows(
        """
        SELECT b.id, b.root, b.chain_position, b.previous_root FROM archive.archive_batches b
         WHERE b.organization_id = :o AND b.chain_position = ANY (CAST(:positions AS bigint[]))
         ORDER BY b.chain_position
        """,
        o=transaction.tenant,
        positions=list(put_away.roots),
    )
    for batch in batches:
        if (key := put_away.contradiction(batch.chain_position, bytes(batch.root))) is not None:
            before = _Reached(batch.chain_position - 1, bytes(batch.previous_root))
            return before.breaks(batch.id, _otherwise(key))
    return None


def _otherwise(key: str) -> str:
    return f"its root is not the one that was put away: {key}"


def _record(transaction: Transaction, proof: ChainProof, began: float) -> ChainProof:
    tally = Tally(checked=proof.orders)
    if proof.break_reason is not None:
        subject = proof.break_batch_id or transaction.tenant
        tally.findings.append(Finding(subject, "inconsistent", proof.break_reason))
        open_discrepancy(transaction, proof.break_batch_id, tally.findings[0])
        call_person(
            transaction,
            Process.ARCHIVE_VERIFICATION,
            subject,
            f"the chain of the archive breaks at position {proof.break_position}: {proof.break_reason}; severity high",
            {"severity": "high", "position": proof.break_position},
            renews=True,
        )
    else:
        transaction.execute(
            """
            UPDATE archive.discrepancies d
               SET resolved_at = :now, resolved_by = :actor, resolution = 'the whole chain was proven'
             WHERE d.organization_id = :o AND d.resolved_at IS NULL AND (d.order_id = d.batch_id OR d.order_id = :o)
            """,
            o=transaction.tenant,
            now=transaction.now,
            actor=transaction.actor,
        )
    _log(transaction, proof, tally, began)
    return proof


def _log(
    transaction: Transaction, proof: ChainProof, tally: Tally, began: float, continues_after: UUID | None = None
) -> None:
    log_look(
        transaction,
        ReconciliationType.CHAIN,
        tally,
        duration_ms=int((time.monotonic() - began) * 1000),
        is_complete=proof.finished,
        continues_after=continues_after,
        details={"batches": proof.batches, "root": proof.root, "orders": proof.orders},
    )
