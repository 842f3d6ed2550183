"""The operations API's responses about money: gateways, disputes, books, operations that are owed; see
``holdfast.web.views``."""

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel


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
    """One account at a gateway: its calls, its webhooks, and what waits to be processed, decided or tried again."""

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
    failing_operations: int
    oldest_failing_at: datetime | None


class GatewayHealth(BaseModel):
    """The organization's accounts at payment gateways, by gateway."""

    gateways: list[GatewayAccountHealth]
    window_seconds: int


class Dispute(BaseModel):
    """A dispute over a payment. ``lost_minor`` is what the gateway took back by it."""

    id: UUID
    order_id: UUID
    order_number: str
    payment_id: UUID
    gateway: str
    gateway_dispute_id: str
    status: Literal["opened", "under_review", "closed"]
    outcome: Literal["won", "lost", "withdrawn"] | None
    reason: str | None
    amount_minor: int
    lost_minor: int
    currency: str
    due_at: datetime | None
    closed_at: datetime | None
    created_at: datetime


class DisputePage(BaseModel):
    """Disputes, newest first. ``next_before`` is the next page's ``before``; ``null`` on the last page."""

    disputes: list[Dispute]
    next_before: UUID | None


class MoneyTotals(BaseModel):
    """A day in one currency. ``asked_*`` is what is known here of the payments that gateways were asked about,
    ``gateway_*`` what those said; ``differences`` and ``at_risk_minor`` are of those first seen that day."""

    currency: str
    orders: int
    orders_total_minor: int
    captured_minor: int
    refunded_minor: int
    charged_back_minor: int
    asked: int
    asked_captured_minor: int
    asked_refunded_minor: int
    gateway_captured_minor: int
    gateway_refunded_minor: int
    differences: int
    at_risk_minor: int


class MoneyDifference(BaseModel):
    """Where orders, payments and gateways disagree; ``subject_id``: the order, payment, refund or event it is about."""

    id: UUID
    day: date
    kind: Literal[
        "captured_without_live_order",
        "confirmed_without_money",
        "captured_differs",
        "refunded_differs",
        "status_differs",
        "gateway_unknown",
        "unmatched_event",
        "authorization_expiring",
        "undecided_too_long",
        "refund_undecided",
    ]
    order_id: UUID | None
    payment_id: UUID | None
    subject_id: UUID
    ours_minor: int
    gateways_minor: int | None
    at_risk_minor: int
    currency: str
    status: Literal["open", "resolved"]
    details: str
    resolution: str | None
    first_seen_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None


class MoneyReport(BaseModel):
    """The books of a day. ``differences`` are those first seen that day and those still open from before."""

    day: date
    is_finished: bool
    totals: list[MoneyTotals]
    differences: list[MoneyDifference]
    is_complete: bool


class RefoldDifference(BaseModel):
    """A field of a payment that is not what its events say."""

    payment_id: UUID
    field: str
    stored: Any
    refolded: Any


class RefoldPage(BaseModel):
    """What a refold found. ``next_after`` is the next page's ``after``; ``null`` on the last page."""

    checked: int
    differences: list[RefoldDifference]
    next_after: UUID | None


class OwedOperation(BaseModel):
    """Money that is to be returned, and how far that is. ``subject_id`` is the refund, if it is about one;
    ``attempts`` are those that its gateway may have executed."""

    id: UUID
    order_id: UUID
    payment_id: UUID
    operation: Literal["refund", "return_money"]
    subject_id: UUID | None
    amount_minor: int | None
    reason: str | None
    state: Literal["running", "done", "failed"]
    attempts: int
    last_error: str | None
    next_attempt_at: datetime
    created_at: datetime
    finished_at: datetime | None


class OwedOperationAnswer(BaseModel):
    """One operation."""

    operation: OwedOperation


ANSWERS: tuple[type[BaseModel], ...] = (
    DisputePage,
    GatewayHealth,
    MoneyReport,
    OwedOperationAnswer,
    RefoldPage,
)
"""The models that routes refer to by name."""
