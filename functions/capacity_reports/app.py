"""How full the warehouses are, and the alerts about it."""

from typing import Annotated, Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from holdfast.flows.stock.capacity_load import DAYS_MAX, list_alerts, show_load
from holdfast.runtime import runtime
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.http import json_response, make_resolver, serve
from holdfast.web.routes import DATABASE, route
from holdfast.web.stock_models import Day

app = make_resolver()
handler = serve(app)

_TAG = "Capacity"
_READ = ("invalid_input", *DATABASE)


@route(app, "GET /v1/ops/capacity/load", "Show the load", tag=_TAG, returns={200: "CapacityLoad"}, refuses=_READ)
def capacity_load(
    starts_on: Annotated[Day | None, Query(description="The first day; each warehouse's own today.")] = None,
    days: Annotated[int, Query(ge=1, le=DAYS_MAX)] = 1,
) -> Response[Any]:
    """Orders and capacity of every warehouse for some days."""
    caller = caller_from(app.current_event.raw_event)
    return json_response(show_load(runtime(), caller, starts_on=starts_on, days=days, now=utc_now()))


@route(app, "GET /v1/ops/capacity/alerts", "List alerts", tag=_TAG, returns={200: "CapacityAlertList"}, refuses=_READ)
def capacity_alerts(warehouse_id: Annotated[UUID | None, Query()] = None) -> Response[Any]:
    """The open ones of all warehouses; of one warehouse, also those that are over."""
    caller = caller_from(app.current_event.raw_event)
    return json_response(list_alerts(runtime(), caller, warehouse_id=warehouse_id, now=utc_now()))
