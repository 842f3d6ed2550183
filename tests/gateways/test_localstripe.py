"""The main path against localstripe, a Stripe server that others wrote, so it does not share our mistakes.

It does not know idempotency keys, allows refunds beyond the charge, and reports neither received nor captured amounts,
so only what it does offer is tested here. It refuses `automatic_payment_methods`, a parameter that Stripe has had
since 2023 and that our adapter sends. The parameter is removed on the wire and nowhere else.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

import pytest
import urllib3

from holdfast.gateways.port import (
    AuthorizeRequest,
    GatewayCredentials,
    GatewayRefused,
    Outcome,
    PaymentSnapshot,
    RefundOutcome,
)
from holdfast.gateways.stripe import StripeGateway
from holdfast.gateways.stripe_webhooks import verify_and_parse_webhook
from holdfast.values.money import Money
from holdfast.values.payment_events import EventType
from local.launch import command
from tests.gateways.receiver import Receiver

DEADLINE_SECONDS = 5.0
START_MAX_SECONDS = 20.0
SECRET = "whsec_of_localstripe"


@pytest.fixture(scope="module")
def localstripe() -> Iterator[str]:
    """Yield the base URL of a running localstripe."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    program = [sys.executable, "-W", "ignore", "-m", "localstripe", "--port", str(port), "--from-scratch"]
    process = subprocess.Popen(command(program), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Poll until localstripe listens: it takes only a port number and does not say when it is ready."""
    end = time.monotonic() + START_MAX_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, "localstripe ended at its start"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("localstripe did not start")


class WithholdingPool(urllib3.PoolManager):
    """A connection pool that leaves out what localstripe does not know."""

    def request(self, method: str, url: str, body: Any = None, *rest: Any, **more: Any) -> urllib3.BaseHTTPResponse:
        if isinstance(body, str):
            known = [(name, value) for name, value in parse_qsl(body) if not name.startswith("automatic_payment")]
            body = urlencode(known)
        return super().request(method, url, body, *rest, **more)


@pytest.fixture
def gateway(localstripe: str) -> Iterator[StripeGateway]:
    pool = WithholdingPool(retries=False)
    yield StripeGateway(GatewayCredentials("sk_test_localstripe"), pool=pool, base_url=localstripe)
    pool.clear()


def request(*, token: str = "pm_card_visa", capture_now: bool = True) -> AuthorizeRequest:
    payment_id = uuid4()
    return AuthorizeRequest(
        payment_id=payment_id,
        order_id=uuid4(),
        order_number="HF-0000-0000-0000-0001",
        organization_id=uuid4(),
        amount=Money(1999, "USD"),
        token=token,
        idempotency_key=f"payment-{payment_id}",
        capture_now=capture_now,
    )


def pay(gateway: StripeGateway, *, capture_now: bool = True) -> PaymentSnapshot:
    return gateway.authorize(request(capture_now=capture_now), deadline_seconds=DEADLINE_SECONDS)


def test_a_payment_succeeds_and_can_be_fetched(gateway: StripeGateway) -> None:
    answer = pay(gateway)
    assert (answer.outcome, answer.captured_minor, answer.amount) == (Outcome.SUCCEEDED, 1999, Money(1999, "USD"))
    assert gateway.fetch(answer.gateway_transaction_id, deadline_seconds=DEADLINE_SECONDS) == answer


def test_money_is_held_and_captured(gateway: StripeGateway) -> None:
    payment = pay(gateway, capture_now=False)
    assert payment.outcome is Outcome.AUTHORIZED
    captured = gateway.capture(
        payment.gateway_transaction_id, Money(1999, "USD"), idempotency_key="capture", deadline_seconds=DEADLINE_SECONDS
    )
    assert (captured.outcome, captured.captured_minor) == (Outcome.SUCCEEDED, 1999)


def test_held_money_is_given_up(gateway: StripeGateway) -> None:
    payment = pay(gateway, capture_now=False)
    cancelled = gateway.cancel(
        payment.gateway_transaction_id, idempotency_key="cancel", deadline_seconds=DEADLINE_SECONDS
    )
    assert cancelled.outcome is Outcome.CANCELLED


def test_captured_money_is_refunded_in_part(gateway: StripeGateway) -> None:
    payment = pay(gateway)
    refund = gateway.refund(
        payment.gateway_transaction_id,
        Money(500, "USD"),
        idempotency_key="refund",
        refund_id=uuid4(),
        deadline_seconds=DEADLINE_SECONDS,
    )
    assert (refund.status, refund.amount) == (RefundOutcome.SUCCEEDED, Money(500, "USD"))
    assert gateway.fetch(payment.gateway_transaction_id, deadline_seconds=DEADLINE_SECONDS).refunded_minor == 500
    assert gateway.fetch_refund(refund.gateway_refund_id, deadline_seconds=DEADLINE_SECONDS) == refund


def test_a_card_that_is_declined_takes_no_money(gateway: StripeGateway) -> None:
    """Unlike Stripe, it leaves the intent out of its 402, and a decline without a transaction is a refusal."""
    with pytest.raises(GatewayRefused) as refused:
        gateway.authorize(request(token="pm_card_chargeCustomerFail"), deadline_seconds=DEADLINE_SECONDS)
    assert refused.value.failure_code == "card_declined"


def test_its_webhook_is_accepted_and_names_our_payment(
    gateway: StripeGateway, localstripe: str, pool: urllib3.PoolManager, receiver: Receiver
) -> None:
    hook = {"url": receiver.url, "secret": SECRET}
    assert pool.request("POST", f"{localstripe}/_config/webhooks/holdfast", json=hook).status == 200
    asked = request()
    answer = gateway.authorize(asked, deadline_seconds=DEADLINE_SECONDS)
    credentials = GatewayCredentials("sk_test_localstripe", (SECRET,))
    mine = answer.gateway_transaction_id.encode()
    arrived = receiver.wait_until(lambda received: any(mine in one.body for one in received))
    webhook = next(one for one in arrived if mine in one.body)
    (event,) = verify_and_parse_webhook(webhook.headers, webhook.body, credentials, datetime.now(UTC))
    assert event.event_type is EventType.CAPTURE_SUCCEEDED
    assert (event.payment_id, event.gateway_transaction_id) == (asked.payment_id, answer.gateway_transaction_id)
