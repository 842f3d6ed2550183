"""The inbox of what needs a person: list failures, count them, and read one with every step taken so far."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.flows.operations.process_names import MEANING, Process, runbook
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import NotFound

PAGE_MAX_ROWS: Final = 100
COUNTED_DAYS: Final = 7
"""Resolved failures are counted up to this age."""


class FailureStatus(StrEnum):
    """Whether somebody still has to deal with the failure."""

    OPEN = "open"
    RESOLVED = "resolved"


class FailureAction(StrEnum):
    """A step in the history of a failure."""

    OPENED = "opened"
    ASSIGNED = "assigned"
    UNASSIGNED = "unassigned"
    RESOLVED = "resolved"
    REOPENED = "reopened"


@dataclass(frozen=True, slots=True)
class Filters:
    """Which failures to list; None means any. ``older_than`` and ``newer_than`` compare when they were first opened."""

    status: FailureStatus | None = FailureStatus.OPEN
    process_name: str | None = None
    assigned_to: str | None = None
    is_assigned: bool | None = None
    related_id: UUID | None = None
    older_than: datetime | None = None
    newer_than: datetime | None = None


def list_process_failures(
    runtime: Runtime, caller: Caller, filters: Filters, *, before: UUID | None, limit: int, now: datetime
) -> dict[str, Any]:
    """Return a page of failures, newest first, and the cursor of the next page. Raises Forbidden."""
    limit = min(limit, PAGE_MAX_ROWS)
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.LIST_PROCESS_FAILURES)
        # Ids are ordered by time, so an age is a range of ids.
        found = records(
            transaction.rows(
                """
                SELECT f.id, f.process_name, f.related_id, f.details, f.payload, f.status, f.assigned_to, f.resolved_by,
                       f.resolved_at, f.resolution_notes, f.reopening_notes, f.created_at, f.updated_at, f.version
                  FROM operations.process_failures f
                 WHERE f.organization_id = :organization_id
                   AND (CAST(:status AS text) IS NULL OR f.status = :status)
                   AND (CAST(:process_name AS text) IS NULL OR f.process_name = :process_name)
                   AND (CAST(:assigned_to AS text) IS NULL OR f.assigned_to = :assigned_to)
                   AND (CAST(:is_assigned AS boolean) IS NULL OR (f.assigned_to IS NOT NULL) = :is_assigned)
                   AND (CAST(:related_id AS uuid) IS NULL OR f.related_id = :related_id)
                   AND (CAST(:older_than AS timestamptz) IS NULL OR f.id < tenancy.uuid_v7_floor(:older_than))
                   AND (CAST(:newer_than AS timestamptz) IS NULL OR f.id >= tenancy.uuid_v7_floor(:newer_than))
                   AND (CAST(:before AS uuid) IS NULL OR f.id < CAST(:before AS uuid))
                 ORDER BY f.id DESC LIMIT :limit
                """,
                organization_id=transaction.tenant,
                status=filters.status,
                process_name=filters.process_name,
                assigned_to=filters.assigned_to,
                is_assigned=filters.is_assigned,
                related_id=filters.related_id,
                older_than=filters.older_than,
                newer_than=filters.newer_than,
                before=before,
                limit=limit,
            )
        )
    failures = [_shown(row) for row in found]
    return {"process_failures": failures, "next_before": failures[-1]["id"] if len(failures) == limit else None}


def count_process_failures(runtime: Runtime, caller: Caller, now: datetime) -> dict[str, Any]:
    """Return for each process what it means, where its runbook is, and how many failures it has. Raises Forbidden.

    All open failures are counted. Of the resolved ones, those first opened in the last 7 days are.
    """
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.COUNT_PROCESS_FAILURES)
        found = records(
            transaction.rows(
                """
                SELECT f.process_name, count(*) FILTER (WHERE f.status = 'open') AS open,
                       count(*) FILTER (WHERE f.status = 'open' AND f.assigned_to IS NULL) AS unassigned,
                       count(*) FILTER (WHERE f.status = 'resolved') AS resolved,
                       min(f.created_at) FILTER (WHERE f.status = 'open') AS oldest_open_at
                  FROM (SELECT process_name, status, assigned_to, created_at FROM operations.process_failures
                         WHERE organization_id = :organization_id AND status = 'open'
                        UNION ALL
                        SELECT process_name, status, assigned_to, created_at FROM operations.process_failures
                         WHERE organization_id = :organization_id AND status = 'resolved'
                           AND id >= tenancy.uuid_v7_floor(:since)) f
                 GROUP BY f.process_name
                """,
                organization_id=transaction.tenant,
                since=now - timedelta(days=COUNTED_DAYS),
            )
        )
    counted = {row["process_name"]: row for row in found}
    return {"processes": [_counted(process, counted.get(process)) for process in Process]}


def find_process_failure(runtime: Runtime, caller: Caller, failure_id: UUID, now: datetime) -> Mapping[str, Any]:
    """Return one failure with its history. Raises Forbidden or NotFound."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.FIND_PROCESS_FAILURE)
        return read_failure(transaction, failure_id)


def read_failure(transaction: Transaction, failure_id: UUID) -> Mapping[str, Any]:
    """Return the failure with every step so far, oldest first. Raises NotFound."""
    rows = records(
        transaction.rows(
            """
            SELECT f.id, f.process_name, f.related_id, f.details, f.payload, f.status, f.assigned_to, f.resolved_by,
                   f.resolved_at, f.resolution_notes, f.reopening_notes, f.created_at, f.updated_at, f.version,
                   (SELECT jsonb_agg(jsonb_build_object(
                               'sequence', h.sequence, 'action', h.action, 'assigned_to', h.assigned_to,
                               'changed_by', h.changed_by, 'notes', h.notes, 'at', h.created_at) ORDER BY h.sequence)
                      FROM operations.process_failure_history h
                     WHERE h.organization_id = f.organization_id AND h.process_failure_id = f.id) AS history
              FROM operations.process_failures f WHERE f.organization_id = :organization_id AND f.id = :id
            """,
            organization_id=transaction.tenant,
            id=failure_id,
        )
    )
    if not rows:
        raise NotFound("there is no such process failure")
    return {**_shown(rows[0]), "history": rows[0]["history"] or []}


def _counted(process: Process, row: Mapping[str, Any] | None) -> dict[str, Any]:
    counts = row or {"open": 0, "unassigned": 0, "resolved": 0, "oldest_open_at": None}
    oldest = counts["oldest_open_at"]
    return {
        "process_name": process.value,
        "meaning": MEANING[process],
        "runbook": runbook(process),
        **{name: counts[name] for name in ("open", "unassigned", "resolved")},
        "oldest_open_at": oldest and oldest.isoformat(),
    }


def _shown(row: Mapping[str, Any]) -> Mapping[str, Any]:
    instants = {name: row[name] and row[name].isoformat() for name in ("resolved_at", "created_at", "updated_at")}
    return {**row, **instants, "id": str(row["id"]), "related_id": row["related_id"] and str(row["related_id"])}
