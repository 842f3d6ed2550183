"""Which path and method mean which operation, and what each operation does."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from local.gateway_server.behaviors import Behavior
from local.gateway_server.courier import new_endpoint
from local.gateway_server.model import Endpoint, Json
from local.paypal_server import orders, payments, vault
from local.paypal_server.errors import invalid, missing
from local.paypal_server.ledger import PayPalLedger
from local.paypal_server.model import Order, paypal_id
from local.paypal_server.objects import (
    authorization_json,
    capture_json,
    minimal_json,
    order_json,
    refund_json,
)

_ADDRESS: Final = re.compile(
    r"/v2/checkout/(?P<orders>orders)(?:/(?P<order>[A-Za-z0-9_-]+))?(?:/(?P<order_verb>capture|authorize))?"
    r"|/v2/payments/(?P<resource>authorizations|captures|refunds)/(?P<id>[A-Za-z0-9_-]+)"
    r"(?:/(?P<verb>capture|void|reauthorize|refund))?"
    r"|/v1/notifications/(?P<webhooks>webhooks)(?:/(?P<webhook>[A-Za-z0-9_-]+))?"
    r"|/v3/vault/(?P<vault>payment-tokens)/(?P<token>[A-Za-z0-9_-]+)"
)
_VERBS: Final = {
    ("POST", False): "create",
    ("GET", False): "list",
    ("GET", True): "retrieve",
    ("PATCH", True): "update",
    ("DELETE", True): "delete",
}
Made = tuple[int, Json]
"""Status and body. An empty body is sent as none."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One API call, such as ``orders.capture``: its account, the id it is about, and its body."""

    name: str
    account: str
    identifier: str
    """The id in the address, or "" where there is none."""
    given: Any
    whole: bool
    """Whether the whole representation is preferred."""
    behavior: Behavior

    @property
    def body(self) -> Json:
        """The body of a change: an object, or empty. Raises ``Refusal``."""
        if self.given is not None and not isinstance(self.given, dict):
            raise invalid("MALFORMED_REQUEST_JSON", "The request JSON is not well formed.", "/")
        return self.given or {}

    def execute(self, ledger: PayPalLedger) -> Made:
        """Execute the call. Raises ``Refusal``."""
        return _OPERATIONS[self.name](ledger, self)


def name_of(method: str, path: str) -> tuple[str, str]:
    """Return the name and the id of the operation that a request means. Raises ``Refusal`` (404)."""
    matched = _ADDRESS.fullmatch(path)
    if matched is None:
        raise missing()
    resource = matched["orders"] or matched["resource"] or matched["webhooks"] or matched["vault"]
    identifier = matched["order"] or matched["id"] or matched["webhook"] or matched["token"] or ""
    verb = matched["order_verb"] or matched["verb"]
    plain = _VERBS.get((method, bool(identifier)))
    name = f"{resource}.{verb if verb and method == 'POST' else plain}"
    if name not in _OPERATIONS or (verb and method != "POST"):
        raise missing()
    return name, identifier


def order_of(ledger: PayPalLedger, name: str, identifier: str) -> Order | None:
    """Return the order that an operation is about, if it exists."""
    resource = name.partition(".")[0]
    if resource == "orders":
        return ledger.orders.get(identifier)
    tables: dict[str, dict[str, Any]] = {
        "authorizations": ledger.authorizations,
        "captures": ledger.captures,
        "refunds": ledger.refunds,
    }
    found = tables.get(resource, {}).get(identifier)
    return ledger.orders[found.order] if found else None


def latest(ledger: PayPalLedger, answered: Json, *, whole: bool) -> Json | None:
    """Return the present state of what an earlier answer was about. None for what has no state of its own."""
    identifier = str(answered.get("id"))
    if identifier in ledger.orders:
        return _order(ledger, ledger.orders[identifier], whole=whole)
    if identifier in ledger.captures:
        return capture_json(ledger, ledger.captures[identifier])
    if identifier in ledger.authorizations:
        return authorization_json(ledger, ledger.authorizations[identifier])
    return refund_json(ledger, ledger.refunds[identifier]) if identifier in ledger.refunds else None


def _order(ledger: PayPalLedger, order: Order, *, whole: bool) -> Json:
    return order_json(ledger, order) if whole else minimal_json(ledger, order)


def _shown(thing: Json, *, whole: bool) -> Json:
    return thing if whole else {name: thing[name] for name in ("id", "status", "links")}


def _create_order(ledger: PayPalLedger, call: Operation) -> Made:
    order = orders.create(ledger, call.account, call.body, call.behavior.decline_code)
    order.refund_fate = call.behavior.refund_fate
    return 201, _order(ledger, order, whole=call.whole)


def _update_order(ledger: PayPalLedger, call: Operation) -> Made:
    orders.patch(ledger, ledger.order(call.account, call.identifier), call.given)
    return 204, {}


def _complete_order(ledger: PayPalLedger, call: Operation) -> Made:
    order = ledger.order(call.account, call.identifier)
    orders.complete(ledger, order, call.name.partition(".")[2], call.behavior.decline_code)
    return 201, _order(ledger, order, whole=call.whole)


def _capture(ledger: PayPalLedger, call: Operation) -> Made:
    authorization = ledger.authorization(call.account, call.identifier)
    capture = payments.capture_authorization(ledger, authorization, call.body, call.behavior.decline_code)
    return 201, _shown(capture_json(ledger, capture), whole=call.whole)


def _void(ledger: PayPalLedger, call: Operation) -> Made:
    authorization = ledger.authorization(call.account, call.identifier)
    payments.void(ledger, authorization)
    return (200, authorization_json(ledger, authorization)) if call.whole else (204, {})


def _reauthorize(ledger: PayPalLedger, call: Operation) -> Made:
    renewed = payments.reauthorize(ledger, ledger.authorization(call.account, call.identifier), call.body)
    return 201, _shown(authorization_json(ledger, renewed), whole=call.whole)


def _refund(ledger: PayPalLedger, call: Operation) -> Made:
    capture = ledger.capture(call.account, call.identifier)
    refund = payments.refund(ledger, capture, call.body, call.behavior.refund_fate)
    return 201, _shown(refund_json(ledger, refund), whole=call.whole)


def _create_webhook(ledger: PayPalLedger, call: Operation) -> Made:
    url, types = call.body.get("url"), call.body.get("event_types")
    if not isinstance(url, str) or not isinstance(types, list) or not types:
        raise invalid("MISSING_REQUIRED_PARAMETER", "A required field / parameter is missing.", "/url")
    names = [str(kind["name"]) for kind in types if isinstance(kind, dict) and "name" in kind]
    endpoint = new_endpoint(call.account, url, names, secret="none")  # noqa: S106 -- PayPal's webhooks have none
    endpoint.id = paypal_id()
    ledger.endpoints[endpoint.id] = endpoint
    ledger.changes += 1
    return 201, _webhook_json(endpoint)


def _list_webhooks(ledger: PayPalLedger, call: Operation) -> Made:
    mine = [endpoint for endpoint in ledger.endpoints.values() if endpoint.account == call.account]
    return 200, {"webhooks": [_webhook_json(endpoint) for endpoint in mine]}


def _delete_webhook(ledger: PayPalLedger, call: Operation) -> Made:
    endpoint = ledger.endpoints.get(call.identifier)
    if endpoint is None or endpoint.account != call.account:
        raise missing()
    del ledger.endpoints[endpoint.id]
    ledger.changes += 1
    return 204, {}


def _delete_token(ledger: PayPalLedger, call: Operation) -> Made:
    vault.forget(ledger, call.account, call.identifier)
    return 204, {}


def _webhook_json(endpoint: Endpoint) -> Json:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "event_types": [{"name": name} for name in endpoint.enabled_events],
        "links": [],
    }


_OPERATIONS: Final[dict[str, Callable[[PayPalLedger, Operation], Made]]] = {
    "orders.create": _create_order,
    "orders.retrieve": lambda ledger, call: (200, order_json(ledger, ledger.order(call.account, call.identifier))),
    "orders.update": _update_order,
    "orders.capture": _complete_order,
    "orders.authorize": _complete_order,
    "authorizations.retrieve": lambda ledger, call: (
        200,
        authorization_json(ledger, ledger.authorization(call.account, call.identifier)),
    ),
    "authorizations.capture": _capture,
    "authorizations.void": _void,
    "authorizations.reauthorize": _reauthorize,
    "captures.retrieve": lambda ledger, call: (
        200,
        capture_json(ledger, ledger.capture(call.account, call.identifier)),
    ),
    "captures.refund": _refund,
    "refunds.retrieve": lambda ledger, call: (200, refund_json(ledger, ledger.refund(call.account, call.identifier))),
    "payment-tokens.delete": _delete_token,
    "webhooks.create": _create_webhook,
    "webhooks.list": _list_webhooks,
    "webhooks.delete": _delete_webhook,
}
