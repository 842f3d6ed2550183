"""The steps of a shipment on the road: in transit, delivered, failed, sent again."""

from typing import Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response

from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.flows.shipping import deliver_shipment as flow
from holdfast.flows.shipping.prepare_shipment import Request
from holdfast.flows.shipping.reship_shipment import reship_shipment
from holdfast.runtime import runtime
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.http import IdempotencyKey, make_resolver, serve
from holdfast.web.problems import stored_response
from holdfast.web.routes import DATABASE, IDEMPOTENT, JSON_BODY, route
from holdfast.web.shipment_answers import reshipped_answer, shipment_answer
from holdfast.web.shipment_models import DeliveryBody, FailureBody, ReshipBody, ShipmentStepBody

app = make_resolver()
handler = serve(app)

_ONE = {200: "ShipmentAnswer"}
_STEP = (*JSON_BODY, *IDEMPOTENT, *DATABASE, "not_found", "conflict", "transition_refused")
_PATH = "/v1/ops/shipments/{shipment_id}"


@route(
    app, f"POST {_PATH}/in-transit", "Note that a shipment is under way", returns=_ONE, refuses=_STEP, tag="Shipments"
)
def move_shipment(shipment_id: UUID, body: ShipmentStepBody, idempotency_key: IdempotencyKey) -> Response[Any]:
    """The carrier has it. May be left out."""
    request = _request("move_shipment", idempotency_key, shipment_id, body)
    return stored_response(flow.shipment_in_transit(runtime(), request, utc_now(), shipment_answer))


@route(app, f"POST {_PATH}/deliver", "Note that a shipment has arrived", returns=_ONE, refuses=_STEP, tag="Shipments")
def deliver_shipment(shipment_id: UUID, body: DeliveryBody, idempotency_key: IdempotencyKey) -> Response[Any]:
    """With its last shipment an order is delivered."""
    request = _request("deliver_shipment", idempotency_key, shipment_id, body)
    return stored_response(flow.deliver_shipment(runtime(), request, body.delivered_at, utc_now(), shipment_answer))


@route(app, f"POST {_PATH}/fail", "Note that a shipment will not arrive", returns=_ONE, refuses=_STEP, tag="Shipments")
def fail_shipment(shipment_id: UUID, body: FailureBody, idempotency_key: IdempotencyKey) -> Response[Any]:
    """Lost, returned to the sender, or damaged: send it again, or refund it. Stock is left alone."""
    request = _request("fail_shipment", idempotency_key, shipment_id, body)
    return stored_response(flow.fail_shipment(runtime(), request, body.reason, body.notes, utc_now(), shipment_answer))


@route(
    app,
    f"POST {_PATH}/reship",
    "Send a failed shipment again",
    returns={201: "ShipmentAnswer"},
    refuses=(*_STEP, "out_of_stock"),
    tag="Shipments",
)
def reship(shipment_id: UUID, body: ReshipBody, idempotency_key: IdempotencyKey) -> Response[Any]:
    """A new pending shipment, of goods taken out of stock now; without what was refunded. Answers with the new one."""
    request = _request("reship_shipment", idempotency_key, shipment_id, body)
    return stored_response(reship_shipment(runtime(), request, body.warehouse_id, utc_now(), reshipped_answer))


def _request(operation: str, key: str, shipment_id: UUID, body: Any) -> Request:
    caller = caller_from(app.current_event.raw_event)
    fingerprint = fingerprint_of({"shipment": shipment_id} | body.model_dump(mode="json"))
    return Request(caller, Claim(caller.actor, operation, key, fingerprint), shipment_id, body.version)
