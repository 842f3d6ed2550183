"""The inbox of what needs a person: listed, given to somebody, resolved with a word on what was done."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, NotFound

PAGE_MAX_ROWS: Final = 100


class FailureStatus(StrEnum):
    """Whether somebody still has to look."""

    OPEN = "open"
    RESOLVED = "resolved"


def list_process_failures(
    runtime: Runtime,
    caller: Caller,
    *,
    status: FailureStatus,
    process_name: str | None,
    before: UUID | None,
    limit: int,
    now: datetime,
) -> dict[str, Any]:
    """A page of failures, newest first, and the cursor of the next. Raises Forbidden."""
    limit = min(limit, PAGE_MAX_ROWS)
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.LIST_PROCESS_FAILURES)
        found = records(
            transaction.rows(
                """
                SELECT f.id, f.process_name, f.related_id, f.details, f.payload, f.status, f.assigned_to, f.resolved_by,
                       f.resolved_at, f.resolution_notes, f.created_at, f.updated_at, f.version
                  FROM operations.process_failures f
                 WHERE f.organization_id = :organization_id AND f.status = :status
                   AND (CAST(:process_name AS text) IS NULL OR f.process_name = :process_name)
                   AND (CAST(:before AS uuid) IS NULL OR f.id < CAST(:before AS uuid))
                 ORDER BY f.id DESC LIMIT :limit
                """,
                organization_id=transaction.tenant,
                status=status,
                process_name=process_name,
                before=before,
                limit=limit,
            )
        )
    failures = [_shown(row) for row in found]
    return {"process_failures": failures, "next_before": failures[-1]["id"] if len(failures) == limit else None}


def find_process_failure(runtime: Runtime, caller: Caller, failure_id: UUID, now: datetime) -> Mapping[str, Any]:
    """One failure. Raises Forbidden or NotFound."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.FIND_PROCESS_FAILURE)
        return _found(transaction, failure_id)


def assign_process_failure(
    runtime: Runtime, caller: Caller, failure_id: UUID, *, assigned_to: str | None, version: int, now: datetime
) -> Mapping[str, Any]:
    """Give an open failure to somebody, the caller unless one is named. Raises Forbidden, NotFound or Conflict."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.ASSIGN_PROCESS_FAILURE)
        changed = transaction.execute(
            """
            UPDATE operations.process_failures SET assigned_to = :assigned_to, version = version + 1
             WHERE organization_id = :organization_id AND id = :id AND status = 'open' AND version = :version
            """,
            organization_id=transaction.tenant,
            id=failure_id,
            assigned_to=assigned_to or caller.actor,
            version=version,
        )
        return _changed(transaction, failure_id, version, changed)


def resolve_process_failure(
    runtime: Runtime, caller: Caller, failure_id: UUID, *, note: str, version: int, now: datetime
) -> Mapping[str, Any]:
    """Close an open failure with a note. Raises Forbidden, NotFound or Conflict."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.RESOLVE_PROCESS_FAILURE)
        changed = transaction.execute(
            """
            UPDATE operations.process_failures
               SET status = 'resolved', resolved_by = :actor, resolved_at = :now, resolution_notes = :note,
                   version = version + 1
             WHERE organization_id = :organization_id AND id = :id AND status = 'open' AND version = :version
            """,
            organization_id=transaction.tenant,
            id=failure_id,
            actor=caller.actor,
            note=note,
            version=version,
            now=now,
        )
        return _changed(transaction, failure_id, version, changed)


def _changed(transaction: Transaction, failure_id: UUID, version: int, changed: int) -> Mapping[str, Any]:
    """The failure after the change; or why it was not changed: it is not there, is resolved, or moved on."""
    failure = _found(transaction, failure_id)
    if changed:
        return failure
    if failure["status"] == FailureStatus.RESOLVED:
        raise Conflict("the failure is resolved already", version=failure["version"])
    raise Conflict(f"the failure was changed since version {version}", version=failure["version"])


def _found(transaction: Transaction, failure_id: UUID) -> Mapping[str, Any]:
    rows = records(
        transaction.rows(
            """
            SELECT f.id, f.process_name, f.related_id, f.details, f.payload, f.status, f.assigned_to, f.resolved_by,
                   f.resolved_at, f.resolution_notes, f.created_at, f.updated_at, f.version
              FROM operations.process_failures f WHERE f.organization_id = :organization_id AND f.id = :id
            """,
            organization_id=transaction.tenant,
            id=failure_id,
        )
    )
    if not rows:
        raise NotFound("there is no such process failure")
    return _shown(rows[0])


def _shown(row: Mapping[str, Any]) -> Mapping[str, Any]:
    instants = {name: row[name] and row[name].isoformat() for name in ("resolved_at", "created_at", "updated_at")}
    return {**row, **instants, "id": str(row["id"]), "related_id": row["related_id"] and str(row["related_id"])}
