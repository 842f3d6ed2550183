"""A customer's saved payment methods: list them, choose the default, remove one.

A removal is committed first; from then on nothing can be paid with the method. The gateway is told afterwards, and the
watchdog tells it again until that succeeds or a person is called. Then the row keeps only a digest of the token, so
that a late event of an earlier payment does not bring the method back. The row of an erased customer is deleted.
"""

import logging
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.flows.operations.call_person import call_person
from holdfast.flows.operations.process_names import Process
from holdfast.gateways.port import ForgetsMethods
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import NotFound

FORGET_DEADLINE_SECONDS: Final = 8.0
PROCESS: Final = Process.PAYMENT_METHOD_KEPT
FORGET_ATTEMPTS_MAX: Final = 12
FORGET_BATCH_MAX: Final = 20
_FORGET_DELAY_MAX_SECONDS: Final = 3600
ACTOR: Final = "system:forget_methods"

_logger = logging.getLogger(__name__)


def list_payment_methods(runtime: Runtime, caller: Caller, now: datetime) -> Mapping[str, Any]:
    """Return the caller's own methods: the default first, then the newest."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.LIST_PAYMENT_METHODS)
        rows = transaction.rows(
            """
            SELECT m.id, m.gateway, m.brand, m.last_four, m.expires_on, m.is_default, m.created_at
              FROM tenancy.payment_methods m
             WHERE m.organization_id = :organization_id AND m.deleted_at IS NULL
               AND m.customer_id = (SELECT c.id FROM tenancy.customers c
                                     WHERE c.organization_id = :organization_id AND c.auth_subject = :subject
                                       AND c.deleted_at IS NULL)
             ORDER BY m.is_default DESC, m.id DESC
            """,
            organization_id=caller.organization_id,
            subject=caller.subject,
        )
    return {"payment_methods": [_shown(row) for row in rows]}


def make_default(runtime: Runtime, caller: Caller, payment_method_id: UUID, now: datetime) -> Mapping[str, Any]:
    """Make a method the one that is offered first. Raises NotFound, also for another customer's method."""

    def work(transaction: Transaction) -> Mapping[str, Any]:
        require(transaction, caller, Operation.SET_DEFAULT_PAYMENT_METHOD)
        customer_id = _lock_methods_of(transaction, caller, payment_method_id)
        transaction.execute(
            """
            UPDATE tenancy.payment_methods SET is_default = false
             WHERE organization_id = :organization_id AND customer_id = :customer_id AND is_default AND id <> :id
               AND deleted_at IS NULL
            """,
            organization_id=transaction.tenant,
            customer_id=customer_id,
            id=payment_method_id,
        )
        return _changed(
            transaction.row(
                """
                UPDATE tenancy.payment_methods SET is_default = true
                 WHERE organization_id = :organization_id AND customer_id = :customer_id AND id = :id
                   AND deleted_at IS NULL
                RETURNING id, gateway, brand, last_four, expires_on, is_default, created_at
                """,
                organization_id=transaction.tenant,
                customer_id=customer_id,
                id=payment_method_id,
            )
        )

    return runtime.database.transact(caller.organization_id, work, now=now, actor=caller.actor)


def remove_payment_method(
    runtime: Runtime, caller: Caller, payment_method_id: UUID, clock: Callable[[], datetime]
) -> Mapping[str, Any]:
    """Remove a method here, then tell its gateway to forget it. Raises NotFound, also for another customer's method."""
    now = clock()

    def work(transaction: Transaction) -> Mapping[str, Any]:
        require(transaction, caller, Operation.REMOVE_PAYMENT_METHOD)
        customer_id = _lock_methods_of(transaction, caller, payment_method_id)
        return _changed(
            transaction.row(
                """
                UPDATE tenancy.payment_methods SET deleted_at = :now, forget_at = :now, is_default = false
                 WHERE organization_id = :organization_id AND customer_id = :customer_id AND id = :id
                   AND deleted_at IS NULL
                RETURNING id, gateway, brand, last_four, expires_on, is_default, created_at
                """,
                organization_id=transaction.tenant,
                customer_id=customer_id,
                id=payment_method_id,
                now=now,
            )
        )

    removed = runtime.database.transact(caller.organization_id, work, now=now, actor=caller.actor)
    _tell_gateway(runtime, caller.organization_id, payment_method_id, clock)
    return removed


def forget_methods(
    runtime: Runtime, clock: Callable[[], datetime], time_left_seconds: Callable[[], float] = lambda: math.inf
) -> int:
    """Tell gateways to forget removed methods they were not told about yet. Return how many were looked at."""
    with runtime.database.transaction(None, now=clock(), actor=ACTOR) as transaction:
        rows = transaction.rows(
            """
            SELECT organization_id, id FROM tenancy.payment_methods
             WHERE forget_at IS NOT NULL AND forget_at <= :now ORDER BY forget_at LIMIT :limit
            """,
            now=clock(),
            limit=FORGET_BATCH_MAX,
        )
    looked_at = 0
    for row in rows:
        if time_left_seconds() <= 0:
            break
        _tell_gateway(runtime, row.organization_id, row.id, clock)
        looked_at += 1
    return looked_at


def _lock_methods_of(transaction: Transaction, caller: Caller, payment_method_id: UUID) -> UUID:
    """Take the lock that ``checkout.keep_payment_method`` takes, and return the customer's id. Raises NotFound."""
    customer_id: UUID | None = transaction.value(
        """
        SELECT c.id FROM tenancy.customers c
          JOIN tenancy.payment_methods m ON m.organization_id = c.organization_id AND m.customer_id = c.id
         WHERE c.organization_id = :organization_id AND c.auth_subject = :subject AND c.deleted_at IS NULL
           AND m.id = :id AND m.deleted_at IS NULL
        """,
        organization_id=transaction.tenant,
        subject=caller.subject,
        id=payment_method_id,
    )
    if customer_id is None:
        raise NotFound("there is no such payment method")
    transaction.rows(
        "SELECT pg_advisory_xact_lock(hashtextextended('payment methods' || CAST(:customer_id AS text), 0))",
        customer_id=customer_id,
    )
    return customer_id


def _changed(row: Any) -> Mapping[str, Any]:
    if row is None:
        raise NotFound("there is no such payment method")
    return _shown(row)


def _shown(row: Any) -> dict[str, Any]:
    return {**records([row])[0], "created_at": row.created_at.isoformat()}


def _tell_gateway(
    runtime: Runtime, organization_id: UUID, payment_method_id: UUID, clock: Callable[[], datetime]
) -> None:
    """Claim the method, commit, tell its gateway to forget it, and record that it has. Never raises."""
    try:
        with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
            method = _claim(transaction, payment_method_id)
        if method is None:
            return
        gateway = runtime.gateways.gateway(method.gateway, method.secret_reference, method.merchant_account)
        if isinstance(gateway, ForgetsMethods):
            gateway.forget_method(
                method.gateway_customer_id,
                method.token,
                idempotency_key=f"forget-{payment_method_id}-{method.forget_attempts}",
                deadline_seconds=FORGET_DEADLINE_SECONDS,
            )
        with runtime.database.transaction(organization_id, now=clock(), actor=ACTOR) as transaction:
            _forget(transaction, payment_method_id)
    except Exception:
        _logger.warning("the gateway has not forgotten payment method %s", payment_method_id, exc_info=True)


def _claim(transaction: Transaction, payment_method_id: UUID) -> Any:
    """Return the method that is to be forgotten now, if it is due, and schedule its next try. The last calls a person.

    The row of an erased customer must not stay for good, so its tries continue daily: once that person has removed the
    method at the gateway, one of them succeeds.
    """
    method = transaction.row(
        """
        UPDATE tenancy.payment_methods m
           SET forget_attempts = m.forget_attempts + 1,
               forget_at = CASE
                   WHEN m.forget_attempts + 1 < :attempts_max THEN CAST(:now AS timestamptz)
                       + make_interval(secs => LEAST(60 * power(2, m.forget_attempts), :delay_max))
                   WHEN c.deleted_at IS NOT NULL THEN CAST(:now AS timestamptz) + make_interval(days => 1) END
          FROM tenancy.gateway_accounts a, tenancy.customers c
         WHERE m.organization_id = :organization_id AND m.id = :id AND m.deleted_at IS NOT NULL AND m.forget_at <= :now
           AND a.organization_id = m.organization_id AND a.id = m.gateway_account_id
           AND c.organization_id = m.organization_id AND c.id = m.customer_id
        RETURNING m.gateway, m.gateway_customer_id, m.token, m.forget_attempts, a.secret_reference, a.merchant_account
        """,
        organization_id=transaction.tenant,
        id=payment_method_id,
        now=transaction.now,
        attempts_max=FORGET_ATTEMPTS_MAX,
        delay_max=_FORGET_DELAY_MAX_SECONDS,
    )
    if method is not None and method.forget_attempts >= FORGET_ATTEMPTS_MAX:
        details = f"a removed payment method may still be kept at {method.gateway}: remove it there"
        call_person(transaction, PROCESS, payment_method_id, details)
    return method


def _forget(transaction: Transaction, payment_method_id: UUID) -> None:
    """Forget here what a gateway has forgotten. A method that was saved again in the meantime is left alone."""
    known = {"organization_id": transaction.tenant, "id": payment_method_id}
    transaction.execute(
        """
        DELETE FROM tenancy.payment_methods m USING tenancy.customers c
         WHERE m.organization_id = :organization_id AND m.id = :id AND m.deleted_at IS NOT NULL
           AND c.organization_id = m.organization_id AND c.id = m.customer_id AND c.deleted_at IS NOT NULL
        """,
        **known,
    )
    transaction.execute(
        """
        UPDATE tenancy.payment_methods
           SET forget_at = NULL, token = 'forgotten ' || encode(sha256(convert_to(token, 'UTF8')), 'hex'),
               brand = NULL, last_four = NULL, expires_on = NULL
         WHERE organization_id = :organization_id AND id = :id AND deleted_at IS NOT NULL
        """,
        **known,
    )
