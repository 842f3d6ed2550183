"""Move whole months of archived orders into cold storage: written, read back and proven before any row is deleted.

A run may end at any step. A new file is recorded in ``archive.cold_files`` before it is written to the bucket, under a
unique name, and is never overwritten; the next run finds it there, proves it and continues.
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from holdfast.archive.cold_paths import file_path, manifest_path
from holdfast.archive.policy import DOCUMENT_SCHEMA, month_of
from holdfast.database.transaction import Transaction, records
from holdfast.flows.archive.organizations import EachByItself, organizations
from holdfast.flows.archive.prove_file import Contents, UnprovenFile, prove_file
from holdfast.flows.archive.request_month import stays
from holdfast.flows.operations.call_person import call_person
from holdfast.flows.operations.process_names import Process
from holdfast.runtime import Runtime
from holdfast.storage.order_files import OrderFileWriter
from holdfast.values.ids import uuid7, uuid7_time

ACTOR: Final = "system:cold_export"
PROCESS: Final = Process.COLD_EXPORT
FILE_MAX_ORDERS: Final = 100_000
PAGE_ROWS: Final = 500
INDEX_PAGE_ORDERS: Final = 5_000

# An order stays here while it is active, not verified, under legal hold, or found wrong. x is its entry in the index,
# and b the batch of that entry.
_IS_READY: Final = """
    x.location = 'archived' AND NOT x.legal_hold AND x.verification = 'ok' AND b.status = 'verified'
    AND NOT EXISTS (SELECT 1 FROM orders.orders o WHERE o.organization_id = x.organization_id AND o.id = x.order_id)
    AND NOT EXISTS (SELECT 1 FROM archive.discrepancies d WHERE d.organization_id = x.organization_id
                       AND d.order_id = x.order_id AND d.resolved_at IS NULL)
"""
_PAGE: Final = (
    """
    SELECT a.order_id::text, a.version, a.order_number, a.status, a.payment_status, a.fulfillment_status,
           (extract(epoch FROM a.ordered_at) * 1000000)::bigint AS ordered_at,
           a.currency, a.total AS total_minor, a.refunded AS refunded_minor, a.items, a.batch_id::text,
           encode(l.checksum, 'hex') AS checksum, a.document
      FROM archive.archived_orders a
      JOIN archive.batch_leaves l ON l.organization_id = a.organization_id AND l.order_id = a.order_id
                                 AND l.version = a.version
      JOIN archive.archive_index x ON x.organization_id = a.organization_id AND x.order_id = a.order_id
      JOIN archive.archive_batches b ON b.organization_id = x.organization_id AND b.id = x.batch_id
     WHERE a.organization_id = :organization_id AND a.order_id > CAST(:after AS uuid) AND a.order_id < :before
       AND """
    + _IS_READY
    + " ORDER BY a.order_id, a.version LIMIT :limit"
)
# A month stays here while an order of it does.
_UNREADY: Final = (
    """
    SELECT count(*)
      FROM archive.archive_index x
      JOIN archive.archive_batches b ON b.organization_id = x.organization_id AND b.id = x.batch_id
     WHERE x.organization_id = :organization_id AND x.order_id >= :first AND x.order_id < :before
       AND x.location <> 'cold_storage' AND NOT ("""
    + _IS_READY
    + ")"
)
# An order may have changed since the month was found ready.
_ENTER: Final = (
    """
    UPDATE archive.archive_index x
       SET location = 'cold_storage', cold_path = :path, cold_row_group = p.row_group
      FROM unnest(CAST(:orders AS uuid[]), CAST(:versions AS integer[]), CAST(:groups AS integer[]))
               AS p (order_id, version, row_group),
           archive.archive_batches b
     WHERE x.organization_id = :o AND x.order_id = p.order_id AND x.version = p.version
       AND b.organization_id = x.organization_id AND b.id = x.batch_id
       AND """
    + _IS_READY
)


@dataclass(slots=True)
class Exported:
    """What one run moved, how many months are waiting for something, and whether the run finished."""

    orders: int = 0
    files: int = 0
    months_dropped: int = 0
    months_waiting: int = 0
    unproven_files: int = 0
    finished: bool = True


@dataclass(frozen=True, slots=True)
class ColdFile:
    """A file that is being written."""

    id: UUID
    month: date
    path: str
    manifest_path: str


def export_to_cold_storage(
    runtime: Runtime, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]
) -> Exported:
    """Export every month that is old enough, file by file, and drop each month that is whole in cold storage."""
    exported = Exported()
    with EachByItself() as each:
        for organization_id, policy in organizations(runtime, clock(), ACTOR):
            with each.organization(organization_id):
                last = month_of(policy.cold_before(clock()))
                after = UUID(int=0)
                while (month := _next_month(runtime, organization_id, after, last, clock())) is not None:
                    if time_left_seconds() <= 0:
                        exported.finished = False
                        return exported
                    after = month_bounds(month)[1]
                    _export_month(runtime, organization_id, month, clock, time_left_seconds, exported)
    return exported


def month_bounds(month: date) -> tuple[UUID, UUID]:
    """Return the smallest possible ids of this month and of the next. A month before 1970 is before every id."""
    following = (month + timedelta(days=32)).replace(day=1)
    floors = [
        max(0, int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp() * 1000)) << 80
        for day in (month, following)
    ]
    return UUID(int=floors[0]), UUID(int=floors[1])


def _next_month(runtime: Runtime, organization_id: UUID, after: UUID, last: date, now: datetime) -> date | None:
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        oldest: UUID | None = transaction.value(
            """
            SELECT a.order_id FROM archive.archived_orders a
             WHERE a.organization_id = :o AND a.order_id >= :after AND a.order_id < :before ORDER BY a.order_id LIMIT 1
            """,
            o=organization_id,
            after=after,
            before=month_bounds(last)[0],
        )
    return None if oldest is None else month_of(uuid7_time(oldest))


def _export_month(
    runtime: Runtime,
    organization_id: UUID,
    month: date,
    clock: Callable[[], datetime],
    time_left_seconds: Callable[[], float],
    exported: Exported,
) -> None:
    while time_left_seconds() > 0:
        cold_file = _next_file(runtime, organization_id, month, clock())
        if cold_file is None:
            break
        try:
            exported.orders += _export_file(runtime, organization_id, cold_file, clock)
        except UnprovenFile as error:
            exported.unproven_files += 1
            _give_up(runtime, organization_id, cold_file, error, clock())
            return
        exported.files += 1
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        dropped = transaction.value("SELECT archive.drop_month(:month)", month=month)
    exported.months_dropped += bool(dropped)
    exported.months_waiting += not dropped


def _next_file(runtime: Runtime, organization_id: UUID, month: date, now: datetime) -> ColdFile | None:
    """Return the month's unfinished file, or a new one, or ``None`` while nothing of the month may be moved.

    What changed since an unfinished file was begun is taken into account. Once it is in the bucket, only an order of it
    that may not be moved any more stays behind.
    """
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        begun = transaction.row(
            "SELECT id, month, path, manifest_path FROM archive.cold_files"
            " WHERE organization_id = :o AND month = :month AND state = 'writing'",
            o=organization_id,
            month=month,
        )
        if begun is not None and stays(transaction, month):
            return None
        may_be_written = begun is not None and _may_move(transaction, month)
    if begun is None:
        return _begin_file(runtime, organization_id, month, now)
    if not may_be_written and not runtime.archive_bucket.exists(begun.path):
        return None
    return ColdFile(begun.id, begun.month, begun.path, begun.manifest_path)


def _may_move(transaction: Transaction, month: date) -> bool:
    """Return whether the month has orders in the archive, and all of it may be moved."""
    first, before = month_bounds(month)
    bounds = {"organization_id": transaction.tenant, "first": first, "before": before}
    waiting = transaction.value(
        """
        SELECT count(*) FROM archive.archive_index x WHERE x.organization_id = :organization_id
           AND x.order_id >= :first AND x.order_id < :before AND x.location = 'archived'
        """,
        **bounds,
    )
    return bool(waiting) and not transaction.value(_UNREADY, **bounds) and not stays(transaction, month)


def _begin_file(runtime: Runtime, organization_id: UUID, month: date, now: datetime) -> ColdFile | None:
    def work(transaction: Transaction) -> ColdFile | None:
        if not _may_move(transaction, month):
            return None
        first, before = month_bounds(month)
        file_id = uuid7(now)
        made = ColdFile(
            file_id, month, file_path(organization_id, month, file_id), manifest_path(organization_id, month, file_id)
        )
        begun = transaction.row(
            """
            INSERT INTO archive.cold_files (organization_id, id, month, path, manifest_path, orders, created_at)
            SELECT :o, CAST(:id AS uuid), CAST(:month AS date), :path, :manifest_path, 0, CAST(:now AS timestamptz)
             WHERE EXISTS (SELECT 1 FROM archive.archive_index x WHERE x.organization_id = :o
                              AND x.order_id >= :first AND x.order_id < :before AND x.location = 'archived')
            ON CONFLICT (organization_id, month) WHERE state = 'writing' DO NOTHING RETURNING id
            """,
            o=organization_id,
            id=made.id,
            month=month,
            path=made.path,
            manifest_path=made.manifest_path,
            now=now,
            first=first,
            before=before,
        )
        # Without a row another run has begun the month, or moved it, since it was looked at.
        return made if begun is not None else None

    return runtime.database.transact(organization_id, work, now=now, actor=ACTOR)


def _export_file(runtime: Runtime, organization_id: UUID, cold_file: ColdFile, clock: Callable[[], datetime]) -> int:
    bucket = runtime.archive_bucket
    with tempfile.TemporaryDirectory(prefix="cold-") as folder:
        local = Path(folder) / "orders.parquet"
        if not bucket.exists(cold_file.path):
            _write(runtime, organization_id, cold_file, local, clock())
            with local.open("rb") as body:
                bucket.put_if_absent(cold_file.path, body, "application/vnd.apache.parquet")
        back = Path(folder) / "back.parquet"
        with back.open("wb") as target:
            bucket.copy_to(cold_file.path, target)
        contents = prove_file(runtime, organization_id, back, clock())
    manifest = _manifest(runtime, organization_id, cold_file, contents, clock())
    bucket.put_if_absent(cold_file.manifest_path, manifest, "application/json")
    _enter(runtime, organization_id, cold_file, contents, clock)
    return contents.orders


def _write(runtime: Runtime, organization_id: UUID, cold_file: ColdFile, path: Path, now: datetime) -> None:
    """Write the month's orders a page at a time. All versions of an order go into the same file."""
    first, before = month_bounds(cold_file.month)
    writer = OrderFileWriter(path)
    after, orders = str(UUID(int=first.int - 1)), 0
    while orders < FILE_MAX_ORDERS:
        with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
            rows = records(
                transaction.rows(_PAGE, organization_id=organization_id, after=after, before=before, limit=PAGE_ROWS)
            )
        if not rows:
            break
        if len(rows) == PAGE_ROWS and rows[0]["order_id"] != rows[-1]["order_id"]:
            # The page may have ended between two versions of its last order, so that order begins the next page.
            rows = [row for row in rows if row["order_id"] != rows[-1]["order_id"]]
        writer.add(rows)
        after, orders = rows[-1]["order_id"], orders + len(rows)
    writer.close()


def _manifest(runtime: Runtime, organization_id: UUID, cold_file: ColdFile, contents: Contents, now: datetime) -> bytes:
    """Return the manifest, with the head of the chain in it.

    Because the manifest is under Object Lock, nobody can replace the chain up to that head unnoticed.
    """
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        head = transaction.row(
            "SELECT position, root FROM archive.chain_heads WHERE organization_id = :o", o=organization_id
        )
    manifest = {
        "manifest_schema": 1,
        "document_schema": DOCUMENT_SCHEMA,
        "organization_id": str(organization_id),
        "month": f"{cold_file.month:%Y-%m}",
        "file": {"path": cold_file.path, "sha256": contents.digest, "size_bytes": contents.size_bytes},
        "orders": contents.orders,
        "row_groups": contents.row_groups,
        "totals": contents.totals,
        "merkle_root": contents.merkle_root,
        "chain": None if head is None else {"position": head.position, "root": bytes(head.root).hex()},
        "created_at": now.isoformat(),
    }
    return json.dumps(manifest, indent=2, sort_keys=True).encode()


def _enter(
    runtime: Runtime,
    organization_id: UUID,
    cold_file: ColdFile,
    contents: Contents,
    clock: Callable[[], datetime],
) -> None:
    """Enter the orders' places into the index, a page at a time, and then mark the file as verified."""
    for begin in range(0, len(contents.places), INDEX_PAGE_ORDERS):
        page = contents.places[begin : begin + INDEX_PAGE_ORDERS]
        with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
            transaction.execute(
                _ENTER,
                o=organization_id,
                path=cold_file.path,
                orders=[place[0] for place in page],
                versions=[place[1] for place in page],
                groups=[place[2] for place in page],
            )
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        transaction.execute(
            """
            UPDATE archive.cold_files
               SET state = 'verified', orders = :orders, row_groups = :row_groups, size_bytes = :size_bytes,
                   digest = :digest, merkle_root = :merkle_root, totals = CAST(:totals AS jsonb), verified_at = :now
             WHERE organization_id = :o AND id = :id AND state = 'writing'
            """,
            o=organization_id,
            id=cold_file.id,
            orders=contents.orders,
            row_groups=contents.row_groups,
            size_bytes=contents.size_bytes,
            digest=bytes.fromhex(contents.digest),
            merkle_root=bytes.fromhex(contents.merkle_root),
            totals=contents.totals,
            now=transaction.now,
        )


def _give_up(runtime: Runtime, organization_id: UUID, cold_file: ColdFile, error: UnprovenFile, now: datetime) -> None:
    """Mark the file as broken and call a person. The file stays for inspection, and the next run writes another."""
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        transaction.execute(
            "UPDATE archive.cold_files SET state = 'broken' WHERE organization_id = :o AND id = :id",
            o=organization_id,
            id=cold_file.id,
        )
        details = f"a file of cold storage was not proven: {error}; severity high"
        call_person(transaction, PROCESS, cold_file.id, details, {"path": cold_file.path, "severity": "high"})
