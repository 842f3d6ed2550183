"""Check the index of orders in cold storage against a file that was just proven.

A wrong place is mended and a lost entry is created anew, on record. Where the index contradicts a document otherwise,
a discrepancy is opened and nothing is mended.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.archive.policy import Location
from holdfast.database.transaction import Transaction, records
from holdfast.flows.archive.examine_orders import (
    ALTERED,
    GONE,
    OTHER_CHECKSUM,
    OTHER_CUSTOMER,
    UNKNOWN,
    Finding,
    mark,
    open_discrepancy,
    resolve,
)
from holdfast.flows.archive.sealed_parts import as_array

OTHER_DOCUMENT: Final = "the index says something else than the document in cold storage"
OTHER_PLACE: Final = "the index names another place"
_SETTLED_HERE: Final = frozenset({ALTERED, GONE, OTHER_CHECKSUM, OTHER_CUSTOMER, OTHER_DOCUMENT, UNKNOWN})
_COLUMNS: Final = ("order_number", "customer_id", "status", "payment_status", "fulfillment_status", "currency", "total",
                   "refunded")  # fmt: skip

_KNOWN: Final = """
    SELECT l.order_id, l.version, l.batch_id, l.checksum,
           NOT EXISTS (SELECT 1 FROM archive.batch_leaves n WHERE n.organization_id = l.organization_id
                          AND n.order_id = l.order_id AND n.version > l.version) AS is_newest,
           EXISTS (SELECT 1 FROM archive.archived_orders a WHERE a.organization_id = l.organization_id
                      AND a.order_id = l.order_id AND a.version = l.version) AS is_copied,
           EXISTS (SELECT 1 FROM orders.orders o WHERE o.organization_id = l.organization_id
                      AND o.id = l.order_id) AS is_active,
           EXISTS (SELECT 1 FROM archive.cold_files f WHERE f.organization_id = l.organization_id
                      AND f.path = x.cold_path AND f.verified_at IS NOT NULL) AS has_file,
           x.version AS index_version, x.location, x.cold_path, x.cold_row_group, x.verification, x.ordered_at,
           x.checksum AS index_checksum, x.batch_id AS index_batch_id, x.order_number, x.customer_id::text, x.status,
           x.payment_status, x.fulfillment_status, x.currency, x.total, x.refunded
      FROM unnest(CAST(:order_ids AS uuid[]), CAST(:versions AS integer[])) AS u (order_id, version)
      JOIN archive.batch_leaves l ON l.organization_id = :organization_id AND l.order_id = u.order_id
                                 AND l.version = u.version
      LEFT JOIN archive.archive_index x ON x.organization_id = l.organization_id AND x.order_id = l.order_id
"""
# The new entry's location: active again, copied in the archive, or only in the file.
_ENTER: Final = """
    INSERT INTO archive.archive_index (organization_id, order_id, version, order_number, customer_id, status,
        payment_status, fulfillment_status, ordered_at, currency, total, refunded, location, cold_path, cold_row_group,
        legal_hold, batch_id, archived_at, tier, checksum, last_verified_at)
    SELECT l.organization_id, l.order_id, l.version, :order_number, CAST(:customer_id AS uuid), :status,
           :payment_status, :fulfillment_status, CAST(:created_at AS timestamptz), :currency, :total, :refunded,
           w.location, CASE w.location WHEN 'cold_storage' THEN :path END,
           CASE w.location WHEN 'cold_storage' THEN CAST(:row_group AS integer) END,
           EXISTS (SELECT 1 FROM archive.legal_holds h WHERE h.organization_id = l.organization_id
                      AND h.order_id = l.order_id AND h.released_at IS NULL),
           l.batch_id, b.created_at, 'standard', l.checksum, :now
      FROM archive.batch_leaves l
      JOIN archive.archive_batches b ON b.organization_id = l.organization_id AND b.id = l.batch_id
     CROSS JOIN LATERAL (SELECT CASE
               WHEN EXISTS (SELECT 1 FROM orders.orders o WHERE o.organization_id = l.organization_id
                               AND o.id = l.order_id AND o.deleted_at IS NULL) THEN 'restored'
               WHEN EXISTS (SELECT 1 FROM archive.archived_orders a WHERE a.organization_id = l.organization_id
                               AND a.order_id = l.order_id AND a.version = l.version) THEN 'archived'
               ELSE 'cold_storage' END AS location) AS w
     WHERE l.organization_id = :organization_id AND l.order_id = :order_id AND l.version = :version
    ON CONFLICT DO NOTHING
"""
_MOVE: Final = """
    UPDATE archive.archive_index x
       SET location = 'cold_storage', cold_path = :path, cold_row_group = :row_group
     WHERE x.organization_id = :organization_id AND x.order_id = :order_id AND x.version = :version
       AND x.location = :was_in AND x.cold_path IS NOT DISTINCT FROM :was_at
"""


@dataclass(slots=True)
class Held:
    """What a file showed about the index: what was mended, what is wrong, and how many discrepancies were resolved."""

    mended: list[Finding] = field(default_factory=list)
    wrong: list[Finding] = field(default_factory=list)
    settled: int = 0


def enter(
    transaction: Transaction, order_id: UUID, version: int, said: Mapping[str, Any], path: str, row_group: int
) -> bool:
    """Create the entry of an order from its proven document in cold storage. Return whether there was none."""
    made = transaction.execute(
        _ENTER,
        organization_id=transaction.tenant,
        order_id=order_id,
        version=version,
        path=path,
        row_group=row_group,
        now=transaction.now,
        created_at=said["created_at"],
        **{name: said[name] for name in _COLUMNS},
    )
    return made > 0


def hold_index(
    transaction: Transaction,
    path: str,
    row_group: int,
    rows: Sequence[Mapping[str, Any]],
    said: Sequence[Mapping[str, Any]],
    held: Held,
) -> None:
    """Check the index entries of a row group's orders against it."""
    says = {(UUID(row["order_id"]), row["version"]): each for row, each in zip(rows, said, strict=True)}
    known = records(
        transaction.rows(
            _KNOWN,
            organization_id=transaction.tenant,
            order_ids=[order_id for order_id, _ in says],
            versions=[version for _, version in says],
        )
    )
    mended: list[Finding] = []
    wrong: list[tuple[UUID, Finding]] = []
    for entry in known:
        finding = _mend(transaction, entry, says[entry["order_id"], entry["version"]], path, row_group)
        mended += [finding] if finding else []
        wrong += [(entry["batch_id"], found) for found in _contradictions(entry, says)]
    for batch_id, found in wrong:
        open_discrepancy(transaction, batch_id, found)
    settled = _settle(transaction, known, {(found.order_id, found.words) for _, found in wrong})
    touched = [found.order_id for found in mended] + [found.order_id for _, found in wrong] + settled
    if touched:
        mark(transaction, as_array(touched))
    held.mended += mended
    held.wrong += [found for _, found in wrong]
    held.settled += len(settled)


def _mend(
    transaction: Transaction, entry: Mapping[str, Any], said: Mapping[str, Any], path: str, row_group: int
) -> Finding | None:
    order_id, version = entry["order_id"], entry["version"]
    if entry["index_version"] is None:
        is_made = entry["is_newest"] and enter(transaction, order_id, version, said, path, row_group)
        return Finding(order_id, "missing", UNKNOWN, version) if is_made else None
    if not _is_lost(entry, path, row_group):
        return None
    moved = transaction.execute(
        _MOVE,
        organization_id=transaction.tenant,
        order_id=order_id,
        version=version,
        path=path,
        row_group=row_group,
        was_in=entry["location"],
        was_at=entry["cold_path"],
    )
    return Finding(order_id, "inconsistent", OTHER_PLACE, version) if moved else None


def _is_lost(entry: Mapping[str, Any], path: str, row_group: int) -> bool:
    """Return whether the order is not where its entry says.

    A month that was moved twice is in two files. Either is right, unless the order was looked for there in vain.
    """
    if entry["index_version"] != entry["version"] or entry["is_copied"]:
        return False
    if entry["location"] != Location.COLD_STORAGE:
        return not entry["is_active"]
    if entry["cold_path"] == path:
        return bool(entry["cold_row_group"] != row_group)
    return not entry["has_file"] or entry["verification"] == "missing"


def _contradictions(entry: Mapping[str, Any], says: Mapping[tuple[UUID, int], Mapping[str, Any]]) -> list[Finding]:
    order_id, version = entry["order_id"], entry["version"]
    if entry["index_version"] is None or not entry["is_newest"]:
        return []
    found = []
    said = says[order_id, version]
    differs = any(entry[name] != said[name] for name in _COLUMNS)
    if (
        differs
        or (entry["index_version"], entry["index_batch_id"]) != (version, entry["batch_id"])
        or entry["ordered_at"] != datetime.fromisoformat(said["created_at"])
    ):
        found.append(Finding(order_id, "inconsistent", OTHER_DOCUMENT, version))
    if bytes(entry["index_checksum"]) != bytes(entry["checksum"]):
        found.append(Finding(order_id, "inconsistent", OTHER_CHECKSUM, version))
    return found


def _settle(transaction: Transaction, known: Sequence[Mapping[str, Any]], found: set[tuple[UUID, str]]) -> list[UUID]:
    """Resolve discrepancies that the file disproves, and return the order of each.

    The file was read, and each document in it is the one that was sealed.
    """
    rows = transaction.rows(
        """
        SELECT d.id, d.order_id, d.batch_id, d.details FROM archive.discrepancies d
         WHERE d.organization_id = :o AND d.order_id = ANY (CAST(:order_ids AS uuid[])) AND d.resolved_at IS NULL
        """,
        o=transaction.tenant,
        order_ids=as_array(entry["order_id"] for entry in known),
    )
    of_batch = {(entry["order_id"], entry["batch_id"]): entry for entry in known}
    over = []
    for row in rows:
        entry = of_batch.get((row.order_id, row.batch_id))
        plain = row.details.partition(" (version ")[0]
        if entry is None or plain not in _SETTLED_HERE or (row.order_id, row.details) in found:
            continue
        if plain == OTHER_CUSTOMER and any(order_id == row.order_id for order_id, _ in found):
            continue
        if plain in {ALTERED, GONE} and entry["is_copied"]:
            continue  # this is about the archived copy, which was not read here
        over.append(row)
    if over:
        resolve(transaction, [row.id for row in over], "its file was read again: it is no longer so")
    return [row.order_id for row in over]


def hold_missing(
    transaction: Transaction, path: str, month_ids: tuple[UUID, UUID], there: Sequence[UUID], held: Held
) -> None:
    """Open a discrepancy for every index entry of the month that names this file although the file lacks the order."""
    rows = transaction.rows(
        """
        SELECT x.order_id, x.version, x.batch_id FROM archive.archive_index x
         WHERE x.organization_id = :o AND x.order_id >= :first AND x.order_id < :before
           AND x.location = 'cold_storage' AND x.cold_path = :path
           AND NOT EXISTS (SELECT 1 FROM unnest(CAST(:there AS uuid[])) AS t (order_id) WHERE t.order_id = x.order_id)
         ORDER BY x.order_id
        """,
        o=transaction.tenant,
        first=month_ids[0],
        before=month_ids[1],
        path=path,
        there=as_array(there),
    )
    for row in rows:
        finding = Finding(row.order_id, "missing", GONE, row.version)
        open_discrepancy(transaction, row.batch_id, finding)
        held.wrong.append(finding)
    if rows:
        mark(transaction, as_array(row.order_id for row in rows))
