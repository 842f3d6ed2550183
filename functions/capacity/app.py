"""Overrides of a warehouse's capacity for some days: list, set, change, remove."""

from typing import Annotated, Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.flows.stock import capacity_overrides as flow
from holdfast.runtime import runtime
from holdfast.web.answers import change_answer
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.http import IdempotencyKey, json_response, make_resolver, serve
from holdfast.web.problems import stored_response
from holdfast.web.routes import DATABASE, IDEMPOTENT, JSON_BODY, route
from holdfast.web.stock_models import ChangedOverrideBody, Day, NewOverrideBody, VersionBody

app = make_resolver()
handler = serve(app)

_TAG = "Capacity"
_CHANGE = (*JSON_BODY, *DATABASE, "not_found", "conflict")


@route(
    app,
    "GET /v1/ops/warehouses/{warehouse_id}/capacity-overrides",
    "List capacity overrides",
    tag=_TAG,
    returns={200: "CapacityOverrideList"},
    refuses=("invalid_input", "not_found", *DATABASE),
)
def capacity_overrides(warehouse_id: UUID, ended_since: Annotated[Day | None, Query()] = None) -> Response[Any]:
    """Those of one warehouse that have not ended, or not before a date; by their end."""
    caller = caller_from(app.current_event.raw_event)
    overrides = flow.list_overrides(
        runtime(), caller, warehouse_id=warehouse_id, ended_since=ended_since, now=utc_now()
    )
    return json_response(overrides)


@route(
    app,
    "POST /v1/ops/capacity-overrides",
    "Set a capacity override",
    tag=_TAG,
    returns={201: "CapacityOverrideAnswer"},
    refuses=(*_CHANGE, *IDEMPOTENT),
)
def set_capacity_override(body: NewOverrideBody, idempotency_key: IdempotencyKey) -> Response[Any]:
    """409 names the override that has a day in common with it: `conflicting_override`."""
    caller = caller_from(app.current_event.raw_event)
    claim = Claim(caller.actor, "set_override", idempotency_key, fingerprint_of(body.model_dump(mode="json")))
    how = (body.warehouse_id, body.to_override(), utc_now(), change_answer("override"))
    return stored_response(flow.set_override(runtime(), caller, claim, *how))


@route(
    app,
    "POST /v1/ops/capacity-overrides/{override_id}",
    "Change a capacity override",
    tag=_TAG,
    returns={200: "CapacityOverrideAnswer"},
    refuses=_CHANGE,
)
def change_capacity_override(override_id: UUID, body: ChangedOverrideBody) -> Response[Any]:
    """409 when it was changed since the version sent, or would have a day in common with another."""
    caller = caller_from(app.current_event.raw_event)
    changed = flow.change_override(runtime(), caller, override_id, body.version, body.to_override(), utc_now())
    return json_response({"override": changed})


@route(
    app,
    "POST /v1/ops/capacity-overrides/{override_id}/remove",
    "Take a capacity override back",
    tag=_TAG,
    returns={200: "CapacityOverrideAnswer"},
    refuses=_CHANGE,
)
def remove_capacity_override(override_id: UUID, body: VersionBody) -> Response[Any]:
    """The override as it was. 409 when it was changed since the version sent."""
    caller = caller_from(app.current_event.raw_event)
    return json_response({"override": flow.remove_override(runtime(), caller, override_id, body.version, utc_now())})
