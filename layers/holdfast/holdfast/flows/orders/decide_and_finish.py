"""A request about an order that is decided and committed first, and then carried out elsewhere: at a gateway.

The decision commits together with the claim of the idempotency key. A request with the same key that arrives meanwhile
waits for the first one, and finishes the work if the process that began it is dead.
"""

import time
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.claims.idempotency import Answer, Claim, Earlier, Patience, Resume, take_over
from holdfast.flows.orders.locked_order import lock_order
from holdfast.runtime import Runtime
from holdfast.values.caller import Caller


def decide_and_finish(
    runtime: Runtime,
    caller: Caller,
    claim: Claim,
    clock: Callable[[], datetime],
    decide: Callable[[Transaction], UUID | Earlier],
    finish: Callable[[UUID], Answer],
) -> Answer:
    """Return the answer to the request.

    ``decide`` claims the key. It returns the order's id once the decision is made, or the answer if nothing is left to
    carry out. ``finish`` carries the decision out and stores the answer.

    Raises RequestInProgress, and whatever the two raise.
    """
    patience = Patience(time.sleep)
    while True:
        begun = runtime.database.transact(caller.organization_id, decide, now=clock(), actor=caller.actor)
        match begun:
            case Answer():
                return begun
            case UUID():
                return finish(begun)
            case Resume() if _is_taken_over(runtime, caller, claim, begun.order_id, clock()):
                return finish(begun.order_id)
            case _:
                patience.wait()


def _is_taken_over(runtime: Runtime, caller: Caller, claim: Claim, order_id: UUID, now: datetime) -> bool:
    """Lock the order, then try to take over the claim: the same lock order as in storing an answer."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        lock_order(transaction, order_id)
        return take_over(transaction, claim, now)
