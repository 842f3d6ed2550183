"""Find an order that left the active tables, even if the index has lost it.

The chain knows which orders exist, and one of the files of the order's month contains it.
"""

import time
from datetime import datetime
from typing import Final
from uuid import UUID

from holdfast.archive.document import parse
from holdfast.archive.merkle import checksum
from holdfast.archive.policy import ReconciliationType, month_of
from holdfast.database.transaction import Transaction
from holdfast.flows.archive.archived_documents import Entry, find_entry
from holdfast.flows.archive.examine_orders import UNKNOWN, Finding, Tally, log_look
from holdfast.flows.archive.mend_index import enter
from holdfast.runtime import Runtime
from holdfast.values.ids import moment_of, order_number, uuid7_time, uuid_or_none

FILES_MAX: Final = 10
"""How many files of a month are searched, newest first.

A month has one file, and one more for each time it was restored and moved again.
"""

_LOST: Final = """
    SELECT l.order_id, l.version, l.batch_id, l.checksum FROM archive.batch_leaves l
     WHERE l.organization_id = :organization_id AND l.order_id BETWEEN :first AND :last
       AND NOT EXISTS (SELECT 1 FROM archive.archive_index x WHERE x.organization_id = l.organization_id
                          AND x.order_id = l.order_id)
     ORDER BY l.order_id, l.version DESC
"""
_FILES: Final = """
    SELECT f.path FROM archive.cold_files f
     WHERE f.organization_id = :organization_id AND f.month = :month AND f.verified_at IS NOT NULL
     ORDER BY f.id DESC LIMIT :limit
"""


def find_archived(runtime: Runtime, organization_id: UUID, reference: str, now: datetime, actor: str) -> Entry | None:
    """Return the archived order with this id or number.

    An order that is missing from the index is found all the same and put back into the index, on record. Raises
    Transient while cold storage does not answer.
    """
    with runtime.database.transaction(organization_id, now=now, actor=actor) as transaction:
        entry = find_entry(transaction, reference)
        lost = None if entry is not None else _lost(transaction, reference)
    if entry is not None or lost is None:
        return entry
    began = time.monotonic()
    order_id, version, batch_id, sealed, paths = lost
    for path in paths:
        found = runtime.cold_reader.find_document(path, order_id, version)
        if found is None or checksum(found[1]) != sealed:
            continue
        row_group, text = found
        with runtime.database.transaction(organization_id, now=now, actor=actor) as transaction:
            if enter(transaction, order_id, version, parse(text)["order"], path, row_group):
                tally = Tally(checked=1, resolved=1, findings=[Finding(order_id, "missing", UNKNOWN, version)])
                duration_ms = int((time.monotonic() - began) * 1000)
                log_look(
                    transaction,
                    ReconciliationType.LOCATION_REPAIR,
                    tally,
                    duration_ms=duration_ms,
                    batch_id=batch_id,
                    details={"path": path},
                )
            return find_entry(transaction, reference)
    return None


def _lost(transaction: Transaction, reference: str) -> tuple[UUID, int, UUID, bytes, list[str]] | None:
    """Find an order that was sealed but has no index entry.

    Return its id, its newest version, that version's batch and checksum, and the files to search.
    """
    order_id = uuid_or_none(reference)
    span = (order_id, order_id) if order_id is not None else moment_of(reference.upper())
    if span is None:
        return None
    rows = transaction.rows(_LOST, organization_id=transaction.tenant, first=span[0], last=span[1])
    for row in rows:
        if order_id is None and order_number(row.order_id) != reference.upper():
            continue
        month = month_of(uuid7_time(row.order_id))
        files = transaction.rows(_FILES, organization_id=transaction.tenant, month=month, limit=FILES_MAX)
        return row.order_id, row.version, row.batch_id, bytes(row.checksum), [file.path for file in files]
    return None
