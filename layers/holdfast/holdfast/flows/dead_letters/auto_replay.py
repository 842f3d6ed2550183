"""Replay automatically the dead letters whose class has earned it, when due and at a bounded rate."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.dead_letters.dead_letter_record import withdraw_from_schedule
from holdfast.flows.dead_letters.replay_dead_letter import replay_dead_letter
from holdfast.payments.dead_letters import DeadLetterStatus
from holdfast.runtime import Runtime
from holdfast.values.errors import Conflict, NotFound, TransitionRefused

REPLAYS_MAX: Final = 50
"""In one run; the next is a minute later."""
REPLAYS_OF_CLASS_MAX: Final = 10
"""Of one class in one run: if the class's failures no longer heal, only a few were replayed in vain."""
CANDIDATES_MAX: Final = 1000
"""How many due dead letters a run looks through for classes that are not at their limit yet."""
ACTOR: Final = "system:dlq_retries"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AutoReplayed:
    """What one run did."""

    succeeded: int
    failed: int
    withdrawn: int
    """Given to people, because their class may no longer replay automatically."""


def auto_replay(
    runtime: Runtime, clock: Callable[[], datetime], time_left_seconds: Callable[[], float] = lambda: math.inf
) -> AutoReplayed:
    """Replay what is due while there is time. Two concurrent runs replay no dead letter twice."""
    succeeded = failed = withdrawn = 0
    for row in _due(runtime, clock()):
        if time_left_seconds() <= 0:
            break
        try:
            result = replay_dead_letter(runtime, row.organization_id, row.id, clock, actor=ACTOR, automatic=True)
        except TransitionRefused:
            withdrawn += _withdraw(runtime, row, clock())
        except (Conflict, NotFound):
            _logger.info("dead letter %s is in other hands", row.id)
        except Exception:
            # One dead letter's failure must not keep the others waiting. Its lease shows that its replay began.
            _logger.exception("an auto-replay could not be finished")
        else:
            succeeded += result.status is DeadLetterStatus.REPLAYED
            failed += result.status is not DeadLetterStatus.REPLAYED
    return AutoReplayed(succeeded, failed, withdrawn)


def _due(runtime: Runtime, now: datetime) -> Sequence[Any]:
    with runtime.database.transaction(None, now=now, actor=ACTOR) as transaction:
        return transaction.rows(
            """
            SELECT organization_id, id, error_class_id FROM (
                SELECT organization_id, id, error_class_id, replay_at,
                       row_number() OVER (PARTITION BY organization_id, error_class_id ORDER BY replay_at, id) AS place
                  FROM (SELECT organization_id, id, error_class_id, replay_at FROM payments.dead_letters
                         WHERE replay_at <= :now AND (replay_lease_until IS NULL OR replay_lease_until <= :now)
                         ORDER BY replay_at LIMIT :candidates) AS due) AS placed
             WHERE place <= :of_class ORDER BY replay_at, id LIMIT :limit
            """,
            now=now,
            candidates=CANDIDATES_MAX,
            of_class=REPLAYS_OF_CLASS_MAX,
            limit=REPLAYS_MAX,
        )


def _withdraw(runtime: Runtime, row: Any, now: datetime) -> int:
    """Give all scheduled dead letters of the class to people if the class may no longer replay; return how many."""
    organization_id: UUID = row.organization_id

    def work(transaction: Transaction) -> int:
        may_replay = transaction.value(
            """
            SELECT active AND auto_replay_enabled AND COALESCE(cooldown_until <= :now, true)
              FROM payments.error_classes WHERE organization_id = :organization_id AND id = :id
            """,
            organization_id=organization_id,
            id=row.error_class_id,
            now=now,
        )
        if may_replay:
            return 0
        return withdraw_from_schedule(transaction, row.error_class_id, "its class does not replay by itself any more")

    return runtime.database.transact(organization_id, work, now=now, actor=ACTOR)
