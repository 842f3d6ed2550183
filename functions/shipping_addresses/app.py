"""Give an order another shipping address, as long as nothing of it is picked."""

from typing import Any

from aws_lambda_powertools.event_handler import Response

from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.flows.orders.change_shipping_address import OPERATION, ChangeShippingAddress, change_shipping_address
from holdfast.runtime import runtime
from holdfast.web.answers import readdressed_answer
from holdfast.web.caller import caller_from
from holdfast.web.checkout_models import ShippingAddressBody
from holdfast.web.clock import utc_now
from holdfast.web.http import IdempotencyKey, OrderReference, make_resolver, serve
from holdfast.web.problems import stored_response
from holdfast.web.routes import DATABASE, IDEMPOTENT, JSON_BODY, route
from holdfast.web.telemetry import count_lookups

app = make_resolver()
handler = serve(app)


@route(
    app,
    "PUT /v1/orders/{order_id}/shipping-address",
    "Ship an order elsewhere",
    returns={200: "ReaddressedOrder"},
    refuses=(*JSON_BODY, *IDEMPOTENT, *DATABASE, "not_found", "conflict"),
)
def shipping_address(
    order_id: OrderReference, body: ShippingAddressBody, idempotency_key: IdempotencyKey
) -> Response[Any]:
    """Until something of the order is picked. Its goods move to other warehouses where that saves more than 25 % of the
    shipping cost; its price never rises, and if it falls, the difference goes back. The answer says what and why."""
    caller = caller_from(app.current_event.raw_event)
    request = {"order": order_id} | body.model_dump(mode="json")
    claim = Claim(caller.actor, OPERATION, idempotency_key, fingerprint_of(request))
    command = ChangeShippingAddress(caller, claim, order_id, body.shipping_address.to_address(), body.version)
    answer = change_shipping_address(runtime(), command, utc_now, readdressed_answer)
    count_lookups(runtime().lookup_tally)
    return stored_response(answer)
