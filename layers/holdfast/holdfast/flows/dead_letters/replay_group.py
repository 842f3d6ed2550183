"""Replay a group of dead letters at a bounded rate until one relapses: recorded once, carried out in slices.

A slice claims its minute before it works. However often the schedule triggers, slices of one group begin at least a
minute apart, and each replays at most ``per_minute``. If a slice dies, the next one continues from there a minute
later.
"""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, plain, records
from holdfast.flows.dead_letters.dead_letter_record import add_step
from holdfast.flows.dead_letters.replay_dead_letter import replay_dead_letter
from holdfast.payments.dead_letters import REPLAYABLE_BY_HAND, DeadLetterAction, DeadLetterStatus
from holdfast.payments.group_replays import GroupReplayState
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, NotFound, Rejected
from holdfast.values.ids import uuid7

SLICE_SECONDS: Final = 60
"""From the beginning of one slice to that of the next, in seconds."""
DUE_MAX_GROUPS: Final = 20
CANDIDATES: Final = tuple(sorted({*REPLAYABLE_BY_HAND, DeadLetterStatus.PENDING_CLASSIFICATION}))
"""What a group replay takes: neither what somebody is investigating, nor what is replayed automatically."""
ACTOR: Final = "system:dlq_retries"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rate:
    """How many replays a minute, and how many in all."""

    per_minute: int
    max_replays: int


def start_group_replay(
    runtime: Runtime,
    caller: Caller,
    fingerprint: str,
    rate: Rate,
    clock: Callable[[], datetime],
    time_left_seconds: Callable[[], float],
) -> dict[str, Any]:
    """Record the group replay, run its first slice, and return its progress; the schedule continues it.

    Raises NotFound if nothing of the group can be replayed, Conflict if a replay of the group is under way.
    """
    now = clock()

    def work(transaction: Transaction) -> UUID:
        require(transaction, caller, Operation.REPLAY_DEAD_LETTER_GROUP)
        if _next_of(transaction, fingerprint, None) is None:
            raise NotFound("nothing of this group can be replayed")
        made = transaction.value(
            """
            INSERT INTO payments.group_replays
                (organization_id, id, fingerprint, per_minute, max_replays, requested_by, next_at, created_at)
            VALUES (:organization_id, :id, :fingerprint, :per_minute, :max_replays, :actor, :now, :now)
            ON CONFLICT (organization_id, fingerprint) WHERE state = 'running' DO NOTHING RETURNING id
            """,
            organization_id=transaction.tenant,
            id=uuid7(now),
            fingerprint=fingerprint,
            per_minute=rate.per_minute,
            max_replays=rate.max_replays,
            actor=caller.actor,
            now=now,
        )
        if made is None:
            running = transaction.value(
                "SELECT id FROM payments.group_replays"
                " WHERE organization_id = :organization_id AND fingerprint = :fingerprint AND state = 'running'",
                organization_id=transaction.tenant,
                fingerprint=fingerprint,
            )
            raise Conflict("a replay of this group is under way", group_replay_id=running and str(running))
        return UUID(str(made))

    group_replay_id = runtime.database.transact(caller.organization_id, work, now=now, actor=caller.actor)
    _advance(runtime, caller.organization_id, group_replay_id, clock, time_left_seconds)
    with runtime.database.transaction(caller.organization_id, now=clock(), actor=caller.actor) as transaction:
        return _view(transaction, group_replay_id)


def find_group_replay(runtime: Runtime, caller: Caller, group_replay_id: UUID, now: datetime) -> dict[str, Any]:
    """Return the progress of a group replay. Raises NotFound."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.FIND_GROUP_REPLAY)
        return _view(transaction, group_replay_id)


def cancel_group_replay(runtime: Runtime, caller: Caller, group_replay_id: UUID, now: datetime) -> dict[str, Any]:
    """Stop a group replay: no further dead letter is replayed, but a replay under way is finished.

    Cancelling it again changes nothing. Raises NotFound, or Conflict if it has ended in another way.
    """
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.CANCEL_GROUP_REPLAY)
        _end(transaction, group_replay_id, GroupReplayState.CANCELLED)
        group = _view(transaction, group_replay_id)
        if group["state"] != GroupReplayState.CANCELLED:
            raise Conflict(f"it is {group['state']}", state=group["state"])
        return group


def advance_group_replays(
    runtime: Runtime, clock: Callable[[], datetime], time_left_seconds: Callable[[], float] = lambda: math.inf
) -> int:
    """Run a slice of every group replay that is due; return how many dead letters were replayed."""
    with runtime.database.transaction(None, now=clock(), actor=ACTOR) as transaction:
        due = transaction.rows(
            """
            SELECT organization_id, id FROM payments.group_replays
             WHERE state = 'running' AND next_at <= :now ORDER BY next_at LIMIT :limit
            """,
            now=clock(),
            limit=DUE_MAX_GROUPS,
        )
    replayed = 0
    for row in due:
        if time_left_seconds() <= 0:
            break
        try:
            replayed += _advance(runtime, row.organization_id, row.id, clock, time_left_seconds)
        except Exception:
            _logger.exception("a slice of a group replay was not finished; the next one goes on")
    return replayed


def _advance(
    runtime: Runtime,
    organization_id: UUID,
    group_replay_id: UUID,
    clock: Callable[[], datetime],
    time_left_seconds: Callable[[], float],
) -> int:
    """Run one slice; return how many dead letters were replayed in it."""
    claimed = _claim(runtime, organization_id, group_replay_id, clock())
    if claimed is None:
        return 0
    replayed = 0
    while replayed < claimed["per_minute"] and time_left_seconds() > 0:
        dead_letter_id = _take_next(runtime, organization_id, claimed, clock())
        if dead_letter_id is None:
            break
        went_well, error = _replay(runtime, organization_id, dead_letter_id, clock, claimed["requested_by"])
        if not _record(runtime, organization_id, group_replay_id, dead_letter_id, went_well, error, clock()):
            break
        replayed += went_well is True
    return replayed


def _claim(runtime: Runtime, organization_id: UUID, group_replay_id: UUID, now: datetime) -> Mapping[str, Any] | None:
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        rows = transaction.rows(
            """
            UPDATE payments.group_replays SET next_at = :next_at
             WHERE organization_id = :organization_id AND id = :id AND state = 'running' AND next_at <= :now
            RETURNING id, fingerprint, per_minute, requested_by
            """,
            organization_id=organization_id,
            id=group_replay_id,
            next_at=now + timedelta(seconds=SLICE_SECONDS),
            now=now,
        )
    return records(rows)[0] if rows else None


def _take_next(runtime: Runtime, organization_id: UUID, group: Mapping[str, Any], now: datetime) -> UUID | None:
    """Return the oldest dead letter of the group whose turn has not come.

    ``None`` if there is none left, which finishes the group replay, or if it was ended meanwhile.
    """
    with runtime.database.transaction(organization_id, now=now, actor=group["requested_by"]) as transaction:
        running = transaction.row(
            """
            SELECT replayed, max_replays, after_id FROM payments.group_replays
             WHERE organization_id = :organization_id AND id = :id AND state = 'running'
            """,
            organization_id=organization_id,
            id=group["id"],
        )
        if running is None:
            return None
        full = running.replayed >= running.max_replays
        found = None if full else _next_of(transaction, group["fingerprint"], running.after_id)
        if found is None:
            _end(transaction, group["id"], GroupReplayState.FINISHED)
            return None
        dead_letter_id, status = found
        if status not in REPLAYABLE_BY_HAND:
            _make_ready(transaction, dead_letter_id, status)
        return dead_letter_id


def _next_of(transaction: Transaction, fingerprint: str, after: UUID | None) -> tuple[UUID, DeadLetterStatus] | None:
    row = transaction.row(
        """
        SELECT id, status FROM payments.dead_letters
         WHERE organization_id = :organization_id AND fingerprint = :fingerprint AND status = ANY (:candidates)
           AND id > :after
         ORDER BY id LIMIT 1
        """,
        organization_id=transaction.tenant,
        fingerprint=fingerprint,
        candidates=[str(status) for status in CANDIDATES],
        after=after or UUID(int=0),
    )
    return None if row is None else (row.id, DeadLetterStatus(row.status))


def _make_ready(transaction: Transaction, dead_letter_id: UUID, status: DeadLetterStatus) -> None:
    """Make a dead letter ready for replay, on the record: whoever asks for the group vouches for each member."""
    changed = transaction.execute(
        """
        UPDATE payments.dead_letters SET status = 'ready_for_replay', version = version + 1
         WHERE organization_id = :organization_id AND id = :id AND status = :status
        """,
        organization_id=transaction.tenant,
        id=dead_letter_id,
        status=status,
    )
    if changed:
        ready = DeadLetterStatus.READY_FOR_REPLAY
        add_step(transaction, dead_letter_id, DeadLetterAction.MADE_READY, status, ready, "with its group")


def _replay(
    runtime: Runtime, organization_id: UUID, dead_letter_id: UUID, clock: Callable[[], datetime], actor: str
) -> tuple[bool | None, str | None]:
    """Return whether it succeeded and what went wrong; ``None`` if it was refused (somebody else has it, say)."""
    try:
        result = replay_dead_letter(runtime, organization_id, dead_letter_id, clock, actor=actor)
    except Rejected as refusal:
        return None, refusal.detail
    return result.status is DeadLetterStatus.REPLAYED, result.failure_reason


def _record(
    runtime: Runtime,
    organization_id: UUID,
    group_replay_id: UUID,
    dead_letter_id: UUID,
    went_well: bool | None,
    error: str | None,
    now: datetime,
) -> bool:
    """Record the result and return whether the slice goes on.

    A relapse ends the group replay, because the next dead letter would fail in the same way.
    """
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        transaction.execute(
            """
            UPDATE payments.group_replays
               SET after_id = :dead_letter_id, replayed = replayed + CAST(:went_well AS integer),
                   skipped = skipped + CAST(:skipped AS integer), last_error = COALESCE(:error, last_error)
             WHERE organization_id = :organization_id AND id = :id
            """,
            organization_id=organization_id,
            id=group_replay_id,
            dead_letter_id=dead_letter_id,
            went_well=int(went_well is True),
            skipped=int(went_well is None),
            error=error,
        )
        if went_well is False:
            _end(transaction, group_replay_id, GroupReplayState.STOPPED, relapsed_id=dead_letter_id)
    return went_well is not False


def _end(
    transaction: Transaction, group_replay_id: UUID, state: GroupReplayState, *, relapsed_id: UUID | None = None
) -> None:
    transaction.execute(
        """
        UPDATE payments.group_replays SET state = :state, relapsed_id = :relapsed_id, finished_at = :now
         WHERE organization_id = :organization_id AND id = :id AND state = 'running'
        """,
        organization_id=transaction.tenant,
        id=group_replay_id,
        state=state,
        relapsed_id=relapsed_id,
        now=transaction.now,
    )


def _view(transaction: Transaction, group_replay_id: UUID) -> dict[str, Any]:
    row = transaction.row(
        """
        SELECT g.id, g.fingerprint, g.per_minute, g.max_replays, g.replayed, g.skipped, g.state, g.relapsed_id,
               g.last_error, g.requested_by, CASE WHEN g.state = 'running' THEN g.next_at END AS next_at,
               g.created_at, g.finished_at,
               CASE WHEN g.state = 'running' THEN LEAST(g.max_replays - g.replayed, (
                   SELECT count(*) FROM payments.dead_letters d
                    WHERE d.organization_id = g.organization_id AND d.fingerprint = g.fingerprint
                      AND d.status = ANY (:candidates)
                      AND (g.after_id IS NULL OR d.id > g.after_id))) ELSE 0 END AS remaining
          FROM payments.group_replays g WHERE g.organization_id = :organization_id AND g.id = :id
        """,
        organization_id=transaction.tenant,
        id=group_replay_id,
        candidates=[str(status) for status in CANDIDATES],
    )
    if row is None:
        raise NotFound("there is no such group replay")
    return plain(records([row])[0])
