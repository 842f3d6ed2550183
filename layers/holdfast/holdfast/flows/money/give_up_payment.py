"""Staff end an attempt to pay of which the gateway knows nothing: it is settled as failed, like any that was declined.

Where a gateway has forgotten an attempt's key, asking it again could charge, so nothing ends such an attempt by itself,
and its order can neither be paid nor expire. A person looks at the gateway instead and says what is there: nothing.
This is an event of ours like every other answer. Should money appear after all, its news wins, and the money pays for
the order or goes back.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.claims.claimed_change import Render, change_once
from holdfast.flows.claims.idempotency import Answer, Claim
from holdfast.flows.money.event_record import store_event, tidings_of
from holdfast.flows.money.settlement import decide, write
from holdfast.flows.operations.process_names import Process
from holdfast.flows.orders.locked_order import LockedPayment, lock_order
from holdfast.gateways.port import ANSWER_EVENT_TYPE, GatewayEvent
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, NotFound
from holdfast.values.ids import uuid7
from holdfast.values.payment_events import EventType

OPERATION: Final = "give_up_payment"
FAILURE_CODE: Final = "given_up"
"""The trigger that records who did this looks for it (migration 0036)."""
_MESSAGE: Final = "the shop found nothing of this attempt at the gateway"


def give_up_payment(
    runtime: Runtime,
    caller: Caller,
    claim: Claim,
    payment_id: UUID,
    note: str,
    now: datetime,
    render: Render,
) -> Answer:
    """End the attempt as failed and resolve the call about it with the note; answer with the order as it is then.

    Raises Forbidden, NotFound, IdempotencyKeyReused, RequestInProgress, or Conflict: the attempt is decided, or its
    gateway is still being asked.
    """

    def change(transaction: Transaction) -> Mapping[str, Any]:
        order = lock_order(transaction, _order_of(transaction, payment_id))
        payment = order.payment(payment_id)
        _refuse_unless_lost(transaction, payment)
        event = _event(payment, note, transaction.now)
        event_id = store_event(
            transaction, event, gateway=payment.gateway, gateway_account_id=payment.gateway_account_id
        )
        settlement = decide(order, payment, tidings_of(event, event_id), transaction.now)
        view: Mapping[str, Any] = write(transaction, order, settlement)
        _resolve(transaction, payment_id, note)
        return view

    return change_once(runtime, caller, claim, Operation.GIVE_UP_PAYMENT, now, change, render)


def _order_of(transaction: Transaction, payment_id: UUID) -> UUID:
    order_id: UUID | None = transaction.value(
        "SELECT p.order_id FROM payments.payments p WHERE p.organization_id = :organization_id AND p.id = :id",
        organization_id=transaction.tenant,
        id=payment_id,
    )
    if order_id is None:
        raise NotFound("there is no such payment")
    return order_id


def _refuse_unless_lost(transaction: Transaction, payment: LockedPayment) -> None:
    """Raise Conflict for an attempt that is decided, or of which the gateway may still tell us. The order is locked."""
    if not payment.is_open:
        raise Conflict(f"the payment is {payment.status}", payment_status=payment.status)
    check_at: datetime | None = transaction.value(
        "SELECT p.next_check_at FROM payments.payments p WHERE p.organization_id = :organization_id AND p.id = :id",
        organization_id=transaction.tenant,
        id=payment.id,
    )
    if check_at is not None:
        raise Conflict(f"{payment.gateway} is still asked about it, next at {check_at.isoformat()}")


def _event(payment: LockedPayment, note: str, now: datetime) -> GatewayEvent:
    return GatewayEvent(
        gateway_event_id=f"ours:{uuid7(now)}",
        gateway_event_type=ANSWER_EVENT_TYPE,
        event_type=EventType.AUTHORIZATION_FAILED,
        occurred_at=now,
        payment_id=payment.id,
        failure_code=FAILURE_CODE,
        failure_message=_MESSAGE,
        payload={"code": FAILURE_CODE, "message": _MESSAGE, "note": note},
    )


def _resolve(transaction: Transaction, payment_id: UUID, note: str) -> None:
    """Resolve the process failure that called the person."""
    transaction.execute(
        """
        UPDATE operations.process_failures
           SET status = 'resolved', resolved_by = :actor, resolved_at = :now, resolution_notes = :note,
               version = version + 1
         WHERE organization_id = :organization_id AND process_name = :process AND related_id = :payment_id
           AND status = 'open'
        """,
        organization_id=transaction.tenant,
        actor=transaction.actor,
        process=Process.PAYMENT_UNDECIDED,
        payment_id=payment_id,
        note=note,
        now=transaction.now,
    )
