"""Which path and method mean which operation, and what each operation does."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from local.gateway_server.model import Endpoint, Json
from local.stripe_server import customers, forms, intents, refunds
from local.stripe_server.errors import invalid_request, missing
from local.stripe_server.forms import Params
from local.stripe_server.ledger import Ledger
from local.stripe_server.objects import charge_json, endpoint_json, list_json
from local.stripe_server.webhooks import new_endpoint

_ADDRESS: Final = re.compile(
    r"/v1/(?P<resource>payment_intents|payment_methods|customers|refunds|charges|webhook_endpoints)"
    r"(?:/(?P<id>[^/]+))?(?:/(?P<verb>confirm|capture|cancel|detach))?"
)
_VERBS: Final = {
    ("POST", False, None): "create",
    ("GET", False, None): "list",
    ("GET", True, None): "retrieve",
    ("POST", True, "confirm"): "confirm",
    ("POST", True, "capture"): "capture",
    ("POST", True, "cancel"): "cancel",
    ("POST", True, "detach"): "detach",
    ("DELETE", True, None): "delete",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One API call, such as ``payment_intents.capture``: its account, the id it is about, and its parameters."""

    name: str
    account: str
    identifier: str
    """The id in the address, or "" where there is none."""
    params: Params

    def execute(self, ledger: Ledger) -> Json:
        """Execute the call. Raises ``StripeError``, also for a decline."""
        return _OPERATIONS[self.name](ledger, self)


def operation_of(method: str, path: str, account: str, params: Params) -> Operation:
    """Return the operation that a request means. Raises ``StripeError`` (404)."""
    matched = _ADDRESS.fullmatch(path)
    if matched:
        resource, identifier = matched["resource"], matched["id"]
        name = f"{resource}.{_VERBS.get((method, identifier is not None, matched['verb']))}"
        if name == "payment_intents.retrieve" and identifier == "search":
            name = "payment_intents.search"
        if name in _OPERATIONS:
            return Operation(name, account, identifier or "", params)
    raise invalid_request(f"Unrecognized request URL ({method}: {path}).", status=404)


def _retrieve_intent(ledger: Ledger, call: Operation) -> Json:
    return ledger.render_intent(ledger.intent(call.account, call.identifier), forms.texts(call.params, "expand"))


def _retrieve_charge(ledger: Ledger, call: Operation) -> Json:
    charge = ledger.charges.get(call.identifier)
    if charge is None or charge.account != call.account:
        raise missing("charge", call.identifier, param="id")
    return charge_json(charge)


def _create_endpoint(ledger: Ledger, call: Operation) -> Json:
    params = call.params
    known = frozenset(("api_version", "description", "enabled_events", "expand", "metadata", "url"))
    forms.refuse_unknown(params, known)
    url = forms.text(params, "url", required=True) or ""
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise invalid_request("Invalid URL: it needs a scheme and a host.", code="url_invalid", param="url")
    events = forms.texts(params, "enabled_events")
    if not events:
        message = "Missing required param: enabled_events."
        raise invalid_request(message, code="parameter_missing", param="enabled_events")
    endpoint = new_endpoint(
        call.account, url, events, description=forms.text(params, "description"), metadata=forms.metadata(params)
    )
    ledger.endpoints[endpoint.id] = endpoint
    ledger.changes += 1
    return endpoint_json(endpoint, with_secret=True)


def _list_endpoints(ledger: Ledger, call: Operation) -> Json:
    mine = [endpoint for endpoint in ledger.endpoints.values() if endpoint.account == call.account]
    return list_json("/v1/webhook_endpoints", [endpoint_json(endpoint) for endpoint in mine])


def _retrieve_endpoint(ledger: Ledger, call: Operation) -> Json:
    return endpoint_json(_endpoint(ledger, call))


def _delete_endpoint(ledger: Ledger, call: Operation) -> Json:
    endpoint = _endpoint(ledger, call)
    del ledger.endpoints[endpoint.id]
    ledger.changes += 1
    return {"id": endpoint.id, "object": "webhook_endpoint", "deleted": True}


def _endpoint(ledger: Ledger, call: Operation) -> Endpoint:
    endpoint = ledger.endpoints.get(call.identifier)
    if endpoint is None or endpoint.account != call.account:
        raise missing("webhook endpoint", call.identifier, param="id")
    return endpoint


_OPERATIONS: Final[dict[str, Callable[[Ledger, Operation], Json]]] = {
    "payment_intents.create": lambda ledger, call: intents.create(ledger, call.account, call.params),
    "payment_intents.list": lambda ledger, call: intents.list_all(ledger, call.account, call.params),
    "payment_intents.search": lambda ledger, call: intents.search(ledger, call.account, call.params),
    "payment_intents.retrieve": _retrieve_intent,
    "payment_intents.confirm": lambda ledger, call: intents.confirm(
        ledger, ledger.intent(call.account, call.identifier), call.params
    ),
    "payment_intents.capture": lambda ledger, call: intents.capture(
        ledger, ledger.intent(call.account, call.identifier), call.params
    ),
    "payment_intents.cancel": lambda ledger, call: intents.cancel(
        ledger, ledger.intent(call.account, call.identifier), call.params
    ),
    "customers.create": lambda ledger, call: customers.create(ledger, call.account, call.params),
    "customers.retrieve": lambda ledger, call: customers.retrieve(ledger, call.account, call.identifier),
    "payment_methods.retrieve": lambda ledger, call: customers.method(ledger, call.account, call.identifier),
    "payment_methods.detach": lambda ledger, call: customers.detach(ledger, call.account, call.identifier, call.params),
    "refunds.create": lambda ledger, call: refunds.create(ledger, call.account, call.params),
    "refunds.list": lambda ledger, call: refunds.list_all(ledger, call.account, call.params),
    "refunds.retrieve": lambda ledger, call: refunds.retrieve(ledger, call.account, call.identifier),
    "charges.retrieve": _retrieve_charge,
    "webhook_endpoints.create": _create_endpoint,
    "webhook_endpoints.list": _list_endpoints,
    "webhook_endpoints.retrieve": _retrieve_endpoint,
    "webhook_endpoints.delete": _delete_endpoint,
}
