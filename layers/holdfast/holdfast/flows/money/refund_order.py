"""Refund an order in whole or in part: plan and debt are committed together, then the gateway is asked.

Both are written under the order's lock, so that two concurrent requests see each other's refunds: the second is planned
on what the first has left. What a refund does to lines, stock and status happens when the gateway confirms it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.claims.idempotency import Answer, Claim, Earlier, claim_key, store_answer_and_commit
from holdfast.flows.money.list_refunds import refunds_of
from holdfast.flows.money.refund_purses import purses_of
from holdfast.flows.money.return_money import return_money_owed
from holdfast.flows.money.settlement import write
from holdfast.flows.money.settlement_document import Settlement
from holdfast.flows.money.whole_steps import require_whole_steps
from holdfast.flows.operations.ring_bell import ring_outbox_bell
from holdfast.flows.orders.decide_and_finish import decide_and_finish
from holdfast.flows.orders.find_order import order_id_of
from holdfast.flows.orders.locked_order import LockedOrder, lock_order
from holdfast.flows.shipping.follow_shipments import follow_shipments
from holdfast.flows.shipping.unshipped_units import unshipped_of
from holdfast.payments.model import RefundReason, RefundStatus
from holdfast.payments.refund_plan import Left, Line, PlannedRefund, Wanted, plan
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict
from holdfast.values.ids import uuid7

OPERATION: Final = "refund_order"


@dataclass(frozen=True, slots=True)
class RefundOrder:
    """A request by staff to give money back."""

    caller: Caller
    claim: Claim
    reference: str
    wanted: Wanted
    reason: RefundReason
    notes: str | None = None


@dataclass(frozen=True, slots=True)
class Refunded:
    """The order and the refunds of the request, as they are now."""

    order: Mapping[str, Any]
    refunds: Sequence[Mapping[str, Any]]


Render = Callable[[Refunded], Answer]


def refund_order(runtime: Runtime, command: RefundOrder, clock: Callable[[], datetime], render: Render) -> Answer:
    """Commit the refunds, ask the gateway and answer with the outcome; what it leaves open is resumed later.

    Raises NotFound, Forbidden, RefundExceeds, InvalidInput, NotRepresentable (the gateway cannot express the amount),
    Conflict (nothing is captured yet, or all of it is already being returned), IdempotencyKeyReused or
    RequestInProgress.
    """

    def decide(transaction: Transaction) -> UUID | Earlier:
        order_id = order_id_of(transaction, command.caller, command.reference, Operation.REFUND_ORDER)
        earlier = claim_key(transaction, command.claim, order_id)
        if earlier is not None:
            return earlier
        order = lock_order(transaction, order_id)
        planned = plan(what_is_left(order), command.wanted)
        for refund in planned:
            require_whole_steps(order.payment(refund.payment_id), refund.amount_minor)
        write(transaction, order, _decided(transaction, order, planned, command))
        # The refund may cover everything that still had to leave; then the order is fully shipped.
        follow_shipments(transaction, order, refunding=True)
        return order_id

    finish = partial(_finish, runtime, command, clock, render)
    return decide_and_finish(runtime, command.caller, command.claim, clock, decide, finish)


def _finish(
    runtime: Runtime, command: RefundOrder, clock: Callable[[], datetime], render: Render, order_id: UUID
) -> Answer:
    """Ask the gateway, then answer with the request's refunds as they are."""
    caller = command.caller
    return_money_owed(runtime, caller.organization_id, order_id, clock)
    with runtime.database.transaction(caller.organization_id, now=clock(), actor=caller.actor) as transaction:
        view = transaction.value(
            "SELECT checkout.order_view(:organization_id, :order_id)",
            organization_id=caller.organization_id,
            order_id=order_id,
        )
        mine = [
            refund
            for refund in refunds_of(transaction, order_id)
            if (refund["created_by"], refund.pop("request_key")) == (caller.actor, command.claim.key)
        ]
        answer = render(Refunded(view, mine))
        store_answer_and_commit(transaction, command.claim, answer)
    ring_outbox_bell(runtime)
    return answer


def what_is_left(order: LockedOrder) -> Left:
    """Return what of the order can be given back now; refunds under way count as given.

    Raises Conflict if nothing is captured yet (cancelling releases held money) or all of it is already being returned.
    """
    purses = tuple(
        purse
        for payment in reversed(order.payments)
        if not payment.is_being_returned
        for purse in purses_of(order, payment)
    )
    if not purses and any(payment.is_being_returned for payment in order.payments):
        raise Conflict("the money of this order is being returned already", refundable_minor=0)
    if not purses and any(payment.is_held for payment in order.payments):
        raise Conflict("the money of this order is only held: cancel the order to give it up", refundable_minor=0)
    counted = [refund for refund in order.refunds if refund.counts]
    taken = [item for refund in counted for item in refund.items]
    return Left(
        lines=tuple(
            Line(
                order_item_id=item.id,
                quantity=item.quantity,
                worth_minor=item.worth,
                taken_quantity=sum(told.quantity for told in taken if told.order_item_id == item.id),
                taken_minor=sum(told.worth for told in taken if told.order_item_id == item.id),
            )
            for item in order.items
        ),
        shipping_minor=order.shipping - sum(refund.shipping_amount for refund in counted),
        purses=purses,
    )


def _decided(
    transaction: Transaction, order: LockedOrder, planned: Sequence[PlannedRefund], command: RefundOrder
) -> Settlement:
    """Return the refunds as rows, and for each the operation that carries it out."""
    now = transaction.now
    ids = [uuid7(now) for _ in planned]
    return Settlement(
        order_id=order.id,
        refunds=tuple(
            {
                "id": str(refund_id),
                "payment_id": str(refund.payment_id),
                "amount": refund.amount_minor,
                "shipping_amount": refund.shipping_minor,
                "currency": order.currency,
                "reason": command.reason,
                "is_full_refund": refund.is_full,
                "status": RefundStatus.PENDING,
                "gateway_capture_id": refund.gateway_capture_id,
                "notes": command.notes,
                "request_key": command.claim.key,
                "created_by": transaction.actor,
            }
            for refund_id, refund in zip(ids, planned, strict=True)
        ),
        refund_items=tuple(
            {
                "id": str(uuid7(now)),
                "refund_id": str(refund_id),
                "order_item_id": str(item.order_item_id),
                "quantity": item.quantity,
                "unshipped_quantity": unshipped_of(
                    order,
                    item.order_item_id,
                    item.quantity,
                    has_left=item.has_left,
                    is_everything=command.wanted.is_everything,
                ),
                "worth": item.worth_minor,
                "amount": item.amount_minor,
                "restock": item.restock,
                "restock_reason": item.restock_reason,
            }
            for refund_id, refund in zip(ids, planned, strict=True)
            for item in refund.items
        ),
        operations=tuple(
            {
                "id": str(uuid7(now)),
                "payment_id": str(refund.payment_id),
                "operation": "refund",
                "subject_id": str(refund_id),
                "amount": refund.amount_minor,
                "reason": command.reason,
            }
            for refund_id, refund in zip(ids, planned, strict=True)
        ),
    )
