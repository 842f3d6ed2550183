"""Explain why orders ship from where they do, and simulate other decisions."""

from typing import Any

from aws_lambda_powertools.event_handler import Response

from holdfast.flows.allocation.explain_allocation import explain_allocation
from holdfast.flows.allocation.simulate_allocation import simulate_allocation
from holdfast.runtime import runtime
from holdfast.web.allocation_models import SimulationBody
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.http import OrderReference, json_response, make_resolver, serve
from holdfast.web.routes import DATABASE, JSON_BODY, route

app = make_resolver()
handler = serve(app)

_TAG = "Allocation"


@route(
    app,
    "GET /v1/ops/orders/{reference}/allocation",
    "Explain why an order ships from where it does",
    tag=_TAG,
    returns={200: "AllocationExplained"},
    refuses=("invalid_input", "not_found", *DATABASE),
)
def explain(reference: OrderReference) -> Response[Any]:
    """Candidates, scores, penalties, what lost and why, in words and figures; and what leaves from where."""
    caller = caller_from(app.current_event.raw_event)
    return json_response(explain_allocation(runtime(), caller, reference, utc_now()))


@route(
    app,
    "POST /v1/ops/allocation/simulate",
    "Decide the orders of a period again",
    tag=_TAG,
    returns={200: "AllocationSimulation"},
    refuses=(*JSON_BODY, *DATABASE),
)
def simulate(body: SimulationBody) -> Response[Any]:
    """By other rules, with other warehouses; nothing is written. It ends after 20 s, and says how far it came."""
    caller = caller_from(app.current_event.raw_event)
    return json_response(simulate_allocation(runtime(), body.to_command(caller), utc_now()))
