"""Warehouses: list, open, change."""

from typing import Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response

from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.flows.stock.warehouses import change_warehouse, list_warehouses, open_warehouse
from holdfast.runtime import runtime
from holdfast.web.answers import change_answer
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.http import IdempotencyKey, json_response, make_resolver, serve
from holdfast.web.problems import stored_response
from holdfast.web.routes import DATABASE, IDEMPOTENT, JSON_BODY, route
from holdfast.web.stock_models import ChangedWarehouseBody, NewWarehouseBody

app = make_resolver()
handler = serve(app)

_TAG = "Warehouses"


@route(
    app,
    "GET /v1/ops/warehouses",
    "List warehouses",
    tag=_TAG,
    returns={200: "WarehouseList"},
    refuses=("invalid_input", *DATABASE),
)
def warehouses() -> Response[Any]:
    """All of them, by priority and code: the order in which ties are broken."""
    caller = caller_from(app.current_event.raw_event)
    return json_response(list_warehouses(runtime(), caller, utc_now()))


@route(
    app,
    "POST /v1/ops/warehouses",
    "Open a warehouse",
    tag=_TAG,
    returns={201: "WarehouseAnswer"},
    refuses=(*JSON_BODY, *IDEMPOTENT, *DATABASE, "conflict"),
)
def create_warehouse(body: NewWarehouseBody, idempotency_key: IdempotencyKey) -> Response[Any]:
    """409 when the code is taken."""
    caller = caller_from(app.current_event.raw_event)
    claim = Claim(caller.actor, "create_warehouse", idempotency_key, fingerprint_of(body.model_dump(mode="json")))
    render = change_answer("warehouse")
    return stored_response(open_warehouse(runtime(), caller, claim, body.code, body.to_facts(), utc_now(), render))


@route(
    app,
    "POST /v1/ops/warehouses/{warehouse_id}",
    "Change a warehouse",
    tag=_TAG,
    returns={200: "WarehouseAnswer"},
    refuses=(*JSON_BODY, *DATABASE, "not_found", "conflict"),
)
def update_warehouse(warehouse_id: UUID, body: ChangedWarehouseBody) -> Response[Any]:
    """All of it but its code. 409 when it was changed since the version sent."""
    caller = caller_from(app.current_event.raw_event)
    changed = change_warehouse(runtime(), caller, warehouse_id, body.version, body.to_facts(), utc_now())
    return json_response({"warehouse": changed})
