"""A change that staff request under an Idempotency-Key. Claim, change and answer are one transaction."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from holdfast.database.transaction import Transaction
from holdfast.flows.claims.idempotency import Answer, Claim, Patience, claim_key, store_answer_and_commit
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller

Change = Callable[[Transaction], Mapping[str, Any]]
Render = Callable[[Mapping[str, Any]], Answer]


def change_once(
    runtime: Runtime, caller: Caller, claim: Claim, operation: Operation, now: datetime, change: Change, render: Render
) -> Answer:
    """Make the change, or return the stored answer if the key was used before.

    A change that is refused leaves no claim, so that a later try is judged anew. Raises Forbidden,
    IdempotencyKeyReused, RequestInProgress, and whatever the change raises.
    """

    def work(transaction: Transaction) -> Answer | None:
        require(transaction, caller, operation)
        earlier = claim_key(transaction, claim)
        if earlier is not None:
            return earlier if isinstance(earlier, Answer) else None
        answer = render(change(transaction))
        store_answer_and_commit(transaction, claim, answer)
        return answer

    patience = Patience(time.sleep)
    while (done := runtime.database.transact(caller.organization_id, work, now=now, actor=caller.actor)) is None:
        patience.wait()
    return done
