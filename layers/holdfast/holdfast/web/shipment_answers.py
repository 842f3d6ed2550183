"""The HTTP answers to a shipment's steps, as stored under an Idempotency-Key."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from holdfast.flows.claims.idempotency import Answer
from holdfast.values.shipping import ShipmentStatus
from holdfast.web.answers import problem_answer

_HERE = frozenset({ShipmentStatus.PENDING, ShipmentStatus.PICKED, ShipmentStatus.PACKED})


def shipment_answer(shipment: Mapping[str, Any]) -> Answer:
    """Return 200 with the shipment."""
    return Answer(int(HTTPStatus.OK), json.dumps({"shipment": shipment}))


def reshipped_answer(shipment: Mapping[str, Any]) -> Answer:
    """Return 201 with the new shipment."""
    return Answer(int(HTTPStatus.CREATED), json.dumps({"shipment": shipment}))


def shipped_answer(shipment: Mapping[str, Any], went_wrong: str | None) -> Answer:
    """Return 200 if the shipment has left, or 202 while its money is pending.

    Return 409 if the money could not be taken (the shipment then stays packed) or the shipment was cancelled in the
    meantime.
    """
    if shipment["status"] == ShipmentStatus.CANCELLED:
        return problem_answer("conflict", "the shipment was called off", {"shipment": shipment})
    if shipment["status"] not in _HERE:
        return shipment_answer(shipment)
    if shipment["leaving_since"] is not None:
        return Answer(int(HTTPStatus.ACCEPTED), json.dumps({"shipment": shipment}))
    return problem_answer("capture_failed", went_wrong or "the money could not be taken", {"shipment": shipment})
