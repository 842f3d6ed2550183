"""Everything that happened to an order, for the operations team."""

from typing import Any

from aws_lambda_powertools.event_handler import Response

from holdfast.flows.orders.order_timeline import order_timeline
from holdfast.runtime import runtime
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.http import OrderReference, json_response, make_resolver, serve
from holdfast.web.routes import DATABASE, route

app = make_resolver()
handler = serve(app)


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
