"""Cancel an order. The decision, the stock and the money owed back are committed in one transaction.

The money is returned after that, and its return can be resumed.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.claims.idempotency import Answer, Claim, Patience, claim_key, store_answer_and_commit
from holdfast.flows.money.return_money import return_money_owed
from holdfast.flows.money.settlement import write
from holdfast.flows.money.settlement_document import Settlement
from holdfast.flows.operations.ring_bell import ring_outbox_bell
from holdfast.flows.orders.find_order import order_id_of
from holdfast.flows.orders.locked_order import LockedOrder, lock_order
from holdfast.orders.lifecycle import OrderStatus, check_transition
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation
from holdfast.values.caller import Caller, CallerKind

OPERATION = "cancel_order"


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """A request to cancel, by the shopper or by staff."""

    caller: Caller
    claim: Claim
    reference: str
    reason: str | None = None


def cancel_order(
    runtime: Runtime,
    command: CancelOrder,
    clock: Callable[[], datetime],
    render: Callable[[Mapping[str, Any]], Answer],
) -> Answer:
    """Cancel the order and return the money. An order that is already cancelled is answered as it is.

    Raises NotFound, TransitionRefused (something was shipped), IdempotencyKeyReused or RequestInProgress.
    """
    caller, now = command.caller, clock()

    def work(transaction: Transaction) -> tuple[UUID | None, Answer] | None:
        order_id = order_id_of(transaction, caller, command.reference, Operation.CANCEL_ORDER)
        earlier = claim_key(transaction, command.claim, order_id)
        if earlier is not None:
            return (None, earlier) if isinstance(earlier, Answer) else None
        view = _cancel(transaction, order_id, command)
        answer = render(view)
        store_answer_and_commit(transaction, command.claim, answer)
        return order_id, answer

    patience = Patience(time.sleep)
    while (done := runtime.database.transact(caller.organization_id, work, now=now, actor=caller.actor)) is None:
        patience.wait()
    order_id, answer = done
    if order_id is not None:
        return_money_owed(runtime, caller.organization_id, order_id, clock)
        ring_outbox_bell(runtime)
    return answer


def _cancel(transaction: Transaction, order_id: UUID, command: CancelOrder) -> Mapping[str, Any]:
    order = lock_order(transaction, order_id)
    if order.status is OrderStatus.CANCELLED:
        settlement = Settlement(order_id=order.id)
    else:
        check_transition(order.status, OrderStatus.CANCELLED)
        asked = cancellation(order, command.reason or "cancelled on request", "customer_request")
        who = "staff" if command.caller.kind is CallerKind.STAFF else "shopper"
        settlement = replace(asked, goods_notes=f"cancelled by the {who}")
    view: Mapping[str, Any] = write(transaction, order, settlement)
    return view


def cancellation(order: LockedOrder, notes: str, reason: str) -> Settlement:
    """Return the settlement that cancels an order: holds are released, sold goods return, all money is owed back.

    The caller has checked that the order may be cancelled.
    """
    owed = tuple((p.id, reason) for p in order.payments if p.is_open or p.has_money)
    return Settlement(
        order_id=order.id,
        path=(OrderStatus.CANCELLED,),
        notes=notes,
        resolve_holds="cancelled" if order.has_live_holds else None,
        return_sold=any(hold.status == "completed" for hold in order.holds),
        return_money_of=owed,
        topics=("order.cancelled",),
    )
