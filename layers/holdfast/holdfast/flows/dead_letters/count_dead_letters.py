"""Count the dead letters: those open now, and each organization's row of the day.

Yesterday's row is written again until that day's last commits are in. The number of open dead letters is kept as it
stood at the day's last count; a day on which nobody counted has none.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.payments.dead_letters import DeadLetterPriority
from holdfast.runtime import Runtime

ACTOR: Final = "system:dlq_retries"
UNCLASSIFIED: Final = "none"


@dataclass(frozen=True, slots=True)
class OpenDeadLetters:
    """How many dead letters are open, over all organizations."""

    by_priority: Counter[DeadLetterPriority]
    by_class: Counter[tuple[str, DeadLetterPriority]]


def count_dead_letters(runtime: Runtime, now: datetime) -> OpenDeadLetters:
    """Write today's and yesterday's (UTC) rows of every organization that has something to count."""
    today = now.astimezone(UTC).date()
    yesterday_begins = datetime.combine(today - timedelta(days=1), time(), UTC)
    with runtime.database.transaction(None, now=now, actor=ACTOR) as transaction:
        organizations = [
            row.organization_id
            for row in transaction.rows(
                """
                SELECT organization_id FROM payments.dead_letters WHERE resolved_at IS NULL
                UNION
                SELECT organization_id FROM payments.dead_letters WHERE resolved_at >= :since
                """,
                since=yesterday_begins,
            )
        ]
    # Priorities without dead letters count zero, so that an alarm sees that its cause is gone.
    found = OpenDeadLetters(Counter(dict.fromkeys(DeadLetterPriority, 0)), Counter())
    for organization_id in organizations:
        _count(runtime, organization_id, today, now, found)
    return found


def _count(runtime: Runtime, organization_id: UUID, today: date, now: datetime, found: OpenDeadLetters) -> None:
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        rows = _open(transaction)
        by_status: Counter[str] = Counter()
        critical = 0
        for row in rows:
            priority = DeadLetterPriority(row.priority)
            by_status[row.status] += row.count
            critical += row.count if priority is DeadLetterPriority.CRITICAL else 0
            found.by_priority[priority] += row.count
            found.by_class[(row.class_name or UNCLASSIFIED, priority)] += row.count
        for day in (today - timedelta(days=1), today):
            _write_day(transaction, day, by_status, critical)


def _open(transaction: Transaction) -> Sequence[Any]:
    return transaction.rows(
        """
        SELECT d.status, d.priority, c.class_name, count(*) AS count
          FROM payments.dead_letters d
          LEFT JOIN payments.error_classes c ON c.organization_id = d.organization_id AND c.id = d.error_class_id
         WHERE d.organization_id = :organization_id AND d.resolved_at IS NULL
         GROUP BY d.status, d.priority, c.class_name
        """,
        organization_id=transaction.tenant,
    )


def _write_day(transaction: Transaction, day: date, by_status: Counter[str], critical: int) -> None:
    """Count anew what was created or resolved on the day; only today's row gets the present open counts.

    Whatever was created since a day began is either open or was resolved since then.
    """
    begins = datetime.combine(day, time(), UTC)
    transaction.execute(
        """
        INSERT INTO payments.dlq_metrics_daily AS m
            (organization_id, day, counts_by_status, created, replayed, auto_replayed, discarded,
             average_resolution_hours, critical_open, counted_at)
        SELECT :organization_id, :day, CASE WHEN :is_today THEN CAST(:by_status AS jsonb) ELSE '{}' END,
               count(*) FILTER (WHERE d.created_at >= :begins AND d.created_at < :ends),
               count(*) FILTER (WHERE d.is_of_day AND d.status = 'replayed'),
               count(*) FILTER (WHERE d.is_of_day AND d.status = 'replayed' AND d.was_auto_replayed),
               count(*) FILTER (WHERE d.is_of_day AND d.status = 'discarded'),
               round(avg(extract(epoch FROM d.resolved_at - d.created_at) / 3600) FILTER (WHERE d.is_of_day), 2),
               CASE WHEN :is_today THEN CAST(:critical AS integer) ELSE 0 END, :now
          FROM (SELECT created_at, resolved_at, status, was_auto_replayed,
                       COALESCE(resolved_at >= :begins AND resolved_at < :ends, false) AS is_of_day
                  FROM payments.dead_letters WHERE organization_id = :organization_id AND resolved_at >= :begins
                 UNION ALL
                SELECT created_at, resolved_at, status, was_auto_replayed, false
                  FROM payments.dead_letters WHERE organization_id = :organization_id AND resolved_at IS NULL) AS d
        ON CONFLICT (organization_id, day) DO UPDATE
           SET created = excluded.created, replayed = excluded.replayed, auto_replayed = excluded.auto_replayed,
               discarded = excluded.discarded, average_resolution_hours = excluded.average_resolution_hours,
               counts_by_status = CASE WHEN :is_today THEN excluded.counts_by_status ELSE m.counts_by_status END,
               critical_open = CASE WHEN :is_today THEN excluded.critical_open ELSE m.critical_open END,
               counted_at = excluded.counted_at
        """,
        organization_id=transaction.tenant,
        day=day,
        by_status=dict(by_status),
        begins=begins,
        ends=begins + timedelta(days=1),
        critical=critical,
        is_today=day == transaction.now.astimezone(UTC).date(),
        now=transaction.now,
    )
