"""Square's webhooks: verifies the sender over the URL and the raw bytes, then returns one event in the domain's terms.

Source: https://developer.squareup.com/docs/webhooks/step3validate and /docs/webhooks/v2-events-tech-ref.

The signature covers the URL as registered with Square (``notification_url``), so a signature made for another endpoint
does not verify here. It carries no time; repeated deliveries are recognized by their event id.
"""

import hmac
import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from holdfast.gateways.fields import UNREADABLE, text, utc_instant
from holdfast.gateways.port import GatewayCredentials, GatewayEvent, RefundOutcome
from holdfast.gateways.square_objects import (
    REFUND_OUTCOME_OF_STATUS,
    asked_of,
    failure_of,
    money_of,
    refund_id_of,
    refunded_minor_of,
)
from holdfast.gateways.unread import read_or_keep
from holdfast.values.errors import InvalidInput, SignatureInvalid
from holdfast.values.ids import uuid_or_none
from holdfast.values.payment_events import DisputeOutcome, EventType

SIGNATURE_HEADER: Final = "x-square-hmacsha256-signature"

_PAYMENT_EVENTS: Final[Mapping[str, EventType]] = {
    "APPROVED": EventType.AUTHORIZATION_SUCCEEDED,
    "PENDING": EventType.PAYMENT_PROCESSING,
    "COMPLETED": EventType.CAPTURE_SUCCEEDED,
    "CANCELED": EventType.CANCELLATION_SUCCEEDED,
    "FAILED": EventType.AUTHORIZATION_FAILED,
}
_REFUND_EVENTS: Final[Mapping[RefundOutcome, EventType]] = {
    RefundOutcome.PENDING: EventType.REFUND_REQUESTED,
    RefundOutcome.SUCCEEDED: EventType.REFUND_SUCCEEDED,
    RefundOutcome.FAILED: EventType.REFUND_FAILED,
}
_DISPUTE_OUTCOMES: Final[Mapping[str, DisputeOutcome]] = {
    "WON": DisputeOutcome.WON,
    "LOST": DisputeOutcome.LOST,
    "ACCEPTED": DisputeOutcome.LOST,
    "INQUIRY_CLOSED": DisputeOutcome.WITHDRAWN,
}


def verify_and_parse_webhook(
    headers: Mapping[str, str], raw_body: bytes, credentials: GatewayCredentials, now: datetime
) -> tuple[GatewayEvent, ...]:
    """Return the one event of a webhook. ``headers`` have lower-case names; ``now`` dates an event that is unreadable.

    An event that has an id and a type but cannot be read is kept as described in ``unread``.

    Raises ``SignatureInvalid`` when the sender is not proven, ``InvalidInput`` when the body lacks the id or the type
    of an event.
    """
    signature = headers.get(SIGNATURE_HEADER)
    verify_signature(signature, raw_body, credentials.webhook_secrets, credentials.notification_url)
    return (_parse(raw_body, now),)


def verify_signature(
    signature: str | None, raw_body: bytes, secrets: Iterable[str], notification_url: str | None
) -> None:
    """Verify the HMAC-SHA256 of the URL and the raw body, in base64, against any of the secrets.

    Every secret is tried, each in constant time. Raises ``SignatureInvalid``.
    """
    if not signature or not notification_url:
        raise SignatureInvalid("The webhook has no signature, or its address is not registered with this account.")
    signed, given = notification_url.encode() + raw_body, signature.encode(errors="replace")
    proven = False
    for secret in filter(None, secrets):
        proven |= hmac.compare_digest(b64encode(hmac.digest(secret.encode(), signed, "sha256")), given)
    if not proven:
        raise SignatureInvalid("The signature of this webhook was not made with a secret of this endpoint.")


def _parse(raw_body: bytes, now: datetime) -> GatewayEvent:
    try:
        payload = json.loads(raw_body)
        event_id, name = text(payload["event_id"]), text(payload["type"])
    except UNREADABLE as error:
        raise InvalidInput("The webhook's body is not an event of Square's.") from error
    read, kind = _READERS.get(name.partition(".")[0], (_read_nothing, None))
    occurred_at, said = read_or_keep(
        lambda: (utc_instant(payload["created_at"]), read(name, payload["data"])),
        now,
        kind,
        lambda: uuid_or_none(payload["data"]["object"]["payment"].get("reference_id")),
    )
    return GatewayEvent(
        gateway_event_id=event_id, gateway_event_type=name, occurred_at=occurred_at, payload=payload, **said
    )


def _read_payment(_event_name: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Read a payment by its status and not by the event's name: ``created`` and ``updated`` may carry any status."""
    payment = data["object"]["payment"]
    event_type = _PAYMENT_EVENTS[text(payment["status"])]
    if event_type is EventType.CANCELLATION_SUCCEEDED and _ran_out(payment):
        event_type = EventType.AUTHORIZATION_EXPIRED
    elif event_type is EventType.AUTHORIZATION_FAILED and _was_held(payment):
        event_type = EventType.CAPTURE_FAILED
    amount, asked = money_of(payment["amount_money"]), asked_of(payment)
    captured = event_type is EventType.CAPTURE_SUCCEEDED
    held = captured or event_type is EventType.AUTHORIZATION_SUCCEEDED
    failed = event_type in {EventType.AUTHORIZATION_FAILED, EventType.CAPTURE_FAILED}
    code, message = failure_of(payment) if failed else (None, None)
    return {
        "event_type": event_type,
        "gateway_transaction_id": text(payment["id"]),
        "payment_id": uuid_or_none(payment.get("reference_id")),
        "amount_minor": asked.amount_minor if asked else None,
        "currency": amount.currency,
        "authorized_minor": asked.amount_minor if held and asked else None,
        "captured_minor": amount.amount_minor if captured else 0,
        "refunded_minor": refunded_minor_of(payment),
        "authorization_expires_at": (
            utc_instant(payment["delayed_until"])
            if event_type is EventType.AUTHORIZATION_SUCCEEDED and payment.get("delayed_until")
            else None
        ),
        "failure_code": code,
        "failure_message": message,
    }


def _ran_out(payment: Mapping[str, Any]) -> bool:
    """Return whether a cancelled payment was cancelled because its authorization window closed."""
    until, updated_at = payment.get("delayed_until"), payment.get("updated_at")
    return bool(until and updated_at) and utc_instant(updated_at) >= utc_instant(until)


def _was_held(payment: Mapping[str, Any]) -> bool:
    timeline = (payment.get("card_details") or {}).get("card_payment_timeline") or {}
    return bool(timeline.get("authorized_at"))


def _read_refund(_event_name: str, data: Mapping[str, Any]) -> dict[str, Any]:
    refund = data["object"]["refund"]
    status = text(refund["status"])
    outcome = REFUND_OUTCOME_OF_STATUS[status]
    amount = money_of(refund["amount_money"])
    return {
        "event_type": _REFUND_EVENTS[outcome],
        "gateway_transaction_id": text(refund["payment_id"]),
        "amount_minor": amount.amount_minor,
        "currency": amount.currency,
        "gateway_refund_id": text(refund["id"]),
        "refund_id": refund_id_of(refund),
        "failure_code": status.lower() if outcome is RefundOutcome.FAILED else None,
    }


def _read_dispute(event_name: str, data: Mapping[str, Any]) -> dict[str, Any]:
    # The documentation says ``object.dispute``, the published model ``object.object``.
    dispute = data["object"].get("dispute") or data["object"]["object"]
    amount = money_of(dispute["amount_money"])
    event_type = EventType.DISPUTE_OPENED if event_name == "dispute.created" else EventType.DISPUTE_UPDATED
    outcome = _DISPUTE_OUTCOMES.get(str(dispute.get("state")))
    if outcome is not None:
        event_type = EventType.DISPUTE_CLOSED
    return {
        "event_type": event_type,
        "gateway_transaction_id": text(dispute["disputed_payment"]["payment_id"]),
        "amount_minor": amount.amount_minor,
        "currency": amount.currency,
        "gateway_dispute_id": text(dispute.get("dispute_id") or dispute["id"]),
        "dispute_reason": str(dispute["reason"]).lower() if dispute.get("reason") else None,
        "dispute_due_at": utc_instant(dispute["due_at"]) if dispute.get("due_at") else None,
        "dispute_outcome": outcome,
        "dispute_lost_minor": amount.amount_minor if outcome is DisputeOutcome.LOST else 0,
    }


def _read_nothing(_event_name: str, _data: Mapping[str, Any]) -> dict[str, Any]:
    return {"event_type": None}


Reader = Callable[[str, Mapping[str, Any]], dict[str, Any]]
_READERS: Final[Mapping[str, tuple[Reader, EventType]]] = {
    "payment": (_read_payment, EventType.PAYMENT_PROCESSING),
    "refund": (_read_refund, EventType.REFUND_REQUESTED),
    "dispute": (_read_dispute, EventType.DISPUTE_UPDATED),
}
"""The reader of each event by its subject, and the event type to record where it cannot be read."""
