"""The archive for the operations team: batches, discrepancies, verification on demand, proof of the chain, restored
orders and months, legal holds."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from holdfast.flows.archive import hold_orders
from holdfast.flows.archive import operate_archive as flow
from holdfast.flows.archive.request_month import list_months, request_month
from holdfast.runtime import runtime
from holdfast.web.archive_models import BatchStatus, HoldBody, Month, ReconcileBody, RestoreBody, RestoreMonthBody
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.fields import Body
from holdfast.web.http import OrderReference, json_response, make_resolver, serve
from holdfast.web.routes import DATABASE, JSON_BODY, route
from holdfast.web.schedules import time_left

app = make_resolver()
handler = serve(app)

_LIST = ("invalid_input", *DATABASE)
_CHANGE = (*JSON_BODY, *DATABASE, "not_found")
_BEFORE = Query(description="Only those older than this one: `next_before`.")
_LIMIT = Query(ge=1, le=flow.PAGE_MAX_ROWS)


@route(
    app, "GET /v1/ops/archive/batches", "List the archive's batches", returns={200: "ArchiveBatchPage"}, refuses=_LIST
)
def archive_batches(
    status: Annotated[BatchStatus | None, Query()] = None,
    before: Annotated[UUID | None, _BEFORE] = None,
    limit: Annotated[int, _LIMIT] = 20,
) -> Response[Any]:
    """Newest first, each with what its last verification looked at and can promise."""
    caller = caller_from(app.current_event.raw_event)
    return json_response(flow.list_batches(runtime(), caller, status=status, before=before, limit=limit, now=utc_now()))


@route(
    app,
    "POST /v1/ops/archive/batches/{batch_id}/reconcile",
    "Verify a batch of the archive now",
    returns={200: "ArchiveBatchAnswer"},
    refuses=(*_CHANGE, "conflict"),
)
def reconcile_archive_batch(batch_id: UUID, body: ReconcileBody) -> Response[Any]:
    """By its own strategy, or another. What is right again is resolved; what is wrong blocks its purge."""
    caller = caller_from(app.current_event.raw_event)
    batch = flow.reconcile_batch(runtime(), caller, batch_id, strategy=body.strategy, now=utc_now())
    return json_response({"batch": batch})


@route(
    app,
    "GET /v1/ops/archive/discrepancies",
    "List what was found wrong with the archive",
    returns={200: "ArchiveDiscrepancyPage"},
    refuses=_LIST,
)
def archive_discrepancies(
    only_open: Annotated[bool, Query()] = True,
    before: Annotated[UUID | None, _BEFORE] = None,
    limit: Annotated[int, _LIMIT] = 20,
) -> Response[Any]:
    """Newest first; those that stand open, unless `only_open=false`."""
    caller = caller_from(app.current_event.raw_event)
    page = flow.list_discrepancies(runtime(), caller, only_open=only_open, before=before, limit=limit, now=utc_now())
    return json_response(page)


@route(
    app, "POST /v1/ops/archive/prove", "Prove the archive's chain", returns={200: "ArchiveProofAnswer"}, refuses=_CHANGE
)
def prove_archive(body: Body) -> Response[Any]:  # noqa: ARG001 -- an empty object is asked for, as everywhere
    """Every root is computed anew, from the first batch to the head; the first break is named."""
    caller = caller_from(app.current_event.raw_event)
    proof = flow.prove_archive(runtime(), caller, utc_now, time_left(app.lambda_context))
    return json_response({"proof": proof})


@route(
    app,
    "POST /v1/ops/archive/orders/{reference}/restore",
    "Bring an archived order back",
    returns={200: "RestoredOrderAnswer"},
    refuses=_CHANGE,
)
def restore_archived_order(reference: OrderReference, body: RestoreBody) -> Response[Any]:
    """Its document is proven and its history replayed. The archive keeps its copy; asking twice does it once."""
    caller = caller_from(app.current_event.raw_event)
    return json_response(flow.restore_archived_order(runtime(), caller, reference, reason=body.reason, now=utc_now()))


@route(
    app,
    "POST /v1/ops/archive/months/{month}/restore",
    "Bring a month back from cold storage",
    returns={202: "RestoredMonthAnswer"},
    refuses=_CHANGE,
)
def restore_archived_month(month: Month, body: RestoreMonthBody) -> Response[Any]:
    """It is begun within five minutes and goes on by itself, every document proven, until the month is whole. Asking
    again while it is under way answers how far it came."""
    caller = caller_from(app.current_event.raw_event)
    first_day = date.fromisoformat(f"{month}-01")
    restore = request_month(runtime(), caller, first_day, reason=body.reason, stays_days=body.stays_days, now=utc_now())
    return json_response({"restore": restore}, 202)


@route(
    app,
    "GET /v1/ops/archive/restored-months",
    "List months that were brought back",
    returns={200: "RestoredMonthPage"},
    refuses=_LIST,
)
def restored_months(
    before: Annotated[UUID | None, _BEFORE] = None, limit: Annotated[int, _LIMIT] = 20
) -> Response[Any]:
    """The latest asked for first, each with how far it came."""
    caller = caller_from(app.current_event.raw_event)
    return json_response(list_months(runtime(), caller, before=before, limit=limit, now=utc_now()))


@route(app, "GET /v1/ops/archive/holds", "List legal holds", returns={200: "LegalHoldPage"}, refuses=_LIST)
def legal_holds(
    only_open: Annotated[bool, Query()] = True,
    before: Annotated[UUID | None, _BEFORE] = None,
    limit: Annotated[int, _LIMIT] = 20,
) -> Response[Any]:
    """Newest first; those that stand, unless `only_open=false`."""
    caller = caller_from(app.current_event.raw_event)
    page = hold_orders.list_holds(runtime(), caller, only_open=only_open, before=before, limit=limit, now=utc_now())
    return json_response(page)


@route(
    app,
    "POST /v1/ops/archive/orders/{reference}/holds",
    "Place a legal hold on an order",
    returns={201: "LegalHoldAnswer"},
    refuses=_CHANGE,
)
def place_legal_hold(reference: OrderReference, body: HoldBody) -> Response[Any]:
    """Wherever the order lives: it is neither archived, purged, exported nor erased until every hold on it is released.
    The same reason again answers the hold that stands."""
    caller = caller_from(app.current_event.raw_event)
    hold = hold_orders.place_hold(runtime(), caller, reference, reason=body.reason, now=utc_now())
    return json_response({"hold": hold}, 201)


@route(
    app,
    "POST /v1/ops/archive/holds/{hold_id}/release",
    "Release a legal hold",
    returns={200: "LegalHoldAnswer"},
    refuses=_CHANGE,
)
def release_legal_hold(hold_id: UUID, body: HoldBody) -> Response[Any]:
    """It stays on record, with who released it and why. One that was released before stays as it is."""
    caller = caller_from(app.current_event.raw_event)
    hold = hold_orders.release_hold(runtime(), caller, hold_id, reason=body.reason, now=utc_now())
    return json_response({"hold": hold})
