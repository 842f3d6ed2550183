"""How a step of a shipment is told that is kept under an Idempotency-Key."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from holdfast.flows.claims.idempotency import Answer
from holdfast.values.shipping import ShipmentStatus
from holdfast.web.answers import problem_answer

_HERE = frozenset({ShipmentStatus.PENDING, ShipmentStatus.PICKED, ShipmentStatus.PACKED})


def shipment_answer(shipment: Mapping[str, Any]) -> Answer:
    """200 with the shipment."""
    return Answer(int(HTTPStatus.OK), json.dumps({"shipment": shipment}))


def reshipped_answer(shipment: Mapping[str, Any]) -> Answer:
    """201 with the new shipment."""
    return Answer(int(HTTPStatus.CREATED), json.dumps({"shipment": shipment}))


def shipped_answer(shipment: Mapping[str, Any], went_wrong: str | None) -> Answer:
    """200 when it has left, 202 while its money is on its way, 409 when the money could not be taken (it stays packed)
    or the shipment was called off meanwhile."""
    if shipment["status"] == ShipmentStatus.CANCELLED:
        return problem_answer("conflict", "the shipment was called off", {"shipment": shipment})
    if shipment["status"] not in _HERE:
        return shipment_answer(shipment)
    if shipment["leaving_since"] is not None:
        return Answer(int(HTTPStatus.ACCEPTED), json.dumps({"shipment": shipment}))
    return problem_answer("capture_failed", went_wrong or "the money could not be taken", {"shipment": shipment})
