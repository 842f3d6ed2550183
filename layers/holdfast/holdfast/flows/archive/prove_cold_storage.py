"""Prove cold storage again, long after: every file is what it was when its rows went."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from holdfast.flows.archive.examine_orders import Finding, open_discrepancy
from holdfast.flows.archive.export_to_cold_storage import UnprovenFile, prove_file
from holdfast.flows.archive.organizations import organizations
from holdfast.flows.operations.call_person import call_person
from holdfast.flows.operations.process_names import Process
from holdfast.runtime import Runtime
from holdfast.storage.order_files import file_digest
from holdfast.values.errors import NotFound

ACTOR: Final = "system:cold_export"


@dataclass(slots=True)
class ColdProof:
    """How many files were proven, and which are not what they were."""

    files: int
    orders: int
    broken: list[str]
    finished: bool


def prove_cold_storage(
    runtime: Runtime, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]
) -> ColdProof:
    """Read every file of cold storage, oldest proof first, and hold it against its digest and against the chain.

    One that was broken and is again what it was (the bucket keeps versions) counts as proven again, on the record.
    """
    proof = ColdProof(0, 0, [], finished=True)
    for organization_id, _ in organizations(runtime, clock(), ACTOR):
        with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
            files = transaction.rows(
                """
                SELECT id, path, digest, orders FROM archive.cold_files
                 WHERE organization_id = :o AND verified_at IS NOT NULL ORDER BY verified_at, id
                """,
                o=organization_id,
            )
        for file in files:
            if time_left_seconds() <= 0:
                proof.finished = False
                return proof
            wrong = _what_is_wrong(runtime, organization_id, file.path, bytes(file.digest), file.orders, clock())
            _record(runtime, organization_id, file.id, file.path, wrong, clock())
            proof.files += 1
            proof.orders += file.orders
            if wrong is not None:
                proof.broken.append(f"{file.path}: {wrong}")
    return proof


def _what_is_wrong(
    runtime: Runtime, organization_id: UUID, path: str, digest: bytes, orders: int, now: datetime
) -> str | None:
    with tempfile.TemporaryDirectory(prefix="cold-") as folder:
        local = Path(folder) / "orders.parquet"
        try:
            with local.open("wb") as target:
                runtime.archive_bucket.copy_to(path, target)
        except NotFound:
            return "the file is gone"
        if file_digest(local) != digest:
            return "the file is not what it was"
        try:
            contents = prove_file(runtime, organization_id, local, now)
        except UnprovenFile as error:
            return str(error)
    return None if contents.orders == orders else "the file has another number of orders"


def _record(
    runtime: Runtime, organization_id: UUID, file_id: UUID, path: str, wrong: str | None, now: datetime
) -> None:
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        if wrong is None:
            transaction.execute(
                """
                UPDATE archive.cold_files SET state = 'verified', verified_at = :now
                 WHERE organization_id = :o AND id = :id
                """,
                o=organization_id,
                id=file_id,
                now=now,
            )
            transaction.execute(
                """
                UPDATE archive.discrepancies SET resolved_at = :now, resolved_by = :actor,
                       resolution = 'the file was read again: it is what it was'
                 WHERE organization_id = :o AND order_id = :id AND resolved_at IS NULL
                """,
                o=organization_id,
                id=file_id,
                now=now,
                actor=transaction.actor,
            )
            return
        transaction.execute(
            "UPDATE archive.cold_files SET state = 'broken' WHERE organization_id = :o AND id = :id",
            o=organization_id,
            id=file_id,
        )
        open_discrepancy(transaction, None, Finding(file_id, "inconsistent", f"{path}: {wrong}"))
        details = f"cold storage is not what it was: {wrong}; severity high"
        call_person(transaction, Process.COLD_EXPORT, file_id, details, {"path": path, "severity": "high"})
