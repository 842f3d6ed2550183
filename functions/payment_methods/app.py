"""A customer's saved payment methods: list, choose the default, remove. They are saved at checkout, with consent."""

from typing import Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response

from holdfast.flows.checkout import payment_methods as kept
from holdfast.runtime import runtime
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.http import json_response, make_resolver, serve
from holdfast.web.routes import DATABASE, route

app = make_resolver()
handler = serve(app, takes_json=False)

_METHOD = {200: "PaymentMethodAnswer"}
_REFUSES = ("invalid_input", "not_found", *DATABASE)


@route(
    app, "GET /v1/payment-methods", "List kept payment methods", returns={200: "PaymentMethodList"}, refuses=DATABASE
)
def payment_methods() -> Response[Any]:
    """The customer's own, the default first. A method is kept at checkout by `save`."""
    caller = caller_from(app.current_event.raw_event)
    return json_response(kept.list_payment_methods(runtime(), caller, utc_now()))


@route(
    app,
    "POST /v1/payment-methods/{payment_method_id}/default",
    "Make a payment method the default",
    returns=_METHOD,
    refuses=_REFUSES,
)
def default(payment_method_id: UUID) -> Response[Any]:
    """It is listed first from now on; nothing is paid with it by itself."""
    caller = caller_from(app.current_event.raw_event)
    return json_response({"payment_method": kept.make_default(runtime(), caller, payment_method_id, utc_now())})


@route(
    app,
    "DELETE /v1/payment-methods/{payment_method_id}",
    "Remove a payment method",
    returns=_METHOD,
    refuses=_REFUSES,
)
def remove(payment_method_id: UUID) -> Response[Any]:
    """Nothing is paid with it from now on, and its gateway is told to forget it."""
    caller = caller_from(app.current_event.raw_event)
    return json_response({"payment_method": kept.remove_payment_method(runtime(), caller, payment_method_id, utc_now)})
