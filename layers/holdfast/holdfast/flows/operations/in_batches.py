"""Scheduled work in batches: one batch per organization in turn, while there is time."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.operations.in_turn import in_turn
from holdfast.runtime import Runtime

BATCH_MAX_ROWS: Final = 1_000

_logger = logging.getLogger(__name__)


def in_batches(
    runtime: Runtime,
    organizations: Sequence[UUID],
    batch: Callable[[Transaction, int], int],
    clock: Callable[[], datetime],
    time_left_seconds: Callable[[], float],
    *,
    actor: str,
    once: bool = False,
) -> tuple[int, bool]:
    """Run one batch per organization in turn. Return how many rows changed, and whether everything was done.

    ``batch`` is passed the most rows that it may change, and returns how many it changed; with ``once`` it has no
    second turn. The turns keep a large organization from starving the others. The rotating start (``in_turn``) keeps
    the first ones from starving the last when the time ends within the first round.
    """
    done, waiting, all_done = 0, in_turn(organizations, clock()), True
    while waiting:
        still_waiting = []
        for organization_id in waiting:
            if time_left_seconds() <= 0:
                return done, False
            try:
                changed = runtime.database.transact(
                    organization_id, lambda transaction: batch(transaction, BATCH_MAX_ROWS), now=clock(), actor=actor
                )
            except Exception:
                # A failure of one organization must not hold up the others. The run counts as unfinished.
                _logger.exception("%s could not finish organization %s", actor, organization_id)
                all_done = False
                continue
            done += changed
            if changed >= BATCH_MAX_ROWS and not once:
                still_waiting.append(organization_id)
        waiting = still_waiting
    return done, all_done


def organizations_with(
    runtime: Runtime, now: datetime, statement: str, *, actor: str, **parameters: datetime
) -> list[UUID]:
    """Return the organizations that the statement finds over all tenants."""
    with runtime.database.transaction(None, now=now, actor=actor) as transaction:
        return [row[0] for row in transaction.rows(statement, **parameters)]
