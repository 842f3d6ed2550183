"""What people do with a dead letter: assign, investigate, make ready, discard; each step is on the record."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row

from holdfast.database.transaction import Transaction
from holdfast.flows.dead_letters.classify_dead_letters import match_class
from holdfast.flows.dead_letters.dead_letter_record import add_step
from holdfast.flows.dead_letters.list_dead_letters import view_of
from holdfast.payments.dead_letters import RESOLVED, TRANSITIONS, DeadLetterAction, DeadLetterStatus
from holdfast.payments.error_classes import Failure
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, InvalidInput, NotFound, TransitionRefused

_TO: Final = {
    DeadLetterAction.INVESTIGATED: DeadLetterStatus.INVESTIGATING,
    DeadLetterAction.MADE_READY: DeadLetterStatus.READY_FOR_REPLAY,
    DeadLetterAction.DISCARDED: DeadLetterStatus.DISCARDED,
}
_OPERATIONS: Final = {
    DeadLetterAction.ASSIGNED: Operation.ASSIGN_DEAD_LETTER,
    DeadLetterAction.INVESTIGATED: Operation.INVESTIGATE_DEAD_LETTER,
    DeadLetterAction.MADE_READY: Operation.MAKE_DEAD_LETTER_READY,
    DeadLetterAction.DISCARDED: Operation.DISCARD_DEAD_LETTER,
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of one person. ``version`` is the version of the dead letter that this person looked at."""

    action: DeadLetterAction
    dead_letter_id: UUID
    version: int
    note: str | None = None
    assignee: str | None = None
    """For ASSIGNED: the new assignee, or ``None`` for nobody."""


def take_step(runtime: Runtime, caller: Caller, step: Step, now: datetime) -> dict[str, Any]:
    """Take the step and record who took it, when and why, in one transaction; return the dead letter.

    Raises NotFound, Conflict (it changed since it was looked at, or is being replayed), TransitionRefused, or
    InvalidInput for an assignee who is not an active member of the organization.
    """

    def work(transaction: Transaction) -> dict[str, Any]:
        require(transaction, caller, _OPERATIONS[step.action])
        found = lock_dead_letter(transaction, step.dead_letter_id, step.version)
        before = DeadLetterStatus(found.status)
        if step.action is DeadLetterAction.ASSIGNED:
            _assign(transaction, step, before)
        else:
            _move(transaction, step, before, _class_of(transaction, found))
        return view_of(transaction, step.dead_letter_id)

    return runtime.database.transact(caller.organization_id, work, now=now, actor=caller.actor)


def lock_dead_letter(transaction: Transaction, dead_letter_id: UUID, version: int | None) -> Row[Any]:
    """Lock and return the row, if it is still the version that was looked at and is not being replayed.

    Raises NotFound or Conflict.
    """
    found = transaction.row(
        """
        SELECT status, version, replay_lease_until, error_class_id, event_type, gateway, failure_code, failure_reason
          FROM payments.dead_letters
         WHERE organization_id = :organization_id AND id = :id FOR UPDATE
        """,
        organization_id=transaction.tenant,
        id=dead_letter_id,
    )
    if found is None:
        raise NotFound("there is no such dead letter")
    if version is not None and found.version != version:
        raise Conflict("the dead letter changed since you looked at it: look again", version=found.version)
    if found.replay_lease_until is not None and found.replay_lease_until > transaction.now:
        raise Conflict("the dead letter is being replayed")
    return found


def _assign(transaction: Transaction, step: Step, status: DeadLetterStatus) -> None:
    if status in RESOLVED:
        raise TransitionRefused(f"it is {status}: nobody has to look after it", current=status, allowed=[])
    if step.assignee is not None:
        _check_member(transaction, step.assignee)
    # A dead letter that is assigned to a person must not be replayed automatically while that person works on it.
    taken_on = status is DeadLetterStatus.AUTO_REPLAY_SCHEDULED and step.assignee is not None
    after = DeadLetterStatus.PENDING_REVIEW if taken_on else status
    transaction.execute(
        """
        UPDATE payments.dead_letters
           SET assigned_to = :assignee, status = :status, replay_at = CASE WHEN :taken_on THEN NULL ELSE replay_at END,
               replay_lease_until = CASE WHEN :taken_on THEN NULL ELSE replay_lease_until END, version = version + 1
         WHERE organization_id = :organization_id AND id = :id
        """,
        organization_id=transaction.tenant,
        id=step.dead_letter_id,
        assignee=step.assignee,
        status=after,
        taken_on=taken_on,
    )
    note = f"assigned to {step.assignee}" if step.assignee is not None else "assigned to nobody"
    add_step(transaction, step.dead_letter_id, step.action, status, after, note)


def _check_member(transaction: Transaction, subject: str) -> None:
    found = transaction.value(
        """
        SELECT m.user_id FROM tenancy.organization_members m JOIN tenancy.users u ON u.id = m.user_id
         WHERE m.organization_id = :organization_id AND u.auth_subject = :subject
           AND m.status = 'active' AND u.status = 'active'
        """,
        organization_id=transaction.tenant,
        subject=subject,
    )
    if found is None:
        problem = {"field": "assignee", "message": "is no active member of the organization"}
        raise InvalidInput("the assignee is not of the staff", errors=[problem])


def _class_of(transaction: Transaction, found: Row[Any]) -> UUID | None:
    """Return the dead letter's class, or else the one that matches now.

    A class that was created while somebody investigated is its class too, so that the replay counts for that class.
    """
    if found.error_class_id is not None:
        return UUID(str(found.error_class_id))
    failure = Failure(found.event_type, found.gateway, found.failure_code, found.failure_reason)
    matching = match_class(transaction, failure)
    return None if matching is None else matching.id


def _move(transaction: Transaction, step: Step, before: DeadLetterStatus, error_class_id: UUID | None) -> None:
    after = _TO[step.action]
    allowed = TRANSITIONS[before]
    # A dead letter under investigation may be investigated further.
    if after not in allowed and not (before is after is DeadLetterStatus.INVESTIGATING):
        raise TransitionRefused(f"it is {before}", current=before, allowed=sorted(allowed))
    is_end = after in RESOLVED
    transaction.execute(
        """
        UPDATE payments.dead_letters
           SET status = :status, replay_at = NULL, replay_lease_until = NULL, error_class_id = :error_class_id,
               version = version + 1,
               resolved_at = CASE WHEN :is_end THEN CAST(:now AS timestamptz) END,
               resolution_notes = CASE WHEN :is_end THEN CAST(:note AS text) ELSE resolution_notes END
         WHERE organization_id = :organization_id AND id = :id
        """,
        organization_id=transaction.tenant,
        id=step.dead_letter_id,
        status=after,
        error_class_id=error_class_id,
        is_end=is_end,
        now=transaction.now,
        note=step.note,
    )
    add_step(transaction, step.dead_letter_id, step.action, before, after, step.note)
