"""The terms of dead letters: payment events whose every attempt failed, and what may become of them."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from holdfast.values.payment_events import EventType


class DeadLetterStatus(StrEnum):
    """Where a dead letter is on its way to an end."""

    PENDING_CLASSIFICATION = "pending_classification"
    """No error class matches it: a person has to find out what it is."""
    PENDING_REVIEW = "pending_review"
    INVESTIGATING = "investigating"
    AUTO_REPLAY_SCHEDULED = "auto_replay_scheduled"
    """Its class has earned automatic replay."""
    READY_FOR_REPLAY = "ready_for_replay"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


class DeadLetterPriority(StrEnum):
    """How soon somebody should look, from what the event is about."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class DeadLetterAction(StrEnum):
    """What a row of a dead letter's history tells."""

    DEAD_LETTERED = "dead_lettered"
    CLASSIFIED = "classified"
    ASSIGNED = "assigned"
    INVESTIGATED = "investigated"
    MADE_READY = "made_ready"
    AUTO_REPLAY_SCHEDULED = "auto_replay_scheduled"
    REPLAY_BEGAN = "replay_began"
    REPLAY_FAILED = "replay_failed"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


_S = DeadLetterStatus

TRANSITIONS: Final[Mapping[DeadLetterStatus, frozenset[DeadLetterStatus]]] = MappingProxyType(
    {
        _S.PENDING_CLASSIFICATION: frozenset(
            {_S.PENDING_REVIEW, _S.AUTO_REPLAY_SCHEDULED, _S.INVESTIGATING, _S.READY_FOR_REPLAY, _S.DISCARDED}
        ),
        _S.PENDING_REVIEW: frozenset(
            {
                _S.PENDING_CLASSIFICATION,
                _S.AUTO_REPLAY_SCHEDULED,
                _S.INVESTIGATING,
                _S.READY_FOR_REPLAY,
                _S.REPLAYED,
                _S.DISCARDED,
            }
        ),
        _S.AUTO_REPLAY_SCHEDULED: frozenset(
            {_S.PENDING_CLASSIFICATION, _S.PENDING_REVIEW, _S.INVESTIGATING, _S.REPLAYED, _S.DISCARDED}
        ),
        _S.INVESTIGATING: frozenset({_S.PENDING_REVIEW, _S.READY_FOR_REPLAY, _S.DISCARDED}),
        _S.READY_FOR_REPLAY: frozenset(
            {_S.PENDING_CLASSIFICATION, _S.PENDING_REVIEW, _S.INVESTIGATING, _S.REPLAYED, _S.DISCARDED}
        ),
        _S.REPLAYED: frozenset(),
        _S.DISCARDED: frozenset(),
    }
)
"""The statuses that may follow each status. Nothing follows a final one."""

RESOLVED: Final = frozenset({_S.REPLAYED, _S.DISCARDED})
WAITING: Final = frozenset({_S.PENDING_CLASSIFICATION, _S.PENDING_REVIEW, _S.AUTO_REPLAY_SCHEDULED})
"""Nobody has begun to work on it, so it is reclassified when the classes change."""
FOR_A_PERSON: Final = frozenset({_S.PENDING_CLASSIFICATION, _S.PENDING_REVIEW})
REPLAYABLE_BY_HAND: Final = frozenset({_S.READY_FOR_REPLAY, _S.PENDING_REVIEW})
REPLAYABLE_BY_ITSELF: Final = frozenset({_S.AUTO_REPLAY_SCHEDULED})

ALERTING: Final = frozenset({DeadLetterPriority.HIGH, DeadLetterPriority.CRITICAL})

_PRIORITIES: Final[Mapping[EventType, DeadLetterPriority]] = MappingProxyType(
    {
        EventType.CAPTURE_SUCCEEDED: DeadLetterPriority.CRITICAL,
        EventType.REFUND_SUCCEEDED: DeadLetterPriority.CRITICAL,
        EventType.AUTHORIZATION_SUCCEEDED: DeadLetterPriority.HIGH,
        EventType.DISPUTE_OPENED: DeadLetterPriority.HIGH,
        EventType.CAPTURE_FAILED: DeadLetterPriority.MEDIUM,
        EventType.REFUND_FAILED: DeadLetterPriority.MEDIUM,
        EventType.CAPTURE_REQUESTED: DeadLetterPriority.MEDIUM,
    }
)


def priority_of(event_type: EventType) -> DeadLetterPriority:
    """Return the priority of an event: money that moved and is not on the record comes first."""
    return _PRIORITIES.get(event_type, DeadLetterPriority.LOW)


def fingerprint_of(event_type: str, failure_code: str | None, exception: str, frame: str | None) -> str:
    """Return what equal failures have in common, as a short stable string.

    ``frame`` is the first frame of ours, as module:function; a line number would change with every release.
    """
    parts = "\n".join((event_type, failure_code or "", exception, frame or ""))
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def is_alert_due(priority: DeadLetterPriority, status: DeadLetterStatus, alerted_at: datetime | None) -> bool:
    """Return whether somebody must be alerted: once, about what is urgent and waits for a person."""
    return alerted_at is None and priority in ALERTING and status in FOR_A_PERSON


def status_of(
    *, classified: bool, replays_by_itself: bool, replays: int, is_assigned: bool = False
) -> DeadLetterStatus:
    """Return the status in which a waiting dead letter belongs.

    One that failed a replay or is assigned to somebody is left to a person, whatever its class has earned.
    """
    if not classified:
        return DeadLetterStatus.PENDING_CLASSIFICATION
    if replays_by_itself and replays == 0 and not is_assigned:
        return DeadLetterStatus.AUTO_REPLAY_SCHEDULED
    return DeadLetterStatus.PENDING_REVIEW
