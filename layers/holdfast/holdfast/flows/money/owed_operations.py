"""What an order owes or is owed at a gateway and was decided in a transaction: claimed, tried, postponed, given up.

A row of ``orders.order_operations`` is committed with its decision. Whoever carries it out claims it first: the attempt
is counted and a lease keeps others away, both committed before the gateway is asked, so that an operation that kills
its process runs out of attempts too. Who dies leaves it due; the watchdog finds it. An attempt of which the gateway
surely did nothing is taken back: those that count are the ones that may have been executed.
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
"""How old an operation may be that no gateway has begun, for want of a connection or of a good key, before a person is
called."""


class Kind(StrEnum):
    """What is owed."""

    CAPTURE = "capture"
    REFUND = "refund"
    RETURN_MONEY = "return_money"


class End(StrEnum):
    """How it ended. What failed is with a person."""

    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Owed:
    """One operation, claimed by us."""

    id: UUID
    order_id: UUID
    payment_id: UUID
    subject_id: UUID | None
    """What it is about, if not the payment as a whole: a refund; a shipment, for a capture."""
    amount_minor: int | None
    """How much of the payment, if not all."""
    is_final: bool
    """Of a capture: whether it is the last."""
    gateway_id: str | None
    """Of a capture: what the gateway calls it, once it said so."""
    reason: str
    attempts: int
    """Those that may have been executed, this one included."""
    created_at: datetime

    @property
    def is_last_attempt(self) -> bool:
        """Whether it is not tried again."""
        return self.attempts >= ATTEMPTS_MAX


def claim_due(transaction: Transaction, order_id: UUID, kinds: Sequence[Kind]) -> list[Owed]:
    """The order's operations of these kinds that are due, ours for as long as the lease lasts; oldest first, and the
    last captures last."""
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
    """It is over. Says nothing where somebody else ended it first."""
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
    """Again after a minute, doubling to an hour."""
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
    """The gateway surely did nothing of it, which is no attempt. With ``why`` that is a failure, and it is tried again
    when as much time has gone by once more, from a minute to an hour; else it was not asked for at all, and is due."""
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
    """Whether a gateway may have executed any attempt to give money of the payment back, beside so many that are the
    caller's and are only begun. The caller holds the order's lock."""
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
    """The rest is the gateway's. Waiting is no failure: the attempts begin anew."""
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
    """A failure as it is noted with its operation."""
    return f"{type(error).__name__}: {error}"
