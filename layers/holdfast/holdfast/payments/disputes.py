"""What is known of the disputes over a payment: facts that only grow, like those of the payment itself.

The latest statement about a dispute, by the gateway's dates, is its present state; of two at the same instant the later
stage stands. An older statement changes nothing, so a closing that arrives before its opening stays. A dispute may be
opened again (an appeal), and that too is a later statement.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from holdfast.values.payment_events import DisputeOutcome, EventType


class DisputeStatus(StrEnum):
    """Where a dispute is."""

    OPENED = "opened"
    UNDER_REVIEW = "under_review"
    CLOSED = "closed"


_STATUS: Final[Mapping[EventType, DisputeStatus]] = {
    EventType.DISPUTE_OPENED: DisputeStatus.OPENED,
    EventType.DISPUTE_UPDATED: DisputeStatus.UNDER_REVIEW,
    EventType.DISPUTE_CLOSED: DisputeStatus.CLOSED,
}
DISPUTE_NEWS: Final = frozenset(_STATUS)
_RANK: Final[Mapping[DisputeStatus, int]] = {status: rank for rank, status in enumerate(DisputeStatus)}


@dataclass(frozen=True, slots=True, order=True)
class DisputeWord:
    """One statement about a dispute; the greatest is the latest."""

    occurred_at: datetime
    rank: int
    outcome: str
    lost_minor: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class DisputeFact:
    """One dispute, under the gateway's id. ``reason`` is the latest that was given, with its date."""

    gateway_dispute_id: str
    latest: DisputeWord
    reason: tuple[datetime, str] | None = None
    due_at: datetime | None = None

    @property
    def status(self) -> DisputeStatus:
        """The status according to the latest statement."""
        return tuple(DisputeStatus)[self.latest.rank]

    @property
    def is_open(self) -> bool:
        """Whether it is undecided."""
        return self.status is not DisputeStatus.CLOSED

    @property
    def outcome(self) -> DisputeOutcome | None:
        """How it ended, if it has ended and the gateway tells."""
        return DisputeOutcome(self.latest.outcome) if self.latest.outcome else None

    @property
    def lost_minor(self) -> int:
        """What the gateway took back for good by this dispute, in minor units."""
        return 0 if self.is_open else self.latest.lost_minor


def told(
    event_type: EventType,
    gateway_dispute_id: str,
    occurred_at: datetime,
    *,
    amount_minor: int,
    outcome: DisputeOutcome | None,
    lost_minor: int,
    reason: str | None,
    due_at: datetime | None,
) -> DisputeFact:
    """Return the fact that one event of a dispute states by itself."""
    rank = _RANK[_STATUS[event_type]]
    word = DisputeWord(occurred_at, rank, outcome or "", lost_minor, amount_minor)
    return DisputeFact(gateway_dispute_id, word, (occurred_at, reason) if reason else None, due_at)


def merge(one: Iterable[DisputeFact], other: Iterable[DisputeFact]) -> tuple[DisputeFact, ...]:
    """Return the dispute facts of both, one for each id, sorted by id."""
    merged: dict[str, DisputeFact] = {}
    for fact in (*one, *other):
        known = merged.get(fact.gateway_dispute_id, fact)
        merged[fact.gateway_dispute_id] = DisputeFact(
            fact.gateway_dispute_id,
            max(known.latest, fact.latest),
            max(filter(None, (known.reason, fact.reason)), default=None),
            max(filter(None, (known.due_at, fact.due_at)), default=None),
        )
    return tuple(merged[gateway_dispute_id] for gateway_dispute_id in sorted(merged))


def meant_by(
    known: Iterable[DisputeFact], occurred_at: datetime, gateway_transaction_id: str | None
) -> DisputeFact | None:
    """Return the dispute meant by a statement that names the payment in the dispute's place.

    Adyen sends such statements unless an account asks for both. A dispute known by the time of the statement is
    preferred to a later one, an undecided one to one that is over, and then the latest. The gateway does not tell which
    of several is meant. ``None`` if no dispute is known, or none yet.
    """
    named = [dispute for dispute in known if dispute.gateway_dispute_id != gateway_transaction_id]
    return max(named, key=lambda one: (one.latest.occurred_at <= occurred_at, one.is_open, one.latest), default=None)


def to_json(fact: DisputeFact) -> dict[str, Any]:
    """Return the fact as JSON values, with instants in ISO 8601."""
    return {
        "gateway_dispute_id": fact.gateway_dispute_id,
        "occurred_at": fact.latest.occurred_at.isoformat(),
        "status": fact.status.value,
        "outcome": fact.latest.outcome,
        "lost_minor": fact.latest.lost_minor,
        "amount_minor": fact.latest.amount_minor,
        "reason": fact.reason and [fact.reason[0].isoformat(), fact.reason[1]],
        "due_at": fact.due_at and fact.due_at.isoformat(),
    }


def from_json(document: Mapping[str, Any]) -> DisputeFact:
    """Return the fact that ``to_json`` wrote."""
    reason, due_at = document["reason"], document["due_at"]
    return DisputeFact(
        document["gateway_dispute_id"],
        DisputeWord(
            datetime.fromisoformat(document["occurred_at"]),
            _RANK[DisputeStatus(document["status"])],
            document["outcome"],
            document["lost_minor"],
            document["amount_minor"],
        ),
        reason and (datetime.fromisoformat(reason[0]), reason[1]),
        due_at and datetime.fromisoformat(due_at),
    )
