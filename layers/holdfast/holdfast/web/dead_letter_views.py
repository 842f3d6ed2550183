"""The operations API's responses about dead letters and error classes, as models; see ``holdfast.web.views``."""

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from holdfast.orders.lifecycle import OrderStatus
from holdfast.payments.dead_letters import DeadLetterAction, DeadLetterPriority, DeadLetterStatus
from holdfast.payments.group_replays import GroupReplayState
from holdfast.payments.model import EventState, PaymentStatus
from holdfast.values.payment_events import EventType


class DeadLetterSummary(BaseModel):
    """A payment event that every attempt failed, as it stands in the queue. ``version`` goes with every change."""

    id: UUID
    event_id: UUID
    payment_id: UUID | None
    gateway: str
    event_type: EventType
    failure_reason: str
    failure_code: str | None
    fingerprint: str
    error_class_id: UUID | None
    class_name: str | None
    attempts: int
    status: DeadLetterStatus
    priority: DeadLetterPriority
    assigned_to: str | None
    replay_at: datetime | None
    replays: int
    last_replayed_at: datetime | None
    was_auto_replayed: bool
    alerted_at: datetime | None
    resolved_at: datetime | None
    resolution_notes: str | None
    version: int
    created_at: datetime
    updated_at: datetime | None


class DeadLetterPage(BaseModel):
    """Dead letters in the order of the queue. ``next_after`` is the next page's ``after``; ``null`` on the last."""

    dead_letters: list[DeadLetterSummary]
    next_after: UUID | None


class BuriedEvent(BaseModel):
    """What is known of the event itself, and of its processing."""

    gateway_event_id: str
    gateway_event_type: str
    gateway_transaction_id: str | None
    occurred_at: datetime
    received_at: datetime
    correlation_id: str | None
    state: EventState
    attempts: int
    next_attempt_at: datetime
    last_error: str | None
    processed_at: datetime | None


class BuriedPayment(BaseModel):
    """The payment that the event is about."""

    id: UUID
    attempt: int
    status: PaymentStatus
    amount_minor: int
    captured_minor: int
    refunded_minor: int
    currency: str


class BuriedOrder(BaseModel):
    """The order that the payment is for."""

    id: UUID
    order_number: str
    status: OrderStatus


class DeadLetterStep(BaseModel):
    """One step of its history."""

    sequence: int
    action: DeadLetterAction
    from_status: DeadLetterStatus | None = Field(alias="from")
    to_status: DeadLetterStatus = Field(alias="to")
    changed_by: str
    notes: str | None
    at: datetime


class DeadLetter(DeadLetterSummary):
    """With what the gateway sent (``payload``), and everything that is known around it."""

    payload: dict[str, Any]
    event: BuriedEvent
    payment: BuriedPayment | None
    order: BuriedOrder | None
    history: list[DeadLetterStep]


class DeadLetterAnswer(BaseModel):
    """One dead letter."""

    dead_letter: DeadLetter


class ReplayOutcome(BaseModel):
    """Where the replay left the dead letter; ``failure_reason`` says why it is not ``replayed``."""

    status: DeadLetterStatus
    failure_reason: str | None


class ReplayAnswer(BaseModel):
    """How a replay went, and the dead letter after it."""

    result: ReplayOutcome
    dead_letter: DeadLetter


class OneOfSeveral(BaseModel):
    """What became of one: its status after the replay, refused (with the problem's code), or not tried for now."""

    id: UUID
    status: DeadLetterStatus | Literal["refused", "not_tried"]
    code: str | None
    detail: str | None


class ReplaySeveralAnswer(BaseModel):
    """A result for each, in the order asked for."""

    results: list[OneOfSeveral]


class DeadLetterGroup(BaseModel):
    """Open dead letters of one trouble. The sample is the latest."""

    fingerprint: str
    event_type: EventType
    priority: DeadLetterPriority
    gateway: str
    open: int
    by_status: dict[str, int]
    first_seen_at: datetime
    last_seen_at: datetime
    sample_code: str | None
    sample_reason: str
    error_class_id: UUID | None
    running_group_replay_id: UUID | None


class DeadLetterGroups(BaseModel):
    """Troubles that are open, the most urgent and most frequent first."""

    groups: list[DeadLetterGroup]


class GroupReplay(BaseModel):
    """How far the replay of a group came: ``skipped`` were in other hands, ``relapsed_id`` failed and ended it."""

    id: UUID
    fingerprint: str
    per_minute: int
    max_replays: int
    replayed: int
    skipped: int
    remaining: int
    state: GroupReplayState
    relapsed_id: UUID | None
    last_error: str | None
    requested_by: str
    next_at: datetime | None
    created_at: datetime
    finished_at: datetime | None


class GroupReplayAnswer(BaseModel):
    """One group replay."""

    group_replay: GroupReplay


class DeadLetterDay(BaseModel):
    """One day (UTC). What is open is as it stood when the day was last counted."""

    day: date
    counts_by_status: dict[str, int]
    created: int
    replayed: int
    auto_replayed: int
    discarded: int
    average_resolution_hours: float | None
    critical_open: int
    counted_at: datetime


class DeadLetterDays(BaseModel):
    """Days that were counted, oldest first."""

    days: list[DeadLetterDay]


class ErrorClass(BaseModel):
    """What people know of a kind of failure. ``auto_replay_lacks`` says what keeps it from replaying by itself."""

    id: UUID
    class_name: str
    description: str | None
    match_order: int
    active: bool
    event_type: EventType | None
    gateway_pattern: str | None
    failure_code_pattern: str | None
    message_keywords: list[str]
    auto_replay_enabled: bool
    auto_replay_delay_seconds: int
    min_confidence: float
    successful_replays: int
    failed_replays: int
    confidence: float | None
    cooldown_until: datetime | None
    last_seen_at: datetime | None
    created_by: str
    version: int
    created_at: datetime
    updated_at: datetime | None
    auto_replay_lacks: list[str]


class ErrorClassAnswer(BaseModel):
    """One class."""

    error_class: ErrorClass


class SavedErrorClass(BaseModel):
    """The class as it was saved, and how many waiting dead letters moved with it."""

    error_class: ErrorClass
    reclassified: int


class ErrorClassList(BaseModel):
    """Classes in the order in which they are tried."""

    error_classes: list[ErrorClass]


class OrderedErrorClasses(ErrorClassList):
    """The same in their new order, and how many waiting dead letters moved with it."""

    reclassified: int


class TriedDeadLetter(BaseModel):
    """A waiting dead letter that would be of the class; ``error_class_id`` is what it is of now."""

    id: UUID
    event_type: EventType
    gateway: str
    failure_code: str | None
    failure_reason: str
    status: DeadLetterStatus
    priority: DeadLetterPriority
    error_class_id: UUID | None


class ErrorClassTrial(BaseModel):
    """Of those that wait (``looked_at``): how many would be of the class, how many would move at all, and a few."""

    looked_at: int
    matching: int
    moving: int
    sample: list[TriedDeadLetter]


ANSWERS: tuple[type[BaseModel], ...] = (
    DeadLetterAnswer,
    DeadLetterDays,
    DeadLetterGroups,
    DeadLetterPage,
    ErrorClassAnswer,
    ErrorClassList,
    ErrorClassTrial,
    GroupReplayAnswer,
    OrderedErrorClasses,
    ReplayAnswer,
    ReplaySeveralAnswer,
    SavedErrorClass,
)
"""The models that routes refer to by name."""
