"""Export or erase all data of a customer, across active tables, archive and cold storage."""

from typing import Annotated, Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from holdfast.flows.archive import customer_data as flow
from holdfast.runtime import runtime
from holdfast.web.archive_models import EraseBody
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.http import json_response, make_resolver, serve
from holdfast.web.routes import DATABASE, JSON_BODY, route

app = make_resolver()
handler = serve(app)


@route(
    app,
    "GET /v1/ops/customers/{customer_id}/export",
    "Export a customer's data",
    returns={200: "CustomerExport"},
    refuses=("invalid_input", "not_found", *DATABASE),
)
def export_customer(
    customer_id: UUID,
    before: Annotated[UUID | None, Query(description="Only orders older than this one: `next_before`.")] = None,
    limit: Annotated[int, Query(ge=1, le=flow.EXPORT_MAX_ORDERS)] = 20,
) -> Response[Any]:
    """The profile, and every order wherever it lives, newest first; `next_before` is the cursor of the next page."""
    caller = caller_from(app.current_event.raw_event)
    page = flow.export_customer(runtime(), caller, customer_id, before=before, limit=limit, now=utc_now())
    return json_response(page)


@route(
    app,
    "POST /v1/ops/customers/{customer_id}/erase",
    "Erase a customer",
    returns={200: "ErasureAnswer"},
    refuses=(*JSON_BODY, *DATABASE, "not_found", "conflict"),
)
def erase_customer(customer_id: UUID, body: EraseBody) -> Response[Any]:
    """The key to everything sealed in the archive is destroyed, what is active is cleared, a tombstone stays.
    409 while an order is under way or under a legal hold. Asking again answers the same tombstone."""
    caller = caller_from(app.current_event.raw_event)
    erased = flow.erase_customer(runtime(), caller, customer_id, reason=body.reason, now=utc_now())
    return json_response({"erasure": erased})
