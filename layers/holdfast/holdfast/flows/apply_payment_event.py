"""Apply one stored payment event, exactly once in its effect, whenever and however often it is announced.

The attempt is counted and committed when the event is claimed, so an event that kills its process runs out of
attempts like any other. The bookkeeping of a failure is committed though the work was rolled back.
"""

import logging
import random
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.charge_payment import Recorded
from holdfast.flows.event_record import tidings_from
from holdfast.flows.locked_order import lock_order
from holdfast.flows.reserve_again import reserve_again
from holdfast.flows.return_money import return_money_owed
from holdfast.flows.ring_bell import ring_outbox_bell
from holdfast.flows.settlement import decide, write
from holdfast.payments.model import EventState
from holdfast.payments.retry_policy import RETRIES_MAX, RetryDecision
from holdfast.payments.retry_policy import decide as decide_retry
from holdfast.runtime import Runtime
from holdfast.values.errors import Conflict, HoldfastError, Rejected, Transient
from holdfast.values.ids import uuid7

LEASE_SECONDS: Final = 90
"""How long a claimed event is left to its worker: longer than the function lives."""
ACTOR: Final = "system:payment_events"

_logger = logging.getLogger(__name__)


class PaymentUnknown(Transient):
    """The event's payment is not here: perhaps not yet."""


class ProcessDied(HoldfastError):
    """Every attempt allowed was begun, and none lived to say how it ended."""


def apply_payment_event(
    runtime: Runtime, organization_id: UUID, event_id: UUID, clock: Callable[[], datetime]
) -> EventState | None:
    """Claim, settle, mark processed. ``None``: there was nothing to do (done before, not due, or in other hands).

    A failure of the work is recorded with the event and not raised; only a failure to record is.
    """
    claimed = _claim(runtime, organization_id, event_id, clock())
    if claimed is None:
        return None
    if claimed["attempts"] > RETRIES_MAX + 1:
        died = ProcessDied("every attempt ended with its process")
        return _record_failure(runtime, organization_id, claimed, died, clock())
    try:
        recorded = _settle(runtime, organization_id, claimed, clock)
    except Exception as error:  # noqa: BLE001 -- whatever it was, it is recorded with the event
        return _record_failure(runtime, organization_id, claimed, error, clock())
    if recorded.owes_money:
        return_money_owed(runtime, organization_id, UUID(claimed["order_id"]), clock)
    ring_outbox_bell(runtime)
    return EventState.PROCESSED


def _claim(runtime: Runtime, organization_id: UUID, event_id: UUID, now: datetime) -> Mapping[str, Any] | None:
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        claimed: Mapping[str, Any] | None = transaction.execute_and_commit(
            "SELECT payments.claim_event(:organization_id, :event_id, :now, :lease_seconds)",
            organization_id=organization_id,
            event_id=event_id,
            now=now,
            lease_seconds=LEASE_SECONDS,
        )
    return claimed


def _settle(
    runtime: Runtime, organization_id: UUID, claimed: Mapping[str, Any], clock: Callable[[], datetime]
) -> Recorded:
    if claimed["order_id"] is None:
        raise PaymentUnknown(f"no payment here is {claimed['gateway_transaction_id']}")

    def work(transaction: Transaction) -> Recorded:
        order = lock_order(transaction, UUID(claimed["order_id"]))
        payment = order.payment(UUID(claimed["payment_id"]))
        settlement = decide(order, payment, tidings_from(claimed), transaction.now)
        if settlement.needs_stock:
            settlement = reserve_again(transaction, order, payment, settlement)
        return Recorded(write(transaction, order, settlement, commit=True), bool(settlement.return_money_of))

    return runtime.database.transact(organization_id, work, now=clock(), actor=ACTOR)


def _record_failure(
    runtime: Runtime, organization_id: UUID, claimed: Mapping[str, Any], error: Exception, now: datetime
) -> EventState:
    """What is tried again and when, or that a person must look."""
    # A conflict is with something that is still under way (a refund of ours, say), and passes with it.
    is_permanent = isinstance(error, Rejected) and not isinstance(error, Conflict)
    decision = decide_retry(claimed["attempts"], now, random.random, permanent=is_permanent)
    state = EventState.DEAD_LETTERED if decision.is_dead_letter else EventState.RETRY_SCHEDULED
    _logger.warning("payment event %s failed: %s (%s)", claimed["id"], error, state, exc_info=True)
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        transaction.execute(
            """
            UPDATE payments.payment_events
               SET state = :state, last_error = :error, next_attempt_at = COALESCE(:retry_at, next_attempt_at)
             WHERE organization_id = :organization_id AND id = :id AND state IN ('pending', 'retry_scheduled')
            """,
            organization_id=organization_id,
            id=UUID(claimed["id"]),
            state=state,
            error=f"{type(error).__name__}: {error}"[:2000],
            retry_at=decision.retry_at,
        )
        if decision.is_dead_letter:
            _call_a_person(transaction, claimed, error)
    _ring_for_retry(runtime, organization_id, claimed["id"], decision)
    return state


def _call_a_person(transaction: Transaction, claimed: Mapping[str, Any], error: Exception) -> None:
    unmatched = isinstance(error, PaymentUnknown)
    transaction.execute(
        """
        INSERT INTO operations.process_failures
            (organization_id, id, process_name, related_id, details, payload, created_at)
        VALUES (:organization_id, :id, :process, :event_id, :details, CAST(:payload AS jsonb), :now)
        ON CONFLICT (organization_id, process_name, related_id) WHERE status = 'open' DO NOTHING
        """,
        organization_id=transaction.tenant,
        id=uuid7(transaction.now),
        process="UnmatchedPaymentEvent" if unmatched else "PaymentEvent",
        event_id=UUID(claimed["id"]),
        details=f"payment event {claimed['event_type']} was given up after {claimed['attempts']} attempts: {error}"[
            :2000
        ],
        payload={"gateway_event_id": claimed["gateway_event_id"], "payment_id": claimed["payment_id"]},
        now=transaction.now,
    )


def _ring_for_retry(runtime: Runtime, organization_id: UUID, event_id: str, decision: RetryDecision) -> None:
    if decision.delay_seconds is None:
        return
    try:
        runtime.payment_events_queue.send(
            {"organization_id": str(organization_id), "payment_event_id": event_id},
            delay_seconds=decision.delay_seconds,
        )
    except Exception:
        _logger.warning("the retry could not be announced; the sweep will find it", exc_info=True)
