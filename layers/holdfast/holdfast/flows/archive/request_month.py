"""Request the restore of a month from cold storage, and follow its progress."""

from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, plain, records
from holdfast.flows.archive.operate_archive import PAGE_MAX_ROWS
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import NotFound
from holdfast.values.ids import uuid7

_RESTORES: Final = """
    SELECT r.id, to_char(r.month, 'YYYY-MM') AS month, r.state, r.orders, r.stays_until, r.reason, r.requested_by,
           r.failure, r.created_at, r.finished_at,
           (SELECT COALESCE(sum(f.row_groups), 0) FROM archive.cold_files f WHERE f.organization_id = r.organization_id
               AND f.month = r.month AND f.verified_at IS NOT NULL)::bigint AS row_groups,
           (SELECT COALESCE(sum(CASE WHEN f.id = r.file_id THEN r.row_groups ELSE f.row_groups END), 0)
              FROM archive.cold_files f WHERE f.organization_id = r.organization_id AND f.month = r.month
               AND f.verified_at IS NOT NULL AND f.id <= r.file_id)::bigint AS row_groups_done
      FROM archive.month_restores r
     WHERE r.organization_id = :organization_id
"""
_PAGE: Final = _RESTORES + " AND (CAST(:before AS uuid) IS NULL OR r.id < CAST(:before AS uuid))"
_NEWEST: Final = _PAGE + " ORDER BY r.id DESC LIMIT :limit"
_RUNNING: Final = _RESTORES + " AND r.month = :month AND r.state = 'running'"


def request_month(
    runtime: Runtime, caller: Caller, month: date, *, reason: str, stays_days: int, now: datetime
) -> dict[str, Any]:
    """Request the restore of a month. While that is under way, a repetition returns its progress.

    The month is not exported again for ``stays_days``. Raises Forbidden, or NotFound for a month that has nothing in
    cold storage.
    """

    def work(transaction: Transaction) -> dict[str, Any]:
        require(transaction, caller, Operation.RESTORE_ARCHIVED_MONTH)
        asked = {"organization_id": transaction.tenant, "month": month}
        is_there = transaction.value(
            """
            SELECT EXISTS (SELECT 1 FROM archive.cold_files f WHERE f.organization_id = :organization_id
                              AND f.month = :month AND f.verified_at IS NOT NULL)
            """,
            **asked,
        )
        if not is_there:
            raise NotFound("nothing of this month lies in cold storage")
        transaction.execute(
            """
            INSERT INTO archive.month_restores (organization_id, id, month, stays_until, reason, requested_by,
                                                created_at)
            VALUES (:organization_id, :id, :month, :stays_until, :reason, :actor, :now)
            ON CONFLICT (organization_id, month) WHERE state = 'running' DO NOTHING
            """,
            **asked,
            id=uuid7(now),
            stays_until=now + timedelta(days=stays_days),
            reason=reason,
            actor=transaction.actor,
            now=now,
        )
        [restore] = records(transaction.rows(_RUNNING, **asked))
        return plain(restore)

    return runtime.database.transact(caller.organization_id, work, now=now, actor=caller.actor)


def list_months(runtime: Runtime, caller: Caller, *, before: UUID | None, limit: int, now: datetime) -> dict[str, Any]:
    """Return a page of the restores that were requested, newest first. Raises Forbidden."""
    limit = min(limit, PAGE_MAX_ROWS)
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.LIST_RESTORED_MONTHS)
        rows = records(transaction.rows(_NEWEST, organization_id=transaction.tenant, before=before, limit=limit))
    months = [plain(row) for row in rows]
    return {"restores": months, "next_before": months[-1]["id"] if len(months) == limit else None}


def stays(transaction: Transaction, month: date) -> bool:
    """Return whether somebody requested the month and still wants it to stay here."""
    return bool(
        transaction.value(
            """
            SELECT EXISTS (SELECT 1 FROM archive.month_restores r WHERE r.organization_id = :o AND r.month = :month
                              AND r.stays_until > :now AND r.state <> 'failed')
            """,
            o=transaction.tenant,
            month=month,
            now=transaction.now,
        )
    )
