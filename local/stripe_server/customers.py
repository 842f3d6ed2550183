"""Customers and the payment methods they save (https://docs.stripe.com/payments/save-during-payment)."""

from typing import Final

from local.gateway_server.model import Json, new_id
from local.stripe_server import forms
from local.stripe_server.cards import CARDS
from local.stripe_server.errors import StripeError, invalid_request, missing
from local.stripe_server.forms import Params
from local.stripe_server.ledger import Ledger
from local.stripe_server.model import Customer, Intent, PaymentMethod
from local.stripe_server.objects import customer_json, payment_method_json

CREATE_PARAMETERS: Final = frozenset(("description", "email", "expand", "metadata", "name", "phone"))
DETACH_PARAMETERS: Final = frozenset(("expand",))
_FUTURE_USAGES: Final = ("off_session", "on_session")


def create(ledger: Ledger, account: str, params: Params) -> Json:
    """``POST /v1/customers``."""
    forms.refuse_unknown(params, CREATE_PARAMETERS)
    customer = Customer(
        id=new_id("cus"),
        account=account,
        created=ledger.now(),
        description=forms.text(params, "description"),
        email=forms.text(params, "email"),
        name=forms.text(params, "name"),
        phone=forms.text(params, "phone"),
        metadata=forms.metadata(params),
    )
    ledger.customers[customer.id] = customer
    ledger.changes += 1
    return customer_json(customer)


def retrieve(ledger: Ledger, account: str, identifier: str) -> Json:
    """``GET /v1/customers/{id}``."""
    customer = ledger.customers.get(identifier)
    if customer is None or customer.account != account:
        raise missing("customer", identifier, param="id")
    return customer_json(customer)


def method(ledger: Ledger, account: str, identifier: str) -> Json:
    """``GET /v1/payment_methods/{id}``."""
    kept = _method(ledger, account, identifier)
    return payment_method_json(kept.id, kept.card_token, kept.created, kept.customer)


def detach(ledger: Ledger, account: str, identifier: str, params: Params) -> Json:
    """``POST /v1/payment_methods/{id}/detach``: it can never be used again."""
    forms.refuse_unknown(params, DETACH_PARAMETERS)
    kept = _method(ledger, account, identifier)
    if kept.customer is None:
        raise invalid_request(
            "The payment method you provided is not attached to a customer so detachment is impossible.",
            param="payment_method",
        )
    kept.customer, kept.is_spent = None, True
    ledger.changes += 1
    return payment_method_json(kept.id, kept.card_token, kept.created, None)


def check_customer(ledger: Ledger, account: str, identifier: str | None) -> str | None:
    """Return the customer that a payment names. Raises ``StripeError``."""
    customer = ledger.customers.get(identifier or "")
    if identifier is not None and (customer is None or customer.account != account):
        raise missing("customer", identifier, param="customer", status=400)
    return identifier


def future_usage(params: Params) -> str | None:
    """Return ``setup_future_usage``. Raises ``StripeError``."""
    given = forms.text(params, "setup_future_usage")
    if given is not None and given not in _FUTURE_USAGES:
        raise invalid_request(
            f"Invalid setup_future_usage: must be one of {' or '.join(_FUTURE_USAGES)}", param="setup_future_usage"
        )
    return given


def take(ledger: Ledger, intent: Intent, given: str) -> None:
    """Use the payment method of a request for this intent.

    A test token becomes a payment method with an id of its own.
    """
    known = ledger.payment_methods.get(given)
    if given in CARDS:
        known = PaymentMethod(new_id("pm"), given, intent.account, ledger.now())
        ledger.payment_methods[known.id] = known
    if known is None or known.account != intent.account:
        raise missing("PaymentMethod", given, param="payment_method", status=400)
    if known.is_spent and known.customer is None:
        raise invalid_request(
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared "
            "with a connected account without Customer attachment, or was detached from a Customer. It may not be used "
            "again. To use a PaymentMethod multiple times, you must attach it to a Customer first.",
            param="payment_method",
        )
    if known.customer is not None and known.customer != intent.customer:
        raise _of_another(known, intent)
    intent.card_token, intent.payment_method = known.card_token, known.id


def keep(ledger: Ledger, intent: Intent) -> None:
    """Settle what becomes of the method of a successful payment.

    It is attached to the customer if that was requested, and otherwise spent.
    """
    used = ledger.payment_methods[intent.payment_method or ""]
    used.is_spent = True
    if intent.setup_future_usage and intent.customer:
        used.customer = intent.customer


def _of_another(known: PaymentMethod, intent: Intent) -> StripeError:
    if intent.customer is None:
        return invalid_request(
            f"The PaymentMethod {known.id} belongs to the Customer {known.customer}. Please include the Customer in "
            "the `customer` parameter on the PaymentIntent.",
            param="payment_method",
        )
    return invalid_request(
        f"The customer does not have a payment method with the ID {known.id}. The payment method must be attached to "
        "the customer.",
        code="resource_missing",
        param="payment_method",
    )


def _method(ledger: Ledger, account: str, identifier: str) -> PaymentMethod:
    kept = ledger.payment_methods.get(identifier)
    if kept is None or kept.account != account:
        raise missing("PaymentMethod", identifier, param="payment_method")
    return kept
