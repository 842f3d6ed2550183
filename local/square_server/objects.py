"""The JSON of Square's objects (https://developer.squareup.com/reference/square/objects/Payment)."""

from datetime import datetime, timedelta
from typing import Final

from local.gateway_server.model import Json
from local.square_server.cards import CARDS
from local.square_server.model import Customer, OnFile, Payment, Refund, money, rfc3339

DISPUTE_WINDOW: Final = timedelta(days=14)

_CARD_STATUS: Final = {
    "APPROVED": "AUTHORIZED",
    "COMPLETED": "CAPTURED",
    "CANCELED": "VOIDED",
    "FAILED": "FAILED",
    "PENDING": "AUTHORIZED",
}


def payment_json(payment: Payment) -> Json:
    """Return a Payment. What is absent is left out, as Square does."""
    amount = money(payment.amount, payment.currency)
    rendered: Json = {
        "id": payment.id,
        "created_at": payment.created_at,
        "updated_at": payment.updated_at,
        "amount_money": amount,
        "total_money": amount,
        "approved_money": money(payment.approved, payment.currency),
        "status": payment.status,
        "delay_duration": payment.delay_duration,
        "delay_action": payment.delay_action,
        "delayed_until": payment.delayed_until,
        "source_type": "CARD",
        "card_details": card_details_json(payment),
        "location_id": payment.location_id,
        "reference_id": payment.reference_id,
        "note": payment.note,
        "customer_id": payment.customer_id,
        "refund_ids": payment.refunds or None,
        "refunded_money": money(payment.refunded, payment.currency) if payment.refunds else None,
        "capabilities": ["EDIT_AMOUNT_UP", "EDIT_AMOUNT_DOWN", "EDIT_DELAY_ACTION"]
        if payment.status == "APPROVED"
        else None,
        "application_details": {"square_product": "ECOMMERCE_API"},
        "version_token": f"{payment.id}-{payment.version}",
    }
    return {name: value for name, value in rendered.items() if value is not None}


def card_details_json(payment: Payment) -> Json:
    """Return how the card was charged, and why not if it was not."""
    card = CARDS[payment.source_id]
    rendered: Json = {
        "status": _CARD_STATUS[payment.status],
        "card": {
            "card_brand": card.brand,
            "last_4": card.last_4,
            "exp_month": 11,
            "exp_year": 2030,
            "card_type": "CREDIT",
            "prepaid_type": "NOT_PREPAID",
            "bin": card.bin,
        },
        "entry_method": "ON_FILE" if payment.is_on_file else "KEYED",
        "cvv_status": "CVV_ACCEPTED",
        "avs_status": "AVS_ACCEPTED",
        "statement_description": "SQ *DEMO SHOP",
    }
    stages = {
        "authorized_at": payment.authorized_at,
        "captured_at": payment.captured_at,
        "voided_at": payment.voided_at,
    }
    rendered["card_payment_timeline"] = {name: at for name, at in stages.items() if at}
    if payment.failure_code:
        rendered["errors"] = [error_json(payment.failure_code)]
    return rendered


def customer_json(customer: Customer) -> Json:
    """Return a Customer."""
    return {
        "id": customer.id,
        "created_at": customer.created_at,
        "updated_at": customer.created_at,
        **customer.given,
        "preferences": {"email_unsubscribed": False},
        "creation_source": "THIRD_PARTY",
        "version": 0,
    }


def on_file_json(kept: OnFile, merchant_id: str) -> Json:
    """Return a Card on file."""
    card = CARDS[kept.source_id]
    rendered: Json = {
        "id": kept.id,
        "card_brand": card.brand,
        "last_4": card.last_4,
        "exp_month": 11,
        "exp_year": 2030,
        "customer_id": kept.customer_id,
        "merchant_id": merchant_id,
        "reference_id": kept.reference_id,
        "enabled": kept.enabled,
        "card_type": "CREDIT",
        "prepaid_type": "NOT_PREPAID",
        "bin": card.bin,
        "created_at": kept.created_at,
        "version": 1,
    }
    return {name: value for name, value in rendered.items() if value is not None}


def error_json(code: str) -> Json:
    """Return the error for a refusal by the card's bank."""
    return {"category": "PAYMENT_METHOD_ERROR", "code": code, "detail": f"Authorization error: '{code}'"}


def refund_json(refund: Refund, location_id: str) -> Json:
    """Return a PaymentRefund."""
    rendered: Json = {
        "id": refund.id,
        "status": refund.status,
        "amount_money": money(refund.amount, refund.currency),
        "payment_id": refund.payment,
        "location_id": location_id,
        "destination_type": "CARD",
        "reason": refund.reason,
        "created_at": refund.created_at,
        "updated_at": refund.updated_at,
    }
    return {name: value for name, value in rendered.items() if value is not None}


def dispute_json(payment: Payment, state: str, at: str) -> Json:
    """Return a Dispute over a payment."""
    return {
        "dispute_id": f"dts_{payment.id[:16]}",
        "id": f"dts_{payment.id[:16]}",
        "amount_money": money(payment.amount, payment.currency),
        "reason": "NO_KNOWLEDGE",
        "state": state,
        "disputed_payment": {"payment_id": payment.id},
        "card_brand": CARDS[payment.source_id].brand,
        "created_at": at,
        "updated_at": at,
        "location_id": payment.location_id,
        "version": 1,
        **({"due_at": rfc3339(datetime.fromisoformat(at) + DISPUTE_WINDOW)} if state == "EVIDENCE_REQUIRED" else {}),
    }
