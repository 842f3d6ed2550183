"""Shipments in the warehouse: list, find, pick, pack, cancel."""

from typing import Annotated, Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.flows.shipping import prepare_shipment as flow
from holdfast.flows.shipping.read_shipments import PAGE_MAX_ROWS, Wanted, find_shipment, list_shipments
from holdfast.runtime import runtime
from holdfast.values.shipping import ShipmentStatus
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.http import IdempotencyKey, json_response, make_resolver, serve
from holdfast.web.problems import stored_response
from holdfast.web.routes import DATABASE, IDEMPOTENT, JSON_BODY, route
from holdfast.web.shipment_answers import shipment_answer
from holdfast.web.shipment_models import CallOffBody, ShipmentStepBody

app = make_resolver()
handler = serve(app)

_ONE = {200: "ShipmentAnswer"}
_STEP = (*JSON_BODY, *IDEMPOTENT, *DATABASE, "not_found", "conflict", "transition_refused")
_PATH = "/v1/ops/shipments/{shipment_id}"


@route(
    app,
    "GET /v1/ops/shipments",
    "List shipments",
    returns={200: "ShipmentPage"},
    refuses=("invalid_input", "not_found", *DATABASE),
    tag="Shipments",
)
def shipments(
    status: Annotated[ShipmentStatus | None, Query(description="`pending` without any other filter.")] = None,
    warehouse_id: Annotated[UUID | None, Query()] = None,
    order: Annotated[str | None, Query(max_length=64, description="The order's id or its number.")] = None,
    tracking_number: Annotated[str | None, Query(max_length=100)] = None,
    after: Annotated[UUID | None, Query(description="Only shipments newer than this one: `next_after`.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX_ROWS)] = 20,
) -> Response[Any]:
    """Oldest first: by status and warehouse, of an order, or by tracking number; `next_after` is the cursor."""
    wanted = Wanted(status, warehouse_id, order, tracking_number)
    caller = caller_from(app.current_event.raw_event)
    return json_response(list_shipments(runtime(), caller, wanted, after=after, limit=limit, now=utc_now()))


@route(
    app,
    f"GET {_PATH}",
    "Find a shipment",
    returns=_ONE,
    refuses=("invalid_input", "not_found", *DATABASE),
    tag="Shipments",
)
def shipment(shipment_id: UUID) -> Response[Any]:
    """With what is in it, how far it has come, and its order's status."""
    caller = caller_from(app.current_event.raw_event)
    return json_response({"shipment": find_shipment(runtime(), caller, shipment_id, utc_now())})


@route(app, f"POST {_PATH}/pick", "Pick a shipment", returns=_ONE, refuses=_STEP, tag="Shipments")
def pick_shipment(shipment_id: UUID, body: ShipmentStepBody, idempotency_key: IdempotencyKey) -> Response[Any]:
    """Its goods are off the shelf. With its first picked shipment an order is being processed."""
    request = _request("pick_shipment", idempotency_key, shipment_id, body)
    return stored_response(flow.pick_shipment(runtime(), request, utc_now(), shipment_answer))


@route(app, f"POST {_PATH}/pack", "Pack a shipment", returns=_ONE, refuses=_STEP, tag="Shipments")
def pack_shipment(shipment_id: UUID, body: ShipmentStepBody, idempotency_key: IdempotencyKey) -> Response[Any]:
    """It is ready to leave. What was not picked before is with this."""
    request = _request("pack_shipment", idempotency_key, shipment_id, body)
    return stored_response(flow.pack_shipment(runtime(), request, utc_now(), shipment_answer))


@route(app, f"POST {_PATH}/cancel", "Call a shipment off", returns=_ONE, refuses=_STEP, tag="Shipments")
def cancel_shipment(shipment_id: UUID, body: CallOffBody, idempotency_key: IdempotencyKey) -> Response[Any]:
    """Before it leaves. Its goods go back to the shelf and wait in a new pending shipment."""
    request = _request("cancel_shipment", idempotency_key, shipment_id, body)
    return stored_response(flow.cancel_shipment(runtime(), request, body.reason, utc_now(), shipment_answer))


def _request(operation: str, key: str, shipment_id: UUID, body: ShipmentStepBody | CallOffBody) -> flow.Request:
    caller = caller_from(app.current_event.raw_event)
    fingerprint = fingerprint_of({"shipment": shipment_id} | body.model_dump(mode="json"))
    return flow.Request(caller, Claim(caller.actor, operation, key, fingerprint), shipment_id, body.version)
