"""Check the archive again, long afterwards: a random sample of orders every night, every order every month."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from holdfast.archive.policy import ALERT_ABOVE_FRACTION, BATCH_MAX_ORDERS, ReconciliationType, month_before, month_of
from holdfast.database.transaction import Transaction
from holdfast.flows.archive.examine_orders import Tally, examine, log_look
from holdfast.flows.archive.organizations import EachByItself, least_recently_looked_at, organizations
from holdfast.flows.archive.verify_archive import ACTOR, Verified, alert, report
from holdfast.runtime import Runtime

SPOT_CHECK_ORDERS: Final = 1_000
THROWS_MAX: Final = 10


def spot_check(
    runtime: Runtime,
    clock: Callable[[], datetime],
    time_left_seconds: Callable[[], float],
    *,
    orders: int = SPOT_CHECK_ORDERS,
    chance: random.Random | None = None,
) -> Verified:
    """Check a random sample of every organization's orders, chosen by keys and without sorting anything."""
    verified = Verified()
    dice = chance or random.Random()  # noqa: S311 -- chance, not a secret
    with EachByItself() as each:
        for organization_id, _ in organizations(runtime, clock(), ACTOR):
            if time_left_seconds() <= 0:
                verified.finished = False
                break
            with each.organization(organization_id):
                looks = _look_at_some(runtime, organization_id, orders, dice, clock())
                _count(runtime, organization_id, looks, verified)
    return verified


def _look_at_some(
    runtime: Runtime, organization_id: UUID, orders: int, dice: random.Random, now: datetime
) -> list[tuple[UUID, Tally]]:
    began = time.monotonic()

    def work(transaction: Transaction) -> list[tuple[UUID, Tally]]:
        by_batch: dict[UUID, list[str]] = {}
        for order_id, batch_id in _by_chance(transaction, orders, dice):
            by_batch.setdefault(batch_id, []).append(str(order_id))
        looks = [
            (batch_id, examine(transaction, runtime.keyring, batch_id, sorted(ids), against_source=True))
            for batch_id, ids in sorted(by_batch.items())
        ]
        _log_looks(transaction, ReconciliationType.SPOT_CHECK, looks, began)
        return looks

    return runtime.database.transact(organization_id, work, now=now, actor=ACTOR, one_snapshot=True)


def _by_chance(transaction: Transaction, orders: int, dice: random.Random) -> list[tuple[UUID, UUID]]:
    """Choose orders at random and return their ids with their batches' ids.

    A throw picks a batch of the chain and a number below ``BATCH_MAX_ORDERS``. Where the batch has no order at that
    number, the throw is discarded, so that every order is equally likely. A small archive is taken whole.
    """
    everything = transaction.rows(
        "SELECT l.order_id, l.batch_id FROM archive.batch_leaves l WHERE l.organization_id = :o LIMIT :limit",
        o=transaction.tenant,
        limit=orders + 1,
    )
    if len(everything) <= orders:
        return [(row.order_id, row.batch_id) for row in everything]
    length = transaction.value(
        "SELECT h.position FROM archive.chain_heads h WHERE h.organization_id = :o", o=transaction.tenant
    )
    found: dict[UUID, UUID] = {}
    for _ in range(THROWS_MAX):
        throws = [(dice.randint(1, length), dice.randrange(BATCH_MAX_ORDERS)) for _ in range(orders)]
        rows = transaction.rows(
            """
            SELECT x.order_id, x.batch_id
              FROM unnest(CAST(:positions AS bigint[]), CAST(:places AS integer[])) AS p (position, place)
              JOIN archive.archive_batches b ON b.organization_id = :o AND b.chain_position = p.position
             CROSS JOIN LATERAL (
                 SELECT l.order_id, l.batch_id FROM archive.batch_leaves l
                  WHERE l.organization_id = :o AND l.batch_id = b.id AND p.place < b.orders
                  ORDER BY l.order_id OFFSET p.place LIMIT 1) AS x
            """,
            o=transaction.tenant,
            positions=[position for position, _ in throws],
            places=[place for _, place in throws],
        )
        found.update((row.order_id, row.batch_id) for row in rows)
        if len(found) >= orders:
            break
    return dice.sample(sorted(found.items()), min(orders, len(found)))


def full_scan(
    runtime: Runtime,
    clock: Callable[[], datetime],
    time_left_seconds: Callable[[], float],
    *,
    only_due: bool = False,
) -> Verified:
    """Check every order of every batch, batch by batch, beginning with the archive whose last full scan is the oldest.

    The next run continues after the last batch of this one. ``only_due`` skips archives that were scanned whole in this
    month.
    """
    verified = Verified()
    with EachByItself() as each:
        for organization_id, _ in least_recently_looked_at(runtime, clock(), ACTOR, ReconciliationType.FULL_SCAN):
            with each.organization(organization_id):
                round_ = _round(runtime, organization_id, clock())
                if only_due and round_.is_over:
                    continue
                if time_left_seconds() > 0:
                    _look_through(runtime, organization_id, round_, clock, time_left_seconds, verified)
                else:
                    verified.finished = False
                verified.late += _round(runtime, organization_id, clock()).is_late
    return verified


def _look_through(
    runtime: Runtime,
    organization_id: UUID,
    round_: "_Round",
    clock: Callable[[], datetime],
    time_left_seconds: Callable[[], float],
    verified: Verified,
) -> None:
    after, began = round_.after, time.monotonic()
    looks: list[tuple[UUID, Tally]] = []
    is_whole = True
    while (batch_id := _next_batch(runtime, organization_id, after, clock())) is not None:
        if time_left_seconds() <= 0:
            verified.finished = is_whole = False
            break
        looks.append((batch_id, _scan(runtime, organization_id, batch_id, clock())))
        after = batch_id
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        _log_looks(
            transaction,
            ReconciliationType.FULL_SCAN,
            looks,
            began,
            continues_after=None if is_whole else after,
            details={"month": f"{round_.month:%Y-%m}"},
        )
    _count(runtime, organization_id, looks, verified)


def count_open(runtime: Runtime, clock: Callable[[], datetime]) -> int:
    """Return how many discrepancies are open in all organizations, whoever found them: a look, a reader or a proof."""
    found = 0
    for organization_id, _ in organizations(runtime, clock(), ACTOR):
        with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
            found += transaction.value(
                "SELECT count(*) FROM archive.discrepancies d WHERE d.organization_id = :o AND d.resolved_at IS NULL",
                o=organization_id,
            )
    return found


def _scan(runtime: Runtime, organization_id: UUID, batch_id: UUID, now: datetime) -> Tally:
    def work(transaction: Transaction) -> Tally:
        rows = transaction.rows(
            "SELECT order_id FROM archive.batch_leaves WHERE organization_id = :o AND batch_id = :b"
            " ORDER BY order_id LIMIT :limit",
            o=organization_id,
            b=batch_id,
            limit=BATCH_MAX_ORDERS,
        )
        return examine(transaction, runtime.keyring, batch_id, [str(row[0]) for row in rows], against_source=True)

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


@dataclass(frozen=True, slots=True)
class _Round:
    """A scan of a whole archive.

    It has the month it was begun for, the batch it continues after, whether this month's scan is over, and whether a
    month ended without one.
    """

    month: date
    after: UUID
    is_over: bool
    is_late: bool


def _round(runtime: Runtime, organization_id: UUID, now: datetime) -> _Round:
    """Return the round that is under way, or else this month's."""
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        row = transaction.row(
            """
            SELECT r.is_complete, r.continues_after, r.created_at, r.details ->> 'month' AS month
              FROM archive.reconciliation_log r
             WHERE r.organization_id = :o AND r.type = 'full_scan' ORDER BY r.id DESC LIMIT 1
            """,
            o=organization_id,
        )
    this_month = month_of(now)
    if row is None:
        return _Round(this_month, UUID(int=0), is_over=False, is_late=False)
    month = month_of(row.created_at) if row.month is None else date.fromisoformat(f"{row.month}-01")
    if row.is_complete:
        return _Round(this_month, UUID(int=0), is_over=month == this_month, is_late=month < month_before(this_month))
    return _Round(month, row.continues_after or UUID(int=0), is_over=False, is_late=month < this_month)


def _log_looks(
    transaction: Transaction,
    kind: ReconciliationType,
    looks: Sequence[tuple[UUID, Tally]],
    began: float,
    *,
    continues_after: UUID | None = None,
    details: dict[str, Any] | None = None,
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
        details=details,
    )


def _count(runtime: Runtime, organization_id: UUID, looks: Sequence[tuple[UUID, Tally]], verified: Verified) -> None:
    for batch_id, tally in looks:
        verified.batches += 1
        verified.tally.add(tally)
        if tally.orders_found > ALERT_ABOVE_FRACTION * max(1, tally.checked):
            verified.failed_batches += 1
            alert(runtime, organization_id, batch_id, tally)
