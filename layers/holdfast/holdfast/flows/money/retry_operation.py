"""Staff retry a return of money that was given up: the same operation again, as if it had never ended.

No gateway is asked here: the watchdog carries the operation out within a minute, under the keys that it had. A refund
that may have been made already, and could be made a second time, is not started again.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, plain, records
from holdfast.flows.claims.claimed_change import Render, change_once
from holdfast.flows.claims.idempotency import Answer, Claim
from holdfast.flows.money.owed_operations import Kind, may_be_executed
from holdfast.flows.money.refund_at_gateway import has_refund_failed_since, key_may_be_forgotten
from holdfast.flows.orders.locked_order import LockedOrder, lock_order
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, NotFound

OPERATION: Final = "retry_operation"

_FIND: Final = """
    SELECT id, order_id, payment_id, operation, subject_id, amount AS amount_minor, reason, state, attempts, last_error,
           next_attempt_at, created_at, finished_at
      FROM orders.order_operations WHERE organization_id = :organization_id AND id = :id
"""


def retry_operation(
    runtime: Runtime, caller: Caller, claim: Claim, operation_id: UUID, now: datetime, render: Render
) -> Answer:
    """Have a failed return of money tried again, with its attempts counted anew.

    Raises Forbidden, NotFound, IdempotencyKeyReused, RequestInProgress, or Conflict: it has not failed, it is a
    capture, its refund has ended, or it may have been executed and its gateway may have forgotten its key.
    """

    def change(transaction: Transaction) -> Mapping[str, Any]:
        order = lock_order(transaction, _found(transaction, operation_id)["order_id"])
        _refuse(transaction, order, _found(transaction, operation_id))
        # Resetting the attempts must not erase that the operation may have been executed, so one of them is kept.
        transaction.execute(
            """
            UPDATE orders.order_operations
               SET state = 'running', finished_at = NULL, attempts = LEAST(attempts, 1), next_attempt_at = :now
             WHERE organization_id = :organization_id AND id = :id AND state = 'failed'
            """,
            organization_id=transaction.tenant,
            id=operation_id,
            now=now,
        )
        return plain(_found(transaction, operation_id))

    return change_once(runtime, caller, claim, Operation.RETRY_OPERATION, now, change, render)


def _found(transaction: Transaction, operation_id: UUID) -> Mapping[str, Any]:
    rows = records(transaction.rows(_FIND, organization_id=transaction.tenant, id=operation_id))
    if not rows:
        raise NotFound("there is no such operation")
    return rows[0]


def _refuse(transaction: Transaction, order: LockedOrder, operation: Mapping[str, Any]) -> None:
    if operation["operation"] == Kind.CAPTURE:
        raise Conflict("a capture is not tried again: capture the order")
    if operation["state"] != "failed":
        raise Conflict(f"the operation is {operation['state']}")
    payment = order.payment(operation["payment_id"])
    meant = [
        refund
        for refund in order.refunds
        if refund.payment_id == payment.id and operation["subject_id"] in (None, refund.id)
    ]
    is_open = [refund for refund in meant if refund.is_open]
    is_refused = has_refund_failed_since(transaction, order, payment, operation["created_at"])
    if meant and not is_open and (operation["subject_id"] or is_refused):
        raise Conflict(f"its refund is {meant[-1].status}: ask for another")
    unheard = [refund for refund in is_open if refund.gateway_refund_id is None]
    is_forgotten = any(key_may_be_forgotten(payment, refund, transaction.now) for refund in unheard)
    if is_forgotten and may_be_executed(transaction, order.id, payment.id):
        raise Conflict(f"its refund may have been made, and would be made again: look for it at {payment.gateway}")
