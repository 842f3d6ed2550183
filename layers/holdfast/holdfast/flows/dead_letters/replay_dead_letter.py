"""Replay a dead letter: process its event once more, with all that depends on the outcome.

A replay is claimed under a lease that is committed before the work, so that two never run at once and a replay that
dies releases its dead letter by itself. The event's effects, the resolution of the dead letter and the class's success
are one transaction; a failure is committed although its work was rolled back. Every write after the claim checks that
the replay is still the one that was claimed: a replay that lost its lease changes nothing.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.archive.restore_order import recall_for_event
from holdfast.flows.checkout.charge_payment import Recorded
from holdfast.flows.dead_letters.alert_dead_letters import alert_dead_letter
from holdfast.flows.dead_letters.classify_dead_letters import error_class_from, hold_classes, match_class, place
from holdfast.flows.dead_letters.dead_letter_record import (
    add_step,
    failure_code_of,
    first_frame_of_ours,
    reason_of,
    withdraw_from_schedule,
)
from holdfast.flows.money.apply_payment_event import ProcessDied, settle_event
from holdfast.flows.money.return_money import return_money_owed
from holdfast.flows.operations.ring_bell import ring_outbox_bell
from holdfast.payments.dead_letters import (
    REPLAYABLE_BY_HAND,
    REPLAYABLE_BY_ITSELF,
    RESOLVED,
    DeadLetterAction,
    DeadLetterStatus,
    fingerprint_of,
)
from holdfast.payments.error_classes import ErrorClass, Failure
from holdfast.runtime import Runtime
from holdfast.values.errors import Conflict, NotFound, TransitionRefused

LEASE_SECONDS: Final = 90
"""How long a replay belongs to whoever claimed it, in seconds: longer than the replaying functions can run."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """The dead letter's status after the replay, and why it is not ``replayed``."""

    status: DeadLetterStatus
    failure_reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Claimed:
    """One replay that belongs to this caller. ``number`` tells it from every other replay of the dead letter."""

    dead_letter_id: UUID
    event_id: UUID
    status: DeadLetterStatus
    number: int
    automatic: bool
    died_before: bool
    """The previous replay died with its process."""
    event: Mapping[str, Any] | None
    """``None``: the event was processed meanwhile, and nothing is left to do."""


def replay_dead_letter(
    runtime: Runtime,
    organization_id: UUID,
    dead_letter_id: UUID,
    clock: Callable[[], datetime],
    *,
    actor: str,
    automatic: bool = False,
) -> ReplayResult:
    """Replay once; a failure of the event is returned, not raised.

    Raises NotFound, Conflict (it is being replayed or is resolved) and TransitionRefused (its status does not allow it,
    or an automatic replay is not due or not allowed to the class).
    """
    now = clock()
    with runtime.database.transaction(organization_id, now=now, actor=actor) as transaction:
        claimed = _claim(transaction, dead_letter_id, automatic=automatic)
    if automatic and claimed.died_before:
        died = ProcessDied("its auto-replay ended with its process")
        return _fail(runtime, organization_id, claimed, died, clock, actor)

    event = claimed.event

    def work(transaction: Transaction) -> Recorded | None:
        recorded = None if event is None else settle_event(transaction, event, commit=False)
        _resolve(transaction, claimed)
        return recorded

    try:
        if event is not None:
            event = recall_for_event(runtime, organization_id, event, clock(), actor)
        recorded = runtime.database.transact(organization_id, work, now=clock(), actor=actor)
    except Exception as error:  # noqa: BLE001 -- whatever it was, it is recorded with the dead letter
        return _fail(runtime, organization_id, claimed, error, clock, actor)
    if recorded is not None and recorded.owes_money and event is not None:
        return_money_owed(runtime, organization_id, UUID(event["order_id"]), clock)
    ring_outbox_bell(runtime)
    return ReplayResult(DeadLetterStatus.REPLAYED)


def _claim(transaction: Transaction, dead_letter_id: UUID, *, automatic: bool) -> _Claimed:
    row = transaction.row(
        """
        SELECT d.event_id, d.status, d.replays, d.replay_at, d.replay_lease_until,
               COALESCE(c.active AND c.auto_replay_enabled AND COALESCE(c.cooldown_until <= :now, true), false)
                   AS class_replays_by_itself
          FROM payments.dead_letters d
          LEFT JOIN payments.error_classes c ON c.organization_id = d.organization_id AND c.id = d.error_class_id
         WHERE d.organization_id = :organization_id AND d.id = :id
           FOR UPDATE OF d
        """,
        organization_id=transaction.tenant,
        id=dead_letter_id,
        now=transaction.now,
    )
    if row is None:
        raise NotFound("there is no such dead letter")
    status = DeadLetterStatus(row.status)
    _refuse_unless_replayable(row, status, transaction.now, automatic=automatic)
    event = transaction.value(
        "SELECT payments.claim_event(:organization_id, :event_id, :now, :lease_seconds, true)",
        organization_id=transaction.tenant,
        event_id=row.event_id,
        now=transaction.now,
        lease_seconds=LEASE_SECONDS,
    )
    transaction.execute(
        """
        UPDATE payments.dead_letters
           SET replays = replays + 1, replay_lease_until = :lease_until, last_replayed_at = :now,
               was_auto_replayed = :automatic, attempts = attempts + 1, version = version + 1
         WHERE organization_id = :organization_id AND id = :id
        """,
        organization_id=transaction.tenant,
        id=dead_letter_id,
        lease_until=transaction.now + timedelta(seconds=LEASE_SECONDS),
        automatic=automatic,
        now=transaction.now,
    )
    add_step(transaction, dead_letter_id, DeadLetterAction.REPLAY_BEGAN, status, status)
    return _Claimed(
        dead_letter_id,
        row.event_id,
        status,
        row.replays + 1,
        automatic,
        died_before=row.replay_lease_until is not None,
        event=event,
    )


def _refuse_unless_replayable(row: Any, status: DeadLetterStatus, now: datetime, *, automatic: bool) -> None:
    if status in RESOLVED:
        raise Conflict(f"the dead letter was {status} already")
    if row.replay_lease_until is not None and row.replay_lease_until > now:
        raise Conflict("the dead letter is being replayed at this moment")
    allowed = REPLAYABLE_BY_ITSELF if automatic else REPLAYABLE_BY_HAND
    if status not in allowed:
        raise TransitionRefused(
            f"a dead letter that is {status} is not replayed", current=status, allowed=sorted(map(str, allowed))
        )
    if automatic and row.replay_at > now:
        raise TransitionRefused("its replay is not due yet", current=status, allowed=[])
    # A replay that died is only recorded now and not repeated, so it does not matter what its class allows.
    if automatic and not row.class_replays_by_itself and row.replay_lease_until is None:
        raise TransitionRefused("its class may not replay by itself", current=status, allowed=[])


def _resolve(transaction: Transaction, claimed: _Claimed) -> None:
    resolved = transaction.rows(
        """
        UPDATE payments.dead_letters
           SET status = 'replayed', resolved_at = :now, replay_at = NULL, replay_lease_until = NULL,
               version = version + 1,
               payment_id = (SELECT e.payment_id FROM payments.payment_events e
                              WHERE e.organization_id = :organization_id AND e.id = :event_id)
         WHERE organization_id = :organization_id AND id = :id AND replays = :number
           AND replay_lease_until IS NOT NULL
        RETURNING error_class_id
        """,
        organization_id=transaction.tenant,
        id=claimed.dead_letter_id,
        event_id=claimed.event_id,
        number=claimed.number,
        now=transaction.now,
    )
    if not resolved:
        raise Conflict("another replay took the dead letter over")
    add_step(transaction, claimed.dead_letter_id, DeadLetterAction.REPLAYED, claimed.status, DeadLetterStatus.REPLAYED)
    error_class = _locked_class(transaction, resolved[0].error_class_id)
    if error_class is not None:
        _write_class(transaction, error_class.after_success())


def _fail(
    runtime: Runtime,
    organization_id: UUID,
    claimed: _Claimed,
    error: Exception,
    clock: Callable[[], datetime],
    actor: str,
) -> ReplayResult:
    _logger.warning("the replay of dead letter %s failed: %s", claimed.dead_letter_id, error, exc_info=True)

    def work(transaction: Transaction) -> ReplayResult:
        return _record_failure(transaction, claimed, error)

    result = runtime.database.transact(organization_id, work, now=clock(), actor=actor)
    if result.status is not DeadLetterStatus.REPLAYED:
        alert_dead_letter(runtime, organization_id, claimed.dead_letter_id, clock())
    return result


def _record_failure(transaction: Transaction, claimed: _Claimed, error: Exception) -> ReplayResult:
    """Return the dead letter to a person with the new reason, and write what the failure means for its class."""
    hold_classes(transaction)
    row = transaction.row(
        """
        SELECT d.status, d.replays, d.replay_lease_until, d.error_class_id, d.event_type, d.gateway,
               e.news ->> 'failure_code' AS gateway_code
          FROM payments.dead_letters d
          JOIN payments.payment_events e ON e.organization_id = d.organization_id AND e.id = d.event_id
         WHERE d.organization_id = :organization_id AND d.id = :id
           FOR UPDATE OF d
        """,
        organization_id=transaction.tenant,
        id=claimed.dead_letter_id,
    )
    if row is None or row.replays != claimed.number or row.replay_lease_until is None:
        if row is not None and row.replays == claimed.number and row.status == DeadLetterStatus.REPLAYED:
            return ReplayResult(DeadLetterStatus.REPLAYED)  # the commit happened, and only its answer was lost
        raise Conflict("another replay took the dead letter over") from error
    reason, failure_code = reason_of(error), failure_code_of(error, row.gateway_code)
    error_class = _locked_class(transaction, row.error_class_id)
    if error_class is not None:
        error_class = error_class.after_failure(transaction.now, automatic=claimed.automatic)
        _write_class(transaction, error_class)
        if claimed.automatic:
            _cool_down(transaction, error_class)
    found = match_class(transaction, Failure(row.event_type, row.gateway, failure_code, reason))
    placed = place(found, transaction.now, replays=claimed.number)
    transaction.execute(
        """
        UPDATE payments.dead_letters
           SET status = :status, replay_at = NULL, replay_lease_until = NULL, failure_reason = :reason,
               failure_code = :failure_code, fingerprint = :fingerprint, error_class_id = :error_class_id,
               version = version + 1
         WHERE organization_id = :organization_id AND id = :id
        """,
        organization_id=transaction.tenant,
        id=claimed.dead_letter_id,
        status=placed.status,
        reason=reason,
        failure_code=failure_code,
        fingerprint=fingerprint_of(row.event_type, failure_code, type(error).__name__, first_frame_of_ours(error)),
        error_class_id=placed.class_id,
    )
    transaction.execute(
        """
        UPDATE payments.payment_events SET last_error = :reason
         WHERE organization_id = :organization_id AND id = :id AND state = 'dead_lettered'
        """,
        organization_id=transaction.tenant,
        id=claimed.event_id,
        reason=reason,
    )
    add_step(transaction, claimed.dead_letter_id, DeadLetterAction.REPLAY_FAILED, claimed.status, placed.status, reason)
    return ReplayResult(placed.status, reason)


def _cool_down(transaction: Transaction, error_class: ErrorClass) -> None:
    notes = (
        f"an auto-replay of its class failed: not before {error_class.cooldown_until:%Y-%m-%d %H:%M} UTC"
        if error_class.auto_replay_enabled
        else "an auto-replay of its class failed, and its confidence fell below the minimum: switched off"
    )
    withdraw_from_schedule(transaction, error_class.id, notes)


def _locked_class(transaction: Transaction, error_class_id: UUID | None) -> ErrorClass | None:
    row = transaction.row(
        """
        SELECT id, match_order, event_type, gateway_pattern, failure_code_pattern, message_keywords,
               auto_replay_enabled, auto_replay_delay_seconds, min_confidence, successful_replays, failed_replays,
               cooldown_until
          FROM payments.error_classes WHERE organization_id = :organization_id AND id = :id FOR UPDATE
        """,
        organization_id=transaction.tenant,
        id=error_class_id,
    )
    return None if row is None else error_class_from(dict(row._mapping))  # noqa: SLF001 -- SQLAlchemy's public name for it


def _write_class(transaction: Transaction, error_class: ErrorClass) -> None:
    """Write the class's replay counts; its switch only when it turns off, because that goes to the audit log."""
    transaction.execute(
        """
        UPDATE payments.error_classes
           SET successful_replays = :successful, failed_replays = :failed, cooldown_until = :cooldown_until
         WHERE organization_id = :organization_id AND id = :id AND (auto_replay_enabled = :enabled)
        """,
        organization_id=transaction.tenant,
        id=error_class.id,
        successful=error_class.successful_replays,
        failed=error_class.failed_replays,
        cooldown_until=error_class.cooldown_until,
        enabled=error_class.auto_replay_enabled,
    ) or transaction.execute(
        """
        UPDATE payments.error_classes
           SET successful_replays = :successful, failed_replays = :failed, cooldown_until = :cooldown_until,
               auto_replay_enabled = false, version = version + 1
         WHERE organization_id = :organization_id AND id = :id
        """,
        organization_id=transaction.tenant,
        id=error_class.id,
        successful=error_class.successful_replays,
        failed=error_class.failed_replays,
        cooldown_until=error_class.cooldown_until,
    )
