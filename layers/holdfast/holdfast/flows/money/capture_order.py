"""Staff capture the held money of an order by hand: all of it, or a part. A final capture releases the rest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.claims.idempotency import Answer, Claim, Earlier, claim_key, store_answer_and_commit
from holdfast.flows.money.capture_payment import CaptureFailed, capture_due
from holdfast.flows.money.request_capture import CaptureReason, request_capture, what_is_left_to_capture
from holdfast.flows.money.whole_steps import whole_steps
from holdfast.flows.orders.decide_and_finish import decide_and_finish
from holdfast.flows.orders.find_order import order_id_of
from holdfast.flows.orders.locked_order import LockedOrder, LockedPayment, lock_order
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict

OPERATION: Final = "capture_order"

Render = Callable[[Mapping[str, Any], str, str | None], Answer]
"""Turns the order's view, the capture's state (running, done, failed) and its last error into the answer."""


@dataclass(frozen=True, slots=True)
class CaptureOrder:
    """A request to capture held money.

    Without an amount it captures all that is held, but no more than the order costs. If the capture is not final, the
    rest stays held where the gateway can capture it later.
    """

    caller: Caller
    claim: Claim
    reference: str
    amount_minor: int | None = None
    is_final: bool = True


def capture_order(runtime: Runtime, command: CaptureOrder, clock: Callable[[], datetime], render: Render) -> Answer:
    """Capture and answer with the outcome. A repeated idempotency key gets the same answer.

    Raises NotFound, Forbidden, Conflict (nothing is held, or a capture is under way), InvalidInput (more than is held),
    NotRepresentable (the gateway cannot express the amount), IdempotencyKeyReused or RequestInProgress.
    """

    def decide(transaction: Transaction) -> UUID | Earlier:
        order_id = order_id_of(transaction, command.caller, command.reference, Operation.CAPTURE_ORDER)
        earlier = claim_key(transaction, command.claim, order_id)
        if earlier is not None:
            return earlier
        order = lock_order(transaction, order_id)
        payment = _held(order)
        amount_minor = command.amount_minor
        if amount_minor is None:
            amount_minor = whole_steps(payment, what_is_left_to_capture(transaction, order, payment))
        decided = amount_minor != 0 and request_capture(
            transaction,
            order,
            payment,
            amount_minor,
            reason=CaptureReason.BY_HAND,
            is_final=command.is_final,
            request_key=command.claim.key,
        )
        if not decided:
            raise Conflict("a capture of this payment is under way")
        return order_id

    finish = partial(_finish, runtime, command, clock, render)
    return decide_and_finish(runtime, command.caller, command.claim, clock, decide, finish)


def _held(order: LockedOrder) -> LockedPayment:
    """Return the payment whose money is held; an order has at most one. Raises Conflict if there is none."""
    for payment in order.payments:
        if payment.is_held and not payment.is_owed_back:
            return payment
    raise Conflict("no money of this order is held: there is nothing to capture")


def _finish(
    runtime: Runtime, command: CaptureOrder, clock: Callable[[], datetime], render: Render, order_id: UUID
) -> Answer:
    caller = command.caller
    capture_due(runtime, caller.organization_id, order_id, clock)

    def work(transaction: Transaction) -> Answer:
        # Lock the order before the claim, in the same sequence as everything else that stores an answer.
        lock_order(transaction, order_id)
        mine = transaction.row(
            """
            SELECT state, last_error FROM orders.order_operations
             WHERE organization_id = :organization_id AND order_id = :order_id AND operation = 'capture'
               AND requested_by = :actor AND request_key = :key
             ORDER BY id DESC LIMIT 1
            """,
            organization_id=transaction.tenant,
            order_id=order_id,
            actor=caller.actor,
            key=command.claim.key,
        )
        view: Mapping[str, Any] = transaction.value(
            "SELECT checkout.order_view(:organization_id, :order_id)",
            organization_id=transaction.tenant,
            order_id=order_id,
        )
        if mine is None:
            raise CaptureFailed("the decision to capture is not on the record")
        answer = render(view, mine.state, mine.last_error)
        store_answer_and_commit(transaction, command.claim, answer)
        return answer

    return runtime.database.transact(caller.organization_id, work, now=clock(), actor=caller.actor)
