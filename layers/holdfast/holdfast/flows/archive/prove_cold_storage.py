"""Prove cold storage again, long afterwards.

Every file must be what it was when its rows were deleted, and the index must know its orders.
"""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from holdfast.archive.policy import ReconciliationType, month_before, month_of
from holdfast.flows.archive.examine_orders import Finding, Tally, log_look, open_discrepancy
from holdfast.flows.archive.export_to_cold_storage import month_bounds
from holdfast.flows.archive.mend_index import Held, hold_index, hold_missing
from holdfast.flows.archive.organizations import organizations
from holdfast.flows.archive.prove_file import UnprovenFile, prove_file
from holdfast.flows.operations.call_person import call_person
from holdfast.flows.operations.process_names import Process
from holdfast.runtime import Runtime
from holdfast.storage.order_files import file_digest
from holdfast.values.errors import NotFound

ACTOR: Final = "system:cold_export"


@dataclass(slots=True)
class ColdProof:
    """How many files were proven, which are no longer what they were, and where the index contradicted them.

    ``late_files`` is the number of files whose last proof dates from before the previous month.
    """

    files: int
    orders: int
    broken: list[str]
    finished: bool
    mended: int = 0
    wrong: int = 0
    late_files: int = 0


@dataclass(frozen=True, slots=True)
class _File:
    organization_id: UUID
    id: UUID
    path: str
    month: date
    digest: bytes
    orders: int
    verified_at: datetime
    is_broken: bool


def prove_cold_storage(
    runtime: Runtime,
    clock: Callable[[], datetime],
    time_left_seconds: Callable[[], float],
    *,
    only_due: bool = False,
) -> ColdProof:
    """Check every file of cold storage against its digest and the chain, and the index against the file.

    Files are read in order of their last proof, oldest first, across all organizations. ``only_due`` limits this to
    files that were not proven in this month yet, or are broken. A file that was broken and is restored to what it was
    (the bucket keeps versions) counts as proven again, on record.
    """
    proof = ColdProof(0, 0, [], finished=True)
    this_month = month_of(clock())
    files = [file for organization_id, _ in organizations(runtime, clock(), ACTOR)
             for file in _files(runtime, organization_id, clock())]  # fmt: skip
    for file in sorted(files, key=lambda file: (file.verified_at, file.id)):
        if only_due and month_of(file.verified_at) == this_month and not file.is_broken:
            continue
        if time_left_seconds() <= 0:
            proof.finished = False
            break
        wrong = _prove(runtime, file, clock, proof)
        _record(runtime, file, wrong, clock())
        proof.files += 1
        proof.orders += file.orders
        if wrong is not None:
            proof.broken.append(f"{file.path}: {wrong}")
    proof.late_files = sum(_files_before(runtime, organization_id, month_before(this_month), clock())
                           for organization_id in {file.organization_id for file in files})  # fmt: skip
    return proof


def _files(runtime: Runtime, organization_id: UUID, now: datetime) -> list[_File]:
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        rows = transaction.rows(
            """
            SELECT id, path, month, digest, orders, verified_at, state = 'broken' AS is_broken FROM archive.cold_files
             WHERE organization_id = :o AND verified_at IS NOT NULL
            """,
            o=organization_id,
        )
    return [
        _File(organization_id, r.id, r.path, r.month, bytes(r.digest), r.orders, r.verified_at, r.is_broken)
        for r in rows
    ]


def _files_before(runtime: Runtime, organization_id: UUID, month: date, now: datetime) -> int:
    """Return how many files were last proven before that month, which therefore passed without a proof.

    Broken files are not counted; they are reported in another way.
    """
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        found: int = transaction.value(
            """
            SELECT count(*) FROM archive.cold_files f
             WHERE f.organization_id = :o AND f.state = 'verified'
               AND f.verified_at < CAST(:month AS timestamp) AT TIME ZONE 'UTC'
            """,
            o=organization_id,
            month=month.isoformat(),
        )
    return found


def _prove(runtime: Runtime, file: _File, clock: Callable[[], datetime], proof: ColdProof) -> str | None:
    """Return what is wrong with the file, or ``None``. If the file is right, check the index against it."""
    began = time.monotonic()
    held = Held()
    organization_id = file.organization_id

    def look(number: int, rows: Sequence[Mapping[str, Any]], said: Sequence[Mapping[str, Any]]) -> None:
        with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
            hold_index(transaction, file.path, number, rows, said, held)

    with tempfile.TemporaryDirectory(prefix="cold-") as folder:
        local = Path(folder) / "orders.parquet"
        try:
            with local.open("wb") as target:
                runtime.archive_bucket.copy_to(file.path, target)
        except NotFound:
            return "the file is gone"
        if file_digest(local) != file.digest:
            return "the file is not what it was"
        try:
            contents = prove_file(runtime, organization_id, local, clock(), look)
        except UnprovenFile as error:
            return str(error)
    if contents.orders != file.orders:
        return "the file has another number of orders"
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        there = [place[0] for place in contents.places]
        hold_missing(transaction, file.path, month_bounds(file.month), there, held)
        if held.wrong:
            tally = Tally(checked=contents.orders, findings=held.wrong)
            details = f"the index is not what a file of cold storage says: {tally.orders_found} orders; severity high"
            payload = {"path": file.path, "severity": "high", "findings": tally.examples()}
            call_person(transaction, Process.ARCHIVE_VERIFICATION, file.id, details, payload, renews=True)
        if held.mended or held.settled:
            log_look(
                transaction,
                ReconciliationType.LOCATION_REPAIR,
                Tally(contents.orders, len(held.mended) + held.settled, held.mended),
                duration_ms=int((time.monotonic() - began) * 1000),
                details={"path": file.path},
            )
    proof.mended += len(held.mended)
    proof.wrong += len(held.wrong)
    return None


def _record(runtime: Runtime, file: _File, wrong: str | None, now: datetime) -> None:
    with runtime.database.transaction(file.organization_id, now=now, actor=ACTOR) as transaction:
        if wrong is None:
            transaction.execute(
                """
                UPDATE archive.cold_files SET state = 'verified', verified_at = :now
                 WHERE organization_id = :o AND id = :id
                """,
                o=file.organization_id,
                id=file.id,
                now=now,
            )
            transaction.execute(
                """
                UPDATE archive.discrepancies SET resolved_at = :now, resolved_by = :actor,
                       resolution = 'the file was read again: it is what it was'
                 WHERE organization_id = :o AND order_id = :id AND resolved_at IS NULL
                """,
                o=file.organization_id,
                id=file.id,
                now=now,
                actor=transaction.actor,
            )
            return
        transaction.execute(
            "UPDATE archive.cold_files SET state = 'broken' WHERE organization_id = :o AND id = :id",
            o=file.organization_id,
            id=file.id,
        )
        open_discrepancy(transaction, None, Finding(file.id, "inconsistent", f"{file.path}: {wrong}"))
        details = f"cold storage is not what it was: {wrong}; severity high"
        call_person(transaction, Process.COLD_EXPORT, file.id, details, {"path": file.path, "severity": "high"})
