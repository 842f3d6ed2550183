"""What several flows record about dead letters: the reason, a step of the history, a withdrawal from schedule."""

import traceback
from types import FrameType
from typing import Final
from uuid import UUID

from holdfast.database.errors import ConstraintViolated
from holdfast.database.transaction import Transaction
from holdfast.payments.dead_letters import DeadLetterAction, DeadLetterStatus
from holdfast.values.errors import Rejected

REASON_MAX_CHARACTERS: Final = 2000
_OURS: Final = "holdfast."
_DATABASE: Final = "holdfast.database."
"""All errors of the database are raised there; what tells them apart is the caller."""


def reason_of(error: BaseException) -> str:
    """Return the exception's class and text in a form that PostgreSQL can store."""
    text = f"{type(error).__name__}: {error}"[:REASON_MAX_CHARACTERS]
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def failure_code_of(error: BaseException, gateway_code: str | None) -> str | None:
    """Return the gateway's code for the failure, or else ours: the constraint's name or the error's code."""
    if gateway_code is not None:
        return gateway_code
    if isinstance(error, ConstraintViolated):
        return error.constraint
    return error.code if isinstance(error, Rejected) else None


def first_frame_of_ours(error: BaseException) -> str | None:
    """Return the module:function of ours nearest to the failure; no line number, because releases change it."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__) is not None and cause not in causes:
        causes.append(cause)
    for each in reversed(causes):
        frames: list[FrameType] = [frame for frame, _ in traceback.walk_tb(each.__traceback__)]
        for frame in reversed(frames):
            module = str(frame.f_globals.get("__name__", ""))
            if module.startswith(_OURS) and not module.startswith(_DATABASE):
                return f"{module}:{frame.f_code.co_name}"
    return None


def add_step(
    transaction: Transaction,
    dead_letter_id: UUID,
    action: DeadLetterAction,
    from_status: DeadLetterStatus | None,
    to_status: DeadLetterStatus,
    notes: str | None = None,
) -> None:
    """Add one row to the history, by the transaction's actor. The caller holds the lock of the dead letter's row."""
    transaction.execute(
        """
        INSERT INTO payments.dead_letter_history
            (organization_id, dead_letter_id, sequence, action, from_status, to_status, changed_by, notes, created_at)
        SELECT :organization_id, :id, COALESCE(max(h.sequence), 0) + 1, :action, :from_status, :to_status, :actor,
               :notes, :now
          FROM payments.dead_letter_history h
         WHERE h.organization_id = :organization_id AND h.dead_letter_id = :id
        """,
        organization_id=transaction.tenant,
        id=dead_letter_id,
        action=action,
        from_status=from_status,
        to_status=to_status,
        actor=transaction.actor,
        notes=notes,
        now=transaction.now,
    )


def withdraw_from_schedule(transaction: Transaction, error_class_id: UUID, notes: str) -> int:
    """Give the class's dead letters that wait for their auto-replay to people; return how many.

    Those that are locked or being replayed at this moment are skipped: a replay under way ends by itself, and the claim
    of the next one checks the class again.
    """
    moved: int = transaction.value(
        """
        WITH held AS (
            SELECT d.id FROM payments.dead_letters d
             WHERE d.organization_id = :organization_id AND d.error_class_id = :error_class_id
               AND d.status = 'auto_replay_scheduled' AND d.replay_lease_until IS NULL
             ORDER BY d.id FOR UPDATE SKIP LOCKED
        ), moved AS (
            UPDATE payments.dead_letters d SET status = 'pending_review', replay_at = NULL, version = d.version + 1
              FROM held WHERE d.organization_id = :organization_id AND d.id = held.id
            RETURNING d.id
        ), told AS (
            INSERT INTO payments.dead_letter_history
                (organization_id, dead_letter_id, sequence, action, from_status, to_status, changed_by, notes,
                 created_at)
            SELECT :organization_id, m.id, COALESCE((SELECT max(h.sequence) FROM payments.dead_letter_history h
                    WHERE h.organization_id = :organization_id AND h.dead_letter_id = m.id), 0) + 1,
                   'classified', 'auto_replay_scheduled', 'pending_review', :actor, :notes, :now
              FROM moved m
        )
        SELECT count(*) FROM moved
        """,
        organization_id=transaction.tenant,
        error_class_id=error_class_id,
        actor=transaction.actor,
        notes=notes,
        now=transaction.now,
    )
    return moved
