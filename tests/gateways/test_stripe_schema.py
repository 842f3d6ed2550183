"""Requests and answers compared with what Stripe publishes: models and parameters of its SDK at the pinned version.

The adapter and the local server have the same authors and could share a mistake, which the SDK cannot.
"""

import typing
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import pytest
import stripe
import stripe.params
import urllib3

from holdfast.gateways.port import AuthorizeRequest, GatewayCredentials, GatewayUnreachable
from holdfast.gateways.stripe import StripeGateway
from holdfast.values.money import Money
from local.gateway_server.model import Endpoint, Event
from local.stripe_server import customers, intents, objects, refunds
from local.stripe_server.model import Charge, Customer, Intent, Refund

INTENT = Intent("pi_1", "sk_1", 1999, "usd", 1763596800, "manual", "pi_1_secret")
CHARGE = Charge(
    "ch_1", "sk_1", "pi_1", 1999, "usd", 1763596800, "succeeded", "pm_card_visa", "pm_1", capture_before=1764201600
)
KLARNA = replace(CHARGE, method="klarna")
REFUND = Refund("re_1", "sk_1", "pi_1", "ch_1", 500, "usd", 1763596800, "failed", failure_reason="unknown")
ENDPOINT = Endpoint("we_1", "sk_1", "https://example.test", "whsec_1", ["*"], 1763596800)
EVENT = Event("evt_1", "sk_1", "charge.expired", 1763596800, "ch_1", "pi_1")


@pytest.mark.parametrize(
    ("model", "rendered"),
    [
        (stripe.PaymentIntent, objects.intent_json(INTENT)),
        (stripe.Charge, objects.charge_json(CHARGE)),
        (stripe.Charge.PaymentMethodDetails.Klarna, objects.charge_json(KLARNA)["payment_method_details"]["klarna"]),
        (stripe.Charge.PaymentMethodDetails.Card, objects.charge_json(CHARGE)["payment_method_details"]["card"]),
        (stripe.Refund, objects.refund_json(REFUND)),
        (stripe.Dispute, objects.dispute_json(CHARGE, 1763596800)),
        (stripe.PaymentMethod, objects.payment_method_json("pm_1", "pm_card_visa", 1763596800)),
        (stripe.PaymentMethod.Card, objects.card_json("pm_card_visa")),
        (stripe.Customer, objects.customer_json(Customer("cus_1", "sk_1", 1763596800))),
        (stripe.Event, objects.event_json(EVENT, {}, 1, None, None)),
        (stripe.WebhookEndpoint, objects.endpoint_json(ENDPOINT, with_secret=True)),
    ],
    ids=lambda value: value.__qualname__ if isinstance(value, type) else "",
)
def test_the_local_server_answers_with_stripes_fields(model: type, rendered: dict[str, Any]) -> None:
    published = model.__annotations__
    assert not rendered.keys() - published.keys(), "fields that Stripe does not have"
    always = {name for name, kind in published.items() if not _may_be_absent(kind)}
    assert not always - rendered.keys(), "fields that Stripe always sends"


@pytest.mark.parametrize(
    ("params", "accepted"),
    [
        (stripe.params.PaymentIntentCreateParams, intents.CREATE_PARAMETERS),
        (stripe.params.PaymentIntentConfirmParams, intents.CONFIRM_PARAMETERS),
        (stripe.params.PaymentIntentCaptureParams, intents.CAPTURE_PARAMETERS),
        (stripe.params.PaymentIntentCancelParams, intents.CANCEL_PARAMETERS),
        (stripe.params.RefundCreateParams, refunds.CREATE_PARAMETERS),
        (stripe.params.CustomerCreateParams, customers.CREATE_PARAMETERS),
        (stripe.params.PaymentMethodDetachParams, customers.DETACH_PARAMETERS),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_local_server_accepts_no_parameter_that_stripe_does_not(params: type, accepted: frozenset[str]) -> None:
    assert not accepted - params.__annotations__.keys()


class _Recorder(HTTPServer):
    forms: list[tuple[str, list[tuple[str, str]]]]


@pytest.fixture
def recorder() -> Iterator[_Recorder]:
    """Yield a server that records each form and answers that it is busy."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            typing.cast(_Recorder, self.server).forms.append((self.path, parse_qsl(body)))
            self.send_response(429)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = _Recorder(("127.0.0.1", 0), Handler)
    server.forms = []
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_adapter_sends_only_parameters_that_stripe_has(recorder: _Recorder, pool: urllib3.PoolManager) -> None:
    base_url = f"http://127.0.0.1:{recorder.server_port}"
    gateway = StripeGateway(GatewayCredentials("sk_test_1"), pool=pool, base_url=base_url)
    key: dict[str, Any] = {"idempotency_key": "key", "deadline_seconds": 5.0}
    money = Money(1999, "USD")
    calls: list[tuple[Any, type]] = [
        (lambda: gateway.authorize(_request(None), deadline_seconds=5), stripe.params.PaymentIntentCreateParams),
        (lambda: gateway.authorize(_request("https://a"), deadline_seconds=5), stripe.params.PaymentIntentCreateParams),
        (
            lambda: gateway.authorize(replace(_request(None), save_method=True), deadline_seconds=5),
            stripe.params.PaymentIntentCreateParams,
        ),
        (
            lambda: gateway.authorize(
                replace(_request(None), save_method=True, gateway_customer_id=None, customer_id=uuid4()),
                deadline_seconds=5,
            ),
            stripe.params.CustomerCreateParams,
        ),
        (lambda: gateway.capture("pi_1", money, **key), stripe.params.PaymentIntentCaptureParams),
        (lambda: gateway.cancel("pi_1", **key), stripe.params.PaymentIntentCancelParams),
        (
            lambda: gateway.refund("pi_1", money, refund_id=uuid4(), reason="duplicate", **key),
            stripe.params.RefundCreateParams,
        ),
    ]  # fmt: skip
    for call, params in calls:
        with pytest.raises(GatewayUnreachable):
            call()
        path, form = recorder.forms[-1]
        sent = {name.partition("[")[0] for name, _ in form}
        assert sent, path
        assert not sent - params.__annotations__.keys(), path


def _request(return_url: str | None) -> AuthorizeRequest:
    return AuthorizeRequest(
        payment_id=uuid4(),
        order_id=uuid4(),
        order_number="HF-0000-0000-0000-0001",
        organization_id=uuid4(),
        amount=Money(1999, "USD"),
        token="pm_card_visa",
        idempotency_key="key",
        capture_now=True,
        gateway_customer_id="cus_1",
        return_url=return_url,
    )


def _may_be_absent(kind: Any) -> bool:
    return typing.get_origin(kind) is typing.ClassVar or type(None) in typing.get_args(kind)
