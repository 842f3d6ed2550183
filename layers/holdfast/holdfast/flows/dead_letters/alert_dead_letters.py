"""Call somebody about dead letters that are urgent and wait for a person: once each.

An alert is published before the commit that records it, so a crash in between repeats the alert and never loses it. A
dead letter that was committed without its alert is found by the schedule.
"""

import logging
import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.payments.dead_letters import DeadLetterPriority, DeadLetterStatus, is_alert_due
from holdfast.runtime import Runtime

ALERTS_MAX: Final = 100
"""How many alerts one run of the schedule sends; the rest waits for the next run."""
FAILURES_MAX: Final = 5
"""After this many alerts that could not be sent, a run gives up."""
ACTOR: Final = "system:dlq_retries"

_logger = logging.getLogger(__name__)


def alert_dead_letter(runtime: Runtime, organization_id: UUID, dead_letter_id: UUID, now: datetime) -> bool:
    """Send the alert if one is due; return whether it was sent.

    Never raises, because the preceding work is committed already.
    """
    try:
        with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
            return _alert(runtime, transaction, dead_letter_id)
    except Exception:
        _logger.warning("an alert could not be sent; the schedule will send it", exc_info=True)
        return False


def alert_dead_letters(
    runtime: Runtime, clock: Callable[[], datetime], time_left_seconds: Callable[[], float] = lambda: math.inf
) -> int:
    """Send the alerts that are due and were not sent; return how many were sent.

    An alert that cannot be sent does not hold up the others, but after ``FAILURES_MAX`` of them the run ends, because
    then nobody is being reached. The first error is raised once the others have been sent.
    """
    with runtime.database.transaction(None, now=clock(), actor=ACTOR) as transaction:
        rows = transaction.rows(
            """
            SELECT organization_id, id FROM payments.dead_letters
             WHERE alerted_at IS NULL AND priority IN ('critical', 'high')
               AND status IN ('pending_classification', 'pending_review')
             ORDER BY created_at LIMIT :limit
            """,
            limit=ALERTS_MAX,
        )
    sent, failures = 0, list[Exception]()
    for row in rows:
        if time_left_seconds() <= 0 or len(failures) >= FAILURES_MAX:
            break
        try:
            with runtime.database.transaction(row.organization_id, now=clock(), actor=ACTOR) as transaction:
                sent += _alert(runtime, transaction, row.id)
        except Exception as error:
            _logger.exception("the alert about dead letter %s could not be sent", row.id)
            failures.append(error)
    if failures:
        raise failures[0]
    return sent


def _alert(runtime: Runtime, transaction: Transaction, dead_letter_id: UUID) -> bool:
    row = transaction.row(
        """
        SELECT status, priority, alerted_at, event_type, gateway, failure_code, fingerprint
          FROM payments.dead_letters WHERE organization_id = :organization_id AND id = :id
           FOR UPDATE SKIP LOCKED
        """,
        organization_id=transaction.tenant,
        id=dead_letter_id,
    )
    if row is None or not is_alert_due(DeadLetterPriority(row.priority), DeadLetterStatus(row.status), row.alerted_at):
        return False
    runtime.alerts.publish(
        f"Holdfast: {row.priority} dead letter, {row.event_type} of {row.gateway}",
        _facts(transaction, dead_letter_id, row),
    )
    transaction.execute(
        "UPDATE payments.dead_letters SET alerted_at = :now WHERE organization_id = :organization_id AND id = :id",
        organization_id=transaction.tenant,
        id=dead_letter_id,
        now=transaction.now,
    )
    return True


def _facts(transaction: Transaction, dead_letter_id: UUID, row: Any) -> dict[str, str | None]:
    """Return the facts of an alert, ids and codes only.

    Alerts go to mailboxes, and the failure's reason may quote what a shopper wrote.
    """
    return {
        "alert": "dead_letter",
        "organization_id": str(transaction.tenant),
        "dead_letter_id": str(dead_letter_id),
        "priority": row.priority,
        "status": row.status,
        "event_type": row.event_type,
        "gateway": row.gateway,
        "failure_code": row.failure_code,
        "fingerprint": row.fingerprint,
    }
