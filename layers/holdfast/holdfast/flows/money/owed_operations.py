"""Operations that an order still needs at a gateway: claimed, tried, postponed or given up.

A row of ``orders.order_operations`` is committed with its decision. Whoever carries it out claims it first: the attempt
is counted and a lease keeps others away. Both are committed before the gateway is asked, so an operation that kills its
process runs out of attempts too. If the process dies the operation stays due, and the watchdog finds it. An attempt is
taken back if the gateway surely did nothing about it: the attempts that count are those that may have been executed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from holdfast.database.transaction import Transaction

ATTEMPTS_MAX: Final = 12
LEASE_SECONDS: Final = 60
RETRY_DELAY_MAX_SECONDS: Final = 3600
NOT_EXECUTED_MAX_DAYS: Final = 7
"""How old an operation may become that no gateway has begun before a person is called.

The cause is a missing connection or a wrong key.
"""


class Kind(StrEnum):
    """What is to be done at the gateway."""

    CAPTURE = "capture"
    REFUND = "refund"
    RETURN_MONEY = "return_money"


class End(StrEnum):
    """How an operation ended. A failed one is left to a person."""

    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Owed:
    """One operation, claimed by this process."""

    id: UUID
    order_id: UUID
    payment_id: UUID
    subject_id: UUID | None
    """What the operation is about, if not the payment as a whole: a refund or, for a capture, a shipment."""
    amount_minor: int | None
    """How much of the payment, or ``None`` for all of it."""
    is_final: bool
    """For a capture: whether it is the final one."""
    gateway_id: str | None
    """For a capture: the gateway's id for it, once the gateway has told it."""
    reason: str
    attempts: int
    """How many attempts may have been executed, this one included."""
    created_at: datetime

    @property
    def is_last_attempt(self) -> bool:
        """Whether no further attempt follows."""
        return self.attempts >= ATTEMPTS_MAX


def claim_due(transaction: Transaction, order_id: UUID, kinds: Sequence[Kind]) -> list[Owed]:
    """Claim the order's due operations of these kinds for the length of the lease.

    They are returned oldest first, with final captures at the end.
    """
    rows = transaction.rows(
        """
        UPDATE orders.order_operations
           SET attempts = attempts + 1, next_attempt_at = :lease_until
         WHERE organization_id = :organization_id AND order_id = :order_id AND state = 'running'
           AND operation = ANY (CAST(:kinds AS text[])) AND next_attempt_at <= :now
        RETURNING id, order_id, payment_id, subject_id, amount, is_final, gateway_id, reason, attempts,
                  created_at
        """,
        organization_id=transaction.tenant,
        order_id=order_id,
        kinds=[str(kind) for kind in kinds],
        now=transaction.now,
        lease_until=transaction.now + timedelta(seconds=LEASE_SECONDS),
    )
    return [
        Owed(
            id=row.id,
            order_id=row.order_id,
            payment_id=row.payment_id,
            subject_id=row.subject_id,
            amount_minor=row.amount,
            is_final=row.is_final,
            gateway_id=row.gateway_id,
            reason=row.reason,
            attempts=row.attempts,
            created_at=row.created_at,
        )
        for row in sorted(rows, key=lambda row: (row.is_final, row.id))
    ]


def finish(transaction: Transaction, owed: Owed, end: End, last_error: str | None = None) -> None:
    """End the operation. Does nothing if someone else ended it first."""
    transaction.execute(
        """
        UPDATE orders.order_operations SET state = :state, finished_at = :now, last_error = :last_error
         WHERE organization_id = :organization_id AND id = :id AND state = 'running'
        """,
        organization_id=transaction.tenant,
        id=owed.id,
        state=end,
        now=transaction.now,
        last_error=last_error,
    )


def try_later(transaction: Transaction, owed: Owed, why: str) -> None:
    """Retry after a minute, doubling with each attempt up to an hour."""
    delay_seconds = min(LEASE_SECONDS * 2 ** (owed.attempts - 1), RETRY_DELAY_MAX_SECONDS)
    transaction.execute(
        """
        UPDATE orders.order_operations SET next_attempt_at = :retry_at, last_error = :why
         WHERE organization_id = :organization_id AND id = :id AND state = 'running'
        """,
        organization_id=transaction.tenant,
        id=owed.id,
        retry_at=transaction.now + timedelta(seconds=delay_seconds),
        why=why,
    )


def take_back_attempt(transaction: Transaction, owed: Owed, why: str | None = None) -> None:
    """Take back an attempt about which the gateway surely did nothing.

    With ``why`` this was a failure. The operation is retried once as much time has passed as since it was created, but
    after no less than a minute and no more than an hour. Without ``why`` the gateway was not asked at all, and the
    operation is due at once.
    """
    age_seconds = (transaction.now - owed.created_at).total_seconds()
    delay_seconds = 0.0 if why is None else min(max(age_seconds, LEASE_SECONDS), RETRY_DELAY_MAX_SECONDS)
    transaction.execute(
        """
        UPDATE orders.order_operations
           SET attempts = GREATEST(attempts - 1, 0), next_attempt_at = :retry_at,
               last_error = COALESCE(:why, last_error)
         WHERE organization_id = :organization_id AND id = :id AND state = 'running'
        """,
        organization_id=transaction.tenant,
        id=owed.id,
        retry_at=transaction.now + timedelta(seconds=delay_seconds),
        why=why,
    )


def may_be_executed(transaction: Transaction, order_id: UUID, payment_id: UUID, *, but_attempts: int = 0) -> bool:
    """Return whether a gateway may have executed any attempt to give back money of the payment.

    ``but_attempts`` is how many attempts to leave out: the caller's own, which have only begun. The caller holds the
    order's lock.
    """
    attempts = transaction.value(
        """
        SELECT COALESCE(sum(attempts), 0) FROM orders.order_operations
         WHERE organization_id = :organization_id AND order_id = :order_id AND payment_id = :payment_id
           AND operation IN ('refund', 'return_money')
        """,
        organization_id=transaction.tenant,
        order_id=order_id,
        payment_id=payment_id,
    )
    return int(attempts) > but_attempts


def wait(transaction: Transaction, owed: Owed, look_seconds: int) -> None:
    """Leave the operation to the gateway and look again later. Waiting is no failure: the attempts start anew."""
    transaction.execute(
        """
        UPDATE orders.order_operations SET attempts = 0, next_attempt_at = :look_at, last_error = NULL
         WHERE organization_id = :organization_id AND id = :id AND state = 'running'
        """,
        organization_id=transaction.tenant,
        id=owed.id,
        look_at=transaction.now + timedelta(seconds=look_seconds),
    )


def reason_of(error: Exception) -> str:
    """Return the text by which a failure is noted with its operation."""
    return f"{type(error).__name__}: {error}"
