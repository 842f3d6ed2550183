"""The archive, for the operations team: batches, discrepancies, a look now, the chain's proof, an order back."""

from typing import Annotated, Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from holdfast.flows.archive import operate_archive as flow
from holdfast.runtime import runtime
from holdfast.web.archive_models import BatchStatus, ReconcileBody, RestoreBody
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.http import OrderReference, json_response, make_resolver, serve
from holdfast.web.models import Body
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
    page = {"status": status, "before": before, "limit": limit}
    return json_response(flow.list_batches(runtime(), caller_from(app.current_event.raw_event), **page, now=utc_now()))


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
    page = {"only_open": only_open, "before": before, "limit": limit}
    caller = caller_from(app.current_event.raw_event)
    return json_response(flow.list_discrepancies(runtime(), caller, **page, now=utc_now()))


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
