"""What people do with a process failure: assign it, put it back, resolve it, reopen it.

Each step names the version that its caller saw. A trigger writes the history, who did what and when, for people and
workers alike.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.errors import ConstraintViolated
from holdfast.database.transaction import Transaction
from holdfast.flows.operations.process_failures import FailureStatus, read_failure
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict

_OPEN_ONCE: Final = "process_failures_open_once"

_ASSIGN: Final = """
    UPDATE operations.process_failures SET assigned_to = :assigned_to, version = version + 1
     WHERE organization_id = :organization_id AND id = :id AND status = 'open' AND version = :version
"""
_RESOLVE: Final = """
    UPDATE operations.process_failures
       SET status = 'resolved', resolved_by = :actor, resolved_at = :now, resolution_notes = :note,
           version = version + 1
     WHERE organization_id = :organization_id AND id = :id AND status = 'open' AND version = :version
"""
_REOPEN: Final = """
    UPDATE operations.process_failures
       SET status = 'open', resolved_by = NULL, resolved_at = NULL, resolution_notes = NULL, reopening_notes = :note,
           version = version + 1
     WHERE organization_id = :organization_id AND id = :id AND status = 'resolved' AND version = :version
"""


def assign_process_failure(
    runtime: Runtime, caller: Caller, failure_id: UUID, *, assigned_to: str | None, version: int, now: datetime
) -> Mapping[str, Any]:
    """Assign an open failure, by default to the caller. Raises Forbidden, NotFound or Conflict."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.ASSIGN_PROCESS_FAILURE)
        return _changed(transaction, _ASSIGN, failure_id, version, assigned_to=assigned_to or caller.actor)


def unassign_process_failure(
    runtime: Runtime, caller: Caller, failure_id: UUID, *, version: int, now: datetime
) -> Mapping[str, Any]:
    """Put an open failure back for anybody to take. Raises Forbidden, NotFound or Conflict."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.UNASSIGN_PROCESS_FAILURE)
        return _changed(transaction, _ASSIGN, failure_id, version, assigned_to=None)


def resolve_process_failure(
    runtime: Runtime, caller: Caller, failure_id: UUID, *, note: str, version: int, now: datetime
) -> Mapping[str, Any]:
    """Close an open failure with a note. Raises Forbidden, NotFound or Conflict."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.RESOLVE_PROCESS_FAILURE)
        return _changed(transaction, _RESOLVE, failure_id, version, note=note, actor=caller.actor, now=now)


def reopen_process_failure(
    runtime: Runtime, caller: Caller, failure_id: UUID, *, note: str, version: int, now: datetime
) -> Mapping[str, Any]:
    """Reopen a resolved failure. It keeps its assignee.

    Raises Forbidden, NotFound or Conflict. If the same trouble was met again in the meantime, the Conflict names the
    ``open_failure`` about it, where the work continues.
    """
    try:
        with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
            require(transaction, caller, Operation.REOPEN_PROCESS_FAILURE)
            return _changed(transaction, _REOPEN, failure_id, version, note=note)
    except ConstraintViolated as refused:
        if refused.constraint != _OPEN_ONCE:
            raise
        raise Conflict("the same trouble is open already", open_failure=_twin(runtime, caller, failure_id, now)) from (
            refused
        )


def _changed(
    transaction: Transaction, statement: str, failure_id: UUID, version: int, **values: object
) -> Mapping[str, Any]:
    """Change the failure and return it.

    Raises NotFound, or Conflict if it was changed since ``version`` or is already open or resolved.
    """
    changed = transaction.execute(
        statement, organization_id=transaction.tenant, id=failure_id, version=version, **values
    )
    failure = read_failure(transaction, failure_id)
    if changed:
        return failure
    if failure["version"] != version:
        raise Conflict(f"the failure was changed since version {version}", version=failure["version"])
    is_resolved = failure["status"] == FailureStatus.RESOLVED
    raise Conflict(f"the failure is {'resolved' if is_resolved else 'open'} already", version=failure["version"])


def _twin(runtime: Runtime, caller: Caller, failure_id: UUID, now: datetime) -> str | None:
    """Return the open failure about the same thing, or None if it was resolved since."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        found = transaction.rows(
            """
            SELECT o.id FROM operations.process_failures f
              JOIN operations.process_failures o ON o.organization_id = f.organization_id
                   AND o.process_name = f.process_name AND o.related_id = f.related_id AND o.status = 'open'
             WHERE f.organization_id = :organization_id AND f.id = :id
            """,
            organization_id=transaction.tenant,
            id=failure_id,
        )
    return str(found[0].id) if found else None
