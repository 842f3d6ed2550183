"""Examine archived orders and record what is wrong with them: marked, counted, and open until it is no longer so."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import UUID

from holdfast.archive.sealing import Keyring
from holdfast.database.transaction import Transaction
from holdfast.flows.archive.sealed_parts import as_array, as_parameter, seal_parts
from holdfast.values.ids import uuid7

UNKNOWN: Final = "the index does not know the order"
GONE: Final = "the archived document is gone"
ALTERED: Final = "the archived document is not the one that was sealed"
OTHER_CHECKSUM: Final = "the checksum in the index is not the one that was sealed"
OTHER_INDEX: Final = "the index says something else than the archived row"
OTHER_COLUMNS: Final = "the archived row says something else than its document"
TWICE: Final = "the order is both active and archived"
OTHER_SOURCE: Final = "the active rows are not what was archived"
NO_BATCH: Final = "there is an archived document that no batch knows"
NO_LEAF: Final = "the index names an order that its batch does not know"
"""The findings of ``archive.examine`` about an order, word for word."""
OTHER_CUSTOMER: Final = "the index names another customer than the document"
"""The finding of a reader who would otherwise show the order to another customer."""

CHECKSUM_FAILURES: Final = frozenset({ALTERED, OTHER_CHECKSUM})
EXAMPLES_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with one order. ``version`` counts how often the order has been archived."""

    order_id: UUID
    kind: str
    details: str
    version: int = 1

    @property
    def words(self) -> str:
        """The text that goes on record. The same problem in two versions of an order is two discrepancies."""
        return self.details if self.version == 1 else f"{self.details} (version {self.version})"


@dataclass(slots=True)
class Tally:
    """The result of a look at archived orders."""

    checked: int = 0
    resolved: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def checksum_failures(self) -> int:
        """The number of findings that are about checksums that do not agree."""
        return sum(finding.details in CHECKSUM_FAILURES for finding in self.findings)

    @property
    def orders_found(self) -> int:
        """The number of orders with at least one finding."""
        return len({finding.order_id for finding in self.findings})

    def add(self, other: "Tally") -> None:
        """Add the result of another look."""
        self.checked += other.checked
        self.resolved += other.resolved
        self.findings.extend(other.findings)

    def examples(self) -> list[dict[str, Any]]:
        """Return the first findings, as they go on record."""
        return [{"order_id": str(f.order_id), "kind": f.kind, "details": f.words} for f in self.findings[:EXAMPLES_MAX]]


def examine(
    transaction: Transaction, keyring: Keyring, batch_id: UUID, order_ids: Sequence[str], *, against_source: bool
) -> Tally:
    """Check orders of a batch against what was sealed; with ``against_source`` also against their active rows.

    ``order_ids`` are written as PostgreSQL writes them, without duplicates.

    Every finding is marked in the index and opens a discrepancy. An open discrepancy of this batch is resolved, on
    record and in the name of the transaction's actor, if this look could have seen it and it is no longer so.
    """
    array = as_array(order_ids)
    sealed: list[str | None] = [None] * len(order_ids)
    if against_source:
        sealed = seal_parts(transaction, keyring, order_ids)
    rows = transaction.rows(
        """
        SELECT e.order_id, e.kind, e.details, COALESCE(l.version, 1) AS version
          FROM archive.examine(:organization_id, :batch_id, CAST(:order_ids AS uuid[]),
                               CAST(:sealed AS text[])) e
          LEFT JOIN archive.batch_leaves l ON l.organization_id = :organization_id AND l.batch_id = :batch_id
                                          AND l.order_id = e.order_id
         ORDER BY e.order_id, e.kind, e.details
        """,
        organization_id=transaction.tenant,
        batch_id=batch_id,
        order_ids=array,
        sealed=as_parameter(sealed),
    )
    findings = [Finding(row.order_id, row.kind, row.details, row.version) for row in rows]
    resolved = settle(transaction, batch_id, array, findings)
    for finding in findings:
        open_discrepancy(transaction, batch_id, finding)
    mark(transaction, array)
    return Tally(len(order_ids), resolved, findings)


def mark(transaction: Transaction, order_ids: str) -> None:
    """Mark each order in the index with the worst discrepancy that is open about it, whoever found it."""
    transaction.execute(
        """
        UPDATE archive.archive_index x
           SET last_verified_at = :now, verification = COALESCE((
                   SELECT d.kind FROM archive.discrepancies d
                    WHERE d.organization_id = :organization_id AND d.order_id = x.order_id AND d.resolved_at IS NULL
                    ORDER BY array_position(ARRAY['missing', 'duplicate', 'inconsistent'], d.kind) LIMIT 1), 'ok')
         WHERE x.organization_id = :organization_id AND x.order_id = ANY (CAST(:order_ids AS uuid[]))
        """,
        organization_id=transaction.tenant,
        now=transaction.now,
        order_ids=order_ids,
    )


def settle(transaction: Transaction, batch_id: UUID, order_ids: str, findings: Sequence[Finding]) -> int:
    """Resolve open discrepancies of these orders in this batch, and return how many.

    A discrepancy is resolved if a look at the orders could have found it again and did not.
    """
    standing = transaction.rows(
        """
        SELECT d.id, d.order_id, d.kind, d.details, x.order_id IS NOT NULL AS is_indexed,
               COALESCE(x.version = l.version, false) AS is_latest, COALESCE(x.location = 'restored', false) AS is_back,
               a.order_id IS NOT NULL AS is_copied,
               COALESCE(sha256(convert_to(a.document, 'UTF8')) = l.checksum, false) AS is_sound,
               o.id IS NOT NULL AS has_source
          FROM archive.discrepancies d
          LEFT JOIN archive.batch_leaves l ON l.organization_id = d.organization_id AND l.batch_id = d.batch_id
                                          AND l.order_id = d.order_id
          LEFT JOIN archive.archive_index x ON x.organization_id = d.organization_id AND x.order_id = d.order_id
          LEFT JOIN archive.archived_orders a ON a.organization_id = d.organization_id AND a.order_id = d.order_id
                                             AND a.version = l.version
          LEFT JOIN orders.orders o ON o.organization_id = d.organization_id AND o.id = d.order_id
         WHERE d.organization_id = :organization_id AND d.batch_id = :batch_id AND d.resolved_at IS NULL
           AND (d.order_id = ANY (CAST(:order_ids AS uuid[])) OR d.details = :no_leaf)
        """,
        organization_id=transaction.tenant,
        batch_id=batch_id,
        order_ids=order_ids,
        no_leaf=NO_LEAF,
    )
    found = {(finding.order_id, finding.kind, finding.words) for finding in findings}
    for finding in findings:
        if finding.details in {OTHER_INDEX, OTHER_COLUMNS}:  # the customer may be what differs
            found.add((finding.order_id, finding.kind, replace(finding, details=OTHER_CUSTOMER).words))
    over = [row.id for row in standing if (row.order_id, row.kind, row.details) not in found and _could_see(row)]
    if over:
        resolve(transaction, over, "looked at again: it is no longer so")
    return len(over)


_COULD_SEE: Final[Mapping[str, Callable[[Any], bool]]] = {
    UNKNOWN: lambda _: True,
    NO_BATCH: lambda _: True,
    NO_LEAF: lambda _: True,
    GONE: lambda row: row.is_copied,
    ALTERED: lambda row: row.is_copied,
    OTHER_CHECKSUM: lambda row: row.is_indexed,
    TWICE: lambda row: row.is_indexed,
    OTHER_INDEX: lambda row: row.is_indexed and (row.is_copied or not row.is_latest),
    OTHER_COLUMNS: lambda row: row.is_sound,
    OTHER_CUSTOMER: lambda row: row.is_sound,
    # An earlier version need not match the present active rows; nor need the latest, once the order was restored.
    OTHER_SOURCE: lambda row: (
        row.is_indexed and (not row.is_latest or row.is_back or (row.is_sound and row.has_source))
    ),
}
"""For each finding, whether a look at the order's rows could have found it again.

Such a look does not read files, and finding nothing wrong with rows that are gone proves nothing.
"""


def _could_see(row: Any) -> bool:
    judge = _COULD_SEE.get(row.details.partition(" (version ")[0])
    return judge is not None and bool(judge(row))


def resolve(transaction: Transaction, discrepancy_ids: Sequence[UUID], resolution: str) -> None:
    """Resolve discrepancies, on record."""
    transaction.execute(
        """
        UPDATE archive.discrepancies d SET resolved_at = :now, resolved_by = :actor, resolution = :resolution
         WHERE d.organization_id = :organization_id AND d.id = ANY (CAST(:ids AS uuid[])) AND d.resolved_at IS NULL
        """,
        organization_id=transaction.tenant,
        ids=list(discrepancy_ids),
        resolution=resolution,
        now=transaction.now,
        actor=transaction.actor,
    )


def open_discrepancy(transaction: Transaction, batch_id: UUID | None, finding: Finding) -> None:
    """Open a discrepancy for a finding. If the same one is open already, it stays as it is."""
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
        details=finding.words,
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
    """Put a look on record and return its id."""
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
