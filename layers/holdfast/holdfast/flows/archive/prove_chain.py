"""Prove an organization's whole chain: every batch, its leaves, and what it says of the batch before it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from holdfast.archive.policy import ReconciliationType
from holdfast.database.transaction import Transaction
from holdfast.flows.archive.examine_orders import Finding, Tally, log_look, open_discrepancy
from holdfast.flows.operations.call_person import call_person
from holdfast.flows.operations.process_names import Process
from holdfast.runtime import Runtime

GENESIS: Final = bytes(32)
"""The root before the first batch."""
PAGE_BATCHES: Final = 100


@dataclass(frozen=True, slots=True)
class ChainProof:
    """How far the chain was proven, and the first break: its position, its batch, and what is wrong with it."""

    batches: int
    orders: int
    root: str
    finished: bool
    break_position: int | None = None
    break_batch_id: UUID | None = None
    break_reason: str | None = None


def prove_chain(
    runtime: Runtime,
    organization_id: UUID,
    clock: Callable[[], datetime],
    time_left_seconds: Callable[[], float],
    *,
    actor: str,
) -> ChainProof:
    """Compute every root anew, from the first batch to the head. A break stands open as a discrepancy of its batch."""
    began = time.monotonic()
    position, previous, orders = 0, GENESIS, 0
    while time_left_seconds() > 0:
        with runtime.database.transaction(organization_id, now=clock(), actor=actor) as transaction:
            page = transaction.rows(
                """
                SELECT b.id, b.root, b.orders, b.previous_root, b.chain_position
                  FROM archive.archive_batches b
                 WHERE b.organization_id = :o AND b.chain_position > :position
                 ORDER BY b.chain_position LIMIT :limit
                """,
                o=organization_id,
                position=position,
                limit=PAGE_BATCHES,
            )
            for batch in page:
                reason = transaction.value(
                    "SELECT archive.break_of(:o, :batch_id, :position, CAST(:previous AS bytea))",
                    o=organization_id,
                    batch_id=batch.id,
                    position=position + 1,
                    previous=previous,
                )
                if reason is not None:
                    proof = ChainProof(position, orders, previous.hex(), True, position + 1, batch.id, reason)
                    return _record(transaction, proof, began)
                position, previous, orders = position + 1, bytes(batch.root), orders + batch.orders
            if len(page) < PAGE_BATCHES:
                return _record(transaction, _head(transaction, position, previous, orders), began)
    return ChainProof(position, orders, previous.hex(), finished=False)


def _head(transaction: Transaction, position: int, root: bytes, orders: int) -> ChainProof:
    """The head says how long the chain is: a tail that was cut off shows here."""
    head = transaction.row(
        "SELECT position, root FROM archive.chain_heads WHERE organization_id = :o", o=transaction.tenant
    )
    expected = (head.position, bytes(head.root)) if head is not None else (0, GENESIS)
    if expected != (position, root):
        reason = f"the head stands at position {expected[0]}, the last batch at {position}"
        if expected[0] == position:
            reason = "the head has another root than the last batch"
        return ChainProof(position, orders, root.hex(), True, position + 1, None, reason)
    return ChainProof(position, orders, root.hex(), finished=True)


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
    log_look(
        transaction,
        ReconciliationType.CHAIN,
        tally,
        duration_ms=int((time.monotonic() - began) * 1000),
        details={"batches": proof.batches, "root": proof.root},
    )
    return proof
