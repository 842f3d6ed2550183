"""Changes of stock by people: receipts, adjustments, damage, the reorder point, and repairs of the ledger."""

from typing import Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response

from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.flows.stock import check_ledger as flow
from holdfast.flows.stock.change_stock import ChangeStock, change_stock, set_safety_stock
from holdfast.inventory.stock import ChangeType
from holdfast.runtime import runtime
from holdfast.web.answers import change_answer
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.fields import Body
from holdfast.web.http import IdempotencyKey, json_response, make_resolver, serve
from holdfast.web.problems import stored_response
from holdfast.web.routes import DATABASE, IDEMPOTENT, JSON_BODY, route
from holdfast.web.stock_models import AdjustmentBody, ReceiptBody, SafetyStockBody

app = make_resolver()
handler = serve(app)

_TAG = "Stock"
_CHANGE = (*JSON_BODY, *IDEMPOTENT, *DATABASE, "not_found", "conflict")


@route(
    app, "POST /v1/ops/stock/receipts", "Receive goods", tag=_TAG, returns={201: "StockChangeAnswer"}, refuses=_CHANGE
)
def receive_goods(body: ReceiptBody, idempotency_key: IdempotencyKey) -> Response[Any]:
    """All lines or none; a variant that never lay in this warehouse gets its level."""
    return _changed(body, ChangeType.RECEIVE, "receive_stock", idempotency_key)


@route(
    app,
    "POST /v1/ops/stock/adjustments",
    "Correct a count, or take out what broke",
    tag=_TAG,
    returns={201: "StockChangeAnswer"},
    refuses=_CHANGE,
)
def adjust_stock(body: AdjustmentBody, idempotency_key: IdempotencyKey) -> Response[Any]:
    """All lines or none. 409 names the lines that would go below what is reserved. A count is right when it finds
    `on_hand` + `sold_unshipped`: correct by what it finds beyond or below that."""
    return _changed(body, body.type, "adjust_stock", idempotency_key)


@route(
    app,
    "POST /v1/ops/stock/safety-stock",
    "Say below what a level is low",
    tag=_TAG,
    returns={200: "StockLevelAnswer"},
    refuses=(*JSON_BODY, *DATABASE, "not_found"),
)
def safety_stock(body: SafetyStockBody) -> Response[Any]:
    """The reorder point of one level; nothing is moved."""
    caller = caller_from(app.current_event.raw_event)
    return json_response({"level": set_safety_stock(runtime(), caller, **body.model_dump(), now=utc_now())})


@route(
    app,
    "POST /v1/ops/warehouses/{warehouse_id}/stock/{variant_id}/compensate",
    "Bring a level's ledger to what its row says",
    tag=_TAG,
    returns={201: "LedgerCompensationAnswer"},
    refuses=_CHANGE,
)
def compensate_ledger(
    warehouse_id: UUID, variant_id: UUID, body: Body, idempotency_key: IdempotencyKey
) -> Response[Any]:
    """By recorded movements, after the level was counted and put right. 409 when they agree already."""
    caller = caller_from(app.current_event.raw_event)
    which = {"warehouse_id": warehouse_id, "variant_id": variant_id}
    claim = Claim(caller.actor, "compensate_ledger", idempotency_key, fingerprint_of(which | body.model_dump()))
    render = change_answer("compensation")
    return stored_response(flow.compensate_ledger(runtime(), caller, claim, **which, now=utc_now(), render=render))


def _changed(body: ReceiptBody | AdjustmentBody, type_: ChangeType, operation: str, key: str) -> Response[Any]:
    caller = caller_from(app.current_event.raw_event)
    claim = Claim(caller.actor, operation, key, fingerprint_of(body.model_dump(mode="json")))
    command = ChangeStock(caller, claim, type_, body.warehouse_id, body.to_lines(), body.reason)
    return stored_response(change_stock(runtime(), command, utc_now(), change_answer("change")))
