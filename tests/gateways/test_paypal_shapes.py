"""Requests and answers compared with what PayPal publishes.

The adapter and the local server have the same authors and could share a mistake, which the published fields cannot.
See `paypal_shapes` for where they come from.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
import urllib3

from holdfast.gateways.calls import Deadline
from holdfast.gateways.paypal import PayPalGateway
from holdfast.gateways.paypal_access import AccessTokens
from holdfast.gateways.port import GatewayCredentials
from holdfast.values.money import Money
from tests.gateways import paypal_shapes as shapes
from tests.gateways.paypal_stage import PayPalStage
from tests.gateways.published_shape import differences

KEY: dict[str, Any] = {"idempotency_key": "key", "deadline_seconds": 5.0}
USD = Money(1999, "USD")
RESOURCES = {
    "authorization": shapes.Authorization,
    "capture": shapes.Capture,
    "refund": shapes.Refund,
    "checkout-order": shapes.Order,
    "dispute": shapes.Dispute,
    "payment": shapes.ApprovalReversed,
}


class Middleman(ThreadingHTTPServer):
    """Forwards every request to the local PayPal and records both sides."""

    target: str
    exchanges: list[tuple[str, str, Any, int, Any]]
    pool: urllib3.PoolManager


class Handler(BaseHTTPRequestHandler):
    server: Middleman

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def do_PATCH(self) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name: value for name, value in self.headers.items() if name.lower() != "content-length"}
        answer = self.server.pool.request(self.command, self.server.target + self.path, body=body, headers=headers)
        if self.headers.get("Content-Type") == "application/json":
            sent, got = json.loads(body or b"null"), json.loads(answer.data or b"null")
            self.server.exchanges.append((self.command, self.path, sent, answer.status, got))
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(answer.data)))
        self.end_headers()
        self.wfile.write(answer.data)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def middleman(paypal_stage: PayPalStage) -> Iterator[Middleman]:
    standing = Middleman(("127.0.0.1", 0), Handler)
    standing.target, standing.pool, standing.exchanges = paypal_stage.base_url, urllib3.PoolManager(), []
    thread = Thread(target=standing.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield standing
    standing.shutdown()
    thread.join()
    standing.server_close()
    standing.pool.clear()


def request_shape(method: str, path: str) -> Any:
    by_end = {
        "/v2/checkout/orders": shapes.OrderRequest,
        "/authorize": shapes.OrderCaptureRequest,
        "/refund": shapes.RefundRequest,
        "/reauthorize": shapes.ReauthorizeRequest,
        "/capture": shapes.CaptureRequest if "/authorizations/" in path else shapes.OrderCaptureRequest,
    }
    if method == "PATCH":
        return list[shapes.Patch]
    return next((shape for end, shape in by_end.items() if path.endswith(end)), None)


def answer_shape(path: str, status: int) -> Any:
    if status >= 400:
        return shapes.Error
    for part, shape in (
        ("/reauthorize", shapes.Authorization),
        ("/refund", shapes.Refund),
        ("/void", shapes.Authorization),
        ("/checkout/orders", shapes.Order),
        ("/capture", shapes.Capture),
    ):
        if part in path:
            return shape
    raise AssertionError(path)


def test_everything_the_adapter_sends_and_the_local_server_answers_has_the_published_fields(
    paypal_stage: PayPalStage, middleman: Middleman
) -> None:
    stage, pool = paypal_stage, middleman.pool
    base_url = f"http://127.0.0.1:{middleman.server_port}"
    gateway = PayPalGateway(stage.credentials, pool=pool, tokens=AccessTokens(pool), base_url=base_url)

    def authorize(token: str, **given: Any) -> str:
        request = replace(stage.request(token=token, **given), return_url="https://shop.example/thanks")
        return gateway.authorize(request, deadline_seconds=5).gateway_transaction_id

    paid, held = authorize("card:visa4242"), authorize("card:visa4242", capture_now=False)
    authorize("card:declined5120")
    authorize("card:declined5120", capture_now=False)
    authorize("paypal:echeck")
    gateway.capture(held, Money(1200, "USD"), **KEY)
    refund = gateway.refund(paid, Money(500, "USD"), refund_id=uuid4(), **KEY)
    gateway.fetch_refund(refund.gateway_refund_id, deadline_seconds=5)
    given_back = authorize("card:visa4242", capture_now=False)
    gateway.cancel(given_back, **KEY)
    stage.control("POST", f"/orders/{(old := authorize('card:visa4242', capture_now=False))}/age", {"days": 4})
    gateway.reauthorize(old, USD, **KEY)
    for instrument, capture_now in (("wallet", True), ("wallet", False), ("emptywallet", True), ("lockedwallet", True)):
        order_id = authorize("paypal", capture_now=capture_now)
        stage.approve(order_id, instrument)
        gateway.fetch(order_id, deadline_seconds=5)
    gateway.cancel(authorize("paypal"), **KEY)
    kept_with = authorize("paypal", save_method=True, customer_id=uuid4())
    stage.approve(kept_with)
    kept = gateway.fetch(kept_with, deadline_seconds=5).saved_method
    assert kept is not None
    again = authorize("paypal", save_method=True, gateway_customer_id=kept.gateway_customer_id)
    stage.approve(again)
    authorize(kept.token)
    told = gateway._calls.get(f"/v2/checkout/orders/{kept_with}", Deadline(5))["payment_source"]["paypal"]["attributes"]
    assert differences(told, shapes.WalletAttributesResponse) == []

    paths = {path.rpartition("/")[2] for _, path, *_ in middleman.exchanges}
    assert {"orders", "capture", "authorize", "void", "reauthorize", "refund"} <= paths
    for method, path, sent, status, got in middleman.exchanges:
        shape = request_shape(method, path)
        assert sent is None or differences(sent, shape) == [], f"{method} {path}"
        if "/refunds/" in path:
            assert differences(got, shapes.Refund) == []
        elif got is not None:
            assert differences(got, answer_shape(path, status)) == [], f"{method} {path}"


def test_every_webhook_of_the_local_server_has_the_published_fields(paypal_stage: PayPalStage) -> None:
    stage, gateway = paypal_stage, paypal_stage.gateway

    def authorize(token: str, **given: Any) -> str:
        return gateway.authorize(stage.request(token=token, **given), deadline_seconds=5).gateway_transaction_id

    paid, held = authorize("card:visa4242"), authorize("card:visa4242", capture_now=False)
    authorize("card:declined5120")
    settled = authorize("paypal:echeck")
    refund = gateway.refund(paid, Money(500, "USD"), refund_id=uuid4(), **KEY)
    gateway.refund(authorize("card:refundpends"), USD, refund_id=uuid4(), **KEY)
    for path in (
        f"/refunds/{refund.gateway_refund_id}/fail", f"/orders/{settled}/settle", f"/orders/{held}/expire",
        f"/orders/{paid}/dispute", f"/orders/{paid}/reverse",
    ):  # fmt: skip
        stage.control("POST", path)
    taken_back = authorize("paypal")
    stage.approve(taken_back)
    stage.control("POST", f"/orders/{taken_back}/take_back_approval")

    expected = {
        "PAYMENT.AUTHORIZATION.CREATED", "PAYMENT.AUTHORIZATION.VOIDED", "PAYMENT.CAPTURE.COMPLETED",
        "PAYMENT.CAPTURE.DECLINED", "PAYMENT.CAPTURE.PENDING", "PAYMENT.CAPTURE.REFUNDED", "PAYMENT.CAPTURE.REVERSED",
        "PAYMENT.REFUND.PENDING", "PAYMENT.REFUND.FAILED", "CHECKOUT.ORDER.APPROVED",
        "CHECKOUT.PAYMENT-APPROVAL.REVERSED", "CUSTOMER.DISPUTE.CREATED",
    }  # fmt: skip
    arrived = stage.receiver.wait_until(
        lambda received: expected <= {json.loads(one.body)["event_type"] for one in received}
    )
    for delivery in arrived:
        event = json.loads(delivery.body)
        assert differences(event, shapes.Event) == [], event["event_type"]
        assert differences(event["resource"], RESOURCES[event["resource_type"]]) == [], event["event_type"]


def test_a_shape_finds_what_does_not_fit() -> None:
    order = {"id": "5O190127TN364715T", "status": "PAID", "links": [{"href": "x"}], "extra": 1}
    found = sorted(differences(order, shapes.Order))
    assert found == [".extra is not published", ".links[0].rel is missing", ".status is 'PAID'"]


def test_a_secret_does_not_show_in_a_representation() -> None:
    assert "hidden" not in repr(GatewayCredentials("hidden", client_id="client"))
