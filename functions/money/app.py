"""Money for the operations team: the books of a day, disputes, the health of the gateways, recomputed payments, the end
of an attempt that no gateway knows, and another try at returning money after it was given up."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.flows.money import give_up_payment as giving_up
from holdfast.flows.money.gateway_health import gateway_health
from holdfast.flows.money.list_disputes import PAGE_MAX_ROWS, DisputeStatus, list_disputes
from holdfast.flows.money.money_report import show_money_report
from holdfast.flows.money.refold_payments import Chosen, refold_for
from holdfast.flows.money.retry_operation import OPERATION, retry_operation
from holdfast.runtime import runtime
from holdfast.web.answers import change_answer, order_answer
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.fields import Body
from holdfast.web.http import IdempotencyKey, json_response, make_resolver, serve
from holdfast.web.money_models import GiveUpPaymentBody, RefoldBody
from holdfast.web.problems import stored_response
from holdfast.web.routes import DATABASE, IDEMPOTENT, JSON_BODY, route

app = make_resolver()
handler = serve(app)


@route(
    app,
    "GET /v1/ops/money-report",
    "Show the books of a day",
    returns={200: "MoneyReport"},
    refuses=("invalid_input", *DATABASE),
)
def money_report(
    day: Annotated[date | None, Query(description="A UTC day; yesterday by default.")] = None,
) -> Response[Any]:
    """What orders, payments and gateways say of the day's money, and where they differ, with the amounts at risk."""
    caller = caller_from(app.current_event.raw_event)
    return json_response(show_money_report(runtime(), caller, day, utc_now()))


@route(
    app,
    "GET /v1/ops/disputes",
    "List disputes, newest first",
    returns={200: "DisputePage"},
    refuses=("invalid_input", *DATABASE),
)
def disputes(
    status: Annotated[DisputeStatus, Query()] = DisputeStatus.OPENED,
    before: Annotated[UUID | None, Query(description="Only disputes older than this one: `next_before`.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX_ROWS)] = 20,
) -> Response[Any]:
    """The opened ones, or those under review, or the closed ones; `next_before` is the cursor of the next page."""
    caller = caller_from(app.current_event.raw_event)
    return json_response(list_disputes(runtime(), caller, status=status, before=before, limit=limit, now=utc_now()))


@route(app, "GET /v1/ops/gateways", "Show how the gateways do", returns={200: "GatewayHealth"}, refuses=DATABASE)
def gateways() -> Response[Any]:
    """Each account with its calls of the last hour, its last webhook, and what waits to be processed or decided."""
    return json_response(gateway_health(runtime(), caller_from(app.current_event.raw_event), utc_now()))


@route(
    app,
    "POST /v1/ops/payments/refold",
    "Recompute payments from their events",
    returns={200: "RefoldPage"},
    refuses=(*JSON_BODY, *DATABASE),
)
def refold(body: RefoldBody) -> Response[Any]:
    """Shows where a payment is not what its events say, with the present code. Nothing is written."""
    caller = caller_from(app.current_event.raw_event)
    return json_response(refold_for(runtime(), caller, Chosen(**body.model_dump()), utc_now()))


@route(
    app,
    "POST /v1/ops/payments/{payment_id}/give-up",
    "End an attempt that the gateway does not know",
    returns={200: "OrderAnswer"},
    refuses=(*JSON_BODY, *IDEMPOTENT, *DATABASE, "not_found", "conflict"),
)
def give_up(payment_id: UUID, body: GiveUpPaymentBody, idempotency_key: IdempotencyKey) -> Response[Any]:
    """For a payment that is undecided and too old to be asked about: look for it at its gateway first. It is `failed`
    then, and its order can be paid again or expires. Money that appears after all pays for the order or goes back. 409
    if the payment is decided, or its gateway is still being asked."""
    caller = caller_from(app.current_event.raw_event)
    fingerprint = fingerprint_of({"payment": payment_id} | body.model_dump(mode="json"))
    claim = Claim(caller.actor, giving_up.OPERATION, idempotency_key, fingerprint)
    return stored_response(
        giving_up.give_up_payment(runtime(), caller, claim, payment_id, body.note, utc_now(), order_answer)
    )


@route(
    app,
    "POST /v1/ops/operations/{operation_id}/retry",
    "Try again to return money",
    returns={201: "OwedOperationAnswer"},
    refuses=(*JSON_BODY, *IDEMPOTENT, *DATABASE, "not_found", "conflict"),
)
def retry(operation_id: UUID, body: Body, idempotency_key: IdempotencyKey) -> Response[Any]:
    """A refund, or the return of an order's money, that was given up: its gateway is asked within a minute. 409 unless
    it failed, and where it may have been made and its gateway may have forgotten its key."""
    caller = caller_from(app.current_event.raw_event)
    fingerprint = fingerprint_of({"operation": operation_id} | body.model_dump(mode="json"))
    claim = Claim(caller.actor, OPERATION, idempotency_key, fingerprint)
    return stored_response(
        retry_operation(runtime(), caller, claim, operation_id, utc_now(), change_answer("operation"))
    )
