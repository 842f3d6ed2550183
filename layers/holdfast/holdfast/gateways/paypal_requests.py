"""Builds requests to PayPal: the body of an order, the forms of a token, patches of an order. Pure.

Source: https://developer.paypal.com/docs/api/orders/v2/#orders_create and #orders_patch.

The forms of a token (``AuthorizeRequest.token``):

- ``paypal``: the shopper approves at PayPal first; the answer is REQUIRES_ACTION with the URL.
- ``order:{id}``: an order that the shopper has already approved, with PayPal's buttons; it is charged at once.
- ``card:{id}``, ``paypal:{id}``: a card or a PayPal account saved in PayPal's vault; it is charged at once.
  With ``save_method`` a ``paypal`` that is approved and paid is saved in the vault and comes back in this form.
- ``agreement:{id}``: a billing agreement from before the vault existed.
"""

import re
from typing import Any, Final

from holdfast.gateways.paypal_objects import PayPalObject, paypal_amount
from holdfast.gateways.port import AuthorizeRequest, GatewayRefused

APPROVAL_TOKEN: Final = "paypal"  # noqa: S105 -- a word, not a secret
UNKNOWN_TOKEN: Final = "token_unknown"  # noqa: S105 -- a failure code
_NAMED: Final = re.compile(r"(order|card|paypal|agreement):([A-Za-z0-9_-]{1,128})", re.ASCII)


def order_id_in(token: str) -> str | None:
    """Return the order that the token names, if it has that form."""
    named = _NAMED.fullmatch(token)
    return named[2] if named and named[1] == "order" else None


def order_body(request: AuthorizeRequest) -> dict[str, Any]:
    """Return the order to create for an attempt.

    Raises ``NotRepresentable``, and ``GatewayRefused`` for a token that has none of the forms above.
    """
    unit = {
        "custom_id": str(request.payment_id),
        "invoice_id": request.order_number,
        "amount": paypal_amount(request.amount),
    }
    return {
        "intent": "CAPTURE" if request.capture_now else "AUTHORIZE",
        "purchase_units": [unit],
        "payment_source": _payment_source(request),
    }


def patch_of_unit(unit: PayPalObject, values: dict[str, str]) -> list[dict[str, str]]:
    """Return the patch that sets attributes of an order's only purchase unit to these values."""
    where = f"/purchase_units/@reference_id=='{unit.get('reference_id') or 'default'}'"
    return [
        {"op": "replace" if unit.get(name) else "add", "path": f"{where}/{name}", "value": value}
        for name, value in values.items()
    ]


def _payment_source(request: AuthorizeRequest) -> dict[str, Any]:
    if request.token == APPROVAL_TOKEN:
        # The shop already has the shipping address, so PayPal need not ask for one.
        context = {"user_action": "PAY_NOW", "shipping_preference": "NO_SHIPPING"}
        if request.return_url:
            context |= {"return_url": request.return_url, "cancel_url": request.return_url}
        return {"paypal": {"experience_context": context, **_to_be_kept(request)}}
    named = _NAMED.fullmatch(request.token)
    match named and named.groups():
        case ("card", vault_id):
            return {"card": {"vault_id": vault_id}}
        case ("paypal", vault_id):
            return {"paypal": {"vault_id": vault_id}}
        case ("agreement", agreement_id):
            return {"token": {"id": agreement_id, "type": "BILLING_AGREEMENT"}}
        case _:
            raise GatewayRefused("This is no token of PayPal's.", failure_code=UNKNOWN_TOKEN, gateway="paypal")


def _to_be_kept(request: AuthorizeRequest) -> dict[str, Any]:
    """Return the attributes that save what the shopper approves, for a customer that PayPal knows or a new one."""
    if not request.save_method:
        return {}
    known = {"customer": {"id": request.gateway_customer_id}} if request.gateway_customer_id else {}
    return {"attributes": {**known, "vault": {"store_in_vault": "ON_SUCCESS", "usage_type": "MERCHANT"}}}


def vault_id_in(token: str) -> str:
    """Return the vault id in a token that names one. Raises ``GatewayRefused`` for any other token."""
    named = _NAMED.fullmatch(token)
    if named is None or named[1] not in ("card", "paypal"):
        raise GatewayRefused("This names nothing in PayPal's vault.", failure_code=UNKNOWN_TOKEN, gateway="paypal")
    return named[2]
