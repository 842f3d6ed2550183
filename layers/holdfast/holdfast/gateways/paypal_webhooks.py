"""PayPal's webhooks: verifies the sender over the raw bytes, then returns one event in the domain's terms.

Source: https://developer.paypal.com/api/rest/webhooks/rest/ (the signed text), /api/rest/webhooks/event-names/ and the
resources of /docs/api/payments/v2/ and /docs/api/orders/v2/.

**What the signature covers** is the body's CRC-32 and not the body itself. It proves that PayPal sent *a* webhook with
these headers to this endpoint, but anyone who obtained the headers of a webhook could forge another body for them. So
webhook headers are never logged, and amounts are checked against what we requested before they are trusted.

**Approval.** CHECKOUT.ORDER.APPROVED says that the shopper has done what was asked and that the money waits for us. In
our closed set that is ``payment_processing``: the next look at the payment (``PayPalGateway.fetch``) takes the money.
"""

import json
import zlib
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from holdfast.gateways.fields import UNREADABLE
from holdfast.gateways.paypal_objects import (
    AUTHORIZATIONS,
    CAPTURES,
    REFUND_OUTCOME_OF_STATUS,
    capture_snapshot_of,
    failure_of,
    id_in_link,
    ids_in,
    instant,
    money_of,
    text_in,
    unit_of,
)
from holdfast.gateways.port import GatewayCredentials, GatewayEvent, RefundOutcome
from holdfast.gateways.unread import read_or_keep
from holdfast.values.errors import InvalidInput, SignatureInvalid
from holdfast.values.payment_events import DisputeOutcome, EventType

if TYPE_CHECKING:
    from holdfast.gateways.paypal_certificates import CertificateSource

ALGORITHM: Final = "SHA256withRSA"
_HEADER_MAX_CHARACTERS: Final = 1024
_ORDERS: Final = "/v2/checkout/orders/"

Resource = Mapping[str, Any]


def verify_and_parse_webhook(
    headers: Mapping[str, str],
    raw_body: bytes,
    credentials: GatewayCredentials,
    now: datetime,
    certificates: "CertificateSource",
) -> tuple[GatewayEvent, ...]:
    """Return the one event of a webhook. ``headers`` have lower-case names; ``now`` is aware UTC.

    An event that has an id and a type but cannot be read is kept as described in ``unread``.

    Raises ``SignatureInvalid`` when the sender is not proven, ``InvalidInput`` when the body lacks the id or the type
    of an event, ``GatewayUnreachable`` when PayPal's certificate is not available now.
    """
    verify_signature(headers, raw_body, credentials.webhook_id, now, certificates)
    return (_parse(raw_body, now),)


def verify_signature(
    headers: Mapping[str, str],
    raw_body: bytes,
    webhook_id: str | None,
    now: datetime,
    certificates: "CertificateSource",
) -> None:
    """Verify the RSA PKCS#1 v1.5 signature with SHA-256 over ``signed_text``.

    Cheap checks come first, so that a certificate is fetched only for a webhook that could be genuine. Raises
    ``SignatureInvalid`` or ``GatewayUnreachable``.
    """
    if not webhook_id:
        raise SignatureInvalid("This endpoint has no webhook id to verify with.")
    transmission_id, sent_at = _header(headers, "transmission-id"), _header(headers, "transmission-time")
    if _header(headers, "auth-algo") != ALGORITHM:
        raise SignatureInvalid("The webhook is signed with another algorithm.")
    try:
        signature = b64decode(_header(headers, "transmission-sig"), validate=True)
    except (Base64Error, ValueError) as error:
        raise SignatureInvalid("The webhook's signature is not base64.") from error
    key = certificates.key(_header(headers, "cert-url"), now)

    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 -- see paypal_certificates
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    try:
        key.verify(signature, signed_text(transmission_id, sent_at, webhook_id, raw_body), PKCS1v15(), SHA256())
    except InvalidSignature as error:
        raise SignatureInvalid("The webhook's signature does not fit what was received.") from error


def signed_text(transmission_id: str, transmission_time: str, webhook_id: str, raw_body: bytes) -> bytes:
    """Return what PayPal signs: id, time, webhook id and the body's CRC-32 (unsigned, decimal), joined by ``|``."""
    return f"{transmission_id}|{transmission_time}|{webhook_id}|{zlib.crc32(raw_body)}".encode(errors="replace")


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(f"paypal-{name}", "")
    if not 0 < len(value) <= _HEADER_MAX_CHARACTERS or "|" in value:
        raise SignatureInvalid(f"The header PAYPAL-{name.upper()} is missing or malformed.")
    return value


def _parse(raw_body: bytes, now: datetime) -> GatewayEvent:
    try:
        payload = json.loads(raw_body)
        event_id, name = text_in(payload, "id"), text_in(payload, "event_type")
    except UNREADABLE as error:
        raise InvalidInput("The webhook's body is not an event of PayPal's.") from error
    read, kind = _READERS.get(name, (_read_nothing, None))
    occurred_at, said = read_or_keep(
        lambda: (instant(payload["create_time"]), read(name, payload["resource"])),
        now,
        kind,
        lambda: ids_in(payload["resource"].get("custom_id"))[0],
    )
    return GatewayEvent(
        gateway_event_id=event_id, gateway_event_type=name, occurred_at=occurred_at, payload=payload, **said
    )


def _read_authorization(name: str, authorization: Resource) -> dict[str, Any]:
    amount = money_of(authorization["amount"])
    expires_at = authorization.get("expiration_time")
    event_type = _AUTHORIZATION_EVENTS[text_in(authorization, "status")]
    if name == "PAYMENT.AUTHORIZATION.VOIDED":
        # PayPal sends this event for both: an authorization voided at or after its expiry has simply expired.
        ended_at = instant(authorization.get("update_time") or authorization["create_time"])
        ran_out = bool(expires_at) and ended_at >= instant(expires_at)
        event_type = EventType.AUTHORIZATION_EXPIRED if ran_out else EventType.CANCELLATION_SUCCEEDED
    code, message = failure_of(authorization) if event_type is EventType.AUTHORIZATION_FAILED else (None, None)
    return {
        "event_type": event_type,
        "gateway_transaction_id": _order_of(authorization),
        "payment_id": ids_in(authorization.get("custom_id"))[0],
        "amount_minor": amount.amount_minor,
        "currency": amount.currency,
        "authorized_minor": amount.amount_minor if event_type is EventType.AUTHORIZATION_SUCCEEDED else None,
        "captured_minor": 0 if event_type is EventType.AUTHORIZATION_SUCCEEDED else None,
        "authorization_expires_at": instant(expires_at) if expires_at else None,
        "failure_code": code,
        "failure_message": message,
    }


def _read_capture(name: str, capture: Resource) -> dict[str, Any]:
    """Read a capture.

    A capture of an authorization states its own amount, but neither the payment's nor what was captured before. A
    capture of a whole order states all of that.
    """
    amount = money_of(capture["amount"])
    is_part = _is_of_authorization(capture)
    event_type = _CAPTURE_EVENTS[name]
    failed = event_type is EventType.AUTHORIZATION_FAILED
    if failed and is_part:
        event_type = EventType.CAPTURE_FAILED
    code, message = failure_of(capture) if failed else (None, None)
    succeeded = event_type is EventType.CAPTURE_SUCCEEDED
    return {
        "event_type": event_type,
        "gateway_transaction_id": _order_of(capture),
        "payment_id": ids_in(capture.get("custom_id"))[0],
        "amount_minor": None if is_part else amount.amount_minor,
        "currency": amount.currency,
        "authorized_minor": amount.amount_minor if succeeded and not is_part else None,
        "captured_minor": amount.amount_minor if succeeded and not is_part else None,
        "captures": (capture_snapshot_of(capture),) if is_part or succeeded else (),
        "failure_code": code,
        "failure_message": message,
    }


def _read_refund(name: str, refund: Resource) -> dict[str, Any]:
    """Read a refund.

    A refund of ours carries payment, refund and order; one made at PayPal inherits the capture's ``custom_id``.
    PayPal's own reversal of a capture has the same form, and the money is gone whatever its status is called.
    """
    amount = money_of(refund["amount"])
    outcome = REFUND_OUTCOME_OF_STATUS.get(str(refund.get("status")), RefundOutcome.SUCCEEDED)
    if name == "PAYMENT.REFUND.FAILED":
        outcome = RefundOutcome.FAILED
    payment_id, refund_id, order_id = ids_in(refund.get("custom_id"))
    reason = (refund.get("status_details") or {}).get("reason")
    return {
        "event_type": _REFUND_EVENTS[outcome],
        "gateway_transaction_id": order_id or _order_of(refund),
        "payment_id": payment_id,
        "amount_minor": amount.amount_minor,
        "currency": amount.currency,
        "gateway_refund_id": text_in(refund, "id"),
        "gateway_capture_id": id_in_link(refund, "up", CAPTURES),
        "refund_id": refund_id,
        "failure_code": str(reason or refund["status"]) if outcome is RefundOutcome.FAILED else None,
    }


def _read_order(name: str, order: Resource) -> dict[str, Any]:
    failed = name == "CHECKOUT.PAYMENT-APPROVAL.REVERSED"
    order_id = order.get("order_id") or order["id"]
    return {
        "event_type": EventType.AUTHORIZATION_FAILED if failed else EventType.PAYMENT_PROCESSING,
        "gateway_transaction_id": str(order_id),
        "payment_id": ids_in(unit_of(order).get("custom_id"))[0],
        "failure_code": "PAYMENT_APPROVAL_REVERSED" if failed else None,
        "failure_message": "PayPal took the shopper's approval back." if failed else None,
    }


def _read_dispute(name: str, dispute: Resource) -> dict[str, Any]:
    """Read a dispute, with no loss of its own.

    A dispute's loss arrives as a reversal of the capture, which is reported like a refund and counted there.
    """
    outcome_code = str((dispute.get("dispute_outcome") or {}).get("outcome_code"))
    due_at = dispute.get("seller_response_due_date")
    amount = money_of(dispute["dispute_amount"])
    disputed = dispute.get("disputed_transactions")
    transaction: Resource = disputed[0] if disputed else {}
    return {
        "event_type": _DISPUTE_EVENTS[name],
        "payment_id": ids_in(transaction.get("custom"))[0],
        "amount_minor": amount.amount_minor,
        "currency": amount.currency,
        "gateway_dispute_id": text_in(dispute, "dispute_id"),
        "dispute_reason": dispute.get("reason"),
        "dispute_due_at": instant(due_at) if due_at else None,
        "dispute_outcome": _DISPUTE_OUTCOMES.get(outcome_code),
        "dispute_lost_minor": 0,
    }


def _read_nothing(_name: str, _thing: Resource) -> dict[str, Any]:
    return {"event_type": None}


def _order_of(resource: Resource) -> str | None:
    order_id = _related(resource).get("order_id") or id_in_link(resource, "up", _ORDERS)
    return order_id if isinstance(order_id, str) else None


def _is_of_authorization(capture: Resource) -> bool:
    return bool(_related(capture).get("authorization_id") or id_in_link(capture, "up", AUTHORIZATIONS))


def _related(resource: Resource) -> Resource:
    related = (resource.get("supplementary_data") or {}).get("related_ids")
    return related if isinstance(related, Mapping) else {}


_AUTHORIZATION_EVENTS: Final[Mapping[str, EventType]] = {
    "CREATED": EventType.AUTHORIZATION_SUCCEEDED,
    "PENDING": EventType.PAYMENT_PROCESSING,
    "DENIED": EventType.AUTHORIZATION_FAILED,
    "CAPTURED": EventType.AUTHORIZATION_SUCCEEDED,
    "PARTIALLY_CAPTURED": EventType.AUTHORIZATION_SUCCEEDED,
    "VOIDED": EventType.CANCELLATION_SUCCEEDED,
    "EXPIRED": EventType.AUTHORIZATION_EXPIRED,
}
_CAPTURE_EVENTS: Final[Mapping[str, EventType]] = {
    "PAYMENT.CAPTURE.COMPLETED": EventType.CAPTURE_SUCCEEDED,
    "PAYMENT.CAPTURE.PENDING": EventType.PAYMENT_PROCESSING,
    "PAYMENT.CAPTURE.DECLINED": EventType.AUTHORIZATION_FAILED,
    "PAYMENT.CAPTURE.DENIED": EventType.AUTHORIZATION_FAILED,
}
_REFUND_EVENTS: Final[Mapping[RefundOutcome, EventType]] = {
    RefundOutcome.PENDING: EventType.REFUND_REQUESTED,
    RefundOutcome.SUCCEEDED: EventType.REFUND_SUCCEEDED,
    RefundOutcome.FAILED: EventType.REFUND_FAILED,
}
_DISPUTE_EVENTS: Final[Mapping[str, EventType]] = {
    "CUSTOMER.DISPUTE.CREATED": EventType.DISPUTE_OPENED,
    "CUSTOMER.DISPUTE.UPDATED": EventType.DISPUTE_UPDATED,
    "CUSTOMER.DISPUTE.RESOLVED": EventType.DISPUTE_CLOSED,
}
_DISPUTE_OUTCOMES: Final[Mapping[str, DisputeOutcome]] = {
    "RESOLVED_BUYER_FAVOUR": DisputeOutcome.LOST,
    "ACCEPTED": DisputeOutcome.LOST,
    "RESOLVED_SELLER_FAVOUR": DisputeOutcome.WON,
    "RESOLVED_WITH_PAYOUT": DisputeOutcome.WON,
    "DENIED": DisputeOutcome.WON,
    "CANCELED_BY_BUYER": DisputeOutcome.WITHDRAWN,
}
"""ACCEPTED and DENIED refer to the buyer's case. NONE and codes that are not listed state no outcome."""
Reader = Callable[[str, Resource], dict[str, Any]]
_READERS: Final[Mapping[str, tuple[Reader, EventType]]] = {
    "PAYMENT.AUTHORIZATION.CREATED": (_read_authorization, EventType.AUTHORIZATION_SUCCEEDED),
    "PAYMENT.AUTHORIZATION.VOIDED": (_read_authorization, EventType.CANCELLATION_SUCCEEDED),
    **{name: (_read_capture, kind) for name, kind in _CAPTURE_EVENTS.items()},
    "PAYMENT.CAPTURE.REFUNDED": (_read_refund, EventType.REFUND_SUCCEEDED),
    "PAYMENT.CAPTURE.REVERSED": (_read_refund, EventType.REFUND_SUCCEEDED),
    "PAYMENT.REFUND.PENDING": (_read_refund, EventType.REFUND_REQUESTED),
    "PAYMENT.REFUND.FAILED": (_read_refund, EventType.REFUND_FAILED),
    "CHECKOUT.ORDER.APPROVED": (_read_order, EventType.PAYMENT_PROCESSING),
    "CHECKOUT.PAYMENT-APPROVAL.REVERSED": (_read_order, EventType.AUTHORIZATION_FAILED),
    **{name: (_read_dispute, kind) for name, kind in _DISPUTE_EVENTS.items()},
}
"""The reader of each event by name, and the event type to record where it cannot be read."""
