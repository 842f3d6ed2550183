"""The JSON of PayPal's objects (https://developer.paypal.com/docs/api/orders/v2/ and /docs/api/payments/v2/)."""

from datetime import UTC, datetime

from local.gateway_server.model import Json
from local.paypal_server.amounts import amount_json
from local.paypal_server.instruments import INSTRUMENTS
from local.paypal_server.ledger import PayPalLedger
from local.paypal_server.model import Authorization, Capture, Order, Refund

PAYER: Json = {
    "email_address": "buyer@example.com",
    "payer_id": "QYR5Z8XDVJNXQ",
    "name": {"given_name": "Alex", "surname": "Buyer"},
    "address": {"country_code": "US"},
}
PAYEE: Json = {"email_address": "seller@example.com", "merchant_id": "X5XAHHCG636FA"}
_PROTECTION: Json = {
    "status": "ELIGIBLE",
    "dispute_categories": ["ITEM_NOT_RECEIVED", "UNAUTHORIZED_TRANSACTION"],
}


def order_json(ledger: PayPalLedger, order: Order) -> Json:
    """Return the whole representation of an order."""
    unit: Json = {
        "reference_id": order.reference_id,
        "amount": amount_json(order.amount, order.currency),
        "payee": PAYEE,
    }
    for name, value in (("custom_id", order.custom_id), ("invoice_id", order.invoice_id)):
        if value:
            unit[name] = value
    if order.authorizations or order.captures:
        unit["payments"] = payments_json(ledger, order)
    rendered: Json = {
        "id": order.id,
        "intent": order.intent,
        "status": order.status,
        "purchase_units": [unit],
        "create_time": timestamp(order.created),
        "update_time": timestamp(order.updated or order.created),
        "links": _order_links(ledger, order),
    }
    source = source_json(order)
    if source:
        rendered["payment_source"] = source
    if order.status in ("APPROVED", "COMPLETED") and order.source == "paypal":
        rendered["payer"] = PAYER
    return rendered


def minimal_json(ledger: PayPalLedger, order: Order) -> Json:
    """Return what a caller gets who did not ask for ``return=representation``."""
    rendered: Json = {"id": order.id, "status": order.status, "links": _order_links(ledger, order)}
    if order.authorizations or order.captures:
        unit = {"reference_id": order.reference_id, "payments": payments_json(ledger, order)}
        rendered["purchase_units"] = [unit]
    return rendered


def payments_json(ledger: PayPalLedger, order: Order) -> Json:
    """Return the authorizations, captures and refunds of a purchase unit.

    Kinds of which there are none are left out.
    """
    payments = {
        "authorizations": [authorization_json(ledger, ledger.authorizations[one]) for one in order.authorizations],
        "captures": [capture_json(ledger, ledger.captures[one]) for one in order.captures],
        "refunds": [refund_json(ledger, ledger.refunds[one]) for one in order.refunds],
    }
    # Inside an order nothing points back to it.
    for things in payments.values():
        for thing in things:
            thing.pop("supplementary_data", None)
            thing.pop("payee", None)
    return {kind: things for kind, things in payments.items() if things}


def source_json(order: Order) -> Json:
    """Return the payment source, as far as it is shown."""
    instrument = INSTRUMENTS.get(order.instrument or "")
    if instrument is None:
        return {} if order.source == "none" else {order.source: {}}
    if instrument.kind == "card":
        return {"card": {"brand": instrument.brand, "last_digits": instrument.last_digits, "type": "CREDIT"}}
    account = {"email_address": PAYER["email_address"], "account_id": PAYER["payer_id"], "account_status": "VERIFIED"}
    shown = {**account, "name": PAYER["name"], "address": PAYER["address"]}
    if order.vaulted:
        kept = {"id": order.vaulted, "status": "VAULTED", "customer": {"id": order.customer}, "links": []}
        shown["attributes"] = {"vault": kept}
    return {"paypal": shown}


def authorization_json(ledger: PayPalLedger, authorization: Authorization) -> Json:
    """Return an authorization."""
    address = f"{ledger.base_url}/v2/payments/authorizations/{authorization.id}"
    links = [_link(address, "self", "GET")]
    if authorization.status in ("CREATED", "PARTIALLY_CAPTURED"):
        links += [_link(f"{address}/{verb}", verb, "POST") for verb in ("capture", "void", "reauthorize")]
    links.append(_link(f"{ledger.base_url}/v2/checkout/orders/{authorization.order}", "up", "GET"))
    return {
        "id": authorization.id,
        "status": authorization.status,
        "amount": amount_json(authorization.amount, authorization.currency),
        **_names(authorization.custom_id, authorization.invoice_id),
        **_processor(authorization.processor_code),
        "seller_protection": _PROTECTION,
        "expiration_time": timestamp(authorization.expires),
        "create_time": timestamp(authorization.created),
        "update_time": timestamp(authorization.updated),
        "supplementary_data": {"related_ids": {"order_id": authorization.order}},
        "payee": PAYEE,
        "links": links,
    }


def capture_json(ledger: PayPalLedger, capture: Capture) -> Json:
    """Return a capture, of an order or of an authorization."""
    address = f"{ledger.base_url}/v2/payments/captures/{capture.id}"
    above = (
        f"/v2/payments/authorizations/{capture.authorization}"
        if capture.authorization
        else f"/v2/checkout/orders/{capture.order}"
    )
    related = {"order_id": capture.order}
    if capture.authorization:
        related["authorization_id"] = capture.authorization
    rendered: Json = {
        "id": capture.id,
        "status": capture.status,
        "amount": amount_json(capture.amount, capture.currency),
        **_names(capture.custom_id, capture.invoice_id),
        **_processor(capture.processor_code),
        "final_capture": capture.final,
        "seller_protection": _PROTECTION,
        "create_time": timestamp(capture.created),
        "update_time": timestamp(capture.updated),
        "supplementary_data": {"related_ids": related},
        "payee": PAYEE,
        "links": [
            _link(address, "self", "GET"),
            _link(f"{address}/refund", "refund", "POST"),
            _link(f"{ledger.base_url}{above}", "up", "GET"),
        ],
    }
    if capture.status in ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"):
        fee = min(capture.amount, capture.amount * 3 // 100 + 1)
        rendered["seller_receivable_breakdown"] = {
            "gross_amount": amount_json(capture.amount, capture.currency),
            "paypal_fee": amount_json(fee, capture.currency),
            "net_amount": amount_json(capture.amount - fee, capture.currency),
        }
    if capture.status == "PENDING":
        rendered["status_details"] = {"reason": "ECHECK"}
    return rendered


def refund_json(ledger: PayPalLedger, refund: Refund) -> Json:
    """Return a refund. Only its link ``up`` points to its capture."""
    rendered: Json = {
        "id": refund.id,
        "status": refund.status,
        "amount": amount_json(refund.amount, refund.currency),
        **_names(refund.custom_id, None),
        "seller_payable_breakdown": {
            "gross_amount": amount_json(refund.amount, refund.currency),
            "paypal_fee": amount_json(0, refund.currency),
            "net_amount": amount_json(refund.amount, refund.currency),
            "total_refunded_amount": amount_json(refund.amount, refund.currency),
        },
        "create_time": timestamp(refund.created),
        "update_time": timestamp(refund.updated),
        "links": [
            _link(f"{ledger.base_url}/v2/payments/refunds/{refund.id}", "self", "GET"),
            _link(f"{ledger.base_url}/v2/payments/captures/{refund.capture}", "up", "GET"),
        ],
    }
    if refund.reason:
        rendered["status_details"] = {"reason": refund.reason}
    return rendered


def dispute_json(capture: Capture, order: Order, dispute_id: str, at: int) -> Json:
    """Return a dispute over a whole capture (https://developer.paypal.com/docs/api/customer-disputes/v1/)."""
    transaction = {
        "seller_transaction_id": capture.id,
        "create_time": timestamp(capture.created),
        "transaction_status": "COMPLETED",
        "gross_amount": amount_json(capture.amount, capture.currency),
        "seller": {"merchant_id": PAYEE["merchant_id"], "name": "The shop"},
        **({"custom": order.custom_id} if order.custom_id else {}),
        **({"invoice_number": order.invoice_id} if order.invoice_id else {}),
    }
    return {
        "dispute_id": dispute_id,
        "create_time": timestamp(at),
        "update_time": timestamp(at),
        "disputed_transactions": [transaction],
        "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
        "status": "OPEN",
        "dispute_amount": amount_json(capture.amount, capture.currency),
        "dispute_life_cycle_stage": "INQUIRY",
        "dispute_channel": "INTERNAL",
        "links": [],
    }


def timestamp(seconds: int) -> str:
    """Return a time in RFC 3339, UTC, whole seconds."""
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat().replace("+00:00", "Z")


def approval_url(ledger: PayPalLedger, order: Order) -> str:
    """Return the address at which the buyer agrees."""
    return f"{ledger.base_url}/_control/approval/{order.id}"


def _order_links(ledger: PayPalLedger, order: Order) -> list[Json]:
    address = f"{ledger.base_url}/v2/checkout/orders/{order.id}"
    links = [_link(address, "self", "GET")]
    if order.status in ("CREATED", "PAYER_ACTION_REQUIRED"):
        # The link of an order created with a payment source is called payer-action; without one it is called approve.
        relation = "approve" if order.source == "none" else "payer-action"
        links.append(_link(approval_url(ledger, order), relation, "GET"))
    if order.status in ("CREATED", "APPROVED"):
        verb = order.intent.lower()
        links += [_link(address, "update", "PATCH"), _link(f"{address}/{verb}", verb, "POST")]
    return links


def _link(href: str, relation: str, method: str) -> Json:
    return {"href": href, "rel": relation, "method": method}


def _names(custom_id: str | None, invoice_id: str | None) -> Json:
    named = {"custom_id": custom_id, "invoice_id": invoice_id}
    return {name: value for name, value in named.items() if value}


def _processor(code: str | None) -> Json:
    return {"processor_response": {"response_code": code, "avs_code": "Y", "cvv_code": "M"}} if code else {}
