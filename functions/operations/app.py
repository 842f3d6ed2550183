"""What the operations team looks at: the inbox of failures, and all that happened to an order."""

from typing import Annotated, Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from holdfast.flows.money.gateway_health import gateway_health
from holdfast.flows.operations import process_failures as inbox
from holdfast.flows.orders.order_timeline import order_timeline
from holdfast.runtime import runtime
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.http import OrderReference, json_response, make_resolver, serve
from holdfast.web.operations_models import AssignFailureBody, ResolveFailureBody
from holdfast.web.routes import DATABASE, JSON_BODY, route

app = make_resolver()
handler = serve(app)

_FAILURE = {200: "ProcessFailureAnswer"}
_CHANGE = (*JSON_BODY, *DATABASE, "not_found", "conflict")


@route(
    app,
    "GET /v1/ops/process-failures",
    "List what waits for a person, newest first",
    returns={200: "ProcessFailurePage"},
    refuses=("invalid_input", *DATABASE),
)
def process_failures(
    status: Annotated[inbox.FailureStatus, Query()] = inbox.FailureStatus.OPEN,
    process_name: Annotated[str | None, Query(max_length=100, pattern=r"^[A-Za-z]+$")] = None,
    before: Annotated[UUID | None, Query(description="Only failures older than this one: `next_before`.")] = None,
    limit: Annotated[int, Query(ge=1, le=inbox.PAGE_MAX_ROWS)] = 20,
) -> Response[Any]:
    """The open ones, or the resolved ones; `next_before` is the cursor of the next page."""
    caller = caller_from(app.current_event.raw_event)
    page = {"status": status, "process_name": process_name, "before": before, "limit": limit}
    return json_response(inbox.list_process_failures(runtime(), caller, **page, now=utc_now()))


@route(
    app,
    "GET /v1/ops/process-failures/{failure_id}",
    "Find a process failure",
    returns=_FAILURE,
    refuses=("invalid_input", "not_found", *DATABASE),
)
def process_failure(failure_id: UUID) -> Response[Any]:
    """The failure with everything that was noted about it."""
    caller = caller_from(app.current_event.raw_event)
    return json_response({"process_failure": inbox.find_process_failure(runtime(), caller, failure_id, utc_now())})


@route(
    app,
    "POST /v1/ops/process-failures/{failure_id}/assign",
    "Give a process failure to somebody",
    returns=_FAILURE,
    refuses=_CHANGE,
)
def assign(failure_id: UUID, body: AssignFailureBody) -> Response[Any]:
    """To the caller, unless somebody is named. 409 when it was changed since the version sent, or is resolved."""
    caller = caller_from(app.current_event.raw_event)
    given = inbox.assign_process_failure(runtime(), caller, failure_id, **body.model_dump(), now=utc_now())
    return json_response({"process_failure": given})


@route(
    app,
    "POST /v1/ops/process-failures/{failure_id}/resolve",
    "Resolve a process failure",
    returns=_FAILURE,
    refuses=_CHANGE,
)
def resolve(failure_id: UUID, body: ResolveFailureBody) -> Response[Any]:
    """With a note on what was done. 409 when it was changed since the version sent, or is resolved."""
    caller = caller_from(app.current_event.raw_event)
    resolved = inbox.resolve_process_failure(runtime(), caller, failure_id, **body.model_dump(), now=utc_now())
    return json_response({"process_failure": resolved})


@route(
    app,
    "GET /v1/ops/orders/{reference}/timeline",
    "Show all that happened to an order",
    returns={200: "OrderTimeline"},
    refuses=("invalid_input", "not_found", *DATABASE),
)
def timeline(reference: OrderReference) -> Response[Any]:
    """Status, payments and their events, refunds, disputes, stock, calls, operations, messages and failures by time."""
    caller = caller_from(app.current_event.raw_event)
    return json_response(order_timeline(runtime(), caller, reference, utc_now()))


@route(app, "GET /v1/ops/gateways", "Show how the gateways do", returns={200: "GatewayHealth"}, refuses=DATABASE)
def gateways() -> Response[Any]:
    """Each account with its calls of the last hour, its last webhook, and what waits to be processed or decided."""
    return json_response(gateway_health(runtime(), caller_from(app.current_event.raw_event), utc_now()))
