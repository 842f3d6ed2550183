"""Customers and the cards they keep on file (https://developer.squareup.com/docs/cards-api/overview)."""

from typing import Final

from local.gateway_server.model import Json, random_text
from local.square_server.ledger import Ledger
from local.square_server.model import Customer, OnFile, SquareError, rfc3339
from local.square_server.objects import customer_json, on_file_json
from local.square_server.payments import refuse_unknown, text

CUSTOMER_FIELDS: Final = frozenset(
    (
        "idempotency_key", "given_name", "family_name", "company_name", "nickname", "email_address", "address",
        "phone_number", "reference_id", "note", "birthday", "tax_ids",
    )
)  # fmt: skip
CARD_FIELDS: Final = frozenset(("idempotency_key", "source_id", "verification_token", "card"))
_ONE_OF: Final = ("given_name", "family_name", "company_name", "email_address", "phone_number")
_PAID: Final = ("APPROVED", "COMPLETED")


def create_customer(ledger: Ledger, account: str, body: Json) -> Json:
    """``POST /v2/customers``. Raises ``SquareError``."""
    refuse_unknown(body, CUSTOMER_FIELDS)
    if not any(body.get(name) for name in _ONE_OF):
        raise SquareError("BAD_REQUEST", f"At least one of {', '.join(_ONE_OF)} is required.")
    given: dict[str, str] = {
        name: text(body, name, 0, 300) for name in (*_ONE_OF, "reference_id", "note") if name in body
    }
    customer = Customer(random_text(26).upper(), account, rfc3339(), given)
    ledger.customers[customer.id] = customer
    ledger.changes += 1
    return {"customer": customer_json(customer)}


def create_card(ledger: Ledger, account: str, body: Json) -> Json:
    """``POST /v2/cards``: save the card that a payment was made with. Raises ``SquareError``."""
    refuse_unknown(body, CARD_FIELDS)
    source_id, asked = text(body, "source_id", 1, 16384), body.get("card")
    if not isinstance(asked, dict):
        raise SquareError("MISSING_REQUIRED_PARAMETER", "Missing required parameter.", field="card")
    customer = ledger.customers.get(text(asked, "customer_id", 1, 300))
    if customer is None or customer.account != account:
        raise SquareError("NOT_FOUND", "The customer was not found.", status=404, field="card.customer_id")
    payment = ledger.payment(account, source_id)
    if payment.status not in _PAID:
        raise SquareError("INVALID_CARD_DATA", f"Payment {payment.id} is {payment.status}.", field="source_id")
    reference_id = text(asked, "reference_id", 0, 128) if "reference_id" in asked else None
    card = OnFile(f"ccof:{random_text(20)}", account, customer.id, payment.source_id, rfc3339(), reference_id)
    ledger.on_file[card.id] = card
    ledger.changes += 1
    return {"card": on_file_json(card, ledger.seller(account).merchant_id)}


def disable_card(ledger: Ledger, account: str, identifier: str) -> Json:
    """``POST /v2/cards/{id}/disable``: this is final, and may be repeated. Raises ``SquareError`` (404)."""
    card = ledger.on_file.get(identifier)
    if card is None or card.account != account:
        raise SquareError("NOT_FOUND", f"Card with ID {identifier} not found.", status=404, field="card_id")
    card.enabled = False
    ledger.changes += 1
    return {"card": on_file_json(card, ledger.seller(account).merchant_id)}
