"""The daily books: computed by a schedule, read by the operations team."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.flows.money.look_for_differences import ACTOR, look_for_differences
from holdfast.flows.money.reconcile_payments import recheck_differences
from holdfast.flows.money.sweep_days import sweep_days
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller

DIFFERENCES_MAX_ROWS: Final = 500
DISPUTE_DUE_SOON_SECONDS: Final = 3 * 24 * 3600

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Watched:
    """What one run did, over all organizations."""

    organizations: int
    asked: int
    differences: int
    """Open after the run, of every organization, whether the run reached it or not."""
    disputes_due_soon: int
    """Opened, unanswered, and due within three days or overdue; likewise of every organization."""
    failed: int
    """Organizations whose money could not be looked after: whoever runs this must let the run fail."""


def watch_money(runtime: Runtime, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]) -> Watched:
    """Check every organization's money: find differences, ask the gateways, and add up the days that are over.

    Gateways are asked about payments that differed before and about the days that are over. It is safe to run at any
    time and as often as wanted: an organization whose day is finished costs a few statements. The next run does what
    this one does not get to. The order of the organizations changes with the hour, so none is always last. One that
    fails keeps no other waiting.
    """
    now = clock()
    with runtime.database.transaction(None, now=now, actor=ACTOR) as transaction:
        rows = transaction.rows(
            "SELECT id FROM tenancy.organizations WHERE deleted_at IS NULL ORDER BY md5(id::text || :turn)",
            turn=now.strftime("%Y%m%d%H"),
        )
    organizations = asked = failed = 0
    for row in rows:
        if time_left_seconds() <= 0:
            break
        try:
            asked += _watch(runtime, row.id, clock, time_left_seconds)
            organizations += 1
        except Exception:
            _logger.exception("the money of organization %s was not looked after", row.id)
            failed += 1
    # Counted apart from the work: an alarm must not end because a run failed or had no time.
    waiting = [_count_what_waits(runtime, row.id, clock()) for row in rows]
    differences, disputes_due_soon = (sum(counts) for counts in zip((0, 0), *waiting, strict=True))
    return Watched(organizations, asked, differences, disputes_due_soon, failed)


def _watch(
    runtime: Runtime, organization_id: UUID, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]
) -> int:
    """Look after one organization's money; return how many payments were asked about."""
    yesterday = clock().date() - timedelta(days=1)
    look_for_differences(runtime, organization_id, clock)
    asked = recheck_differences(runtime, organization_id, clock, time_left_seconds)
    swept = sweep_days(runtime, organization_id, clock, time_left_seconds)
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        for day in sorted({*swept.days, yesterday}):
            compute_report(transaction, day)
    return asked + swept.asked


def _count_what_waits(runtime: Runtime, organization_id: UUID, now: datetime) -> tuple[int, int]:
    """Return how many differences are open and how many disputes are due soon."""
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        waiting = transaction.rows(
            """
            SELECT (SELECT count(*) FROM payments.money_differences
                     WHERE organization_id = :organization_id AND status = 'open') AS differences,
                   (SELECT count(*) FROM payments.disputes
                     WHERE organization_id = :organization_id AND status = 'opened' AND due_at <= :soon) AS disputes
            """,
            organization_id=organization_id,
            soon=now + timedelta(seconds=DISPUTE_DUE_SOON_SECONDS),
        )
    return waiting[0].differences, waiting[0].disputes


def compute_report(transaction: Transaction, day: date) -> None:
    """Compute the day's totals anew; the figures collected at the gateways stay as the sweep left them."""
    begin = datetime.combine(day, time_of_day(), tzinfo=transaction.now.tzinfo)
    transaction.execute(
        """
        WITH of_day AS (
            SELECT o.currency, count(*) AS orders, sum(o.total) AS total
              FROM orders.orders o
             WHERE o.organization_id = :organization_id AND o.deleted_at IS NULL
               AND o.id >= tenancy.uuid_v7_floor(:day_begin) AND o.id < tenancy.uuid_v7_floor(:day_end)
               AND o.status NOT IN ('pending_payment', 'payment_processing', 'payment_failed', 'cancelled',
                                    'acceptance_failed', 'pending_acceptance')
             GROUP BY o.currency
        ), paid AS (
            SELECT p.currency, sum(p.captured_amount) AS captured, sum(p.refunded_amount) AS refunded,
                   sum(p.charged_back_amount) AS charged_back
              FROM payments.payments p
             WHERE p.organization_id = :organization_id
               AND p.id >= tenancy.uuid_v7_floor(:day_begin) AND p.id < tenancy.uuid_v7_floor(:day_end)
             GROUP BY p.currency
        )
        INSERT INTO payments.money_report_daily (organization_id, day, currency, orders, orders_total, captured,
                                                 refunded, charged_back, computed_at)
        SELECT :organization_id, CAST(:day AS date), COALESCE(d.currency, p.currency), COALESCE(d.orders, 0),
               COALESCE(d.total, 0), COALESCE(p.captured, 0), COALESCE(p.refunded, 0), COALESCE(p.charged_back, 0), :now
          FROM of_day d FULL JOIN paid p ON p.currency = d.currency
        ON CONFLICT ON CONSTRAINT money_report_daily_pkey DO UPDATE
           SET orders = excluded.orders, orders_total = excluded.orders_total, captured = excluded.captured,
               refunded = excluded.refunded, charged_back = excluded.charged_back, computed_at = excluded.computed_at
        """,
        organization_id=transaction.tenant,
        day=day.isoformat(),
        day_begin=begin,
        day_end=begin + timedelta(days=1),
        now=transaction.now,
    )


def show_money_report(runtime: Runtime, caller: Caller, day: date | None, now: datetime) -> dict[str, Any]:
    """Return a day's books, yesterday's by default, with its differences and the older ones still open.

    Raises Forbidden.
    """
    day = day or now.date() - timedelta(days=1)
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.SHOW_MONEY_REPORT)
        totals = records(transaction.rows(_TOTALS, organization_id=transaction.tenant, day=day.isoformat()))
        differences = records(
            transaction.rows(
                _DIFFERENCES, organization_id=transaction.tenant, day=day.isoformat(), limit=DIFFERENCES_MAX_ROWS + 1
            )
        )
    return {
        "day": day.isoformat(),
        "is_finished": bool(totals) and all(row["is_finished"] for row in totals),
        "totals": [{name: value for name, value in row.items() if name != "is_finished"} for row in totals],
        "differences": [_shown(row) for row in differences[:DIFFERENCES_MAX_ROWS]],
        "is_complete": len(differences) <= DIFFERENCES_MAX_ROWS,
    }


_TOTALS: Final = """
    SELECT r.currency, r.orders, r.orders_total AS orders_total_minor, r.captured AS captured_minor,
           r.refunded AS refunded_minor, r.charged_back AS charged_back_minor, r.asked,
           r.asked_captured AS asked_captured_minor, r.asked_refunded AS asked_refunded_minor,
           r.gateway_captured AS gateway_captured_minor, r.gateway_refunded AS gateway_refunded_minor,
           COALESCE(d.differences, 0) AS differences, COALESCE(d.at_risk, 0)::bigint AS at_risk_minor,
           s.finished_at IS NOT NULL AS is_finished
      FROM payments.money_report_daily r
      LEFT JOIN payments.money_sweeps s ON s.organization_id = r.organization_id AND s.day = r.day
      LEFT JOIN (SELECT currency, count(*) AS differences, sum(amount_at_risk) AS at_risk
                   FROM payments.money_differences
                  WHERE organization_id = :organization_id AND day = CAST(:day AS date) GROUP BY currency) d
             ON d.currency = r.currency
     WHERE r.organization_id = :organization_id AND r.day = CAST(:day AS date)
     ORDER BY r.currency
"""
_DIFFERENCES: Final = """
    SELECT d.id, d.day, d.kind, d.order_id, d.payment_id, d.subject_id, d.ours AS ours_minor,
           d.gateways AS gateways_minor, d.amount_at_risk AS at_risk_minor, d.currency, d.status, d.details,
           d.resolution, d.first_seen_at, d.last_seen_at, d.resolved_at
      FROM payments.money_differences d
     WHERE d.organization_id = :organization_id
       AND (d.day = CAST(:day AS date)
            OR (d.status = 'open' AND d.day < CAST(:day AS date)))
     ORDER BY d.day, d.id LIMIT :limit
"""


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    shown = dict(row)
    for name in ("id", "order_id", "payment_id", "subject_id"):
        shown[name] = row[name] and str(row[name])
    for name in ("day", "first_seen_at", "last_seen_at", "resolved_at"):
        shown[name] = row[name] and row[name].isoformat()
    return shown
