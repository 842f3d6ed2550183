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
    """Open after the run, over the organizations that it reached."""
    disputes_due_soon: int
    """Opened, unanswered, and due within three days or overdue."""


def watch_money(runtime: Runtime, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]) -> Watched:
    """Check every organization's money: find differences, ask the gateways, and add up the days that are over.

    Gateways are asked about payments that differed before and about the days that are over. It is safe to run at any
    time and as often as wanted: an organization whose day is finished costs a few statements. The next run does what
    this one does not get to. The order of the organizations changes with the hour, so none is always last.
    """
    now = clock()
    with runtime.database.transaction(None, now=now, actor=ACTOR) as transaction:
        rows = transaction.rows(
            "SELECT id FROM tenancy.organizations WHERE deleted_at IS NULL ORDER BY md5(id::text || :turn)",
            turn=now.strftime("%Y%m%d%H"),
        )
    done = Watched(0, 0, 0, 0)
    for row in rows:
        if time_left_seconds() <= 0:
            break
        try:
            asked, differences, due_soon = _watch(runtime, row.id, clock, time_left_seconds)
        except Exception:
            _logger.exception("the money of organization %s was not looked after", row.id)
            continue
        done = Watched(
            done.organizations + 1,
            done.asked + asked,
            done.differences + differences,
            done.disputes_due_soon + due_soon,
        )
    return done


def _watch(
    runtime: Runtime, organization_id: UUID, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]
) -> tuple[int, int, int]:
    """Return how many payments were asked about, how many differences stay open and how many disputes are due soon."""
    yesterday = clock().date() - timedelta(days=1)
    look_for_differences(runtime, organization_id, clock)
    asked = recheck_differences(runtime, organization_id, clock, time_left_seconds)
    swept = sweep_days(runtime, organization_id, clock, time_left_seconds)
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        for day in sorted({*swept.days, yesterday}):
            compute_report(transaction, day)
        left = transaction.row(
            """
            SELECT (SELECT count(*) FROM payments.money_differences
                     WHERE organization_id = :organization_id AND status = 'open') AS differences,
                   (SELECT count(*) FROM payments.disputes
                     WHERE organization_id = :organization_id AND status = 'opened' AND due_at <= :soon) AS disputes
            """,
            organization_id=organization_id,
            soon=clock() + timedelta(seconds=DISPUTE_DUE_SOON_SECONDS),
        )
    return (asked + swept.asked, left.differences, left.disputes) if left else (asked + swept.asked, 0, 0)
