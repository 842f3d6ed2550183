"""Prove that what was archived is there as it was sealed: each new batch, some by chance nightly, all monthly."""

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
    BATCH_MAX_ORDERS,
    BatchStatus,
    ReconciliationType,
    Strategy,
    Tier,
)
from holdfast.database.transaction import Transaction
from holdfast.flows.archive.examine_orders import Tally, examine, log_look
from holdfast.flows.archive.organizations import organizations
from holdfast.flows.operations.call_person import call_person
from holdfast.runtime import Runtime

ACTOR: Final = "system:archive_verification"
PROCESS: Final = "ArchiveVerification"
SPOT_CHECK_ORDERS: Final = 1_000

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Verified:
    """What one run looked at and found; ``finished`` is false when the time ran out first."""

    batches: int = 0
    failed_batches: int = 0
    finished: bool = True
    tally: Tally = field(default_factory=Tally)


def verify_new_batches(
    runtime: Runtime,
    clock: Callable[[], datetime],
    time_left_seconds: Callable[[], float],
    *,
    chance: random.Random | None = None,
) -> Verified:
    """Verify every sealed batch that nobody looked at yet, by its strategy."""
    verified = Verified()
    for organization_id, _ in organizations(runtime, clock(), ACTOR):
        for batch_id in batches_by_status(runtime, organization_id, BatchStatus.COMPLETED, clock(), ACTOR):
            if time_left_seconds() <= 0:
                verified.finished = False
                return verified
            verify_batch(runtime, organization_id, batch_id, clock(), ACTOR, verified, chance=chance)
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
    chance: random.Random | None = None,
) -> Tally:
    """Verify one batch by its own strategy, or another one; what it says of itself afterwards is what was found."""
    began = time.monotonic()

    def work(transaction: Transaction) -> tuple[Tally, bool]:
        batch = transaction.row(
            "SELECT id, strategy, orders FROM archive.archive_batches"
            " WHERE organization_id = :o AND id = :id FOR NO KEY UPDATE",
            o=organization_id,
            id=batch_id,
        )
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

    tally, is_failed = runtime.database.transact(organization_id, work, now=now, actor=actor, one_snapshot=True)
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
    order_ids: Sequence[UUID]
    high_value: int
    strata: list[dict[str, Any]]


def _plan(transaction: Transaction, batch_id: UUID, strategy: Strategy, chance: random.Random) -> _Plan:
    """Which orders of the batch are looked at. An order that the index does not know counts as one of high value: it is
    looked at whatever the strategy."""
    rows = transaction.rows(
        """
        SELECT l.order_id, COALESCE(x.tier, 'high_value') AS tier,
               to_char(COALESCE(x.ordered_at, 'epoch') AT TIME ZONE 'UTC', 'YYYY-MM') AS month
          FROM archive.batch_leaves l
          LEFT JOIN archive.archive_index x ON x.organization_id = l.organization_id AND x.order_id = l.order_id
         WHERE l.organization_id = :organization_id AND l.batch_id = :batch_id
         ORDER BY l.order_id
        """,
        organization_id=transaction.tenant,
        batch_id=batch_id,
    )
    high_value = [row.order_id for row in rows if row.tier == Tier.HIGH_VALUE]
    if strategy is Strategy.FULL:
        return _Plan(strategy, len(rows), None, [row.order_id for row in rows], len(high_value), [])
    if strategy is Strategy.HIGH_VALUE_ONLY:
        return _Plan(strategy, len(rows), None, high_value, len(high_value), [])
    months: dict[str, list[UUID]] = {}
    for row in rows:
        if row.tier != Tier.HIGH_VALUE:
            months.setdefault(row.month, []).append(row.order_id)
    target = sampling.sample_size(len(rows) - len(high_value))
    sample, shares = sampling.stratified(months, target, chance)
    strata = [{"month": month, "orders": len(months[month]), "sampled": shares[month]} for month in sorted(months)]
    return _Plan(strategy, len(rows), target, sorted([*high_value, *sample]), len(high_value), strata)


def _conclude(transaction: Transaction, batch_id: UUID, plan: _Plan, tally: Tally, *, is_failed: bool) -> None:
    """The statement is about the orders that chance chose among: those of high value are all looked at."""
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
        strata=plan.strata,
        confidence=str(sampling.CONFIDENCE_LEVEL),
        margin=str(sampling.MARGIN_OF_ERROR),
        found=len(tally.findings),
        now=transaction.now,
    )


def report(transaction: Transaction, batch_id: UUID, tally: Tally, *, is_failed: bool) -> None:
    """A process failure that names the first orders: what is wrong blocks the purge until a person looked."""
    severity = "high" if is_failed else "medium"
    call_person(
        transaction,
        PROCESS,
        batch_id,
        f"{tally.orders_found} of {tally.checked} archived orders are not as they were sealed; severity {severity}",
        {"severity": severity, "findings": tally.examples(), "checked": tally.checked},
        renews=True,
    )


def alert(runtime: Runtime, organization_id: UUID, batch_id: UUID, tally: Tally) -> None:
    """Call people: more than one in a hundred is wrong. The record stands already: a topic that fails costs nothing."""
    try:
        runtime.alerts.publish(
            "[holdfast] high: archived orders are not as they were sealed",
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


def spot_check(
    runtime: Runtime,
    clock: Callable[[], datetime],
    time_left_seconds: Callable[[], float],
    *,
    orders: int = SPOT_CHECK_ORDERS,
    chance: random.Random | None = None,
) -> Verified:
    """Look at orders that chance chose, of every organization, by keys and without sorting the index.

    A key is the first order after a random instant between the oldest and the newest: chance is even over time.
    """
    verified = Verified()
    dice = chance or random.Random()  # noqa: S311 -- chance, not a secret
    for organization_id, _ in organizations(runtime, clock(), ACTOR):
        if time_left_seconds() <= 0:
            verified.finished = False
            break
        began = time.monotonic()

        def work(
            transaction: Transaction, tenant: UUID = organization_id, began: float = began
        ) -> list[tuple[UUID, Tally]]:
            by_batch: dict[UUID, list[UUID]] = {}
            for order_id, batch_id in _by_chance(transaction, orders, dice):
                by_batch.setdefault(batch_id, []).append(order_id)
            looks = [
                (batch_id, examine(transaction, runtime.keyring, batch_id, sorted(ids), against_source=True))
                for batch_id, ids in sorted(by_batch.items())
            ]
            _log_looks(transaction, ReconciliationType.SPOT_CHECK, looks, began)
            return looks

        looks = runtime.database.transact(organization_id, work, now=clock(), actor=ACTOR, one_snapshot=True)
        _count(runtime, organization_id, looks, verified)
    return verified


def _by_chance(transaction: Transaction, orders: int, dice: random.Random) -> list[tuple[UUID, UUID]]:
    bounds = transaction.row(
        """
        SELECT (SELECT x.order_id FROM archive.archive_index x WHERE x.organization_id = :o
                 ORDER BY x.order_id LIMIT 1) AS first,
               (SELECT x.order_id FROM archive.archive_index x WHERE x.organization_id = :o
                 ORDER BY x.order_id DESC LIMIT 1) AS last
        """,
        o=transaction.tenant,
    )
    if bounds is None or bounds.first is None:
        return []
    points = [UUID(int=dice.randint(bounds.first.int, bounds.last.int)) for _ in range(orders)]
    rows = transaction.rows(
        """
        SELECT DISTINCT x.order_id, x.batch_id
          FROM unnest(CAST(:points AS uuid[])) AS p (point)
         CROSS JOIN LATERAL (
             SELECT i.order_id, i.batch_id FROM archive.archive_index i
              WHERE i.organization_id = :o AND i.order_id >= p.point
              ORDER BY i.order_id LIMIT 1) AS x
        """,
        o=transaction.tenant,
        points=points,
    )
    return [(row.order_id, row.batch_id) for row in rows]


def full_scan(runtime: Runtime, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]) -> Verified:
    """Look at every order of every batch, batch by batch; the next run goes on after the last batch of this one."""
    verified = Verified()
    for organization_id, _ in organizations(runtime, clock(), ACTOR):
        after = _continues_after(runtime, organization_id, clock())
        began = time.monotonic()
        looks: list[tuple[UUID, Tally]] = []
        while (batch_id := _next_batch(runtime, organization_id, after, clock())) is not None:
            if time_left_seconds() <= 0:
                verified.finished = False
                break
            looks.append((batch_id, _scan(runtime, organization_id, batch_id, clock())))
            after = batch_id
        with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
            _log_looks(
                transaction,
                ReconciliationType.FULL_SCAN,
                looks,
                began,
                continues_after=None if verified.finished else after,
            )
        _count(runtime, organization_id, looks, verified)
        if not verified.finished:
            break
    return verified


def _scan(runtime: Runtime, organization_id: UUID, batch_id: UUID, now: datetime) -> Tally:
    def work(transaction: Transaction) -> Tally:
        rows = transaction.rows(
            "SELECT order_id FROM archive.batch_leaves WHERE organization_id = :o AND batch_id = :b"
            " ORDER BY order_id LIMIT :limit",
            o=organization_id,
            b=batch_id,
            limit=BATCH_MAX_ORDERS,
        )
        return examine(transaction, runtime.keyring, batch_id, [row[0] for row in rows], against_source=True)

    return runtime.database.transact(organization_id, work, now=now, actor=ACTOR, one_snapshot=True)


def _next_batch(runtime: Runtime, organization_id: UUID, after: UUID, now: datetime) -> UUID | None:
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        found: UUID | None = transaction.value(
            """
            SELECT b.id FROM archive.archive_batches b
             WHERE b.organization_id = :o AND b.id > :after AND b.status <> 'in_progress' ORDER BY b.id LIMIT 1
            """,
            o=organization_id,
            after=after,
        )
    return found


def _continues_after(runtime: Runtime, organization_id: UUID, now: datetime) -> UUID:
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        after: UUID | None = transaction.value(
            """
            SELECT r.continues_after FROM archive.reconciliation_log r
             WHERE r.organization_id = :o AND r.type = 'full_scan' ORDER BY r.id DESC LIMIT 1
            """,
            o=organization_id,
        )
    return after or UUID(int=0)


def _log_looks(
    transaction: Transaction,
    kind: ReconciliationType,
    looks: Sequence[tuple[UUID, Tally]],
    began: float,
    *,
    continues_after: UUID | None = None,
) -> None:
    total = Tally()
    for batch_id, tally in looks:
        total.add(tally)
        if tally.findings:
            report(transaction, batch_id, tally, is_failed=tally.orders_found > ALERT_ABOVE_FRACTION * tally.checked)
    duration_ms = int((time.monotonic() - began) * 1000)
    log_look(
        transaction,
        kind,
        total,
        duration_ms=duration_ms,
        is_complete=continues_after is None,
        continues_after=continues_after,
    )


def _count(runtime: Runtime, organization_id: UUID, looks: Sequence[tuple[UUID, Tally]], verified: Verified) -> None:
    for batch_id, tally in looks:
        verified.batches += 1
        verified.tally.add(tally)
        if tally.orders_found > ALERT_ABOVE_FRACTION * max(1, tally.checked):
            verified.failed_batches += 1
            alert(runtime, organization_id, batch_id, tally)


def batches_by_status(
    runtime: Runtime, organization_id: UUID, status: BatchStatus, now: datetime, actor: str
) -> list[UUID]:
    """The batches of an organization in a status, oldest first."""
    with runtime.database.transaction(organization_id, now=now, actor=actor) as transaction:
        rows = transaction.rows(
            "SELECT id FROM archive.archive_batches WHERE organization_id = :o AND status = :status ORDER BY id",
            o=organization_id,
            status=status,
        )
    return [row[0] for row in rows]
