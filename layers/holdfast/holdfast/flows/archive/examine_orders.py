"""Look at archived orders and put on record what is wrong with them: marked, counted, open until it is no longer so."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from holdfast.archive.sealing import Keyring
from holdfast.database.transaction import Transaction
from holdfast.flows.archive.sealed_parts import as_array, as_parameter, seal_parts
from holdfast.values.ids import uuid7

CHECKSUM_FAILURES: Final = frozenset(
    {"the archived document is not the one that was sealed", "the checksum in the index is not the one that was sealed"}
)
EXAMPLES_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with one order."""

    order_id: UUID
    kind: str
    details: str


@dataclass(slots=True)
class Tally:
    """What a look came to."""

    checked: int = 0
    resolved: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def checksum_failures(self) -> int:
        """How many of the findings are checksums that do not agree."""
        return sum(finding.details in CHECKSUM_FAILURES for finding in self.findings)

    @property
    def orders_found(self) -> int:
        """How many orders something is wrong with."""
        return len({finding.order_id for finding in self.findings})

    def add(self, other: "Tally") -> None:
        """Count another look in."""
        self.checked += other.checked
        self.resolved += other.resolved
        self.findings.extend(other.findings)

    def examples(self) -> list[dict[str, Any]]:
        """The first findings, as they are put on record."""
        return [
            {"order_id": str(f.order_id), "kind": f.kind, "details": f.details} for f in self.findings[:EXAMPLES_MAX]
        ]


def examine(
    transaction: Transaction, keyring: Keyring, batch_id: UUID, order_ids: Sequence[str], *, against_source: bool
) -> Tally:
    """Hold orders of a batch against what was sealed; with ``against_source`` also against their active rows.

    ``order_ids`` are written as PostgreSQL writes them, each once.

    What is wrong is marked in the index and stands open as a discrepancy; what stood open and is right again is
    resolved, on the record, by whoever acts.
    """
    array = as_array(order_ids)
    sealed: list[str | None] = [None] * len(order_ids)
    if against_source:
        sealed = seal_parts(transaction, keyring, order_ids)
    rows = transaction.rows(
        """
        SELECT order_id, kind, details
          FROM archive.examine(:organization_id, :batch_id, CAST(:order_ids AS uuid[]),
                               CAST(:sealed AS text[]))
         ORDER BY order_id, kind, details
        """,
        organization_id=transaction.tenant,
        batch_id=batch_id,
        order_ids=array,
        sealed=as_parameter(sealed),
    )
    findings = [Finding(row.order_id, row.kind, row.details) for row in rows]
    _mark(transaction, array, findings)
    resolved = _settle(transaction, batch_id, array, findings)
    return Tally(len(order_ids), resolved, findings)


def _mark(transaction: Transaction, order_ids: str, findings: Sequence[Finding]) -> None:
    """The index says of each order what was found, the worst first: missing, duplicate, inconsistent."""
    transaction.execute(
        """
        UPDATE archive.archive_index x
           SET last_verified_at = :now, verification = COALESCE((
                   SELECT f.kind FROM unnest(CAST(:found AS uuid[]), CAST(:kinds AS text[])) AS f (order_id, kind)
                    WHERE f.order_id = x.order_id
                    ORDER BY array_position(ARRAY['missing', 'duplicate', 'inconsistent'], f.kind) LIMIT 1), 'ok')
         WHERE x.organization_id = :organization_id AND x.order_id = ANY (CAST(:order_ids AS uuid[]))
        """,
        organization_id=transaction.tenant,
        now=transaction.now,
        found=[finding.order_id for finding in findings],
        kinds=[finding.kind for finding in findings],
        order_ids=order_ids,
    )


def _settle(transaction: Transaction, batch_id: UUID, order_ids: str, findings: Sequence[Finding]) -> int:
    tenant = transaction.tenant
    resolved = transaction.execute(
        """
        UPDATE archive.discrepancies d
           SET resolved_at = :now, resolved_by = :actor, resolution = 'looked at again: it is no longer so'
         WHERE d.organization_id = :organization_id AND d.resolved_at IS NULL
           AND d.order_id = ANY (CAST(:order_ids AS uuid[]))
           AND NOT EXISTS (
               SELECT 1 FROM unnest(CAST(:found AS uuid[]), CAST(:kinds AS text[]), CAST(:details AS text[]))
                          AS f (order_id, kind, details)
                WHERE f.order_id = d.order_id AND f.kind = d.kind AND f.details = d.details)
        """,
        organization_id=tenant,
        now=transaction.now,
        actor=transaction.actor,
        order_ids=order_ids,
        found=[finding.order_id for finding in findings],
        kinds=[finding.kind for finding in findings],
        details=[finding.details for finding in findings],
    )
    for finding in findings:
        open_discrepancy(transaction, batch_id, finding)
    return resolved


def open_discrepancy(transaction: Transaction, batch_id: UUID | None, finding: Finding) -> None:
    """Put a finding on record; one that stands open already stays the one it is."""
    transaction.execute(
        """
        INSERT INTO archive.discrepancies (organization_id, id, batch_id, order_id, kind, details, found_by, created_at)
        VALUES (:organization_id, :id, :batch_id, :order_id, :kind, :details, :actor, :now)
        ON CONFLICT (organization_id, order_id, kind, details) WHERE resolved_at IS NULL DO NOTHING
        """,
        organization_id=transaction.tenant,
        id=uuid7(transaction.now),
        batch_id=batch_id,
        order_id=finding.order_id,
        kind=finding.kind,
        details=finding.details,
        actor=transaction.actor,
        now=transaction.now,
    )


def log_look(
    transaction: Transaction,
    kind: str,
    tally: Tally,
    *,
    duration_ms: int,
    batch_id: UUID | None = None,
    is_complete: bool = True,
    continues_after: UUID | None = None,
    details: dict[str, Any] | None = None,
) -> UUID:
    """Put a look on record; its id."""
    look_id = uuid7(transaction.now)
    transaction.execute(
        """
        INSERT INTO archive.reconciliation_log (organization_id, id, type, batch_id, checked, found, resolved,
            checksum_failures, is_complete, continues_after, duration_ms, details, requested_by, created_at)
        VALUES (:organization_id, :id, :type, :batch_id, :checked, :found, :resolved, :checksum_failures, :is_complete,
                :continues_after, :duration_ms, CAST(:details AS jsonb), :actor, :now)
        """,
        organization_id=transaction.tenant,
        id=look_id,
        type=kind,
        batch_id=batch_id,
        checked=tally.checked,
        found=len(tally.findings),
        resolved=tally.resolved,
        checksum_failures=tally.checksum_failures,
        is_complete=is_complete,
        continues_after=continues_after,
        duration_ms=duration_ms,
        details={"findings": tally.examples(), **(details or {})},
        actor=transaction.actor,
        now=transaction.now,
    )
    return look_id
