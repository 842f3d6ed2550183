"""What customers save (https://developer.paypal.com/docs/checkout/save-payment-methods/during-purchase/)."""

import string
from typing import Any, Final

from local.gateway_server.model import random_text
from local.paypal_server.errors import invalid, missing
from local.paypal_server.ledger import PayPalLedger
from local.paypal_server.model import Order, PaymentToken

_ALPHABET: Final = string.ascii_lowercase + string.digits
_USAGES: Final = ("MERCHANT", "PLATFORM")


def note(order: Order, attributes: Any) -> None:
    """Record whether an order's payment source is to be saved, and for whom. Raises ``Refusal``."""
    asked = attributes.get("vault") if isinstance(attributes, dict) else None
    if asked is None:
        return
    where = "/payment_source/paypal/attributes/vault"
    if not isinstance(asked, dict) or asked.get("store_in_vault") != "ON_SUCCESS":
        raise invalid("INVALID_PARAMETER_VALUE", "The value of a field is invalid.", f"{where}/store_in_vault")
    if asked.get("usage_type") not in _USAGES:
        raise invalid("MISSING_REQUIRED_PARAMETER", "A required field is missing.", f"{where}/usage_type")
    order.store = True
    order.customer = (attributes.get("customer") or {}).get("id") or random_text(10, _ALPHABET)


def keep(ledger: PayPalLedger, order: Order) -> None:
    """Save what an order was paid with."""
    token = PaymentToken(random_text(17, _ALPHABET), order.account, order.customer or "", order.instrument or "")
    ledger.vault[token.id] = token
    order.vaulted = token.id


def instrument_of(ledger: PayPalLedger, account: str, identifier: str) -> str:
    """Return the instrument that a vault id stands for. The sandbox's own names stand for themselves."""
    token = ledger.vault.get(identifier)
    return token.instrument if token and token.account == account else identifier


def forget(ledger: PayPalLedger, account: str, identifier: str) -> None:
    """``DELETE /v3/vault/payment-tokens/{id}``. Raises ``Refusal`` (404)."""
    token = ledger.vault.get(identifier)
    if token is None or token.account != account:
        raise missing()
    del ledger.vault[identifier]
    ledger.changes += 1
