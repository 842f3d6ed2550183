"""The life of an order (https://developer.paypal.com/docs/api/orders/v2/): created, approved by its buyer, paid."""

import re
from typing import Any, Final

from local.gateway_server.model import Json
from local.paypal_server import payments, vault
from local.paypal_server.amounts import read_amount
from local.paypal_server.errors import invalid, unprocessable
from local.paypal_server.instruments import INSTRUMENTS, ISSUES
from local.paypal_server.ledger import PayPalLedger
from local.paypal_server.model import Order, paypal_id
from local.paypal_server.objects import approval_url, order_json

_INTENTS: Final = ("CAPTURE", "AUTHORIZE")
_SOURCES: Final = ("paypal", "card", "token")
_PATCH_PATH: Final = re.compile(r"/purchase_units/@reference_id=='([^']+)'/(custom_id|invoice_id|amount)")
_TEXT_MAX_CHARACTERS: Final = {"custom_id": 255, "invoice_id": 127, "reference_id": 256}


def create(ledger: PayPalLedger, account: str, given: Json, decline_code: str | None) -> Order:
    """``POST /v2/checkout/orders``. With a saved payment source everything happens at once. Raises ``Refusal``."""
    intent = given.get("intent")
    if intent not in _INTENTS:
        raise invalid("INVALID_PARAMETER_VALUE", "The value of a field is invalid.", "/intent")
    units = given.get("purchase_units")
    if not isinstance(units, list) or len(units) != 1 or not isinstance(units[0], dict):
        raise invalid("MISSING_REQUIRED_PARAMETER", "A required field / parameter is missing.", "/purchase_units")
    unit = units[0]
    amount, currency = read_amount(unit.get("amount"), "/purchase_units/@reference_id=='default'/amount")
    order = Order(
        paypal_id(),
        account,
        intent,
        amount,
        currency,
        ledger.now(),
        "CREATED",
        reference_id=_text(unit, "reference_id") or "default",
        custom_id=_text(unit, "custom_id"),
        invoice_id=_text(unit, "invoice_id"),
        decline_code=decline_code,
    )
    _name(order)
    saved = _take_source(ledger, order, given.get("payment_source"))
    if saved:
        _refuse_by_paypal(ledger, order)
    ledger.orders[order.id] = order
    ledger.changes += 1
    if saved and INSTRUMENTS[order.instrument or ""].asks_authentication:
        order.status = "PAYER_ACTION_REQUIRED"
    elif saved:
        _complete(ledger, order)
    return order


def patch(ledger: PayPalLedger, order: Order, given: Any) -> None:
    """``PATCH /v2/checkout/orders/{id}``. Raises ``Refusal``."""
    if order.status == "COMPLETED":
        raise unprocessable("ORDER_ALREADY_COMPLETED", "The order cannot be patched after it is completed.")
    for change in given if isinstance(given, list) else [given]:
        path = _PATCH_PATH.fullmatch(str(change.get("path"))) if isinstance(change, dict) else None
        if path is None or change.get("op") not in ("add", "replace", "remove"):
            raise invalid("INVALID_PARAMETER_VALUE", "The value of a field is invalid.", "/path")
        if path[1] != order.reference_id:
            raise unprocessable("REFERENCE_ID_NOT_FOUND", "Filter expression value is incorrect.")
        if path[2] == "amount":
            order.amount, order.currency = read_amount(change.get("value"), "/value")
            continue
        value = None if change["op"] == "remove" else _text({path[2]: change.get("value")}, path[2])
        if change["op"] == "replace" and not getattr(order, path[2]):
            raise unprocessable("INVALID_PATCH_OPERATION", "The operation cannot be honored: there is no such value.")
        setattr(order, path[2], value)
    _name(order)
    _touch(ledger, order)


def approve(ledger: PayPalLedger, order: Order, instrument: str) -> None:
    """Let the buyer agree and choose what to pay with. Raises ``Refusal``."""
    if order.status not in ("CREATED", "PAYER_ACTION_REQUIRED", "APPROVED") or instrument not in INSTRUMENTS:
        raise unprocessable("ORDER_CANNOT_BE_APPROVED", f"The order is {order.status}.")
    order.instrument, order.status = instrument, "APPROVED"
    _touch(ledger, order)
    resource = order_json(ledger, order)
    ledger.tell("CHECKOUT.ORDER.APPROVED", "checkout-order", order, resource, "An order has been approved by buyer")


def take_back_approval(ledger: PayPalLedger, order: Order) -> None:
    """Let PayPal find a problem after the approval and give the money back."""
    if order.status != "APPROVED":
        raise unprocessable("ORDER_NOT_APPROVED", f"The order is {order.status}.")
    order.status = "VOIDED"
    _touch(ledger, order)
    whole = order_json(ledger, order)
    resource = {"order_id": order.id, "purchase_units": whole["purchase_units"], "payment_source": {"paypal": {}}}
    ledger.tell("CHECKOUT.PAYMENT-APPROVAL.REVERSED", "payment", order, resource, "A payment has been reversed")


def complete(ledger: PayPalLedger, order: Order, verb: str, decline_code: str | None) -> None:
    """``POST /v2/checkout/orders/{id}/capture`` or ``/authorize``. Raises ``Refusal``."""
    if verb.upper() != order.intent:
        raise unprocessable("ACTION_DOES_NOT_MATCH_INTENT", f"Order was created with an intent to {order.intent}.")
    if order.status == "COMPLETED":
        done = "CAPTURED" if verb == "capture" else "AUTHORIZED"
        raise unprocessable(f"ORDER_ALREADY_{done}", f"Order already {done.lower()}.")
    if order.status != "APPROVED":
        raise unprocessable(
            "ORDER_NOT_APPROVED",
            "Payer has not yet approved the Order for payment.",
            links=[{"href": approval_url(ledger, order), "rel": "payer-action", "method": "GET"}],
        )
    order.decline_code = decline_code or order.decline_code
    _refuse_by_paypal(ledger, order)
    _complete(ledger, order)


def _complete(ledger: PayPalLedger, order: Order) -> None:
    payments.refuse_duplicate_invoice(ledger, order)
    order.status = "COMPLETED"
    _touch(ledger, order)
    if order.intent == "CAPTURE":
        paid = payments.take(ledger, order, None, order.amount, final=True).status == "COMPLETED"
    else:
        paid = payments.hold(ledger, order).status == "CREATED"
    if paid and order.store:
        vault.keep(ledger, order)


def _refuse_by_paypal(ledger: PayPalLedger, order: Order) -> None:
    """Raise PayPal's own refusal, if there is one, before any bank is asked.

    An approved order stays approved, and its buyer can choose again at the link in the answer.
    """
    commanded = order.decline_code if order.decline_code in ISSUES else None
    issue = commanded or INSTRUMENTS[order.instrument or ""].issue
    if issue is None:
        return
    order.decline_code = None if commanded else order.decline_code
    links = []
    if issue == "INSTRUMENT_DECLINED":
        links = [{"href": approval_url(ledger, order), "rel": "redirect", "method": "GET"}]
    raise unprocessable(issue, ISSUES[issue], links=links)


def _take_source(ledger: PayPalLedger, order: Order, source: Any) -> bool:
    """Record what the order is paid with. Return whether that is a saved source, so that nobody has to be asked."""
    if source is None:
        order.source = "none"
        return False
    if not isinstance(source, dict) or len(source) != 1 or next(iter(source)) not in _SOURCES:
        raise invalid("INVALID_PARAMETER_VALUE", "The value of a field is invalid.", "/payment_source")
    ((kind, details),) = source.items()
    order.source = "paypal" if kind == "token" else kind
    vault_id = details.get("id") if kind == "token" else details.get("vault_id")
    if vault_id is None:
        if kind != "paypal":
            raise invalid("MISSING_REQUIRED_PARAMETER", "A required field is missing.", f"/payment_source/{kind}")
        order.status = "PAYER_ACTION_REQUIRED"
        order.return_url = (details.get("experience_context") or {}).get("return_url")
        vault.note(order, details.get("attributes"))
        return False
    name = vault.instrument_of(ledger, order.account, str(vault_id))
    instrument = INSTRUMENTS.get(name)
    if instrument is None or instrument.kind != order.source:
        raise unprocessable("TOKEN_ID_NOT_FOUND", "Specified token was not found.", field="/payment_source")
    order.instrument = name
    return True


def _text(thing: Json, name: str) -> str | None:
    value = thing.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= _TEXT_MAX_CHARACTERS[name]:
        raise invalid("INVALID_STRING_LENGTH", "The value of a field is either too short or too long.", f"/{name}")
    return value


def _name(order: Order) -> None:
    named = {"custom_id": order.custom_id, "invoice_id": order.invoice_id}
    order.metadata = {name: value for name, value in named.items() if value}


def _touch(ledger: PayPalLedger, order: Order) -> None:
    # PayPal's times have whole seconds; two changes within the same second must still differ.
    order.updated = max(ledger.now(), order.updated + 1)
    ledger.changes += 1
