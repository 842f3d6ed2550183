"""The local Square and Adyen themselves: what they promise to demos and tests beyond what the suite needs.

What all local gateways share (faults, idempotency, webhooks, control) is tested in test_local_stripe_server.py.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.gateways.adyen_stage import AdyenStage
from tests.gateways.receiver import Receiver
from tests.gateways.served import ServedStage, running_server
from tests.gateways.square_stage import SquareStage

MakeStage = Callable[[str, urllib3.PoolManager, Receiver], ServedStage]


@pytest.mark.parametrize(("module", "make"), [("local.square_server", SquareStage), ("local.adyen_server", AdyenStage)])
def test_payments_keys_and_webhooks_that_were_not_taken_survive_a_restart(
    tmp_path: Path, pool: urllib3.PoolManager, receiver: Receiver, module: str, make: MakeStage
) -> None:
    state = tmp_path / "state.json"
    with running_server(module, "--state", str(state)) as base_url:
        stage = make(base_url, pool, receiver)
        request = stage.request()
        receiver.answers = [500] * 100
        first = stage.gateway.authorize(request, deadline_seconds=5)
        receiver.wait_until(bool)
    receiver.answers = []
    with running_server(module, "--state", str(state)) as base_url:
        stage.events_until("capture_succeeded")
        stage.base_url = base_url
        stage.gateway = type(stage.gateway)(stage.credentials, pool=pool, base_url=base_url)  # type: ignore[attr-defined,call-arg]
        assert stage.gateway.authorize(request, deadline_seconds=5) == first
        assert stage.charges_of(request.order_id) == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v2/payments", b"{"),
        ("POST", "/v2/payments", b"[]"),
        ("POST", "/v2/payments", b'{"dance":1}'),
        ("POST", "/v2/payments", b'{"idempotency_key":"k","source_id":7}'),
        ("POST", "/v2/payments", b'{"idempotency_key":"k","source_id":"cnon:card-nonce-ok","amount_money":{}}'),
        ("POST", "/v2/payments/nobody/cancel", b""),
        ("POST", "/v2/refunds", b'{"idempotency_key":"k"}'),
        ("GET", "/v2/payments?limit=x", None),
        ("GET", "/v2/payments?begin_time=x", None),
        ("GET", "/v2/payments?dance=1", None),
        ("GET", "/v2/refunds/nobody", None),
        ("DELETE", "/v2/payments/p", None),
        ("GET", "/", None),
    ],
)
def test_nonsense_is_refused_in_squares_form(
    square_stage: SquareStage, pool: urllib3.PoolManager, method: str, path: str, body: bytes | None
) -> None:
    headers = {"Authorization": f"Bearer {square_stage.api_key}"}
    answer = pool.request(method, square_stage.base_url + path, body=body, headers=headers)
    assert 400 <= answer.status < 500, answer.data
    (error,) = answer.json()["errors"]
    assert error.keys() <= {"category", "code", "detail", "field"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v72/payments", b"{"),
        ("/v72/payments", b"[]"),
        ("/v72/payments", b'{"dance":1}'),
        ("/v72/payments", b'{"merchantAccount":"M","reference":"r","amount":{"value":0,"currency":"USD"}}'),
        ("/v72/payments", b'{"merchantAccount":"M","reference":"r","amount":{"value":1,"currency":"usd"}}'),
        ("/v72/payments/details", b'{"details":{"redirectResult":"x"}}'),
        ("/v72/payments/AAAAAAAAAAAAAAAA/captures", b"{}"),
        ("/v72/payments/AAAAAAAAAAAAAAAA/dances", b"{}"),
        ("/v72/cancels", b'{"merchantAccount":"M"}'),
        ("/v71/payments", b"{}"),
        ("/", b"{}"),
    ],
)
def test_nonsense_is_refused_in_adyens_form(
    adyen_stage: AdyenStage, pool: urllib3.PoolManager, path: str, body: bytes
) -> None:
    headers = {"X-API-Key": adyen_stage.api_key}
    answer = pool.request("POST", adyen_stage.base_url + path, body=body, headers=headers)
    assert 400 <= answer.status < 500, answer.data
    assert answer.json().keys() == {"status", "errorCode", "message", "errorType"}


def test_webhooks_of_what_is_decided_later_come_as_commanded(adyen_stage: AdyenStage) -> None:
    payment = adyen_stage.gateway.authorize(adyen_stage.request(capture_now=False), deadline_seconds=5)
    adyen_stage.behave(match={"operation": "payments.cancels"}, webhooks={"duplicates": 1})
    adyen_stage.gateway.cancel(payment.gateway_transaction_id, idempotency_key="c", deadline_seconds=5)
    adyen_stage.events_until("cancellation_succeeded", "cancellation_succeeded")


def test_a_refund_can_be_told_to_come_back(adyen_stage: AdyenStage, square_stage: SquareStage) -> None:
    for stage, operation in ((adyen_stage, "payments.refunds"), (square_stage, "refunds.create")):
        stage.behave(match={"operation": operation}, refund_fate="fails_later")
        payment = stage.gateway.authorize(stage.request(), deadline_seconds=5)
        refund: dict[str, Any] = {"idempotency_key": "r", "refund_id": stage.request().payment_id}
        assert payment.amount is not None
        stage.receiver.answer = b"[accepted]"
        stage.gateway.refund(payment.gateway_transaction_id, payment.amount, deadline_seconds=5, **refund)
        wait = stage.receiver.wait_until
        wait(lambda received: any(b"FAILED" in one.body and b"refund" in one.body.lower() for one in received))


def test_a_browser_can_be_the_shopper(adyen_stage: AdyenStage, pool: urllib3.PoolManager) -> None:
    request = adyen_stage.request(token=adyen_stage.token_action)
    answer = adyen_stage.gateway.authorize(request, deadline_seconds=5)
    assert answer.client_action is not None
    page = pool.request("GET", answer.client_action["redirect_url"]).data.decode()
    assert json.dumps(request.return_url) in page
    assert "/authenticate" in page


def test_a_payment_can_be_disputed(square_stage: SquareStage, adyen_stage: AdyenStage) -> None:
    paid = square_stage.gateway.authorize(square_stage.request(), deadline_seconds=5).gateway_transaction_id
    square_stage.receiver.answer = b"[accepted]"
    square_stage.control("POST", f"/payments/{paid}/dispute")
    square_stage.control("POST", f"/payments/{paid}/dispute", {"state": "LOST"})
    square_stage.control("GET", "/events?type=dispute.created")
    told = adyen_stage.gateway.authorize(adyen_stage.request(), deadline_seconds=5).gateway_transaction_id
    adyen_stage.control("POST", f"/payments/{told}/dispute")
    adyen_stage.control("POST", f"/payments/{told}/dispute", {"eventCode": "CHARGEBACK", "disputeStatus": "Lost"})
    wait = square_stage.receiver.wait_until
    received = wait(lambda arrived: sum(b"dispute" in one.body for one in arrived) >= 3)
    assert any(b'"state":"LOST"' in one.body for one in received)
