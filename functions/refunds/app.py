"""Refunds: refund an order, and list its refunds."""

from typing import Any

from aws_lambda_powertools.event_handler import Response

from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.flows.money.list_refunds import list_refunds
from holdfast.flows.money.refund_order import OPERATION, RefundOrder, refund_order
from holdfast.runtime import runtime
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.http import IdempotencyKey, OrderReference, json_response, make_resolver, serve
from holdfast.web.problems import stored_response
from holdfast.web.refund_answers import refund_answer
from holdfast.web.refund_models import RefundBody
from holdfast.web.routes import DATABASE, IDEMPOTENT, JSON_BODY, route

app = make_resolver()
handler = serve(app)


@route(
    app,
    "POST /v1/orders/{order_id}/refunds",
    "Refund an order, whole or in part",
    returns={201: "RefundedOrder"},
    refuses=(*JSON_BODY, *IDEMPOTENT, *DATABASE, "not_found", "conflict", "refund_exceeds", "not_representable"),
)
def refund(order_id: OrderReference, body: RefundBody, idempotency_key: IdempotencyKey) -> Response[Any]:
    """By line and quantity, by amount, the shipping, or all that is left; never more than was captured. Answers with
    the refunds as they are now: what the gateway has not confirmed yet changes the order when it does."""
    caller = caller_from(app.current_event.raw_event)
    request = {"order": order_id} | body.model_dump(mode="json")
    claim = Claim(caller.actor, OPERATION, idempotency_key, fingerprint_of(request))
    command = RefundOrder(caller, claim, order_id, body.to_wanted(), body.reason, body.notes)
    return stored_response(refund_order(runtime(), command, utc_now, refund_answer))


@route(
    app,
    "GET /v1/orders/{reference}/refunds",
    "List the refunds of an order",
    returns={200: "RefundList"},
    refuses=("invalid_input", "not_found", *DATABASE),
)
def refunds(reference: OrderReference) -> Response[Any]:
    """What was given back or is on its way, oldest first. The staff sees its own notes too."""
    caller = caller_from(app.current_event.raw_event)
    return json_response({"refunds": list_refunds(runtime(), caller, reference, utc_now())})
