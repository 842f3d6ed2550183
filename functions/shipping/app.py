"""Ship a shipment, and capture its share of the money."""

from typing import Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response

from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.flows.shipping.ship_shipment import OPERATION, ShipShipment, ship_shipment
from holdfast.runtime import runtime
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.http import IdempotencyKey, make_resolver, serve
from holdfast.web.problems import stored_response
from holdfast.web.routes import DATABASE, IDEMPOTENT, JSON_BODY, route
from holdfast.web.shipment_answers import shipped_answer
from holdfast.web.shipment_models import ShipBody

app = make_resolver()
handler = serve(app)


@route(
    app,
    "POST /v1/ops/shipments/{shipment_id}/ship",
    "Ship a shipment, or a part of it",
    returns={200: "ShipmentAnswer", 202: "ShipmentAnswer"},
    refuses=(*JSON_BODY, *IDEMPOTENT, *DATABASE, "not_found", "conflict", "transition_refused", "capture_failed"),
    tag="Shipments",
)
def ship(shipment_id: UUID, body: ShipBody, idempotency_key: IdempotencyKey) -> Response[Any]:
    """Takes what the shop's capture policy takes with it, and then it has left. 202: the gateway has not decided; the
    shipment leaves by itself when it has. `capture_failed`: the money could not be taken, and it stays packed."""
    caller = caller_from(app.current_event.raw_event)
    fingerprint = fingerprint_of({"shipment": shipment_id} | body.model_dump(mode="json"))
    command = ShipShipment(
        caller,
        Claim(caller.actor, OPERATION, idempotency_key, fingerprint),
        shipment_id,
        body.version,
        body.carrier,
        body.tracking_number,
        body.estimated_delivery_at,
        body.to_items(),
    )
    return stored_response(ship_shipment(runtime(), command, utc_now, shipped_answer))
