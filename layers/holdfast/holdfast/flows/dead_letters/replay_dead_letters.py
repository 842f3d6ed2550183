"""Replays that a person asks for: of one dead letter, or of several one after the other."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.flows.dead_letters.list_dead_letters import view_of
from holdfast.flows.dead_letters.replay_dead_letter import replay_dead_letter
from holdfast.flows.dead_letters.work_dead_letters import lock_dead_letter
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import Rejected, Transient

BATCH_MAX: Final = 50
NOT_TRIED: Final = "not_tried"
REFUSED: Final = "refused"


def replay_one(
    runtime: Runtime, caller: Caller, dead_letter_id: UUID, version: int | None, clock: Callable[[], datetime]
) -> dict[str, Any]:
    """Replay a dead letter now; return it as it is afterwards, with the result.

    Raises NotFound, Conflict (it changed since ``version``, or is being replayed), or TransitionRefused.
    """
    with runtime.database.transaction(caller.organization_id, now=clock(), actor=caller.actor) as transaction:
        require(transaction, caller, Operation.REPLAY_DEAD_LETTER)
        lock_dead_letter(transaction, dead_letter_id, version)
    result = replay_dead_letter(runtime, caller.organization_id, dead_letter_id, clock, actor=caller.actor)
    with runtime.database.transaction(caller.organization_id, now=clock(), actor=caller.actor) as transaction:
        letter = view_of(transaction, dead_letter_id)
    return {"result": {"status": result.status, "failure_reason": result.failure_reason}, "dead_letter": letter}


def replay_several(
    runtime: Runtime,
    caller: Caller,
    ids: Sequence[UUID],
    clock: Callable[[], datetime],
    time_left_seconds: Callable[[], float],
) -> dict[str, Any]:
    """Replay each in the order given; one that cannot be replayed or fails does not stop the others.

    Those for which no time was left are reported as not tried: the same request may name them again.
    """
    with runtime.database.transaction(caller.organization_id, now=clock(), actor=caller.actor) as transaction:
        require(transaction, caller, Operation.REPLAY_DEAD_LETTERS)
    results = [
        _attempt(runtime, caller, dead_letter_id, clock)
        if time_left_seconds() > 0
        else _result(dead_letter_id, NOT_TRIED, detail="there was no time left: ask again")
        for dead_letter_id in dict.fromkeys(ids)
    ]
    return {"results": results}


def _attempt(
    runtime: Runtime, caller: Caller, dead_letter_id: UUID, clock: Callable[[], datetime]
) -> dict[str, str | None]:
    try:
        result = replay_dead_letter(runtime, caller.organization_id, dead_letter_id, clock, actor=caller.actor)
    except Rejected as refusal:
        return _result(dead_letter_id, REFUSED, refusal.code, refusal.detail)
    except Transient as trouble:
        return _result(dead_letter_id, NOT_TRIED, "unavailable", trouble.detail)
    return _result(dead_letter_id, result.status, detail=result.failure_reason)


def _result(
    dead_letter_id: UUID, status: str, code: str | None = None, detail: str | None = None
) -> dict[str, str | None]:
    return {"id": str(dead_letter_id), "status": str(status), "code": code, "detail": detail}
