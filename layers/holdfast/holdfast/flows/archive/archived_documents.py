"""Read an archived order's document, wherever it is stored, and prove it first. A wrong index entry is mended."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.archive.document import opened, parse, view_of
from holdfast.archive.merkle import checksum
from holdfast.archive.policy import Location, ReconciliationType
from holdfast.database.transaction import Transaction, records
from holdfast.flows.archive.examine_orders import (
    ALTERED,
    GONE,
    OTHER_CUSTOMER,
    UNKNOWN,
    Finding,
    Tally,
    log_look,
    mark,
    open_discrepancy,
)
from holdfast.flows.archive.sealed_parts import as_array, open_part
from holdfast.flows.operations.call_person import call_person
from holdfast.flows.operations.process_names import Process
from holdfast.runtime import Runtime
from holdfast.values.errors import HoldfastError, NotFound
from holdfast.values.ids import moment_of, uuid_or_none

MOVES_MAX: Final = 3
"""How often an order may move to another tier while it is being looked for."""

_ENTRY: Final = """
    SELECT x.order_id, x.version, x.customer_id, x.location, x.batch_id, x.cold_path, x.cold_row_group,
           l.checksum
      FROM archive.archive_index x
      LEFT JOIN archive.batch_leaves l ON l.organization_id = x.organization_id AND l.order_id = x.order_id
                                      AND l.version = x.version
     WHERE x.organization_id = :organization_id AND (x.order_id = :id OR x.order_number = :number)
       AND x.location <> 'restored'
"""
# An order's number contains its creation time to the millisecond, so the ids of that millisecond are searched.
_UNINDEXED: Final = """
    SELECT a.order_id, a.version, a.customer_id, 'archived' AS location, l.batch_id, NULL AS cold_path,
           NULL AS cold_row_group, l.checksum
      FROM archive.archived_orders a
      JOIN archive.batch_leaves l ON l.organization_id = a.organization_id AND l.order_id = a.order_id
                                 AND l.version = a.version
     WHERE a.organization_id = :organization_id AND a.order_id BETWEEN :first AND :last
       AND (CAST(:number AS text) IS NULL OR a.order_number = :number)
       AND NOT EXISTS (SELECT 1 FROM archive.archive_index x WHERE x.organization_id = a.organization_id
                          AND x.order_id = a.order_id)
     ORDER BY a.version DESC LIMIT 1
"""
_REPAIR: Final = """
    INSERT INTO archive.archive_index (organization_id, order_id, version, order_number, customer_id, status,
        payment_status, fulfillment_status, ordered_at, currency, total, refunded, legal_hold, batch_id, archived_at,
        tier, checksum, last_verified_at)
    SELECT a.organization_id, a.order_id, a.version, a.order_number, a.customer_id, a.status, a.payment_status,
           a.fulfillment_status, a.ordered_at, a.currency, a.total, a.refunded,
           EXISTS (SELECT 1 FROM archive.legal_holds h WHERE h.organization_id = l.organization_id
                      AND h.order_id = l.order_id AND h.released_at IS NULL),
           l.batch_id, b.created_at, 'standard', l.checksum, :now
      FROM archive.archived_orders a
      JOIN archive.batch_leaves l ON l.organization_id = a.organization_id AND l.order_id = a.order_id
                                 AND l.version = a.version
      JOIN archive.archive_batches b ON b.organization_id = l.organization_id AND b.id = l.batch_id
     WHERE a.organization_id = :organization_id AND a.order_id = :order_id AND a.version = :version
    ON CONFLICT DO NOTHING
"""


class AlteredDocument(HoldfastError):
    """The archive holds something else than what was sealed. It is shown to nobody, and a person is called."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An archived order, as the index has it."""

    order_id: UUID
    version: int
    customer_id: UUID
    location: Location
    batch_id: UUID
    cold_path: str | None
    cold_row_group: int | None
    checksum: bytes | None


def find_entry(transaction: Transaction, reference: str) -> Entry | None:
    """Return the archived order with this id or number.

    An order that is missing from the index is found by its key and put back into the index, on record.
    """
    order_id = uuid_or_none(reference)
    row = transaction.row(_ENTRY, organization_id=transaction.tenant, id=order_id, number=reference.upper())
    if row is not None:
        return _entry(records([row])[0])
    return _found_without_index(transaction, order_id, reference.upper())


def _found_without_index(transaction: Transaction, order_id: UUID | None, number: str) -> Entry | None:
    first = last = order_id
    if order_id is None:
        moment = moment_of(number)
        if moment is None:
            return None
        first, last = moment
    wanted = number if order_id is None else None
    row = transaction.row(_UNINDEXED, organization_id=transaction.tenant, first=first, last=last, number=wanted)
    if row is None:
        return None
    entry = _entry(records([row])[0])
    began = time.monotonic()
    transaction.execute(
        _REPAIR,
        organization_id=transaction.tenant,
        order_id=entry.order_id,
        version=entry.version,
        now=transaction.now,
    )
    found = Finding(entry.order_id, "missing", UNKNOWN, entry.version)
    tally = Tally(checked=1, resolved=1, findings=[found])
    duration_ms = int((time.monotonic() - began) * 1000)
    log_look(transaction, ReconciliationType.LOCATION_REPAIR, tally, duration_ms=duration_ms, batch_id=entry.batch_id)
    return entry


def _entry(row: Mapping[str, Any]) -> Entry:
    known = dict(row)
    known["location"] = Location(known["location"])
    known["checksum"] = None if known["checksum"] is None else bytes(known["checksum"])
    return Entry(**known)


def read_document(runtime: Runtime, organization_id: UUID, entry: Entry, now: datetime, actor: str) -> str:
    """Return the document's text, proven. A wrong location in the index is mended.

    An order that moves to another tier in the meantime is looked for there; one that was restored is not found. Raises
    NotFound or AlteredDocument.
    """
    for _ in range(MOVES_MAX):
        text = _text_of(runtime, organization_id, entry, now, actor)
        if text is not None:
            break
        with runtime.database.transaction(organization_id, now=now, actor=actor) as transaction:
            found = find_entry(transaction, str(entry.order_id))
        if found is None:
            raise NotFound("there is no such order in the archive")
        if found == entry:
            break
        entry = found
    if text is None:
        _complain(runtime, organization_id, entry, "missing", GONE, now, actor)
        raise AlteredDocument(f"the document of the archived order {entry.order_id} is gone")
    if entry.checksum is None or checksum(text) != entry.checksum:
        _complain(runtime, organization_id, entry, "inconsistent", ALTERED, now, actor)
        raise AlteredDocument(f"the archived order {entry.order_id} is not what was sealed")
    return text


def _text_of(runtime: Runtime, organization_id: UUID, entry: Entry, now: datetime, actor: str) -> str | None:
    text: str | None = None
    if entry.location is Location.ARCHIVED:
        with runtime.database.transaction(organization_id, now=now, actor=actor) as transaction:
            text = _archived_text(transaction, entry)
    if text is None and entry.cold_path is not None and entry.cold_row_group is not None:
        text = runtime.cold_reader.read_document(entry.cold_path, entry.cold_row_group, entry.order_id, entry.version)
    if text is None and entry.location is Location.COLD_STORAGE:
        with runtime.database.transaction(organization_id, now=now, actor=actor) as transaction:
            text = _archived_text(transaction, entry)
            if text is not None:
                _mend_location(transaction, entry)
    return text


def _archived_text(transaction: Transaction, entry: Entry) -> str | None:
    text: str | None = transaction.value(
        """
        SELECT a.document FROM archive.archived_orders a
         WHERE a.organization_id = :o AND a.order_id = :id AND a.version = :version
        """,
        o=transaction.tenant,
        id=entry.order_id,
        version=entry.version,
    )
    return text


def _mend_location(transaction: Transaction, entry: Entry) -> None:
    transaction.execute(
        """
        UPDATE archive.archive_index SET location = 'archived', cold_path = NULL, cold_row_group = NULL
         WHERE organization_id = :o AND order_id = :id AND location = 'cold_storage'
        """,
        o=transaction.tenant,
        id=entry.order_id,
    )
    finding = Finding(entry.order_id, "inconsistent", "the index names another place", entry.version)
    tally = Tally(checked=1, resolved=1, findings=[finding])
    log_look(transaction, ReconciliationType.LOCATION_REPAIR, tally, duration_ms=0, batch_id=entry.batch_id)


def _complain(
    runtime: Runtime, organization_id: UUID, entry: Entry, kind: str, details: str, now: datetime, actor: str
) -> None:
    """Open a discrepancy about what a reader met, mark it in the index as a verification would, and call a person."""
    finding = Finding(entry.order_id, kind, details, entry.version)
    with runtime.database.transaction(organization_id, now=now, actor=actor) as transaction:
        open_discrepancy(transaction, entry.batch_id, finding)
        mark(transaction, as_array([entry.order_id]))
        call_person(
            transaction,
            Process.ARCHIVE_VERIFICATION,
            entry.order_id,
            f"an archived order that was asked for cannot be shown: {finding.words}; severity high",
            {"severity": "high", "batch_id": str(entry.batch_id)},
            renews=True,
        )


def open_document(
    transaction: Transaction, runtime: Runtime, text: str
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the document and its personal part in the clear (``None`` if its customer was erased).

    Raises BrokenSeal.
    """
    document = parse(text)
    return document, open_part(transaction, runtime.keyring, document)


def view_archived(runtime: Runtime, organization_id: UUID, entry: Entry, now: datetime, actor: str) -> dict[str, Any]:
    """Return an archived order as its owner sees an active one.

    Raises NotFound, or AlteredDocument, also for an order that belongs to another customer than the index says.
    """
    text = read_document(runtime, organization_id, entry, now, actor)
    if UUID(parse(text)["order"]["customer_id"]) != entry.customer_id:
        # The index decided whose order it is, and so who may see it.
        _complain(runtime, organization_id, entry, "inconsistent", OTHER_CUSTOMER, now, actor)
        raise AlteredDocument(f"the archived order {entry.order_id} is another customer's than the index says")
    with runtime.database.transaction(organization_id, now=now, actor=actor) as transaction:
        document, personal = open_document(transaction, runtime, text)
        codes = transaction.rows(
            "SELECT w.id, w.code FROM inventory.warehouses w WHERE w.organization_id = :o", o=organization_id
        )
    return view_of(opened(document, personal), {str(row.id): row.code for row in codes})
