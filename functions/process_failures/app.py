"""The inbox of process failures, which need a person."""

from typing import Annotated, Any, Literal
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import AwareDatetime

from holdfast.flows.operations import process_failures as inbox
from holdfast.flows.operations import work_process_failures as work
from holdfast.runtime import runtime
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.fields import Line
from holdfast.web.http import json_response, make_resolver, serve
from holdfast.web.process_failure_models import AssignFailureBody, ReopenFailureBody, ResolveFailureBody
from holdfast.web.routes import DATABASE, JSON_BODY, route
from holdfast.web.stock_models import VersionBody

app = make_resolver()
handler = serve(app)

_FAILURE = {200: "ProcessFailureAnswer"}
_READ = ("invalid_input", *DATABASE)
_CHANGE = (*JSON_BODY, *DATABASE, "not_found", "conflict")
_PATH = "/v1/ops/process-failures/{failure_id}"


@route(
    app,
    "GET /v1/ops/process-failures",
    "List what waits for a person, newest first",
    returns={200: "ProcessFailurePage"},
    refuses=_READ,
)
def process_failures(
    status: Annotated[Literal["open", "resolved", "any"], Query()] = "open",
    process_name: Annotated[str | None, Query(max_length=100, pattern=r"^[A-Za-z]+$")] = None,
    assigned_to: Annotated[Line | None, Query()] = None,
    is_assigned: Annotated[bool | None, Query(description="Only those that somebody has, or that nobody has.")] = None,
    related_id: Annotated[UUID | None, Query(description="The order, payment, event or level it is about.")] = None,
    older_than: Annotated[AwareDatetime | None, Query(description="Opened before.")] = None,
    newer_than: Annotated[AwareDatetime | None, Query(description="Opened at or after.")] = None,
    before: Annotated[UUID | None, Query(description="Only failures older than this one: `next_before`.")] = None,
    limit: Annotated[int, Query(ge=1, le=inbox.PAGE_MAX_ROWS)] = 20,
) -> Response[Any]:
    """The open ones unless others are asked for; `next_before` is the cursor of the next page."""
    caller = caller_from(app.current_event.raw_event)
    chosen = None if status == "any" else inbox.FailureStatus(status)
    filters = inbox.Filters(chosen, process_name, assigned_to, is_assigned, related_id, older_than, newer_than)
    page = inbox.list_process_failures(runtime(), caller, filters, before=before, limit=limit, now=utc_now())
    return json_response(page)


@route(
    app,
    "GET /v1/ops/process-failure-counts",
    "Count what waits for a person, by process",
    tag="Process failures",
    returns={200: "ProcessFailureCounts"},
    refuses=DATABASE,
)
def process_failure_counts() -> Response[Any]:
    """Every process that may call a person: what it means, its runbook, how many are open, resolved, nobody's."""
    return json_response(inbox.count_process_failures(runtime(), caller_from(app.current_event.raw_event), utc_now()))


@route(app, f"GET {_PATH}", "Find a process failure", returns=_FAILURE, refuses=(*_READ, "not_found"))
def process_failure(failure_id: UUID) -> Response[Any]:
    """The failure with every step that was taken about it."""
    return _told(inbox.find_process_failure(runtime(), caller_from(app.current_event.raw_event), failure_id, utc_now()))


@route(app, f"POST {_PATH}/assign", "Give a process failure to somebody", returns=_FAILURE, refuses=_CHANGE)
def assign(failure_id: UUID, body: AssignFailureBody) -> Response[Any]:
    """To the caller, unless somebody is named. 409 when it was changed since the version sent, or is resolved."""
    caller = caller_from(app.current_event.raw_event)
    return _told(work.assign_process_failure(runtime(), caller, failure_id, **body.model_dump(), now=utc_now()))


@route(app, f"POST {_PATH}/unassign", "Put a process failure back", returns=_FAILURE, refuses=_CHANGE)
def unassign(failure_id: UUID, body: VersionBody) -> Response[Any]:
    """For anybody to take. 409 when it was changed since the version sent, or is resolved."""
    caller = caller_from(app.current_event.raw_event)
    return _told(work.unassign_process_failure(runtime(), caller, failure_id, version=body.version, now=utc_now()))


@route(app, f"POST {_PATH}/resolve", "Resolve a process failure", returns=_FAILURE, refuses=_CHANGE)
def resolve(failure_id: UUID, body: ResolveFailureBody) -> Response[Any]:
    """With a note on what was done. 409 when it was changed since the version sent, or is resolved."""
    caller = caller_from(app.current_event.raw_event)
    return _told(work.resolve_process_failure(runtime(), caller, failure_id, **body.model_dump(), now=utc_now()))


@route(app, f"POST {_PATH}/reopen", "Open a resolved process failure again", returns=_FAILURE, refuses=_CHANGE)
def reopen(failure_id: UUID, body: ReopenFailureBody) -> Response[Any]:
    """With a note on why. 409 when it was changed or is open; `open_failure` names another about the same trouble."""
    caller = caller_from(app.current_event.raw_event)
    return _told(work.reopen_process_failure(runtime(), caller, failure_id, **body.model_dump(), now=utc_now()))


def _told(failure: Any) -> Response[Any]:
    return json_response({"process_failure": failure})
