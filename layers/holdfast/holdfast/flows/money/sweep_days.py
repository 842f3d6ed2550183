"""Ask the gateways about every day's payments once the day is over.

No day is left out. A day may stay unfinished because no run came, a gateway was down or there was too much; it is
continued before the next day begins. A run is bounded by count and by time. The cursor (the last event whose payment
was asked about) moves in the transaction that records what was found, so a run that dies is continued where it was, and
nothing is counted twice.

Banks send refunds back days and weeks after they were made, and that news may be lost like any other. So a day also
includes the payments of refunds that were made a week and a month before it.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from typing import Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.money.look_for_differences import ACTOR
from holdfast.flows.money.reconcile_payments import Told, ask_about, note
from holdfast.flows.operations.call_person import call_person
from holdfast.flows.operations.process_names import Process
from holdfast.runtime import Runtime
from holdfast.values.errors import Transient

ASKED_PER_RUN_MAX: Final = 1_000
PAGE_MAX_ROWS: Final = 100
SILENCES_MAX: Final = 3
"""If more than this many payments of a run get no answer, a gateway is down."""
SILENT_DAYS_MAX: Final = 1
"""How many days after a day to wait for a gateway that is down; then a person is told about each payment."""
DAYS_BACK_MAX: Final = 30
"""How many days back an unfinished day is still continued: as long as the money of an order is checked."""
REFUND_LOOK_DAYS: Final = (30, 7)
"""How many days after it was made a refund is checked again; gateways send one back within thirty days."""
COMMITTED_SECONDS: Final = 600
"""How long after midnight the last news of a day is surely committed, in seconds: only then is the day finished."""

Answer = Told | Exception | None
"""What is then known; no answer, or one that cannot be recorded; or ``None`` if the gateway cannot be asked."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Due:
    """A payment to ask about, because of its last news of the day or of a refund on an earlier day."""

    event_id: UUID
    payment_id: UUID
    order_id: UUID
    is_of_day: bool


@dataclass(frozen=True, slots=True)
class Swept:
    """``days`` are those worked on, oldest first; all of them are finished except perhaps the last."""

    asked: int
    days: tuple[date, ...]


def sweep_days(
    runtime: Runtime, organization_id: UUID, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]
) -> Swept:
    """Continue asking about every day (UTC) that is over and not finished, the oldest first."""
    asked, days = 0, []
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        unfinished = _unfinished_days(transaction)
    for day in unfinished:
        asked += sweep_day(runtime, organization_id, day, clock, time_left_seconds, ASKED_PER_RUN_MAX - asked)
        days.append(day)
        with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
            if not _is_finished(transaction, day):
                break
    return Swept(asked, tuple(days))


def sweep_day(
    runtime: Runtime,
    organization_id: UUID,
    day: date,
    clock: Callable[[], datetime],
    time_left_seconds: Callable[[], float],
    asked_max: int = ASKED_PER_RUN_MAX,
) -> int:
    """Continue asking about the payments that had news on ``day`` (UTC); return how many were asked about.

    Nothing is skipped silently. If several payments get no answer a gateway is down: the run ends, and the next one
    starts with the first payment that had none. A payment without an answer, followed by one with an answer, is asked
    about once more and, if there still is none, left to a person. A day later, so is each payment about which a gateway
    that is down gives no answer. An answer that cannot be recorded counts as none: it must not end the comparison of
    the others.
    """
    asked = silences = 0
    silent: list[tuple[Due, Answer]] = []
    given_up_at = _midnight(day + timedelta(days=1 + SILENT_DAYS_MAX))
    while asked < asked_max and time_left_seconds() > 0:
        with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
            page = _next_page(transaction, day, min(PAGE_MAX_ROWS, asked_max - asked))
        if not page:
            return asked
        for due in page:
            if time_left_seconds() <= 0:
                return asked
            answer = _ask(runtime, organization_id, due, clock)
            if not isinstance(answer, Exception):
                answers = [(each, _ask(runtime, organization_id, each, clock)) for each, _ in silent]
                asked += _write(runtime, organization_id, day, [*answers, (due, answer)], clock)
                silent = []
                continue
            silent.append((due, answer))
            silences += 1
            if silences > SILENCES_MAX:
                if clock() >= given_up_at:
                    _write(runtime, organization_id, day, silent, clock)
                return asked
    return asked


def _ask(runtime: Runtime, organization_id: UUID, due: Due, clock: Callable[[], datetime]) -> Answer:
    try:
        return ask_about(runtime, organization_id, due.order_id, due.payment_id, clock)
    except Transient as silence:
        return silence
    except Exception as trouble:
        _logger.exception("payment %s could not be compared with its gateway", due.payment_id)
        return trouble


def _write(
    runtime: Runtime,
    organization_id: UUID,
    day: date,
    answers: Sequence[tuple[Due, Answer]],
    clock: Callable[[], datetime],
) -> int:
    """Move the cursor past these payments and record the answers; return how many answers were recorded."""
    written = 0
    with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
        for due, answer in answers:
            if not _move_cursor(transaction, day, due.event_id) or answer is None:
                continue
            if isinstance(answer, Exception):
                why = "its gateway gives no answer" if isinstance(answer, Transient) else type(answer).__name__
                details = f"payment {due.payment_id} was not compared: {why} ({answer})"
                payload = {"order_id": str(due.order_id), "payment_id": str(due.payment_id)}
                call_person(transaction, Process.MONEY_DIFFERENCE, due.payment_id, details, payload)
                continue
            note(transaction, answer)
            if due.is_of_day:
                _add_up(transaction, day, answer)
            written += 1
    return written


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time_of_day(), UTC)


def _unfinished_days(transaction: Transaction) -> list[date]:
    """Return the days that are over, oldest first, from the first day with news in range; always yesterday too.

    Finished days are left out.
    """
    yesterday = transaction.now.date() - timedelta(days=1)
    first = yesterday - timedelta(days=DAYS_BACK_MAX - 1)
    rows = transaction.rows(
        """
        SELECT CAST(d.day AS date) AS day
          FROM generate_series(
                   GREATEST(CAST(:first AS timestamp), LEAST(CAST(:yesterday AS timestamp), (
                       SELECT date_trunc('day', e.received_at AT TIME ZONE 'UTC') FROM payments.payment_events e
                        WHERE e.organization_id = :organization_id AND e.id >= tenancy.uuid_v7_floor(:oldest)
                        ORDER BY e.id LIMIT 1))),
                   CAST(:yesterday AS timestamp), interval '1 day') AS d (day)
          LEFT JOIN payments.money_sweeps s
            ON s.organization_id = :organization_id AND s.day = CAST(d.day AS date)
         WHERE s.finished_at IS NULL ORDER BY d.day
        """,
        organization_id=transaction.tenant,
        yesterday=yesterday.isoformat(),
        first=first.isoformat(),
        oldest=_midnight(first - timedelta(days=max(REFUND_LOOK_DAYS))),
    )
    return [row.day for row in rows]


def _is_finished(transaction: Transaction, day: date) -> bool:
    return bool(
        transaction.value(
            """
            SELECT finished_at IS NOT NULL FROM payments.money_sweeps
             WHERE organization_id = :organization_id AND day = CAST(:day AS date)
            """,
            organization_id=transaction.tenant,
            day=day.isoformat(),
        )
    )


def _next_page(transaction: Transaction, day: date, limit: int) -> list[Due]:
    """Return refunds of earlier days, then each payment of the day once, at its last event of that day.

    When none is left, the day is marked as finished.
    """
    begin = _midnight(day)
    end = begin + timedelta(days=1)
    transaction.execute(
        """
        INSERT INTO payments.money_sweeps (organization_id, day, after_event_id, created_at)
        VALUES (:organization_id, CAST(:day AS date), tenancy.uuid_v7_floor(:oldest), :now)
        ON CONFLICT ON CONSTRAINT money_sweeps_pkey DO NOTHING
        """,
        organization_id=transaction.tenant,
        day=day.isoformat(),
        oldest=begin - timedelta(days=max(REFUND_LOOK_DAYS)),
        now=transaction.now,
    )
    rows = transaction.rows(
        """
        SELECT e.id, e.payment_id, e.order_id, l.days_before = 0 AS is_of_day
          FROM payments.money_sweeps s
         CROSS JOIN (
            SELECT b.days_before, tenancy.uuid_v7_floor(d.begin - b.days_before * interval '24 hours') AS after,
                   tenancy.uuid_v7_floor(d.begin - (b.days_before - 1) * interval '24 hours') AS until
              FROM unnest(CAST(:days_before AS integer[])) AS b (days_before),
                   (SELECT CAST(:day_begin AS timestamptz) AS begin) d) l
         CROSS JOIN LATERAL (
            SELECT e.id, e.payment_id, p.order_id FROM payments.payment_events e
              JOIN payments.payments p ON p.organization_id = e.organization_id AND p.id = e.payment_id
             WHERE e.organization_id = s.organization_id AND e.id > GREATEST(s.after_event_id, l.after)
               AND e.id < l.until AND (l.days_before = 0 OR e.event_type = 'refund_succeeded')
               AND p.gateway_transaction_id IS NOT NULL
               AND NOT EXISTS (
                   SELECT 1 FROM payments.payment_events later
                    WHERE later.organization_id = e.organization_id AND later.payment_id = e.payment_id
                      AND later.id > e.id AND later.id < l.until
                      AND (l.days_before = 0 OR later.event_type = 'refund_succeeded'))
             ORDER BY e.id LIMIT :limit) e
         WHERE s.organization_id = :organization_id AND s.day = CAST(:day AS date) AND s.finished_at IS NULL
         ORDER BY e.id LIMIT :limit
        """,
        organization_id=transaction.tenant,
        day=day.isoformat(),
        day_begin=begin,
        days_before=[*REFUND_LOOK_DAYS, 0],
        limit=limit,
    )
    if not rows and transaction.now >= end + timedelta(seconds=COMMITTED_SECONDS):
        transaction.execute(
            """
            UPDATE payments.money_sweeps SET finished_at = COALESCE(finished_at, :now)
             WHERE organization_id = :organization_id AND day = CAST(:day AS date)
            """,
            organization_id=transaction.tenant,
            day=day.isoformat(),
            now=transaction.now,
        )
    return [Due(row.id, row.payment_id, row.order_id, row.is_of_day) for row in rows]


def _move_cursor(transaction: Transaction, day: date, event_id: UUID) -> bool:
    """Move the cursor; return ``False`` if another run got there first."""
    return bool(
        transaction.execute(
            """
            UPDATE payments.money_sweeps SET after_event_id = :event_id
             WHERE organization_id = :organization_id AND day = CAST(:day AS date) AND after_event_id < :event_id
            """,
            organization_id=transaction.tenant,
            day=day.isoformat(),
            event_id=event_id,
        )
    )


def _add_up(transaction: Transaction, day: date, told: Told) -> None:
    transaction.execute(
        """
        INSERT INTO payments.money_report_daily AS r (
            organization_id, day, currency, asked, asked_captured, asked_refunded, gateway_captured, gateway_refunded,
            computed_at)
        VALUES (:organization_id, CAST(:day AS date), :currency, 1, :captured, :refunded, :their_captured,
                :their_refunded, :now)
        ON CONFLICT ON CONSTRAINT money_report_daily_pkey DO UPDATE
           SET asked = r.asked + 1, asked_captured = r.asked_captured + excluded.asked_captured,
               asked_refunded = r.asked_refunded + excluded.asked_refunded,
               gateway_captured = r.gateway_captured + excluded.gateway_captured,
               gateway_refunded = r.gateway_refunded + excluded.gateway_refunded
        """,
        organization_id=transaction.tenant,
        day=day.isoformat(),
        currency=told.payment.currency,
        captured=told.payment.captured_amount,
        refunded=told.payment.refunded_amount,
        their_captured=told.truth.captured if told.truth else 0,
        their_refunded=told.truth.refunded if told.truth else 0,
        now=transaction.now,
    )
