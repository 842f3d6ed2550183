"""Orders: list them, find one, cancel it, and capture its money by hand."""

from typing import Annotated, Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.flows.money.capture_order import OPERATION as CAPTURE_ORDER
from holdfast.flows.money.capture_order import CaptureOrder, capture_order
from holdfast.flows.orders.cancel_order import OPERATION as CANCEL_ORDER
from holdfast.flows.orders.cancel_order import CancelOrder, cancel_order
from holdfast.flows.orders.find_order import find_order
from holdfast.flows.orders.list_orders import PAGE_MAX_ROWS, list_orders
from holdfast.orders.lifecycle import OrderStatus
from holdfast.runtime import runtime
from holdfast.web.answers import capture_answer, order_answer
from holdfast.web.caller import caller_from
from holdfast.web.checkout_models import CancelBody, CaptureBody
from holdfast.web.clock import utc_now
from holdfast.web.http import IdempotencyKey, OrderReference, json_response, make_resolver, serve
from holdfast.web.problems import stored_response
from holdfast.web.routes import DATABASE, IDEMPOTENT, JSON_BODY, route

app = make_resolver()
handler = serve(app)


@route(
    app, "GET /v1/orders", "List orders, newest first", returns={200: "OrderPage"}, refuses=("invalid_input", *DATABASE)
)
def orders(
    status: Annotated[OrderStatus | None, Query()] = None,
    before: Annotated[UUID | None, Query(description="Only orders older than this one: `next_before`.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX_ROWS)] = 20,
    include_archived: Annotated[bool, Query(description="Also those that live in the archive.")] = False,
) -> Response[Any]:
    """A shopper's own orders, or the shop's for its staff; `next_before` is the cursor of the next page.

    `has_archived` says whether orders of this page's time or earlier live in the archive.
    """
    caller = caller_from(app.current_event.raw_event)
    page = list_orders(
        runtime(), caller, status=status, before=before, limit=limit, include_archived=include_archived, now=utc_now()
    )
    return json_response(page)


@route(
    app,
    "GET /v1/orders/{reference}",
    "Find an order by id or number",
    returns={200: "OrderAnswer"},
    refuses=("invalid_input", "not_found", *DATABASE),
)
def order(reference: OrderReference) -> Response[Any]:
    """The order with its items, allocations, payments and timeline."""
    caller = caller_from(app.current_event.raw_event)
    return json_response({"order": find_order(runtime(), caller, reference, utc_now())})


@route(
    app,
    "POST /v1/orders/{order_id}/cancel",
    "Cancel an order",
    returns={200: "OrderAnswer"},
    refuses=(*JSON_BODY, *IDEMPOTENT, *DATABASE, "not_found", "transition_refused"),
)
def cancel(order_id: OrderReference, body: CancelBody, idempotency_key: IdempotencyKey) -> Response[Any]:
    """Releases the stock, returns the money, answers with the cancelled order."""
    caller = caller_from(app.current_event.raw_event)
    claim = Claim(caller.actor, CANCEL_ORDER, idempotency_key, fingerprint_of({"order": order_id} | body.model_dump()))
    command = CancelOrder(caller, claim, order_id, body.reason)
    return stored_response(cancel_order(runtime(), command, utc_now, order_answer))


@route(
    app,
    "POST /v1/orders/{order_id}/capture",
    "Take an order's held money",
    returns={200: "OrderAnswer", 202: "OrderAnswer"},
    refuses=(*JSON_BODY, *IDEMPOTENT, *DATABASE, "not_found", "conflict", "capture_failed", "not_representable"),
)
def capture(order_id: OrderReference, body: CaptureBody, idempotency_key: IdempotencyKey) -> Response[Any]:
    """All that is held, or a part. After the final capture (as each is, unless it says otherwise) the rest is released.
    202: the gateway has taken the request and not decided."""
    caller = caller_from(app.current_event.raw_event)
    request = {"order": order_id} | body.model_dump()
    claim = Claim(caller.actor, CAPTURE_ORDER, idempotency_key, fingerprint_of(request))
    command = CaptureOrder(caller, claim, order_id, body.amount_minor, body.is_final)
    return stored_response(capture_order(runtime(), command, utc_now, capture_answer))
