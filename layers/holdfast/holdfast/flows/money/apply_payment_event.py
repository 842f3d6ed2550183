"""Apply one stored payment event with exactly-once effect, whenever and however often it is announced.

The attempt is counted and committed when the event is claimed, so an event that kills its process runs out of attempts
like any other. The record of a failure is committed even though the work was rolled back.
"""

import logging
import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.archive.restore_order import recall_for_event
from holdfast.flows.checkout.charge_payment import Recorded
from holdfast.flows.dead_letters.alert_dead_letters import alert_dead_letter
from holdfast.flows.dead_letters.bury_payment_event import bury
from holdfast.flows.dead_letters.dead_letter_record import reason_of
from holdfast.flows.money.dispute_meant import with_dispute
from holdfast.flows.money.event_record import tidings_from
from holdfast.flows.money.gateway_run import GatewayRun
from holdfast.flows.money.known_news import settles_nothing
from holdfast.flows.money.payment_news import Tidings
from holdfast.flows.money.return_money import return_money_owed
from holdfast.flows.money.settlement import decide, write
from holdfast.flows.operations.ring_bell import ring_outbox_bell
from holdfast.flows.orders.locked_order import lock_order
from holdfast.flows.orders.reserve_again import reserve_again
from holdfast.flows.shipping.follow_refunds import follow_refunds, may_move_parcels
from holdfast.flows.shipping.leave_warehouse import leave_if_paid
from holdfast.gateways.unread import NO_CURRENCY
from holdfast.payments.model import EventState
from holdfast.payments.retry_policy import RETRIES_MAX, RetryDecision
from holdfast.payments.retry_policy import decide as decide_retry
from holdfast.runtime import Runtime
from holdfast.values.errors import Conflict, HoldfastError, InvalidInput, Rejected, Transient

LEASE_SECONDS: Final = 90
"""How long a claimed event belongs to its worker, in seconds: longer than the function can run."""
MATCH_WINDOW_SECONDS: Final = 120
"""How long after an event's arrival its payment may still be recorded, in seconds.

This covers our own call to the gateway and the watchdog's first check after that call crashed. If the payment is still
unknown then, the event is given up at once.
"""
ACTOR: Final = "system:payment_events"

_MARK_PROCESSED: Final = """
    UPDATE payments.payment_events SET state = 'processed', processed_at = :now, last_error = NULL
     WHERE organization_id = :organization_id AND id = :id AND state IN ('pending', 'retry_scheduled')
    RETURNING id
"""

_logger = logging.getLogger(__name__)


class PaymentUnknown(Transient):
    """The event's payment is not recorded here, or not yet."""


class ProcessDied(HoldfastError):
    """Every allowed attempt was begun, and no process lived to report how its attempt ended."""


def apply_payment_event(
    runtime: Runtime,
    organization_id: UUID,
    event_id: UUID,
    clock: Callable[[], datetime],
    run: GatewayRun | None = None,
) -> EventState | None:
    """Claim the event, settle it and mark it as processed.

    Returns ``None`` if there was nothing to do: the event was applied before, is not due, or is claimed by another
    worker. If the event means that money is owed back, the gateway is asked to return it as far as ``run`` has time;
    the watchdog does the rest. A failure of the work is recorded with the event and not raised; only a failure to
    record it is raised.
    """
    claimed = _claim(runtime, organization_id, event_id, clock())
    if claimed is None:
        return None
    if claimed["attempts"] > RETRIES_MAX + 1:
        died = ProcessDied("every attempt ended with its process")
        return _record_failure(runtime, organization_id, claimed, died, clock())
    try:
        present = recall_for_event(runtime, organization_id, claimed, clock(), ACTOR)
        if present is None:
            return _note_applied_before(runtime, organization_id, event_id, clock())
        claimed = present
        recorded = runtime.database.transact(
            organization_id, lambda opened: settle_event(opened, claimed, commit=True), now=clock(), actor=ACTOR
        )
    except Exception as error:  # noqa: BLE001 -- whatever it was, it is recorded with the event
        return _record_failure(runtime, organization_id, claimed, error, clock())
    if recorded.owes_money:
        return_money_owed(runtime, organization_id, UUID(claimed["order_id"]), clock, run)
    ring_outbox_bell(runtime)
    return EventState.PROCESSED


def _note_applied_before(runtime: Runtime, organization_id: UUID, event_id: UUID, now: datetime) -> EventState:
    """Mark as processed an event that was delivered again years later: its effects are in the archive already."""
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        transaction.execute_and_commit(_MARK_PROCESSED, **_marked(transaction, event_id))
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


def settle_event(transaction: Transaction, claimed: Mapping[str, Any], *, commit: bool) -> Recorded:
    """Settle a claimed event: decide what it means and write that.

    Settling an event again changes nothing, because the facts of a payment are joined. With ``commit`` the COMMIT is
    sent along with the last statement where possible. Raises whatever shows that the event cannot be true, or keeps it
    from being written.
    """
    if claimed["news"].get("currency") == NO_CURRENCY:
        raise InvalidInput(f"the event cannot be read (it stands in {NO_CURRENCY}): see what its payload says")
    if claimed["order_id"] is None:
        raise PaymentUnknown(f"no payment here is {claimed['gateway_transaction_id']}")
    order = lock_order(transaction, UUID(claimed["order_id"]))
    payment = order.payment(UUID(claimed["payment_id"]))
    tidings = with_dispute(_tidings(claimed), payment.facts, payment.gateway_transaction_id)
    if commit and order.leaving is None and settles_nothing(payment, tidings):
        transaction.execute_and_commit(_MARK_PROCESSED, **_marked(transaction, UUID(claimed["id"])))
        return Recorded({}, owes_money=False)
    settlement = decide(order, payment, tidings, transaction.now)
    if settlement.needs_stock:
        settlement = reserve_again(transaction, order, payment, settlement)
    waits, moves = order.leaving is not None, may_move_parcels(order, settlement)
    recorded = Recorded.of(write(transaction, order, settlement, commit=commit and not waits and not moves), settlement)
    if waits:
        leave_if_paid(transaction, order.id)
    if moves:
        follow_refunds(transaction, order.id, recorded.view, is_reversal=settlement.is_reversal)
    return recorded


def _marked(transaction: Transaction, event_id: UUID) -> dict[str, Any]:
    return {"organization_id": transaction.tenant, "id": event_id, "now": transaction.now}


def _tidings(claimed: Mapping[str, Any]) -> Tidings:
    try:
        return tidings_from(claimed)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"the stored event cannot be read: {type(error).__name__} {error}") from error


def _record_failure(
    runtime: Runtime, organization_id: UUID, claimed: Mapping[str, Any], error: Exception, now: datetime
) -> EventState:
    """Schedule the next attempt, or bury the event as a dead letter if it is given up."""
    decision = decide_retry(claimed["attempts"], now, random.random, permanent=_is_permanent(error, claimed, now))
    state = EventState.DEAD_LETTERED if decision.is_dead_letter else EventState.RETRY_SCHEDULED
    _logger.warning("payment event %s failed: %s (%s)", claimed["id"], error, state, exc_info=error)

    def work(transaction: Transaction) -> UUID | None:
        recorded = transaction.execute(
            """
            UPDATE payments.payment_events
               SET state = :state, last_error = :error, next_attempt_at = COALESCE(:retry_at, next_attempt_at)
             WHERE organization_id = :organization_id AND id = :id AND state IN ('pending', 'retry_scheduled')
            """,
            organization_id=organization_id,
            id=UUID(claimed["id"]),
            state=state,
            error=reason_of(error),
            retry_at=decision.retry_at,
        )
        return bury(transaction, claimed, error) if recorded and decision.is_dead_letter else None

    dead_letter_id = runtime.database.transact(organization_id, work, now=now, actor=ACTOR)
    if dead_letter_id is not None:
        alert_dead_letter(runtime, organization_id, dead_letter_id, now)
    _ring_for_retry(runtime, organization_id, claimed["id"], decision)
    return state


def _is_permanent(error: Exception, claimed: Mapping[str, Any], now: datetime) -> bool:
    """Return whether no retry can cure the error.

    A conflict is with something still under way (one of our refunds, say) and passes with it. The payment of an
    unmatched event may still be recorded while our own call to the gateway is under way; after that it stays unknown.
    """
    if isinstance(error, PaymentUnknown):
        return now - datetime.fromisoformat(claimed["received_at"]) >= timedelta(seconds=MATCH_WINDOW_SECONDS)
    return isinstance(error, Rejected) and not isinstance(error, Conflict)


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
