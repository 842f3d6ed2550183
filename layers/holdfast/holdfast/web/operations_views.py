"""What the operations API answers with, as models; see ``holdfast.web.views``."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel


class ProcessFailure(BaseModel):
    """Something that waits for a person, or did. ``related_id`` is the order, payment or event it is about."""

    id: UUID
    process_name: str
    related_id: UUID | None
    details: str
    payload: dict[str, Any]
    status: Literal["open", "resolved"]
    assigned_to: str | None
    resolved_by: str | None
    resolved_at: datetime | None
    resolution_notes: str | None
    created_at: datetime
    updated_at: datetime | None
    version: int


class ProcessFailureAnswer(BaseModel):
    """One process failure."""

    process_failure: ProcessFailure


class ProcessFailurePage(BaseModel):
    """Process failures, newest first. ``next_before`` is the next page's ``before``; ``null`` on the last page."""

    process_failures: list[ProcessFailure]
    next_before: UUID | None


class TimelineEntry(BaseModel):
    """One thing that happened to an order. ``sequence`` numbers what is numbered: steps, messages, movements."""

    at: datetime
    kind: Literal[
        "payment",
        "payment_event",
        "api_call",
        "status",
        "stock_movement",
        "refund",
        "dispute",
        "operation",
        "message",
        "dead_letter",
        "process_failure",
    ]
    sequence: int | None
    id: str
    what: str
    data: dict[str, Any]


class OrderTimeline(BaseModel):
    """Everything known of an order, in order of time. ``is_complete`` is false when there is more than is shown."""

    order_id: UUID
    order_number: str
    entries: list[TimelineEntry]
    is_complete: bool


ANSWERS: tuple[type[BaseModel], ...] = (OrderTimeline, ProcessFailureAnswer, ProcessFailurePage)
"""The models that routes name."""
