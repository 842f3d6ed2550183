"""The money watchdog: what differs between orders, payments and gateways is found, and the days that are over are added
up."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from holdfast.flows.money.look_for_differences import ACTOR, look_for_differences
from holdfast.flows.money.money_report import compute_report
from holdfast.flows.money.reconcile_payments import recheck_differences
from holdfast.flows.money.sweep_days import sweep_days
from holdfast.runtime import Runtime

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
