"""Resume mails that wait: a retry is due, their sender died, or a person asked to send them again."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Final

from holdfast.flows.notifications.deliver_message import ACTOR, deliver_message
from holdfast.notifications.model import MessageStatus
from holdfast.runtime import Runtime

BATCH_MAX_ROWS: Final = 100
REFUSED_IN_A_ROW_MAX: Final = 5
"""After this many refusals in a row the service is in trouble, and the rest is left to the next run."""


def resume_messages(
    runtime: Runtime, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]
) -> Counter[MessageStatus]:
    """Send what is due, over all organizations, while there is time; return how often each status resulted."""
    done: Counter[MessageStatus] = Counter()
    refused_in_a_row = 0
    while time_left_seconds() > 0:
        with runtime.database.transaction(None, now=clock(), actor=ACTOR) as transaction:
            due = transaction.rows(
                """
                SELECT m.organization_id, m.id FROM notifications.messages m
                 WHERE m.next_attempt_at <= :now ORDER BY m.next_attempt_at LIMIT :limit
                """,
                now=transaction.now,
                limit=BATCH_MAX_ROWS,
            )
        for row in due:
            if time_left_seconds() <= 0 or refused_in_a_row >= REFUSED_IN_A_ROW_MAX:
                return done
            result = deliver_message(runtime, row.organization_id, row.id, clock)
            if result is not None:
                done[result.status] += 1
                refused_in_a_row = refused_in_a_row + 1 if result.is_refused_for_now else 0
        if len(due) < BATCH_MAX_ROWS:
            break
    return done
