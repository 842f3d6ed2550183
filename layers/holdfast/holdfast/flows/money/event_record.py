"""Payment events written to and read from the database: what a gateway said, and what it means in our terms."""

import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.money.payment_news import Tidings
from holdfast.gateways.port import CaptureOutcome, CaptureSnapshot, GatewayEvent, PaymentSnapshot, SavedMethod
from holdfast.payments import captures
from holdfast.payments.captures import CaptureFact
from holdfast.payments.state import PaymentNews
from holdfast.values.correlation import correlation_id as current_correlation_id
from holdfast.values.ids import uuid7
from holdfast.values.instants import instant_from
from holdfast.values.payment_events import DisputeOutcome, EventType

# Match whole escapes, so that an escaped backslash before "u0000" is not taken for a NUL. Paired surrogates are one
# character and stay.
_ESCAPES: Final = re.compile(
    r"\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|(?P<unstorable>\\u0000|\\ud[89a-f][0-9a-f]{2})|\\."
)

_LAST_FOUR: Final = re.compile(r"[0-9]{4}")


def store_event(
    transaction: Transaction,
    event: GatewayEvent,
    *,
    gateway: str,
    gateway_account_id: UUID,
    correlation_id: str | None = None,
    call: Mapping[str, Any] | None = None,
    is_done: bool = False,
    commit: bool = False,
) -> UUID | None:
    """Store an event once and return its id, or ``None`` if it was stored before.

    ``is_done`` means that nothing of it is left to settle. With ``commit`` the COMMIT is sent along with the statement.
    """
    run = transaction.execute_and_commit if commit else transaction.value
    stored: UUID | None = run(
        "SELECT payments.store_event(:organization_id, CAST(:event AS jsonb))",
        organization_id=transaction.tenant,
        event=_storable(
            {
                "id": str(uuid7(transaction.now)),
                "payment_id": event.payment_id and str(event.payment_id),
                "gateway": gateway,
                "gateway_account_id": str(gateway_account_id),
                "gateway_event_id": event.gateway_event_id,
                "gateway_transaction_id": event.gateway_transaction_id,
                "event_type": event.event_type,
                "gateway_event_type": event.gateway_event_type,
                "news": _news(event),
                "payload": event.payload,
                "occurred_at": event.occurred_at.isoformat(),
                "received_at": transaction.now.isoformat(),
                "correlation_id": correlation_id or current_correlation_id(),
                "state": "ignored" if event.event_type is None else "processed" if is_done else "pending",
            }
            | ({} if call is None else {"call": dict(call)})
        ),
    )
    return stored


def stored_at(transaction: Transaction, gateway_account_id: UUID, event: GatewayEvent) -> datetime:
    """Return when a stored event happened at the gateway, as it was first reported."""
    told: str = transaction.value(
        """
        SELECT news ->> 'occurred_at' FROM payments.payment_events
         WHERE organization_id = :organization_id AND gateway_account_id = :account AND gateway_event_id = :event_id
        """,
        organization_id=transaction.tenant,
        account=gateway_account_id,
        event_id=event.gateway_event_id,
    )
    return datetime.fromisoformat(told)


def _storable(document: Mapping[str, Any]) -> str:
    """Serialize to JSON that jsonb accepts.

    NUL and lone surrogates, which a gateway may send, become U+FFFD. A number too large for a float, which parsing
    turned into infinity, becomes its text.
    """
    try:
        text = json.dumps(document, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(document))
    if r"\u0000" not in text and r"\ud" not in text:
        return text
    return _ESCAPES.sub(lambda found: r"\ufffd" if found["unstorable"] else found[0], text)


def _finite(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping():
            return {name: _finite(member) for name, member in value.items()}
        case list() | tuple():
            return [_finite(member) for member in value]
        case _:
            return value


def _news(event: GatewayEvent) -> dict[str, Any]:
    expires_at = event.authorization_expires_at
    return {
        "occurred_at": event.occurred_at.isoformat(),
        "amount_minor": event.amount_minor,
        "currency": event.currency,
        "authorized_minor": event.authorized_minor,
        "captured_minor": event.captured_minor,
        "captures": [captures.to_json(capture) for capture in captures_told(event)],
        "is_capture_final": event.is_capture_final,
        "gateway_refund_id": event.gateway_refund_id,
        "gateway_capture_id": event.gateway_capture_id,
        "refund_id": event.refund_id and str(event.refund_id),
        "gateway_dispute_id": event.gateway_dispute_id,
        "dispute_reason": event.dispute_reason,
        "dispute_due_at": event.dispute_due_at and event.dispute_due_at.isoformat(),
        "dispute_outcome": event.dispute_outcome,
        "dispute_lost_minor": event.dispute_lost_minor,
        "authorization_expires_at": expires_at and expires_at.isoformat(),
        "failure_code": event.failure_code,
        "failure_message": event.failure_message,
        "saved_method": saved_method_document(event.saved_method),
    }


def captures_told(event: GatewayEvent) -> tuple[CaptureFact, ...]:
    """Return the captures that an event names, as facts; one without a date of its own gets the event's date."""
    return tuple(
        CaptureFact(
            gateway_capture_id=capture.gateway_capture_id,
            amount_minor=capture.amount.amount_minor,
            is_final=capture.is_final,
            succeeded_at=_decided_at(capture, event, CaptureOutcome.SUCCEEDED),
            failed_at=_decided_at(capture, event, CaptureOutcome.FAILED),
        )
        for capture in event.captures
    )


def _decided_at(capture: CaptureSnapshot, event: GatewayEvent, outcome: CaptureOutcome) -> datetime | None:
    return (capture.decided_at or event.occurred_at) if capture.status is outcome else None


def saved_method_document(saved: SavedMethod | None) -> dict[str, Any] | None:
    """Return a payment method that a gateway keeps on file, as JSON values."""
    if saved is None:
        return None
    return {
        "gateway_customer_id": saved.gateway_customer_id,
        "token": saved.token,
        "brand": saved.brand,
        "last_four": saved.last_four if saved.last_four and _LAST_FOUR.fullmatch(saved.last_four) else None,
        "expires_on": saved.expires_on and saved.expires_on.isoformat(),
    }


def tidings_of(event: GatewayEvent, event_id: UUID | None, snapshot: PaymentSnapshot | None = None) -> Tidings:
    """Translate a gateway's event into the terms of the domain. Raises ValueError for an event of no known type."""
    if event.event_type is None:
        raise ValueError("an event of no known type says nothing")
    return Tidings(
        news=PaymentNews(
            event_type=event.event_type,
            occurred_at=event.occurred_at,
            amount_minor=event.amount_minor,
            authorized_minor=event.authorized_minor,
            captured_minor=event.captured_minor,
            captures=captures_told(event),
            is_capture_final=event.is_capture_final,
            gateway_refund_id=event.gateway_refund_id,
            authorization_expires_at=event.authorization_expires_at,
            failure_code=event.failure_code,
            failure_message=event.failure_message,
            gateway_dispute_id=event.gateway_dispute_id,
            dispute_reason=event.dispute_reason,
            dispute_due_at=event.dispute_due_at,
            dispute_outcome=event.dispute_outcome,
            dispute_lost_minor=event.dispute_lost_minor,
        ),
        currency=event.currency,
        event_id=event_id,
        gateway_transaction_id=event.gateway_transaction_id,
        refund_id=event.refund_id,
        gateway_capture_id=event.gateway_capture_id,
        saved_method=saved_method_document(event.saved_method),
        client_action=snapshot.client_action if snapshot else None,
        method=snapshot.method if snapshot else None,
        brand=snapshot.brand if snapshot else None,
        last_four=snapshot.last_four if snapshot else None,
    )


def tidings_from(row: Mapping[str, Any]) -> Tidings:
    """Translate a stored event, as ``payments.claim_event`` returns it, into the terms of the domain."""
    news = row["news"]
    outcome = news["dispute_outcome"]
    return Tidings(
        news=PaymentNews(
            event_type=EventType(row["event_type"]),
            occurred_at=datetime.fromisoformat(news["occurred_at"]),
            amount_minor=news["amount_minor"],
            authorized_minor=news["authorized_minor"],
            captured_minor=news["captured_minor"],
            captures=tuple(captures.from_json(capture) for capture in news["captures"]),
            is_capture_final=news["is_capture_final"],
            gateway_refund_id=news["gateway_refund_id"],
            authorization_expires_at=instant_from(news["authorization_expires_at"]),
            failure_code=news["failure_code"],
            failure_message=news["failure_message"],
            gateway_dispute_id=news["gateway_dispute_id"],
            dispute_reason=news["dispute_reason"],
            dispute_due_at=instant_from(news["dispute_due_at"]),
            dispute_outcome=None if outcome is None else DisputeOutcome(outcome),
            dispute_lost_minor=news["dispute_lost_minor"],
        ),
        currency=news["currency"],
        event_id=UUID(row["id"]),
        gateway_transaction_id=row["gateway_transaction_id"],
        gateway_capture_id=news["gateway_capture_id"],
        refund_id=None if news["refund_id"] is None else UUID(news["refund_id"]),
        saved_method=news.get("saved_method"),
    )
