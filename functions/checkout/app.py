"""Checkout, its quote, and paying again after a decline."""

from typing import Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response

from holdfast.flows.checkout.complete_payment import CompletePayment, complete_payment
from holdfast.flows.checkout.pay_order import OPERATION as PAY_ORDER
from holdfast.flows.checkout.pay_order import PayOrder, pay_order
from holdfast.flows.checkout.place_order import OPERATION as CHECKOUT
from holdfast.flows.checkout.place_order import PlaceOrder, place_order
from holdfast.flows.checkout.quote_order import quote_order
from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.runtime import runtime
from holdfast.web.answers import completed_answer, payment_answer
from holdfast.web.caller import caller_from
from holdfast.web.checkout_models import CheckoutBody, CompletePaymentBody, PayAgainBody, QuoteBody
from holdfast.web.clock import utc_now
from holdfast.web.http import IdempotencyKey, OrderReference, json_response, make_resolver, serve
from holdfast.web.problems import stored_response
from holdfast.web.routes import DATABASE, IDEMPOTENT, JSON_BODY, route
from holdfast.web.telemetry import count, count_lookups

app = make_resolver()
handler = serve(app)

_QUOTE = (*JSON_BODY, *DATABASE, "price_changed", "out_of_stock", "capacity_exceeded")
_CHECKOUT = (*_QUOTE, *IDEMPOTENT, "stock_contended", "payment_declined", "conflict")
_COMPLETION = (*JSON_BODY, *DATABASE, "not_found", "conflict")
_PAYMENT = (*JSON_BODY, *IDEMPOTENT, *DATABASE, "not_found", "conflict", "transition_refused", "out_of_stock")


@route(app, "POST /v1/checkout", "Place an order and pay for it", returns={201: "PaidOrder"}, refuses=_CHECKOUT)
def checkout(body: CheckoutBody, idempotency_key: IdempotencyKey) -> Response[Any]:
    """Holds the stock, takes the money, answers with the order. The same key again gets the same answer."""
    caller = caller_from(app.current_event.raw_event)
    command = PlaceOrder(
        caller=caller,
        claim=Claim(caller.actor, CHECKOUT, idempotency_key, fingerprint_of(body.model_dump(mode="json"))),
        request=body.to_request(),
        billing_address=(body.billing_address or body.shipping_address).to_address(),
        email=body.email,
        gateway=body.payment.gateway,
        token=body.payment.token,
        save_method=body.payment.save,
        payment_method_id=body.payment.payment_method_id,
        notes=body.notes,
        language=body.language,
        source=body.source,
    )
    answer = place_order(runtime(), command, utc_now, payment_answer)
    count("CheckoutAnswered", Status=str(answer.status))
    count_lookups(runtime().lookup_tally)
    return stored_response(answer)


@route(
    app,
    "POST /v1/checkout/quote",
    "Price an order and explain where it would ship from",
    returns={200: "Quote"},
    refuses=_QUOTE,
)
def quote(body: QuoteBody) -> Response[Any]:
    """Prices, tax, shipping, and the allocation with its reasons. Nothing is held."""
    caller = caller_from(app.current_event.raw_event)
    quoted = quote_order(runtime(), caller, body.to_request(), utc_now())
    count_lookups(runtime().lookup_tally)
    return json_response(quoted)


@route(
    app,
    "POST /v1/orders/{order_id}/payments",
    "Pay an order again",
    returns={201: "PaidOrder"},
    refuses=(*_PAYMENT, "payment_declined"),
)
def pay_again(order_id: OrderReference, body: PayAgainBody, idempotency_key: IdempotencyKey) -> Response[Any]:
    """Another method after a decline, while the hold lives; after it expired the stock is held again first."""
    caller = caller_from(app.current_event.raw_event)
    request = {"order": order_id} | body.model_dump(mode="json")
    claim = Claim(caller.actor, PAY_ORDER, idempotency_key, fingerprint_of(request))
    paid_with = body.payment
    command = PayOrder(
        caller, claim, order_id, paid_with.gateway, paid_with.token, paid_with.save, paid_with.payment_method_id
    )
    return stored_response(pay_order(runtime(), command, utc_now, payment_answer))


@route(
    app,
    "POST /v1/orders/{order_id}/payments/{payment_id}/complete",
    "Complete a payment that waited for its shopper",
    returns={200: "PaidOrder"},
    refuses=(*_COMPLETION, "payment_declined", "gateway_refused", "attempt_too_old"),
)
def complete(order_id: OrderReference, payment_id: UUID, body: CompletePaymentBody) -> Response[Any]:
    """After the action that the gateway asked for: what came back is handed in, or the gateway asked. Repeatable."""
    caller = caller_from(app.current_event.raw_event)
    command = CompletePayment(caller, order_id, payment_id, body.details)
    return stored_response(complete_payment(runtime(), command, utc_now, completed_answer))
