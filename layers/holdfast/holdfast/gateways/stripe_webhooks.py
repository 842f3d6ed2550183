"""Stripe's webhooks: verifies the sender over the raw bytes, then returns one event in the domain's terms.

Source: https://docs.stripe.com/webhooks/signature and https://docs.stripe.com/api/events/types.
"""

import hmac
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from holdfast.gateways.fields import UNREADABLE, text
from holdfast.gateways.port import GatewayCredentials, GatewayEvent, RefundOutcome
from holdfast.gateways.stripe_objects import (
    REFUND_OUTCOME_OF_STATUS,
    capture_before,
    failure_code_of,
    instant,
    money_of,
    saved_method_of,
    uuid_in,
)
from holdfast.gateways.unread import read_or_keep
from holdfast.values.errors import InvalidInput, SignatureInvalid
from holdfast.values.payment_events import DisputeOutcome, EventType

SIGNATURE_HEADER: Final = "stripe-signature"
TOLERANCE_SECONDS: Final = 300
"""How far a signature's time may differ from ours, into the past or the future."""
_TIMESTAMP_MAX_DIGITS: Final = 12

# Codes of last_payment_error that are about the capture of an authorization that had succeeded.
_CAPTURE_FAILURES: Final = frozenset(
    ("capture_charge_authorization_expired", "capture_unauthorized_payment", "charge_expired_for_capture")
)
# Cancellation reasons of an authorization whose window closed; before version 2025-03-31 the reason was "automatic".
_EXPIRED: Final = frozenset(("expired", "automatic"))
_REFUND_EVENTS: Final[Mapping[RefundOutcome, EventType]] = {
    RefundOutcome.PENDING: EventType.REFUND_REQUESTED,
    RefundOutcome.SUCCEEDED: EventType.REFUND_SUCCEEDED,
    RefundOutcome.FAILED: EventType.REFUND_FAILED,
}
_DISPUTE_OUTCOMES: Final[Mapping[str, DisputeOutcome]] = {
    "won": DisputeOutcome.WON,
    "lost": DisputeOutcome.LOST,
    "warning_closed": DisputeOutcome.WITHDRAWN,
    "prevented": DisputeOutcome.WITHDRAWN,
}
_DISPUTE_STATUSES: Final[Mapping[str, EventType]] = {
    "warning_needs_response": EventType.DISPUTE_OPENED,
    "needs_response": EventType.DISPUTE_OPENED,
    "warning_under_review": EventType.DISPUTE_UPDATED,
    "under_review": EventType.DISPUTE_UPDATED,
    **dict.fromkeys(_DISPUTE_OUTCOMES, EventType.DISPUTE_CLOSED),
}
_DISPUTE_EVENTS: Final[Mapping[str, EventType]] = {
    "charge.dispute.created": EventType.DISPUTE_OPENED,
    "charge.dispute.updated": EventType.DISPUTE_UPDATED,
    "charge.dispute.funds_withdrawn": EventType.DISPUTE_UPDATED,
    "charge.dispute.funds_reinstated": EventType.DISPUTE_UPDATED,
    "charge.dispute.closed": EventType.DISPUTE_CLOSED,
}


def verify_and_parse_webhook(
    headers: Mapping[str, str], raw_body: bytes, credentials: GatewayCredentials, now: datetime
) -> tuple[GatewayEvent, ...]:
    """Return the one event of a webhook. ``headers`` have lower-case names; ``now`` is aware UTC.

    An event that has an id and a type but cannot be read is kept as described in ``unread``.

    Raises ``SignatureInvalid`` when the sender is not proven, ``InvalidInput`` when the body lacks the id or the type
    of an event.
    """
    verify_signature(headers.get(SIGNATURE_HEADER), raw_body, credentials.webhook_secrets, now)
    return (_parse(raw_body, now),)


def verify_signature(header: str | None, raw_body: bytes, secrets: Iterable[str], now: datetime) -> None:
    """Verify the hexadecimal HMAC-SHA256 of ``{t}.`` and the raw body: any ``v1`` made with any of the secrets.

    Every pair is compared, each in constant time. Raises ``SignatureInvalid``, also if the signature's time is more
    than ``TOLERANCE_SECONDS`` from ``now``.
    """
    timestamp, candidates = _read_header(header)
    signed = timestamp.encode() + b"." + raw_body
    proven = False
    for secret in filter(None, secrets):
        expected = hmac.digest(secret.encode(), signed, "sha256").hex().encode()
        for candidate in candidates:
            proven |= hmac.compare_digest(expected, candidate)
    if not proven:
        raise SignatureInvalid("No signature of this webhook was made with a secret of this endpoint.")
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE_SECONDS:
        raise SignatureInvalid("The webhook was signed too long ago, or in the future.")


def _read_header(header: str | None) -> tuple[str, list[bytes]]:
    items = [item.strip().partition("=") for item in (header or "").split(",")]
    times = [value for name, _, value in items if name == "t"]
    candidates = [value.encode(errors="replace") for name, _, value in items if name == "v1"]
    if len(times) != 1 or not candidates:
        raise SignatureInvalid("The Stripe-Signature header is missing or malformed.")
    timestamp = times[0]
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _TIMESTAMP_MAX_DIGITS):
        raise SignatureInvalid("The Stripe-Signature header carries no time.")
    return timestamp, candidates


def _parse(raw_body: bytes, now: datetime) -> GatewayEvent:
    try:
        payload = json.loads(raw_body)
        event_id, name = text(payload["id"]), text(payload["type"])
    except UNREADABLE as error:
        raise InvalidInput("The webhook's body is not an event of Stripe's.") from error
    read, kind = _READERS.get(name, (_read_nothing, None))
    occurred_at, said = read_or_keep(
        lambda: (instant(payload["created"]), read(name, payload["data"]["object"])),
        now,
        kind,
        lambda: uuid_in(payload["data"]["object"].get("metadata"), "payment_id"),
    )
    return GatewayEvent(
        gateway_event_id=event_id, gateway_event_type=name, occurred_at=occurred_at, payload=payload, **said
    )


def _read_intent(event_name: str, intent: Mapping[str, Any]) -> dict[str, Any]:
    error = intent.get("last_payment_error") or {}
    failed = event_name == "payment_intent.payment_failed"
    event_type = _INTENT_EVENTS[event_name]
    if failed and error.get("code") in _CAPTURE_FAILURES:
        event_type = EventType.CAPTURE_FAILED
    elif event_name == "payment_intent.canceled" and intent.get("cancellation_reason") in _EXPIRED:
        event_type = EventType.AUTHORIZATION_EXPIRED
    currency = text(intent["currency"])
    amount = money_of(intent["amount"], currency)
    charge = intent.get("latest_charge")
    held = event_type in {EventType.AUTHORIZATION_SUCCEEDED, EventType.CAPTURE_SUCCEEDED}
    return {
        "event_type": event_type,
        "gateway_transaction_id": text(intent["id"]),
        "payment_id": uuid_in(intent.get("metadata"), "payment_id"),
        "amount_minor": amount.amount_minor,
        "currency": amount.currency,
        "authorized_minor": amount.amount_minor if held else None,
        "captured_minor": money_of(int(intent.get("amount_received") or 0), currency).amount_minor,
        "authorization_expires_at": capture_before(charge) if isinstance(charge, Mapping) else None,
        "failure_code": failure_code_of(error) if failed else None,
        "failure_message": error.get("message") if failed else None,
        "saved_method": saved_method_of(intent) if held else None,
    }


def _read_charge(event_name: str, charge: Mapping[str, Any]) -> dict[str, Any]:
    currency = text(charge["currency"])
    amount = money_of(charge["amount"], currency)
    captured = money_of(int(charge.get("amount_captured") or 0), currency)
    expired = event_name == "charge.expired"
    return {
        "event_type": EventType.AUTHORIZATION_EXPIRED if expired else EventType.CAPTURE_SUCCEEDED,
        "gateway_transaction_id": text(charge["payment_intent"]),
        # A charge has the metadata that its intent had when the charge was created.
        "payment_id": uuid_in(charge.get("metadata"), "payment_id"),
        "amount_minor": amount.amount_minor,
        "currency": amount.currency,
        "authorized_minor": amount.amount_minor,
        "captured_minor": captured.amount_minor,
    }


def _read_refund(_event_name: str, refund: Mapping[str, Any]) -> dict[str, Any]:
    """Read a refund by its status and not by the event's name: ``refund.updated`` may carry any status."""
    outcome = REFUND_OUTCOME_OF_STATUS[text(refund["status"])]
    amount = money_of(refund["amount"], text(refund["currency"]))
    failed = outcome is RefundOutcome.FAILED
    return {
        "event_type": _REFUND_EVENTS[outcome],
        "gateway_transaction_id": refund.get("payment_intent"),
        "payment_id": uuid_in(refund.get("metadata"), "payment_id"),
        "amount_minor": amount.amount_minor,
        "currency": amount.currency,
        "gateway_refund_id": text(refund["id"]),
        "refund_id": uuid_in(refund.get("metadata"), "refund_id"),
        "failure_code": (refund.get("failure_reason") or refund["status"]) if failed else None,
    }


def _read_dispute(event_name: str, dispute: Mapping[str, Any]) -> dict[str, Any]:
    """Read a dispute by its status and not by the event's name: money that moves at the end does not reopen it."""
    status = str(dispute.get("status"))
    outcome = _DISPUTE_OUTCOMES.get(status)
    due_by = (dispute.get("evidence_details") or {}).get("due_by")
    amount = money_of(dispute["amount"], text(dispute["currency"]))
    return {
        "event_type": _DISPUTE_STATUSES.get(status, _DISPUTE_EVENTS[event_name]),
        "gateway_transaction_id": dispute.get("payment_intent"),
        "amount_minor": amount.amount_minor,
        "currency": amount.currency,
        "gateway_dispute_id": text(dispute["id"]),
        "dispute_reason": dispute.get("reason"),
        "dispute_due_at": instant(due_by) if due_by else None,
        "dispute_outcome": outcome,
        "dispute_lost_minor": amount.amount_minor if outcome is DisputeOutcome.LOST else 0,
    }


def _read_nothing(_event_name: str, _thing: Mapping[str, Any]) -> dict[str, Any]:
    return {"event_type": None}


_INTENT_EVENTS: Final[Mapping[str, EventType]] = {
    "payment_intent.amount_capturable_updated": EventType.AUTHORIZATION_SUCCEEDED,
    "payment_intent.succeeded": EventType.CAPTURE_SUCCEEDED,
    "payment_intent.payment_failed": EventType.AUTHORIZATION_FAILED,
    "payment_intent.requires_action": EventType.ACTION_REQUIRED,
    "payment_intent.processing": EventType.PAYMENT_PROCESSING,
    "payment_intent.canceled": EventType.CANCELLATION_SUCCEEDED,
}
Reader = Callable[[str, Mapping[str, Any]], dict[str, Any]]
_READERS: Final[Mapping[str, tuple[Reader, EventType]]] = {
    **{name: (_read_intent, kind) for name, kind in _INTENT_EVENTS.items()},
    "charge.captured": (_read_charge, EventType.CAPTURE_SUCCEEDED),
    "charge.expired": (_read_charge, EventType.AUTHORIZATION_EXPIRED),
    "refund.created": (_read_refund, EventType.REFUND_REQUESTED),
    "refund.updated": (_read_refund, EventType.REFUND_REQUESTED),
    "refund.failed": (_read_refund, EventType.REFUND_FAILED),
    **{name: (_read_dispute, kind) for name, kind in _DISPUTE_EVENTS.items()},
}
"""The reader of each event by name, and the event type to record where it cannot be read."""
