"""Transfers of goods between warehouses: list, request, ship, receive, cancel."""

from typing import Annotated, Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.flows.stock import transfers as flow
from holdfast.inventory.transfers import TransferStatus
from holdfast.runtime import runtime
from holdfast.web.answers import change_answer
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.fields import Body
from holdfast.web.http import IdempotencyKey, json_response, make_resolver, serve
from holdfast.web.problems import stored_response
from holdfast.web.routes import DATABASE, IDEMPOTENT, JSON_BODY, route
from holdfast.web.stock_models import ArrivalBody, ReasonBody, TransferBody

app = make_resolver()
handler = serve(app)

_MADE = {201: "TransferAnswer"}
_CHANGE = (*JSON_BODY, *IDEMPOTENT, *DATABASE, "not_found", "conflict")
_render = change_answer("transfer")


@route(
    app,
    "GET /v1/ops/transfers",
    "List transfers",
    returns={200: "TransferPage"},
    refuses=("invalid_input", *DATABASE),
    tag="Transfers",
)
def transfers(
    status: Annotated[TransferStatus | None, Query()] = None,
    to_warehouse_id: Annotated[UUID | None, Query()] = None,
    before: Annotated[UUID | None, Query(description="Only transfers older than this one: `next_before`.")] = None,
    limit: Annotated[int, Query(ge=1, le=flow.PAGE_MAX_ROWS)] = 20,
) -> Response[Any]:
    """Newest first; `next_before` is the cursor of the next page."""
    caller = caller_from(app.current_event.raw_event)
    page = flow.list_transfers(
        runtime(), caller, status=status, to_warehouse_id=to_warehouse_id, before=before, limit=limit, now=utc_now()
    )
    return json_response(page)


@route(app, "POST /v1/ops/transfers", "Ask for a transfer", returns=_MADE, refuses=_CHANGE, tag="Transfers")
def request_transfer(body: TransferBody, idempotency_key: IdempotencyKey) -> Response[Any]:
    """It is pending and holds nothing until it is shipped."""
    request = _request("request_transfer", idempotency_key, None, body)
    answer = flow.request_transfer(runtime(), request, **body.model_dump(), now=utc_now(), render=_render)
    return stored_response(answer)


@route(
    app, "POST /v1/ops/transfers/{transfer_id}/ship", "Ship a transfer", returns=_MADE, refuses=_CHANGE, tag="Transfers"
)
def ship_transfer(transfer_id: UUID, body: Body, idempotency_key: IdempotencyKey) -> Response[Any]:
    """The goods leave the source. 409 when so many are not available there."""
    request = _request("ship_transfer", idempotency_key, transfer_id, body)
    return stored_response(flow.ship_transfer(runtime(), request, transfer_id, utc_now(), _render))


@route(
    app,
    "POST /v1/ops/transfers/{transfer_id}/receive",
    "Receive a transfer",
    returns=_MADE,
    refuses=_CHANGE,
    tag="Transfers",
)
def receive_transfer(transfer_id: UUID, body: ArrivalBody, idempotency_key: IdempotencyKey) -> Response[Any]:
    """All of it or a part; what is not named stays in transit."""
    request = _request("receive_transfer", idempotency_key, transfer_id, body)
    how = {**body.model_dump(), "now": utc_now(), "render": _render}
    return stored_response(flow.receive_transfer(runtime(), request, transfer_id, **how))


@route(
    app,
    "POST /v1/ops/transfers/{transfer_id}/cancel",
    "Call a transfer off",
    returns=_MADE,
    refuses=_CHANGE,
    tag="Transfers",
)
def cancel_transfer(transfer_id: UUID, body: ReasonBody, idempotency_key: IdempotencyKey) -> Response[Any]:
    """Before or while it is under way; what has not arrived goes back to the source."""
    request = _request("cancel_transfer", idempotency_key, transfer_id, body)
    return stored_response(flow.cancel_transfer(runtime(), request, transfer_id, body.reason, utc_now(), _render))


def _request(operation: str, key: str, transfer_id: UUID | None, body: Body) -> flow.Request:
    caller = caller_from(app.current_event.raw_event)
    fingerprint = fingerprint_of({"transfer": transfer_id} | body.model_dump(mode="json"))
    return flow.Request(caller, Claim(caller.actor, operation, key, fingerprint))
