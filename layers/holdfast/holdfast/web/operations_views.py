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


class GatewayCalls(BaseModel):
    """Calls to a gateway in the window, over all accounts there. ``error_rate`` is the share without an answer."""

    count: int
    unanswered: int
    refused: int
    error_rate: float | None
    p50_ms: int | None
    p95_ms: int | None
    last_at: datetime | None


class GatewayAccountHealth(BaseModel):
    """One account at a gateway: its calls, its webhooks, and what waits to be processed or decided."""

    id: UUID
    gateway: Literal["stripe", "paypal", "square", "adyen"]
    endpoint_key: str
    mode: Literal["test", "live"]
    status: Literal["active", "disabled"]
    merchant_account: str | None
    calls: GatewayCalls
    last_webhook_at: datetime | None
    unprocessed_events: int
    oldest_unprocessed_at: datetime | None
    undecided_payments: int
    oldest_undecided_at: datetime | None


class GatewayHealth(BaseModel):
    """The organization's accounts at payment gateways, by gateway."""

    gateways: list[GatewayAccountHealth]
    window_seconds: int


ANSWERS: tuple[type[BaseModel], ...] = (GatewayHealth, OrderTimeline, ProcessFailureAnswer, ProcessFailurePage)
"""The models that routes name."""
