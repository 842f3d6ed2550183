"""Adyen's webhooks: verifies the sender of each item, then turns each item into an event in the domain's terms.

Source: https://docs.adyen.com/development-resources/webhooks/verify-hmac-signatures and /webhook-types; for disputes
see ``adyen_disputes``.

Every item of a notification has its own signature. If one is not signed, or belongs to another merchant account, the
whole notification is rejected. Signatures carry no time and Adyen's events carry no id. Repeated deliveries are
recognized by event code, reference and success, and those of a dispute by its status too, because a dispute with a new
status is news. The response has to be 2xx with the body ``WEBHOOK_ANSWER``; while one notification is not accepted, the
ones behind it wait. So an item that is signed but cannot be read is accepted all the same (``unread``) and blocks
nothing.

**Captures.** A payment may have several; each is reported under its own reference. A failed CAPTURE (success false) is
a request that came to nothing; CAPTURE_FAILED reverts a capture that had succeeded. If Adyen then captures again, it
sends another CAPTURE with the same reference, whose reason says so. An automatic capture has no reference that we know
of, so its failure is that of the payment.
"""

import binascii
import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from holdfast.gateways.adyen_disputes import DISPUTE_EVENTS, read_dispute, status_of
from holdfast.gateways.adyen_objects import (
    money_of,
    read_payment_reference,
    read_refund_reference,
    reason_code,
    saved_method_of,
    window_of,
)
from holdfast.gateways.fields import UNREADABLE, text, utc_instant
from holdfast.gateways.port import CaptureOutcome, CaptureSnapshot, GatewayCredentials, GatewayEvent
from holdfast.gateways.unread import read_or_keep
from holdfast.values.errors import InvalidInput, SignatureInvalid
from holdfast.values.payment_events import EventType

WEBHOOK_ANSWER: Final = "[accepted]"

Item = Mapping[str, Any]


def verify_and_parse_webhook(
    headers: Mapping[str, str], raw_body: bytes, credentials: GatewayCredentials, now: datetime
) -> tuple[GatewayEvent, ...]:
    """Return the events of a notification, one for each item.

    ``headers`` have lower-case names; ``now`` dates an item that cannot be read.

    Raises ``SignatureInvalid`` when the sender of any item is not proven, ``InvalidInput`` when the body is not an
    Adyen notification.
    """
    _verify_basic(headers.get("authorization"), credentials)
    try:
        items = [wrapped["NotificationRequestItem"] for wrapped in json.loads(raw_body)["notificationItems"]]
        if not items:
            raise ValueError("no items")
        signed = [(signed_text(item), (item.get("additionalData") or {}).get("hmacSignature")) for item in items]
    except UNREADABLE as error:
        raise InvalidInput("The webhook's body is not a notification of Adyen's.") from error
    for content, signature in signed:
        verify_signature(signature, content, credentials.webhook_secrets)
    if any(item.get("merchantAccountCode") != credentials.merchant_account for item in items):
        raise SignatureInvalid("The webhook is about another merchant account.")
    return tuple(_parse(item, now) for item in items)


def signed_text(item: Item) -> str:
    """Return the signed text of an item: eight fields joined by colons, unescaped, with missing fields left empty."""
    amount = item.get("amount") or {}
    fields = (
        item.get("pspReference"),
        item.get("originalReference"),
        item.get("merchantAccountCode"),
        item.get("merchantReference"),
        amount.get("value"),
        amount.get("currency"),
        item.get("eventCode"),
        item.get("success"),
    )
    return ":".join("" if field is None else str(field) for field in fields)


def verify_signature(signature: Any, content: str, secrets: Iterable[str]) -> None:
    """Verify the HMAC-SHA256 of the text, in base64, against any of the keys, which are hexadecimal.

    Every key is tried, each in constant time; one that is not hexadecimal verifies nothing. Raises
    ``SignatureInvalid``.
    """
    if not isinstance(signature, str) or not signature:
        raise SignatureInvalid("An item of this webhook is not signed.")
    proven = False
    for secret in secrets:
        try:
            key = bytes.fromhex(secret)
        except ValueError:
            continue
        expected = b64encode(hmac.digest(key, content.encode(errors="replace"), "sha256"))
        proven |= bool(key) and hmac.compare_digest(expected, signature.encode(errors="replace"))
    if not proven:
        raise SignatureInvalid("The signature of an item was not made with a key of this endpoint.")


def _verify_basic(header: str | None, credentials: GatewayCredentials) -> None:
    """Verify the HTTP Basic credentials, if the account has a user for its webhooks. Raises ``SignatureInvalid``."""
    if credentials.webhook_user is None:
        return
    scheme, _, value = (header or "").partition(" ")
    expected = f"{credentials.webhook_user}:{credentials.webhook_password or ''}".encode()
    try:
        given = b64decode(value, validate=True) if scheme.lower() == "basic" else b""
    except binascii.Error:
        given = b""
    if not hmac.compare_digest(given, expected):
        raise SignatureInvalid("The webhook did not sign on with this endpoint's user.")


def _parse(item: Item, now: datetime) -> GatewayEvent:
    try:
        code, success = text(item["eventCode"]), text(item["success"])
        if success not in {"true", "false"}:
            raise ValueError("success is true or false")
        event_id = f"{code}:{text(item['pspReference'])}:{success}"
        if code == "CAPTURE" and success == "true" and "recaptured" in str(item.get("reason")).lower():
            event_id += ":recaptured"
        if code in DISPUTE_EVENTS and (status := status_of(item)):
            event_id += f":{status}"
    except UNREADABLE as error:
        raise InvalidInput("An item of the webhook is not an event of Adyen's.") from error
    payment_id, capture_now = read_payment_reference(item.get("merchantReference"))
    occurred_at, said = read_or_keep(
        lambda: (utc_instant(item["eventDate"]), _READERS.get(code, _read_nothing)(item, success == "true")),
        now,
        _kind_of(code, success == "true", capture_now=capture_now),
        lambda: payment_id,
    )
    return GatewayEvent(
        gateway_event_id=event_id,
        gateway_event_type=code,
        occurred_at=occurred_at,
        payload=dict(item),
        **said,
    )


def _kind_of(code: str, success: bool, *, capture_now: bool) -> EventType | None:
    """Return the event type of an item that cannot be read."""
    if code == "AUTHORISATION" and capture_now:
        return EventType.CAPTURE_SUCCEEDED if success else EventType.AUTHORIZATION_FAILED
    kinds = _KINDS.get(code)
    return kinds and kinds[0 if success else 1]


def _read_authorisation(item: Item, success: bool) -> dict[str, Any]:
    payment_id, capture_now = read_payment_reference(item.get("merchantReference"))
    amount = money_of(item["amount"])
    about = {
        "gateway_transaction_id": text(item["pspReference"]),
        "payment_id": payment_id,
        "amount_minor": amount.amount_minor,
        "currency": amount.currency,
        "captured_minor": amount.amount_minor if success and capture_now else 0,
        "saved_method": saved_method_of(item.get("additionalData"), item.get("paymentMethod")) if success else None,
    }
    if not success:
        return {**about, "event_type": EventType.AUTHORIZATION_FAILED, **_reason(item)}
    if capture_now:
        return {**about, "event_type": EventType.CAPTURE_SUCCEEDED, "authorized_minor": amount.amount_minor}
    return {
        **about,
        "event_type": EventType.AUTHORIZATION_SUCCEEDED,
        "authorized_minor": amount.amount_minor,
        "authorization_expires_at": utc_instant(item["eventDate"]) + window_of(item.get("paymentMethod")),
    }


def _read_capture(item: Item, success: bool) -> dict[str, Any]:
    outcome = CaptureOutcome.SUCCEEDED if success else CaptureOutcome.FAILED
    return _of_capture(item, outcome, text(item["pspReference"]))


def _read_capture_failed(item: Item, _success: bool) -> dict[str, Any]:
    _, is_automatic = read_payment_reference(item.get("merchantReference"))
    return _of_capture(item, CaptureOutcome.FAILED, None if is_automatic else text(item["pspReference"]))


def _of_capture(item: Item, outcome: CaptureOutcome, gateway_capture_id: str | None) -> dict[str, Any]:
    amount, failed = money_of(item["amount"]), outcome is CaptureOutcome.FAILED
    reason = _reason(item) if failed else {}
    told = {
        **_of_payment(item),
        "event_type": EventType.CAPTURE_FAILED if failed else EventType.CAPTURE_SUCCEEDED,
        "currency": amount.currency,
        **reason,
    }
    if gateway_capture_id is None:
        return told
    capture = CaptureSnapshot(
        gateway_capture_id=gateway_capture_id,
        status=outcome,
        amount=amount,
        decided_at=utc_instant(item["eventDate"]),
        **reason,
    )
    return {**told, "captures": (capture,)}


def _read_cancellation(item: Item, success: bool) -> dict[str, Any]:
    if success:
        return {**_of_payment(item), "event_type": EventType.CANCELLATION_SUCCEEDED}
    return {**_of_payment(item), "event_type": EventType.CANCELLATION_FAILED, **_reason(item)}


def _read_expiry(item: Item, success: bool) -> dict[str, Any]:
    transaction_id = item.get("originalReference") or text(item["pspReference"])
    expired = EventType.AUTHORIZATION_EXPIRED if success else None
    return {**_of_payment(item), "gateway_transaction_id": transaction_id, "event_type": expired}


def _read_reversal(item: Item, success: bool) -> dict[str, Any]:
    """Read a cancellation or a refund, whichever of them Adyen carried out."""
    action = (item.get("additionalData") or {}).get("modification.action")
    if action == "cancel":
        return _read_cancellation(item, success)
    return _read_refund(item, success) if action == "refund" else {"event_type": None}


def _read_refund(item: Item, success: bool) -> dict[str, Any]:
    event_type = EventType.REFUND_SUCCEEDED if success else EventType.REFUND_FAILED
    return _of_refund(item, event_type)


def _read_refund_lost(item: Item, _success: bool) -> dict[str, Any]:
    """Read a refund whose money came back to the shop."""
    return _of_refund(item, EventType.REFUND_FAILED)


def _read_dispute(item: Item, _success: bool) -> dict[str, Any]:
    return read_dispute(item)


def _read_nothing(_item: Item, _success: bool) -> dict[str, Any]:
    return {"event_type": None}


def _of_payment(item: Item) -> dict[str, Any]:
    """Return the payment that a modification belongs to.

    For a payment cancelled by our reference, Adyen may know no other.
    """
    payment_id, _ = read_payment_reference(item.get("merchantReference"))
    return {"gateway_transaction_id": item.get("originalReference") or None, "payment_id": payment_id}


def _of_refund(item: Item, event_type: EventType) -> dict[str, Any]:
    """Return the refund that an item is about.

    Adyen's documentation contradicts itself on whether ``merchantReference`` is that of the refund or of its payment,
    so both are handled.
    """
    amount = money_of(item["amount"])
    return {
        **_of_payment(item),
        "event_type": event_type,
        "amount_minor": amount.amount_minor,
        "currency": amount.currency,
        "gateway_refund_id": text(item["pspReference"]),
        "refund_id": read_refund_reference(item.get("merchantReference")),
        **(_reason(item) if event_type is EventType.REFUND_FAILED else {}),
    }


def _reason(item: Item) -> dict[str, Any]:
    return {"failure_code": reason_code(item.get("reason")), "failure_message": item.get("reason") or None}


_READERS: Final[Mapping[str, Callable[[Item, bool], dict[str, Any]]]] = {
    "AUTHORISATION": _read_authorisation,
    "CAPTURE": _read_capture,
    "CAPTURE_FAILED": _read_capture_failed,
    "CANCELLATION": _read_cancellation,
    "TECHNICAL_CANCEL": _read_cancellation,
    "EXPIRE": _read_expiry,
    "CANCEL_OR_REFUND": _read_reversal,
    "REFUND": _read_refund,
    "REFUND_FAILED": _read_refund_lost,
    "REFUNDED_REVERSED": _read_refund_lost,
    **dict.fromkeys(DISPUTE_EVENTS, _read_dispute),
}
_KINDS: Final[Mapping[str, tuple[EventType, EventType]]] = {
    "AUTHORISATION": (EventType.AUTHORIZATION_SUCCEEDED, EventType.AUTHORIZATION_FAILED),
    "CAPTURE": (EventType.CAPTURE_SUCCEEDED, EventType.CAPTURE_FAILED),
    "CAPTURE_FAILED": (EventType.CAPTURE_FAILED, EventType.CAPTURE_FAILED),
    "CANCELLATION": (EventType.CANCELLATION_SUCCEEDED, EventType.CANCELLATION_FAILED),
    "TECHNICAL_CANCEL": (EventType.CANCELLATION_SUCCEEDED, EventType.CANCELLATION_FAILED),
    "EXPIRE": (EventType.AUTHORIZATION_EXPIRED, EventType.AUTHORIZATION_EXPIRED),
    "CANCEL_OR_REFUND": (EventType.REFUND_SUCCEEDED, EventType.REFUND_FAILED),
    "REFUND": (EventType.REFUND_SUCCEEDED, EventType.REFUND_FAILED),
    "REFUND_FAILED": (EventType.REFUND_FAILED, EventType.REFUND_FAILED),
    "REFUNDED_REVERSED": (EventType.REFUND_FAILED, EventType.REFUND_FAILED),
    **{code: (kind, kind) for code, kind in DISPUTE_EVENTS.items()},
}
"""The event type of an item that cannot be read, by its code: first if it succeeded, then if it did not."""
