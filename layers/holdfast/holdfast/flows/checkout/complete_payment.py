"""Continue a payment that waited for its shopper: at their bank, or at PayPal.

A gateway that needs the details the shopper brought back (Adyen) is sent them. Any other gateway is asked for the
payment's state; asking PayPal for an order that was approved also takes its money. Both can be repeated and run
concurrently: the gateway recognizes the same completion by its idempotency key, and its answer is processed like any
other. A shopper who never comes back loses nothing, because webhooks and the watchdog reach the same result.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.flows.checkout.charge_payment import (
    GATEWAY_DEADLINE_SECONDS,
    Attempt,
    GatewayAnswer,
    attempt_of,
    find_attempt,
    record,
)
from holdfast.flows.checkout.pay_attempt import Render
from holdfast.flows.claims.idempotency import Answer
from holdfast.flows.money.return_money import return_money_owed
from holdfast.flows.operations.ring_bell import ring_outbox_bell
from holdfast.flows.orders.find_order import order_id_of
from holdfast.flows.orders.locked_order import lock_order
from holdfast.gateways.answers import event_from_snapshot
from holdfast.gateways.port import PaymentSnapshot, TakesDetails
from holdfast.orders.lifecycle import OrderStatus
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, NotFound, Transient

_WAITING: Final = frozenset({OrderStatus.PENDING_PAYMENT, OrderStatus.PAYMENT_PROCESSING})


@dataclass(frozen=True, slots=True)
class CompletePayment:
    """The request of a shopper who came back; ``details`` is what their client brought along."""

    caller: Caller
    reference: str
    payment_id: UUID
    details: Mapping[str, str]


def complete_payment(
    runtime: Runtime, command: CompletePayment, clock: Callable[[], datetime], render: Render
) -> Answer:
    """Finish the attempt and answer with the order as it is afterwards.

    If the attempt is already decided, the answer is the order as it is. Raises NotFound, Conflict (the order no longer
    waits for this payment), GatewayRefused (the details are not valid, and the payment still waits), AttemptTooOld, or
    Transient (the same request can be repeated and continues).
    """
    caller, now = command.caller, clock()
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        order_id = order_id_of(transaction, caller, command.reference, Operation.COMPLETE_PAYMENT)
        order = lock_order(transaction, order_id)
        payment = order.payment(command.payment_id)
        if not payment.is_open:
            view: Mapping[str, Any] | None = transaction.value(
                "SELECT checkout.order_view(:organization_id, :order_id)",
                organization_id=caller.organization_id,
                order_id=order_id,
            )
            if view is None:
                raise NotFound("there is no such order")
            return render(view, payment.id)
    if order.status not in _WAITING:
        raise Conflict("the order waits for this payment no more")
    attempt = attempt_of(caller.organization_id, order, payment)
    answer = _ask(runtime, attempt, command.details, clock)
    recorded = record(runtime, attempt, answer, clock, caller.actor)
    if recorded.owes_money:
        return_money_owed(runtime, caller.organization_id, order_id, clock)
    ring_outbox_bell(runtime)
    return render(recorded.view, payment.id)


def _ask(
    runtime: Runtime, attempt: Attempt, details: Mapping[str, str], clock: Callable[[], datetime]
) -> GatewayAnswer:
    begun = time.monotonic()
    snapshot = _snapshot(runtime, attempt, details, clock())
    event = event_from_snapshot(snapshot, attempt.payment_id, clock())
    return GatewayAnswer("complete", event, snapshot, round((time.monotonic() - begun) * 1000))


def _snapshot(runtime: Runtime, attempt: Attempt, details: Mapping[str, str], now: datetime) -> PaymentSnapshot:
    gateway = runtime.gateways.gateway(attempt.gateway, attempt.secret_reference, attempt.merchant_account)
    if isinstance(gateway, TakesDetails) and details:
        return gateway.complete_action(attempt.request(), details, deadline_seconds=GATEWAY_DEADLINE_SECONDS)
    if attempt.gateway_transaction_id is not None:
        return gateway.fetch(attempt.gateway_transaction_id, deadline_seconds=GATEWAY_DEADLINE_SECONDS)
    found = find_attempt(gateway, attempt, now)
    if found is None:
        raise Transient("the gateway does not know the payment yet")
    return found
