"""Verify batches: what was archived must be there as it was sealed, and agree with its source."""

import json
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.archive import sampling
from holdfast.archive.policy import (
    ALERT_ABOVE_FRACTION,
    BatchStatus,
    ReconciliationType,
    Strategy,
    Tier,
)
from holdfast.database.transaction import Transaction
from holdfast.flows.archive.examine_orders import Tally, examine, log_look
from holdfast.flows.archive.organizations import EachByItself, organizations
from holdfast.flows.operations.call_person import call_person
from holdfast.flows.operations.process_names import Process
from holdfast.runtime import Runtime

ACTOR: Final = "system:archive_verification"
PROCESS: Final = Process.ARCHIVE_VERIFICATION

_BATCH: Final = """
    SELECT b.id, b.strategy FROM archive.archive_batches b
     WHERE b.organization_id = :organization_id AND b.id = :batch_id FOR NO KEY UPDATE
"""
_NEW_BATCH: Final = """
    SELECT b.id, b.strategy FROM archive.archive_batches b
     WHERE b.organization_id = :organization_id AND b.id = :batch_id AND b.status = 'completed'
       FOR NO KEY UPDATE SKIP LOCKED
"""
_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Verified:
    """What one run checked and found.

    ``finished`` is false when the time ran out first. ``late`` is the number of archives without the complete look that
    they should have had by now.
    """

    batches: int = 0
    failed_batches: int = 0
    late: int = 0
    finished: bool = True
    tally: Tally = field(default_factory=Tally)


def verify_new_batches(
    runtime: Runtime,
    clock: Callable[[], datetime],
    time_left_seconds: Callable[[], float],
    *,
    chance: random.Random | None = None,
) -> Verified:
    """Verify every sealed batch that has not been verified yet, by its strategy. Several runs share the batches."""
    verified = Verified()
    with EachByItself() as each:
        for organization_id, _ in organizations(runtime, clock(), ACTOR):
            with each.organization(organization_id):
                for batch_id in batches_by_status(runtime, organization_id, BatchStatus.COMPLETED, clock(), ACTOR):
                    if time_left_seconds() <= 0:
                        verified.finished = False
                        return verified
                    verify_batch(
                        runtime, organization_id, batch_id, clock(), ACTOR, verified, only_new=True, chance=chance
                    )
    return verified


def verify_batch(
    runtime: Runtime,
    organization_id: UUID,
    batch_id: UUID,
    now: datetime,
    actor: str,
    verified: Verified,
    *,
    strategy: Strategy | None = None,
    only_new: bool = False,
    chance: random.Random | None = None,
) -> Tally:
    """Verify one batch by its own strategy or the one given, and write the result to the batch.

    With ``only_new``, a batch that another run is verifying or has verified is left to it. Raises LookupError for a
    batch that does not exist.
    """
    began = time.monotonic()

    def work(transaction: Transaction) -> tuple[Tally, bool] | None:
        batch = transaction.row(_NEW_BATCH if only_new else _BATCH, organization_id=organization_id, batch_id=batch_id)
        if batch is None and only_new:
            return None
        if batch is None:
            raise LookupError("there is no such batch")
        plan = _plan(transaction, batch_id, strategy or Strategy(batch.strategy), chance or random.Random())  # noqa: S311 -- chance, not a secret
        tally = examine(transaction, runtime.keyring, batch_id, plan.order_ids, against_source=True)
        is_failed = tally.orders_found > ALERT_ABOVE_FRACTION * max(1, tally.checked)
        _conclude(transaction, batch_id, plan, tally, is_failed=is_failed)
        duration_ms = int((time.monotonic() - began) * 1000)
        details = {"strategy": plan.strategy, "statement": sampling.statement(plan.population, len(plan.order_ids))}
        log_look(
            transaction,
            ReconciliationType.POST_ARCHIVE,
            tally,
            duration_ms=duration_ms,
            batch_id=batch_id,
            details=details,
        )
        if tally.findings:
            report(transaction, batch_id, tally, is_failed=is_failed)
        return tally, is_failed

    looked = runtime.database.transact(organization_id, work, now=now, actor=actor, one_snapshot=True)
    if looked is None:
        return Tally()
    tally, is_failed = looked
    if is_failed:
        alert(runtime, organization_id, batch_id, tally)
    verified.batches += 1
    verified.failed_batches += is_failed
    verified.tally.add(tally)
    return tally


@dataclass(frozen=True, slots=True)
class _Plan:
    strategy: Strategy
    population: int
    target: int | None
    order_ids: Sequence[str]
    high_value: int
    strata: list[dict[str, Any]]


def _plan(transaction: Transaction, batch_id: UUID, strategy: Strategy, chance: random.Random) -> _Plan:
    """Choose which orders of the batch are checked.

    An order that the index does not know counts as one of high value, so it is checked whatever the strategy.
    """
    text: str | None = transaction.value(
        """
        SELECT string_agg(l.order_id || ' ' || COALESCE(x.tier, 'high_value') || ' '
                          || to_char(COALESCE(x.ordered_at, 'epoch') AT TIME ZONE 'UTC', 'YYYY-MM'), ','
                          ORDER BY l.order_id)
          FROM archive.batch_leaves l
          LEFT JOIN archive.archive_index x ON x.organization_id = l.organization_id AND x.order_id = l.order_id
         WHERE l.organization_id = :organization_id AND l.batch_id = :batch_id
        """,
        organization_id=transaction.tenant,
        batch_id=batch_id,
    )
    rows = [line.split(" ") for line in text.split(",")] if text else []
    high_value = [order_id for order_id, tier, _ in rows if tier == Tier.HIGH_VALUE]
    if strategy is Strategy.FULL:
        return _Plan(strategy, len(rows), None, [order_id for order_id, _, _ in rows], len(high_value), [])
    if strategy is Strategy.HIGH_VALUE_ONLY:
        return _Plan(strategy, len(rows), None, high_value, len(high_value), [])
    months: dict[str, list[str]] = {}
    for order_id, tier, month in rows:
        if tier != Tier.HIGH_VALUE:
            months.setdefault(month, []).append(order_id)
    target = sampling.sample_size(len(rows) - len(high_value))
    sample, shares = sampling.stratified(months, target, chance)
    strata = [{"month": month, "orders": len(months[month]), "sampled": shares[month]} for month in sorted(months)]
    return _Plan(strategy, len(rows), target, sorted([*high_value, *sample]), len(high_value), strata)


def _conclude(transaction: Transaction, batch_id: UUID, plan: _Plan, tally: Tally, *, is_failed: bool) -> None:
    """Write the result to the batch.

    The detectable fraction is about the orders that the sample was drawn from; those of high value are all checked.
    """
    left_to_chance = plan.population - plan.high_value
    sampled = len(plan.order_ids) - plan.high_value
    fraction = 1 / max(1, plan.population)
    if plan.strategy is not Strategy.FULL and left_to_chance:
        fraction = sampling.detectable_fraction(left_to_chance, sampled)
    transaction.execute(
        """
        UPDATE archive.archive_batches
           SET status = CASE WHEN :is_failed THEN 'failed' ELSE 'verified' END,
               strategy = :strategy, population = :population,
               target_sample_size = :target, sample_size = :looked_at, high_value_verified = :high_value,
               detectable_fraction = CAST(:fraction AS numeric), strata = CAST(:strata AS jsonb),
               confidence_level = CAST(:confidence AS numeric), margin_of_error = CAST(:margin AS numeric),
               discrepancies = :found,
               verified_at = CASE WHEN NOT :is_failed THEN COALESCE(verified_at, :now) ELSE verified_at END
         WHERE organization_id = :organization_id AND id = :batch_id
        """,
        organization_id=transaction.tenant,
        batch_id=batch_id,
        is_failed=is_failed,
        strategy=plan.strategy,
        population=plan.population,
        target=plan.target,
        looked_at=len(plan.order_ids),
        high_value=plan.high_value,
        fraction=str(min(1.0, fraction)),
        strata=json.dumps(plan.strata),
        confidence=str(sampling.CONFIDENCE_LEVEL),
        margin=str(sampling.MARGIN_OF_ERROR),
        found=len(tally.findings),
        now=transaction.now,
    )


def report(transaction: Transaction, batch_id: UUID, tally: Tally, *, is_failed: bool) -> None:
    """Call a person with a process failure that names the first orders. What is wrong blocks the purge."""
    severity = "high" if is_failed else "medium"
    call_person(
        transaction,
        PROCESS,
        batch_id,
        f"{tally.orders_found} of {tally.checked} archived orders are not as they were sealed; severity {severity}",
        {"severity": severity, "findings": tally.examples(), "checked": tally.checked},
        renews=True,
    )


def alert(
    runtime: Runtime,
    organization_id: UUID,
    batch_id: UUID,
    tally: Tally,
    *,
    what: str = "archived orders are not as they were sealed",
) -> None:
    """Alert people that more than one order in a hundred is wrong, or that the chain is broken.

    Never raises: the record is committed already, so a topic that fails loses nothing.
    """
    try:
        runtime.alerts.publish(
            f"[holdfast] high: {what}",
            {
                "organization_id": str(organization_id),
                "batch_id": str(batch_id),
                "found": str(tally.orders_found),
                "checked": str(tally.checked),
                "severity": "high",
            },
        )
    except Exception:
        _logger.exception("the alert about batch %s was not sent", batch_id)


def batches_by_status(
    runtime: Runtime, organization_id: UUID, status: BatchStatus, now: datetime, actor: str
) -> list[UUID]:
    """Return the batches of an organization in a status, oldest first."""
    with runtime.database.transaction(organization_id, now=now, actor=actor) as transaction:
        rows = transaction.rows(
            "SELECT id FROM archive.archive_batches WHERE organization_id = :o AND status = :status ORDER BY id",
            o=organization_id,
            status=status,
        )
    return [row[0] for row in rows]
