"""Files of stock: check, apply and list them."""

from typing import Annotated, Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from holdfast.flows.stock.import_stock import PAGE_MAX_ROWS, ImportStock, import_stock, list_imports
from holdfast.inventory.stock_file import ImportMode
from holdfast.runtime import runtime
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.http import json_response, make_resolver, serve
from holdfast.web.request_body import MalformedRequest, raw_body_of
from holdfast.web.routes import DATABASE, route
from holdfast.web.schedules import time_left

app = make_resolver()
handler = serve(app, takes_json=False)

FILE_MAX_BYTES = 5 * 1024 * 1024
_STATUS = {"applied": 201, "running": 202}
_REFUSES = ("malformed_request", "payload_too_large", "invalid_input", "conflict", *DATABASE)
Reason = Annotated[str, Query(min_length=3, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]


@route(
    app,
    "POST /v1/ops/stock/imports",
    "Import a file of stock",
    tag="Stock",
    returns=dict.fromkeys((200, 201, 202), "StockImportAnswer"),
    refuses=_REFUSES,
)
def import_stock_file(
    mode: Annotated[ImportMode, Query()] = ImportMode.LEVELS,
    dry_run: Annotated[bool, Query()] = False,
    reason: Reason = "stock file",
) -> Response[Any]:
    """The body is CSV in UTF-8 with the columns `warehouse`, `sku`, `quantity` and, if wished, `safety_stock`, `note`.

    `levels` is a count, made when the file comes: it is held against `on_hand` + `sold_unshipped`, for what is sold and
    has not left lies there as well. One bad row and nothing is imported: 422 names the first 100. `dry_run` looks and
    writes nothing. A file that was applied changes nothing when it comes again (200); one that ran out of time is told
    with 202 and goes on then. 409 names the rows that the stock does not bear, or that cannot be told from the count.
    """
    caller = caller_from(app.current_event.raw_event)
    try:
        text = raw_body_of(app.current_event.raw_event, FILE_MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedRequest("the file is not UTF-8") from error
    began = utc_now()
    done = import_stock(
        runtime(), ImportStock(caller, text, mode, reason, dry_run), utc_now, time_left(app.lambda_context)
    )
    is_new = done["finished_at"] is None or done["finished_at"] >= began.isoformat()
    return json_response({"import": done}, _STATUS.get(done["status"], 200) if is_new else 200)


@route(
    app,
    "GET /v1/ops/stock/imports",
    "List imports",
    tag="Stock",
    returns={200: "StockImportPage"},
    refuses=("invalid_input", *DATABASE),
)
def stock_imports(
    before: Annotated[UUID | None, Query(description="Only imports older than this one: `next_before`.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX_ROWS)] = 20,
) -> Response[Any]:
    """Newest first, with who sent them and what was wrong with those that were refused."""
    caller = caller_from(app.current_event.raw_event)
    return json_response(list_imports(runtime(), caller, before=before, limit=limit, now=utc_now()))
