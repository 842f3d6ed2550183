"""The JSON of Stripe's objects (https://docs.stripe.com/api), with the fields that a client of payments may read."""

from typing import Final

from local.gateway_server.model import Endpoint, Event, Json
from local.stripe_server.cards import CARDS
from local.stripe_server.model import API_VERSION, Charge, Customer, Intent, Refund

DISPUTE_WINDOW_SECONDS: Final = 7 * 24 * 3600


def intent_json(intent: Intent, latest_charge: Json | str | None = None) -> Json:
    """Return a PaymentIntent. ``latest_charge`` is its charge when that is to be expanded."""
    return {
        "id": intent.id,
        "object": "payment_intent",
        "amount": intent.amount,
        "amount_capturable": intent.amount_capturable,
        "amount_details": {"tip": {}},
        "amount_received": intent.amount_received,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": intent.automatic_payment_methods,
        "canceled_at": intent.canceled_at,
        "cancellation_reason": intent.cancellation_reason,
        "capture_method": intent.capture_method,
        "client_secret": intent.client_secret,
        "confirmation_method": "automatic",
        "created": intent.created,
        "currency": intent.currency,
        "customer": intent.customer,
        "description": intent.description,
        "last_payment_error": intent.last_payment_error,
        "latest_charge": latest_charge or intent.latest_charge,
        "livemode": False,
        "metadata": intent.metadata,
        "next_action": intent.next_action,
        "on_behalf_of": None,
        "payment_method": intent.payment_method,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {"installments": None, "network": None, "request_three_d_secure": "automatic"}
        },
        "payment_method_types": intent.payment_method_types,
        "processing": None,
        "receipt_email": intent.receipt_email,
        "setup_future_usage": intent.setup_future_usage,
        "shipping": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": intent.status,
        "transfer_data": None,
        "transfer_group": None,
    }


def charge_json(charge: Charge) -> Json:
    """Return a Charge."""
    succeeded = charge.status == "succeeded"
    return {
        "id": charge.id,
        "object": "charge",
        "amount": charge.amount,
        "amount_captured": charge.amount_captured,
        "amount_refunded": charge.amount_refunded,
        "balance_transaction": f"txn_{charge.id[3:]}" if charge.captured else None,
        "billing_details": {"address": None, "email": None, "name": None, "phone": None, "tax_id": None},
        "captured": charge.captured,
        "created": charge.created,
        "currency": charge.currency,
        "customer": None,
        "description": None,
        "disputed": charge.disputed,
        "failure_balance_transaction": None,
        "failure_code": charge.failure_code,
        "failure_message": charge.failure_message,
        "fraud_details": {},
        "livemode": False,
        "metadata": charge.metadata,
        "outcome": {
            "network_status": "approved_by_network" if succeeded else "declined_by_network",
            "reason": None if succeeded else charge.decline_code,
            "risk_level": "normal",
            "seller_message": "Payment complete." if succeeded else "The bank declined the payment.",
            "type": "authorized" if succeeded else "issuer_declined",
        },
        "paid": succeeded,
        "payment_intent": charge.intent,
        "payment_method": charge.payment_method,
        "payment_method_details": _method_details_json(charge),
        "receipt_email": None,
        "receipt_url": None,
        "refunded": charge.captured and charge.amount_refunded >= charge.amount_captured,
        "status": charge.status,
    }


def _method_details_json(charge: Charge) -> Json:
    if charge.method == "klarna":
        klarna = {"payer_details": {"address": {"country": "US"}}, "payment_method_category": "pay_later"}
        return {"klarna": {**klarna, "preferred_locale": "en-US"}, "type": "klarna"}
    return {"card": _charged_card_json(charge), "type": "card"}


def _charged_card_json(charge: Charge) -> Json:
    succeeded = charge.status == "succeeded"
    card: Json = {
        **card_json(charge.card_token),
        "amount_authorized": charge.amount if succeeded else None,
        "authorization_code": charge.id[-6:] if succeeded else None,
        "extended_authorization": {"status": "disabled"},
        "incremental_authorization": {"status": "unavailable"},
        "multicapture": {"status": "unavailable"},
        "network": CARDS[charge.card_token].brand,
        "overcapture": {"maximum_amount_capturable": charge.amount, "status": "unavailable"},
        "three_d_secure": None,
    }
    if charge.capture_before is not None:
        card["capture_before"] = charge.capture_before
    return card


def card_json(token: str) -> Json:
    """Return the part of a card that is shown."""
    card = CARDS[token]
    return {
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "US",
        "exp_month": 12,
        "exp_year": 2034,
        "fingerprint": f"fp{card.last4}",
        "funding": "credit",
        "last4": card.last4,
        "wallet": None,
    }


def payment_method_json(identifier: str, token: str, created: int, customer: str | None = None) -> Json:
    """Return a PaymentMethod."""
    return {
        "id": identifier,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {"address": None, "email": None, "name": None, "phone": None, "tax_id": None},
        "card": card_json(token),
        "created": created,
        "customer": customer,
        "livemode": False,
        "metadata": {},
        "type": "card",
    }


def customer_json(customer: Customer) -> Json:
    """Return a Customer."""
    return {
        "id": customer.id,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": customer.created,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": customer.description,
        "email": customer.email,
        "invoice_prefix": customer.id[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": customer.metadata,
        "name": customer.name,
        "next_invoice_sequence": 1,
        "phone": customer.phone,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def refund_json(refund: Refund) -> Json:
    """Return a Refund."""
    rendered: Json = {
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "balance_transaction": f"txn_{refund.id[3:]}",
        "charge": refund.charge,
        "created": refund.created,
        "currency": refund.currency,
        "destination_details": {"card": {"reference_status": "pending", "type": "refund"}, "type": "card"},
        "metadata": refund.metadata,
        "payment_intent": refund.intent,
        "reason": refund.reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": refund.status,
        "transfer_reversal": None,
    }
    if refund.failure_reason:
        rendered["failure_reason"] = refund.failure_reason
        rendered["failure_balance_transaction"] = f"txn_{refund.id[3:]}f"
    return rendered


def dispute_json(charge: Charge, created: int) -> Json:
    """Return a Dispute over a whole charge. The shop has a week to answer."""
    due_by = created + DISPUTE_WINDOW_SECONDS if charge.dispute_status == "needs_response" else None
    return {
        "id": f"du_{charge.id[3:]}",
        "object": "dispute",
        "amount": charge.amount_captured,
        "balance_transactions": [],
        "charge": charge.id,
        "created": created,
        "currency": charge.currency,
        "enhanced_eligibility_types": [],
        "evidence": {},
        "evidence_details": {"due_by": due_by, "has_evidence": False, "past_due": False, "submission_count": 0},
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge.intent,
        "reason": "fraudulent",
        "status": charge.dispute_status,
    }


def event_json(event: Event, thing: Json, pending_webhooks: int, request_id: str | None, key: str | None) -> Json:
    """Return an Event with the object it is about, as it was at that moment."""
    return {
        "id": event.id,
        "object": "event",
        "api_version": API_VERSION,
        "created": event.created,
        "data": {"object": thing},
        "livemode": False,
        "pending_webhooks": pending_webhooks,
        "request": {"id": request_id, "idempotency_key": key},
        "type": event.type,
    }


def endpoint_json(endpoint: Endpoint, *, with_secret: bool = False) -> Json:
    """Return a WebhookEndpoint. Its secret is revealed once, in the answer to its creation."""
    rendered: Json = {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "api_version": API_VERSION,
        "application": None,
        "created": endpoint.created,
        "description": endpoint.description,
        "enabled_events": endpoint.enabled_events,
        "livemode": False,
        "metadata": endpoint.metadata,
        "status": "enabled",
        "url": endpoint.url,
    }
    return {**rendered, "secret": endpoint.secret} if with_secret else rendered


def list_json(url: str, items: list[Json], *, has_more: bool = False) -> Json:
    """Return a page of objects."""
    return {"object": "list", "data": items, "has_more": has_more, "url": url}
