"""Puts gateways' responses into the form of their webhooks, so that both take the same path. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.gateways.port import (
    ANSWER_EVENT_TYPE,
    CaptureOutcome,
    GatewayEvent,
    Outcome,
    PaymentSnapshot,
    RefundOutcome,
    RefundSnapshot,
)
from holdfast.values.payment_events import EventType

_EVENT_OF_OUTCOME: Final[Mapping[Outcome, EventType]] = {
    Outcome.SUCCEEDED: EventType.CAPTURE_SUCCEEDED,
    Outcome.AUTHORIZED: EventType.AUTHORIZATION_SUCCEEDED,
    Outcome.REQUIRES_ACTION: EventType.ACTION_REQUIRED,
    Outcome.PROCESSING: EventType.PAYMENT_PROCESSING,
    Outcome.DECLINED: EventType.AUTHORIZATION_FAILED,
    Outcome.CANCELLED: EventType.CANCELLATION_SUCCEEDED,
}

_EVENT_OF_REFUND: Final[Mapping[RefundOutcome, EventType]] = {
    RefundOutcome.PENDING: EventType.REFUND_REQUESTED,
    RefundOutcome.SUCCEEDED: EventType.REFUND_SUCCEEDED,
    RefundOutcome.FAILED: EventType.REFUND_FAILED,
}


def event_from_snapshot(snapshot: PaymentSnapshot, payment_id: UUID, now: datetime) -> GatewayEvent:
    """Return a response in the form of a webhook event. Equal responses get equal event ids."""
    transaction, outcome, amount = snapshot.gateway_transaction_id, snapshot.outcome, snapshot.amount
    asked_minor = amount.amount_minor if amount else None
    held_minor = asked_minor if outcome in {Outcome.SUCCEEDED, Outcome.AUTHORIZED} else None
    pending = any(one.status is CaptureOutcome.PENDING for one in snapshot.captures)
    told = "".join(f":{one.gateway_capture_id}={one.status}" for one in snapshot.captures)
    return GatewayEvent(
        gateway_event_id=f"answer:{transaction}:{outcome}:{snapshot.captured_minor}:{snapshot.refunded_minor}{told}",
        gateway_event_type=ANSWER_EVENT_TYPE,
        event_type=_EVENT_OF_OUTCOME[outcome],
        occurred_at=now,
        gateway_transaction_id=None if snapshot.is_provisional else transaction,
        payment_id=payment_id,
        amount_minor=asked_minor,
        currency=amount.currency if amount else None,
        authorized_minor=held_minor,
        captured_minor=snapshot.captured_minor,
        captures=snapshot.captures,
        is_capture_final=outcome is Outcome.SUCCEEDED and snapshot.capturable_minor == 0 and not pending,
        refunded_minor=snapshot.refunded_minor,
        authorization_expires_at=snapshot.authorization_expires_at,
        failure_code=snapshot.failure_code,
        failure_message=snapshot.failure_message,
        saved_method=snapshot.saved_method,
        payload=_payload_of(snapshot),
    )


def event_from_refund_snapshot(
    snapshot: RefundSnapshot, *, transaction_id: str, payment_id: UUID, refund_id: UUID, now: datetime
) -> GatewayEvent:
    """Return a refund's response in the form of a webhook event.

    A response without an amount says no more than that the refund was requested.
    """
    amount = snapshot.amount
    return GatewayEvent(
        gateway_event_id=f"answer:{snapshot.gateway_refund_id}:{snapshot.status}",
        gateway_event_type=ANSWER_EVENT_TYPE,
        event_type=_EVENT_OF_REFUND[snapshot.status],
        occurred_at=now,
        gateway_transaction_id=transaction_id,
        payment_id=payment_id,
        amount_minor=amount.amount_minor if amount else None,
        currency=amount.currency if amount else None,
        gateway_refund_id=snapshot.gateway_refund_id if amount else None,
        refund_id=refund_id,
        failure_code=snapshot.failure_code,
        payload={"status": str(snapshot.status)},
    )


def _payload_of(snapshot: PaymentSnapshot) -> dict[str, Any]:
    """Return what is worth keeping of a response. The client action is left out because it contains a secret."""
    return {
        "outcome": str(snapshot.outcome),
        "capturable_minor": snapshot.capturable_minor,
        "method": snapshot.method,
        "brand": snapshot.brand,
        "last_four": snapshot.last_four,
    }
