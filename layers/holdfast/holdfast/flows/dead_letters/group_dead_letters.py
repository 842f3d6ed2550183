"""Dead letters at a distance: grouped by what they have in common, and counted by day."""

from datetime import date, datetime, timedelta
from typing import Any, Final

from holdfast.database.transaction import plain, records
from holdfast.flows.dead_letters.list_dead_letters import OPEN
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import InvalidInput

GROUPS_MAX: Final = 100
METRICS_MAX_DAYS: Final = 366
METRICS_DEFAULT_DAYS: Final = 30

_GROUPS: Final = """
    WITH counted AS (
        SELECT d.fingerprint, d.event_type, min(d.urgency) AS urgency, d.status, count(*) AS n,
               min(d.created_at) AS first_seen_at, max(d.created_at) AS last_seen_at,
               max(CAST(d.id AS text)) AS last_id
          FROM payments.dead_letters d
         WHERE d.organization_id = :organization_id AND d.status = ANY (:statuses)
         GROUP BY d.fingerprint, d.event_type, d.status
    ), grouped AS (
        SELECT fingerprint, event_type, min(urgency) AS urgency, sum(n) AS open,
               jsonb_object_agg(status, n) AS by_status, min(first_seen_at) AS first_seen_at,
               max(last_seen_at) AS last_seen_at, max(last_id) AS last_id
          FROM counted GROUP BY fingerprint, event_type
         ORDER BY 3, 4 DESC, fingerprint LIMIT :limit
    )
    SELECT g.fingerprint, g.event_type, l.priority, l.gateway, CAST(g.open AS integer) AS open, g.by_status,
           g.first_seen_at, g.last_seen_at, l.failure_code AS sample_code, l.failure_reason AS sample_reason,
           l.error_class_id, (
               SELECT r.id FROM payments.group_replays r
                WHERE r.organization_id = :organization_id AND r.fingerprint = g.fingerprint
                  AND r.state = 'running') AS running_group_replay_id
      FROM grouped g
     CROSS JOIN LATERAL (
         SELECT d.priority, d.gateway, d.failure_code, d.failure_reason, d.error_class_id FROM payments.dead_letters d
          WHERE d.organization_id = :organization_id AND d.id = CAST(g.last_id AS uuid) LIMIT 1) l
     ORDER BY g.urgency, g.open DESC, g.fingerprint
"""


def list_dead_letter_groups(runtime: Runtime, caller: Caller, limit: int, now: datetime) -> dict[str, Any]:
    """Return the groups of open dead letters, most urgent and most frequent first, each with its latest reason."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.LIST_DEAD_LETTER_GROUPS)
        rows = transaction.rows(
            _GROUPS,
            organization_id=transaction.tenant,
            statuses=[str(status) for status in OPEN],
            limit=min(limit, GROUPS_MAX),
        )
        return {"groups": [plain(row) for row in records(rows)]}


def read_dead_letter_metrics(
    runtime: Runtime, caller: Caller, first: date | None, last: date | None, now: datetime
) -> dict[str, Any]:
    """Return the days from ``first`` to ``last`` that were counted, oldest first.

    Raises InvalidInput for too many days.
    """
    last = last or now.date()
    first = first or last - timedelta(days=METRICS_DEFAULT_DAYS - 1)
    if first > last or (last - first).days >= METRICS_MAX_DAYS:
        problem = {"field": "query.from", "message": f"is not within {METRICS_MAX_DAYS} days before `to`"}
        raise InvalidInput("there are no such days", errors=[problem])
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.READ_DEAD_LETTER_METRICS)
        rows = transaction.rows(
            """
            SELECT CAST(day AS text) AS day, counts_by_status, created, replayed, auto_replayed, discarded,
                   average_resolution_hours, critical_open, counted_at
              FROM payments.dlq_metrics_daily
             WHERE organization_id = :organization_id AND day BETWEEN :first AND :last ORDER BY day
            """,
            organization_id=transaction.tenant,
            first=first,
            last=last,
        )
        return {"days": [plain(row) for row in records(rows)]}
