"""Idempotency keys: one key, one effect, one answer.

A repeated request is recognized; it waits for the first one, gets its answer, or resumes it if it died. A claim commits
together with the change that it is for, ``in_progress`` and with a lease; the answer is stored once it is known. A
refusal rolls its claim back with everything else, so that a later try is judged anew.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.values.errors import IdempotencyKeyReused, RequestInProgress

KEY_LIFETIME_SECONDS: Final = 24 * 3600
LEASE_SECONDS: Final = 30
"""Longer than a function runs, so a claim that is still in progress after its lease belongs to a process that died."""
WAIT_MAX_SECONDS: Final = 2.0
"""How long a repeated request waits for the first one's answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The response, byte for byte the same at every repetition. ``status`` is for the web layer to interpret."""

    status: int
    body: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A caller's idempotency key for one operation, and the fingerprint of the request it was used for."""

    caller: str
    operation: str
    key: str
    fingerprint: str

    def document(self, now: datetime) -> dict[str, str]:
        """Return the claim as ``orders.claim_key`` takes it."""
        return {
            "caller": self.caller,
            "operation": self.operation,
            "key": self.key,
            "fingerprint": self.fingerprint,
            "lease_until": (now + timedelta(seconds=LEASE_SECONDS)).isoformat(),
            "expires_at": (now + timedelta(seconds=KEY_LIFETIME_SECONDS)).isoformat(),
        }


def fingerprint_of(request: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the request as canonical JSON, so that spacing and the order of keys make no difference."""
    canonical = json.dumps(request, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Resume:
    """The first request died between its claim and its answer. Its order exists and has to be finished."""

    order_id: UUID


@dataclass(frozen=True, slots=True)
class InUse:
    """The first request is running at this moment."""


Earlier = Answer | Resume | InUse
"""What an earlier use of a key means for a request that repeats it."""


def claim_key(transaction: Transaction, claim: Claim, order_id: UUID | None = None) -> Earlier | None:
    """Claim the key for what this transaction does, about this order.

    Return ``None`` if the key was free and is now claimed, or else what its earlier use means. Raises
    IdempotencyKeyReused if the earlier request was a different one.
    """
    earlier = transaction.value(
        "SELECT orders.claim_key(:organization_id, CAST(:claim AS jsonb), :order_id, :now)",
        organization_id=transaction.tenant,
        claim=claim.document(transaction.now),
        order_id=order_id,
        now=transaction.now,
    )
    if earlier is None:
        return None
    return InUse() if earlier["outcome"] == "busy" else read_earlier(earlier, claim, transaction.now)


def read_earlier(earlier: Mapping[str, Any], claim: Claim, now: datetime) -> Earlier:
    """Return what the row of an earlier use of the key means.

    Raises IdempotencyKeyReused if the earlier request was a different one.
    """
    if earlier["fingerprint"] != claim.fingerprint:
        raise IdempotencyKeyReused("this Idempotency-Key was used before with another request")
    if earlier["state"] == "done":
        return Answer(int(earlier["status"]), str(earlier["body"]))
    if datetime.fromisoformat(earlier["lease_until"]) <= now and earlier["order_id"] is not None:
        return Resume(UUID(earlier["order_id"]))
    return InUse()


class Patience:
    """Waits for the first request, up to ``WAIT_MAX_SECONDS`` in all, with growing pauses between looks."""

    def __init__(self, pause: Callable[[float], None]) -> None:
        self._pause = pause
        self._waited_seconds = 0.0
        self._next_seconds = 0.02

    def wait(self) -> None:
        """Pause before looking again. Raises RequestInProgress when the waiting time is used up."""
        if self._waited_seconds + self._next_seconds > WAIT_MAX_SECONDS:
            raise RequestInProgress(
                "the first request with this Idempotency-Key is still running", retry_after_seconds=2
            )
        self._pause(self._next_seconds)
        self._waited_seconds += self._next_seconds
        self._next_seconds = min(self._next_seconds * 2, 0.3)


def take_over(transaction: Transaction, claim: Claim, now: datetime) -> bool:
    """Renew the lease of a claim whose holder died. Return ``False`` if another request was faster."""
    taken = transaction.execute(
        """
        UPDATE orders.idempotency_keys SET lease_until = :lease_until
         WHERE organization_id = :organization_id AND caller = :caller AND operation = :operation AND key = :key
           AND state = 'in_progress' AND lease_until <= :now
        """,
        organization_id=transaction.tenant,
        caller=claim.caller,
        operation=claim.operation,
        key=claim.key,
        lease_until=now + timedelta(seconds=LEASE_SECONDS),
        now=now,
    )
    return taken == 1


_STORE_ANSWER: Final = "SELECT orders.store_answer(:organization_id, :caller, :operation, :key, :status, :body)"


def store_answer_and_commit(transaction: Transaction, claim: Claim, answer: Answer) -> None:
    """Store the answer. COMMIT is sent in the same round trip, so that outcome and answer take effect together."""
    transaction.execute_and_commit(
        _STORE_ANSWER,
        organization_id=transaction.tenant,
        caller=claim.caller,
        operation=claim.operation,
        key=claim.key,
        status=answer.status,
        body=answer.body,
    )
