"""The HTTP answers that are stored under an Idempotency-Key: created, or declined with the order as it was left."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from uuid import UUID

from holdfast.flows.claims.idempotency import Answer
from holdfast.web.problems import problem
from holdfast.web.telemetry import correlation_id

if TYPE_CHECKING:
    from holdfast.flows.orders.readdress_order import Readdressed


def completed_answer(order: Mapping[str, Any], payment_id: UUID) -> Answer:
    """Return the same as ``payment_answer``, but 200 instead of 201, because nothing was created."""
    answer = payment_answer(order, payment_id)
    return replace(answer, status=int(HTTPStatus.OK)) if answer.status == HTTPStatus.CREATED else answer


def payment_answer(order: Mapping[str, Any], payment_id: UUID) -> Answer:
    """Return 201 with the order and the attempt, 402 if the gateway declined, or 409 if the money came too late."""
    payment = next(p for p in order["payments"] if p["id"] == str(payment_id))
    if payment["status"] == "failed":
        facts = {"failure_code": payment["failure_code"], "order": order, "payment": payment}
        detail = payment["failure_message"] or "the payment was declined; another method may be tried"
        return problem_answer("payment_declined", detail, facts)
    if order["status"] == "cancelled":
        detail = "the goods were sold while the payment was under way; the money is being returned"
        return problem_answer("conflict", detail, {"order": order, "payment": payment})
    return Answer(int(HTTPStatus.CREATED), json.dumps({"order": order, "payment": payment}))


def order_answer(order: Mapping[str, Any]) -> Answer:
    """Return 200 with the order."""
    return Answer(int(HTTPStatus.OK), json.dumps({"order": order}))


def readdressed_answer(order: Mapping[str, Any], changed: "Readdressed") -> Answer:
    """Return 200 with the order, where it ships from and why, and what became of its price."""
    facts = {"order": order, "reallocation": changed.reallocation.to_json(), "price": changed.price.to_json()}
    return Answer(int(HTTPStatus.OK), json.dumps(facts))


def capture_answer(order: Mapping[str, Any], state: str, went_wrong: str | None) -> Answer:
    """Return 200 if the money was captured, 202 while the gateway has not decided, or 409 if it refused."""
    if state == "failed" or (state == "done" and went_wrong):
        return problem_answer("capture_failed", went_wrong or "the money could not be taken", {"order": order})
    status = HTTPStatus.OK if state == "done" else HTTPStatus.ACCEPTED
    return Answer(int(status), json.dumps({"order": order}))


def problem_answer(code: str, detail: str, facts: Mapping[str, Any]) -> Answer:
    """Return a problem document as an answer to store."""
    document = problem(code, detail, correlation_id(), facts)
    return Answer(document["status"], json.dumps(document))


def change_answer(name: str) -> Callable[[Mapping[str, Any]], Answer]:
    """Return a function that answers 201 with what was created or done as the member ``name``."""
    return lambda made: Answer(int(HTTPStatus.CREATED), json.dumps({name: made}))
