"""Restore a month from cold storage: requested by a person, done by the cold storage function over several runs.

Every row group is a transaction that proves its documents, writes them and records the progress in the file, so a run
may end anywhere and the next continues from there. What is there already is left as it is.
"""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from holdfast.archive.policy import MonthRestoreState, ReconciliationType
from holdfast.database.errors import ConstraintViolated
from holdfast.database.transaction import Transaction, records
from holdfast.flows.archive.examine_orders import Tally, log_look
from holdfast.flows.archive.organizations import organizations
from holdfast.flows.operations.call_person import call_person
from holdfast.flows.operations.process_names import Process
from holdfast.runtime import Runtime
from holdfast.storage.order_files import file_digest, read_rows
from holdfast.values.errors import NotFound

ACTOR: Final = "system:cold_export"
LEASE: Final = timedelta(minutes=20)
"""Longer than a run may last, so an expired lease belongs to a run that died."""

DURATION_MAX_MS: Final = 2**31 - 1
"""The column can hold at most 24 days; a longer restore is recorded with this duration."""


class BrokenFile(Exception):
    """A file is no longer what it was when the rows of its orders were deleted."""


@dataclass(slots=True)
class Restored:
    """What one run restored, and whether nothing is left to restore."""

    orders: int = 0
    months: int = 0
    failed_months: int = 0
    finished: bool = True


@dataclass(frozen=True, slots=True)
class _Claimed:
    id: UUID
    month: date
    file_id: UUID | None
    row_groups: int


@dataclass(frozen=True, slots=True)
class _File:
    id: UUID
    path: str
    digest: bytes


def restore_months(runtime: Runtime, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]) -> Restored:
    """Continue with every requested month, while there is time."""
    restored = Restored()
    for organization_id, _ in organizations(runtime, clock(), ACTOR):
        while (claimed := _claim(runtime, organization_id, clock())) is not None:
            try:
                done = _bring_month(runtime, organization_id, claimed, clock, time_left_seconds, restored)
            except (BrokenFile, ConstraintViolated) as error:
                if isinstance(error, ConstraintViolated) and error.constraint != "archive_checksum":
                    raise
                _fail(runtime, organization_id, claimed, str(error), clock())
                restored.failed_months += 1
                continue
            if not done:
                restored.finished = False
                return restored
            restored.months += 1
    return restored


def _claim(runtime: Runtime, organization_id: UUID, now: datetime) -> _Claimed | None:
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        row = transaction.row(
            """
            UPDATE archive.month_restores r SET lease_until = :lease_until
             WHERE r.organization_id = :o AND r.id = (
                 SELECT q.id FROM archive.month_restores q
                  WHERE q.organization_id = :o AND q.state = 'running' AND COALESCE(q.lease_until, :now) <= :now
                  ORDER BY q.month LIMIT 1 FOR UPDATE SKIP LOCKED)
            RETURNING r.id, r.month, r.file_id, r.row_groups
            """,
            o=organization_id,
            now=now,
            lease_until=now + LEASE,
        )
    return None if row is None else _Claimed(row.id, row.month, row.file_id, row.row_groups)


def _bring_month(
    runtime: Runtime,
    organization_id: UUID,
    claimed: _Claimed,
    clock: Callable[[], datetime],
    time_left_seconds: Callable[[], float],
    restored: Restored,
) -> bool:
    """Restore the month and return whether it is whole again. If not, the lease is released for the next run."""
    for file in _files(runtime, organization_id, claimed, clock()):
        done = claimed.row_groups if file.id == claimed.file_id else 0
        with tempfile.TemporaryDirectory(prefix="cold-") as folder:
            for number, rows in read_rows(_fetched(runtime, file, Path(folder))):
                if number < done:
                    continue
                if time_left_seconds() <= 0:
                    _let_go(runtime, organization_id, claimed, clock())
                    return False
                restored.orders += _bring_rows(runtime, organization_id, claimed, file, number, rows, clock())
    _finish(runtime, organization_id, claimed, clock())
    return True


def _files(runtime: Runtime, organization_id: UUID, claimed: _Claimed, now: datetime) -> list[_File]:
    """Return every file that orders of the month were moved to.

    This includes a file that has broken since, because the month is not whole without it. A file that was never proven
    is left out, because the rows of its orders were never deleted.
    """
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        # A run that is presumed dead may be creating the same partition now; under the lock the second finds it there.
        transaction.execute("SELECT pg_advisory_xact_lock(hashtext('archive.month_restores'))")
        transaction.value("SELECT operations.make_partitions(:month, 0)", month=claimed.month)
        rows = transaction.rows(
            """
            SELECT f.id, f.path, f.digest FROM archive.cold_files f
             WHERE f.organization_id = :o AND f.month = :month AND f.verified_at IS NOT NULL
               AND (CAST(:file_id AS uuid) IS NULL OR f.id >= CAST(:file_id AS uuid)) ORDER BY f.id
            """,
            o=organization_id,
            month=claimed.month,
            file_id=claimed.file_id,
        )
    return [_File(row.id, row.path, bytes(row.digest)) for row in rows]


def _fetched(runtime: Runtime, file: _File, folder: Path) -> Path:
    local = folder / "orders.parquet"
    try:
        with local.open("wb") as target:
            runtime.archive_bucket.copy_to(file.path, target)
    except NotFound as error:
        raise BrokenFile(f"{file.path}: the file is gone") from error
    if file_digest(local) != file.digest:
        raise BrokenFile(f"{file.path}: the file is not what it was")
    return local


def _bring_rows(
    runtime: Runtime,
    organization_id: UUID,
    claimed: _Claimed,
    file: _File,
    number: int,
    rows: Sequence[dict[str, Any]],
    now: datetime,
) -> int:
    """Restore a row group and return how many orders were written.

    A run that was presumed dead but continues writes nothing twice and never sets the progress back.
    """
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        written = int(
            transaction.value(
                "SELECT archive.refile_orders(:o, :order_ids, :versions, CAST(:documents AS json))",
                o=organization_id,
                order_ids=[UUID(row["order_id"]) for row in rows],
                versions=[row["version"] for row in rows],
                documents=json.dumps([row["document"] for row in rows]),
            )
        )
        transaction.execute(
            """
            UPDATE archive.month_restores r
               SET orders = r.orders + :written, lease_until = :lease_until,
                   file_id = GREATEST(r.file_id, :file_id),
                   row_groups = CASE WHEN r.file_id = :file_id THEN GREATEST(r.row_groups, :done)
                                     WHEN r.file_id > :file_id THEN r.row_groups ELSE :done END
             WHERE r.organization_id = :o AND r.id = :id
            """,
            o=organization_id,
            id=claimed.id,
            written=written,
            lease_until=now + LEASE,
            file_id=file.id,
            done=number + 1,
        )
    return written


def _let_go(runtime: Runtime, organization_id: UUID, claimed: _Claimed, now: datetime) -> None:
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        transaction.execute(
            "UPDATE archive.month_restores SET lease_until = NULL WHERE organization_id = :o AND id = :id",
            o=organization_id,
            id=claimed.id,
        )


def _finish(runtime: Runtime, organization_id: UUID, claimed: _Claimed, now: datetime) -> None:
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        for restore in _end(transaction, claimed, MonthRestoreState.DONE, None):
            log_look(
                transaction,
                ReconciliationType.RESTORE,
                Tally(checked=restore["orders"], resolved=restore["orders"]),
                duration_ms=min(DURATION_MAX_MS, int((now - restore["created_at"]).total_seconds() * 1000)),
                details={"month": f"{claimed.month:%Y-%m}", "why": restore["reason"], "by": restore["requested_by"]},
            )


def _fail(runtime: Runtime, organization_id: UUID, claimed: _Claimed, failure: str, now: datetime) -> None:
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        if _end(transaction, claimed, MonthRestoreState.FAILED, failure):
            details = f"the month {claimed.month:%Y-%m} was not brought back: {failure}; severity high"
            call_person(transaction, Process.COLD_EXPORT, claimed.id, details, {"severity": "high"})


def _end(
    transaction: Transaction, claimed: _Claimed, state: MonthRestoreState, failure: str | None
) -> list[Mapping[str, Any]]:
    return records(
        transaction.rows(
            """
            UPDATE archive.month_restores SET state = :state, failure = :failure, finished_at = :now, lease_until = NULL
             WHERE organization_id = :o AND id = :id AND state = 'running'
            RETURNING orders, reason, requested_by, created_at
            """,
            o=transaction.tenant,
            id=claimed.id,
            state=state,
            failure=failure,
            now=transaction.now,
        )
    )
