"""Read the stock: levels, what runs low, what can be sold, and the ledger of a level."""

from typing import Annotated, Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from holdfast.flows.stock.read_stock import PAGE_MAX_ROWS, list_levels, list_movements, show_availability
from holdfast.runtime import runtime
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.http import json_response, make_resolver, serve
from holdfast.web.routes import DATABASE, route

app = make_resolver()
handler = serve(app)

_TAG = "Stock"
_READ = ("invalid_input", "not_found", *DATABASE)
After = Annotated[UUID | None, Query(description="Only variants after this one: `next_after`.")]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX_ROWS)]


@route(
    app,
    "GET /v1/ops/warehouses/{warehouse_id}/stock",
    "List stock levels",
    tag=_TAG,
    returns={200: "StockLevelPage"},
    refuses=_READ,
)
def stock_levels(warehouse_id: UUID, after: After = None, limit: Limit = 50) -> Response[Any]:
    """What lies in one warehouse, by variant; `next_after` is the cursor of the next page."""
    return _levels(warehouse_id, after, limit, only_low=False)


@route(
    app,
    "GET /v1/ops/warehouses/{warehouse_id}/low-stock",
    "List what runs low",
    tag=_TAG,
    returns={200: "StockLevelPage"},
    refuses=_READ,
)
def low_stock(warehouse_id: UUID, after: After = None, limit: Limit = 50) -> Response[Any]:
    """The levels of one warehouse of which less is available than their safety stock."""
    return _levels(warehouse_id, after, limit, only_low=True)


def _levels(warehouse_id: UUID, after: UUID | None, limit: int, *, only_low: bool) -> Response[Any]:
    caller = caller_from(app.current_event.raw_event)
    page = list_levels(
        runtime(), caller, warehouse_id=warehouse_id, after=after, limit=limit, only_low=only_low, now=utc_now()
    )
    return json_response(page)


@route(
    app,
    "GET /v1/ops/stock/availability",
    "Show what can be sold",
    tag=_TAG,
    returns={200: "Availability"},
    refuses=_READ,
)
def availability(
    product_id: Annotated[UUID | None, Query()] = None,
    variant_id: Annotated[UUID | None, Query()] = None,
    sku: Annotated[str | None, Query(min_length=1, max_length=100, pattern=r"^[^\x00]+$")] = None,
) -> Response[Any]:
    """Of one variant, or of every variant of one product, over all warehouses."""
    caller = caller_from(app.current_event.raw_event)
    found = show_availability(runtime(), caller, product_id=product_id, variant_id=variant_id, sku=sku, now=utc_now())
    return json_response(found)


@route(
    app,
    "GET /v1/ops/warehouses/{warehouse_id}/stock/{variant_id}/movements",
    "Read a level's ledger",
    tag=_TAG,
    returns={200: "StockMovementPage"},
    refuses=_READ,
)
def stock_movements(
    warehouse_id: UUID,
    variant_id: UUID,
    before: Annotated[int | None, Query(ge=1, le=2**62, description="Only lines before this: `next_before`.")] = None,
    limit: Limit = 50,
) -> Response[Any]:
    """Every movement of one variant in one warehouse, newest first."""
    caller = caller_from(app.current_event.raw_event)
    page = list_movements(
        runtime(), caller, warehouse_id=warehouse_id, variant_id=variant_id, before=before, limit=limit, now=utc_now()
    )
    return json_response(page)
