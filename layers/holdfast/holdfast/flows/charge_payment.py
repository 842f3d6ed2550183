"""Ask the gateway for the money of an attempt whose row is committed, and record what came of it.

The call is outside any transaction and bounded; whatever happens to its answer, the attempt's key names it and the
watchdog finishes it. An answer and a webhook go down the same road, and the first to come settles.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.event_record import store_event
from holdfast.flows.locked_order import LockedOrder, LockedPayment, lock_order
from holdfast.flows.reserve_again import reserve_again
from holdfast.flows.settlement import Tidings, decide, write
from holdfast.gateways.port import (
    AuthorizeRequest,
    GatewayEvent,
    GatewayRefused,
    GatewayUnreachable,
    OutcomeUnknown,
    PaymentSnapshot,
    event_from_snapshot,
)
from holdfast.payments.state import PaymentNews
from holdfast.runtime import Runtime
from holdfast.values.errors import Transient
from holdfast.values.ids import uuid7
from holdfast.values.money import Money
from holdfast.values.payment_events import EventType

GATEWAY_DEADLINE_SECONDS: Final = 8.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to pay, as committed: what the gateway is asked, and for whom."""

    organization_id: UUID
    order_id: UUID
    order_number: str
    payment_id: UUID
    gateway: str
    gateway_account_id: UUID
    secret_reference: str
    merchant_account: str | None
    amount: Money
    token: str
    capture_now: bool
    idempotency_key: str

    def request(self) -> AuthorizeRequest:
        """The attempt in the gateway's terms. The same attempt is always the same request under the same key."""
        return AuthorizeRequest(
            payment_id=self.payment_id,
            order_id=self.order_id,
            order_number=self.order_number,
            organization_id=self.organization_id,
            amount=self.amount,
            token=self.token,
            idempotency_key=self.idempotency_key,
            capture_now=self.capture_now,
        )


@dataclass(frozen=True, slots=True)
class GatewayAnswer:
    """What the gateway said, or that it said nothing we could use."""

    event: GatewayEvent
    snapshot: PaymentSnapshot | None
    duration_ms: int


def ask_gateway(
    runtime: Runtime,
    attempt: Attempt,
    clock: Callable[[], datetime],
    *,
    call: Callable[..., PaymentSnapshot | None] | None = None,
) -> GatewayAnswer:
    """Charge the attempt (or make another ``call`` about it) within the deadline; never raises what a gateway may do.

    No answer is news too: the payment is being processed, and the watchdog will ask. A refusal of the request as such
    (an unknown token) is a failed attempt.
    """
    begun = time.monotonic()
    snapshot: PaymentSnapshot | None = None
    try:
        gateway = runtime.gateways.gateway(attempt.gateway, attempt.secret_reference, attempt.merchant_account)
        ask = call or gateway.authorize
        snapshot = ask(attempt.request(), deadline_seconds=GATEWAY_DEADLINE_SECONDS)
        event = None if snapshot is None else event_from_snapshot(snapshot, attempt.payment_id, clock())
    except GatewayRefused as refusal:
        event = _own_event(attempt, EventType.AUTHORIZATION_FAILED, clock(), refusal.failure_code, refusal.detail)
    except (GatewayUnreachable, OutcomeUnknown, Transient) as silence:
        event = _own_event(attempt, EventType.PAYMENT_PROCESSING, clock(), type(silence).__name__, silence.detail)
    if event is None:
        event = _own_event(
            attempt, EventType.AUTHORIZATION_FAILED, clock(), "never_arrived", "the gateway knows nothing of it"
        )
    return GatewayAnswer(event, snapshot, round((time.monotonic() - begun) * 1000))


def record_answer(transaction: Transaction, attempt: Attempt, answer: GatewayAnswer) -> Mapping[str, Any]:
    """Store the answer as an event and settle it; answers the order's view. The caller commits."""
    event = answer.event
    event_id = store_event(
        transaction,
        event,
        gateway=attempt.gateway,
        gateway_account_id=attempt.gateway_account_id,
        call={"method": "POST", "path": "authorize", "duration_ms": answer.duration_ms, "status": None},
    )
    order = lock_order(transaction, attempt.order_id)
    payment = order.payment(attempt.payment_id)
    settlement = decide(order, payment, tidings_of(event, event_id, answer.snapshot), transaction.now)
    if settlement.needs_stock:
        settlement = reserve_again(transaction, order, payment, settlement)
    view: Mapping[str, Any] = write(transaction, order, settlement)
    return view


def tidings_of(event: GatewayEvent, event_id: UUID | None, snapshot: PaymentSnapshot | None = None) -> Tidings:
    """A gateway's event in the domain's words."""
    if event.event_type is None:
        raise ValueError("an event of no known type says nothing")
    return Tidings(
        news=PaymentNews(
            event_type=event.event_type,
            occurred_at=event.occurred_at,
            amount_minor=event.amount_minor,
            authorized_minor=event.authorized_minor,
            captured_minor=event.captured_minor,
            gateway_refund_id=event.gateway_refund_id,
            authorization_expires_at=event.authorization_expires_at,
            failure_code=event.failure_code,
            failure_message=event.failure_message,
        ),
        currency=event.currency,
        event_id=event_id,
        gateway_transaction_id=event.gateway_transaction_id,
        refund_id=event.refund_id,
        client_action=snapshot.client_action if snapshot else None,
        method=snapshot.method if snapshot else None,
        brand=snapshot.brand if snapshot else None,
        last_four=snapshot.last_four if snapshot else None,
    )


def attempt_of(organization_id: UUID, order: LockedOrder, payment: LockedPayment) -> Attempt:
    """An attempt read back, to be finished by somebody else than who began it."""
    return Attempt(
        organization_id=organization_id,
        order_id=order.id,
        order_number=order.order_number,
        payment_id=payment.id,
        gateway=payment.gateway,
        gateway_account_id=payment.gateway_account_id,
        secret_reference=payment.secret_reference,
        merchant_account=payment.merchant_account,
        amount=Money(payment.amount, payment.currency),
        token=payment.token or "",
        capture_now=payment.capture_now,
        idempotency_key=payment.idempotency_key,
    )


def _own_event(attempt: Attempt, event_type: EventType, now: datetime, code: str, message: str) -> GatewayEvent:
    """News that we tell ourselves; its id is new each time, for each silence is one of its own."""
    return GatewayEvent(
        gateway_event_id=f"ours:{uuid7(now)}",
        gateway_event_type="answer",
        event_type=event_type,
        occurred_at=now,
        payment_id=attempt.payment_id,
        failure_code=code if event_type is EventType.AUTHORIZATION_FAILED else None,
        failure_message=message if event_type is EventType.AUTHORIZATION_FAILED else None,
        payload={"code": code, "message": message},
    )
