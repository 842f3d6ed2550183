"""Requests and answers compared with Square's SDK at the pinned version: its models, and its client at our server.

The adapter and the local server have the same authors and could share a mistake, which the SDK cannot.
"""

import inspect
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pydantic
import pytest
import square
import urllib3
from square.cards.raw_client import RawCardsClient
from square.core.api_error import ApiError
from square.customers.raw_client import RawCustomersClient
from square.payments.raw_client import RawPaymentsClient
from square.refunds.raw_client import RawRefundsClient
from square.types.card import Card
from square.types.customer import Customer
from square.types.dispute import Dispute
from square.types.error import Error
from square.types.payment import Payment
from square.types.payment_refund import PaymentRefund
from square.types.payment_updated_event import PaymentUpdatedEvent
from square.types.refund_updated_event import RefundUpdatedEvent

from holdfast.gateways.port import GatewayUnreachable
from holdfast.gateways.square import SquareGateway
from holdfast.values.money import Money
from local.square_server import customers, payments, refunds
from local.square_server.model import Payment as SquarePayment
from local.square_server.objects import dispute_json
from tests.gateways.square_stage import SquareStage


def unknown_fields(model: pydantic.BaseModel, path: str = "") -> list[str]:
    """Return the paths of an object's fields that Square does not publish."""
    unknown = [f"{path}.{name}" for name in model.model_extra or {}]
    for name in type(model).model_fields:
        for value in _each(getattr(model, name)):
            if isinstance(value, pydantic.BaseModel):
                unknown += unknown_fields(value, f"{path}.{name}")
    return unknown


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_the_local_server_answers_with_squares_fields(square_stage: SquareStage) -> None:
    gateway = square_stage.gateway
    payment = gateway.authorize(square_stage.request(capture_now=False), deadline_seconds=5).gateway_transaction_id
    gateway.capture(payment, Money(1200, "USD"), idempotency_key="c", deadline_seconds=5)
    gateway.refund(payment, Money(500, "USD"), idempotency_key="r", refund_id=uuid4(), deadline_seconds=5)
    gateway.authorize(square_stage.request(token=square_stage.token_declined), deadline_seconds=5)
    for shown in square_stage.control("GET", f"/payments?account={square_stage.api_key}"):
        given_back = shown.pop("refunds")
        del shown["account"]
        assert unknown_fields(Payment.model_validate(shown)) == []
        for refund in given_back:
            assert unknown_fields(PaymentRefund.model_validate(refund)) == []


def test_the_local_servers_webhooks_are_squares_events(square_stage: SquareStage) -> None:
    paid = square_stage.gateway.authorize(square_stage.request(), deadline_seconds=5)
    square_stage.gateway.refund(
        paid.gateway_transaction_id, Money(500, "USD"), idempotency_key="r", refund_id=uuid4(), deadline_seconds=5
    )
    square_stage.events_until("refund_succeeded")
    for delivery in square_stage.receiver.received:
        event = json.loads(delivery.body)
        model = RefundUpdatedEvent if event["type"].startswith("refund") else PaymentUpdatedEvent
        assert unknown_fields(model.model_validate(event)) == []


def test_the_local_servers_dispute_is_squares() -> None:
    payment = SquarePayment("p", "a", "L", 1, "USD", "cnon:card-nonce-ok", "", "", "P7D", "CANCEL", "", "COMPLETED")
    assert unknown_fields(Dispute.model_validate(dispute_json(payment, "LOST", "2026-11-20T10:00:00Z"))) == []


@pytest.mark.parametrize(
    ("call", "accepted"),
    [
        (RawPaymentsClient.create, payments.CREATE_FIELDS),
        (RawPaymentsClient.update, payments.UPDATE_FIELDS),
        (RawPaymentsClient.complete, payments.COMPLETE_FIELDS),
        (RawRefundsClient.refund_payment, refunds.CREATE_FIELDS),
        (RawCustomersClient.create, customers.CUSTOMER_FIELDS),
        (RawCardsClient.create, customers.CARD_FIELDS),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_the_local_server_accepts_no_field_that_square_does_not(
    call: Callable[..., Any], accepted: frozenset[str]
) -> None:
    assert not accepted - inspect.signature(call).parameters.keys()


class _Recorder(urllib3.PoolManager):
    """Records each request and mostly answers that it is busy."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[tuple[str, str, dict[str, Any]]] = []

    def request(self, method: str, url: str, **given: Any) -> urllib3.BaseHTTPResponse:  # type: ignore[override]
        body = json.loads(given["body"]) if given.get("body") else {}
        self.requests.append((method, url, body))
        if method == "GET":
            payment = {"status": "APPROVED", "amount_money": {"amount": 1999, "currency": "USD"}, "version_token": "v"}
            return urllib3.HTTPResponse(json.dumps({"payment": payment}).encode(), status=200)
        status = 200 if method == "PUT" else 429
        return urllib3.HTTPResponse(json.dumps({"payment": {"version_token": "v"}}).encode(), status=status)


def test_the_adapter_sends_only_fields_that_square_has(square_stage: SquareStage) -> None:
    recorder = _Recorder()
    gateway = SquareGateway(square_stage.credentials, pool=recorder, base_url="https://square.test")
    key: dict[str, Any] = {"idempotency_key": "key", "deadline_seconds": 5.0}
    calls: list[tuple[Callable[[], Any], Callable[..., Any], str]] = [
        (
            lambda: gateway.authorize(square_stage.request(capture_now=False, token="t v"), deadline_seconds=5),
            RawPaymentsClient.create,
            "/v2/payments",
        ),
        (
            lambda: gateway.authorize(square_stage.request(), deadline_seconds=5),
            RawPaymentsClient.create,
            "/v2/payments",
        ),
        (
            lambda: gateway.authorize(square_stage.request(save_method=True, customer_id=uuid4()), deadline_seconds=5),
            RawCustomersClient.create,
            "/v2/customers",
        ),
        (lambda: gateway.forget_method("c", "ccof:x", **key), RawCardsClient.disable, "/v2/cards/ccof%3Ax/disable"),
        (
            lambda: gateway.capture("p", Money(1200, "USD"), **key),
            RawPaymentsClient.complete,
            "/v2/payments/p/complete",
        ),
        (lambda: gateway.cancel("p", **key), RawPaymentsClient.cancel, "/v2/payments/p/cancel"),
        (
            lambda: gateway.refund("p", Money(1, "USD"), refund_id=uuid4(), **key),
            RawRefundsClient.refund_payment,
            "/v2/refunds",
        ),
        (
            lambda: gateway.find(square_stage.request(), deadline_seconds=5),
            RawPaymentsClient.cancel_by_idempotency_key,
            "/v2/payments/cancel",
        ),
    ]
    for call, published, path in calls:
        with pytest.raises(GatewayUnreachable):
            call()
        _, url, body = recorder.requests[-1]
        assert url == f"https://square.test{path}"
        assert not body.keys() - inspect.signature(published).parameters.keys(), path


def test_squares_own_client_pays_captures_refunds_and_reads_at_the_local_server(square_stage: SquareStage) -> None:
    with httpx.Client() as http:
        client = square.Square(token=square_stage.api_key, base_url=square_stage.base_url, httpx_client=http)
        made = client.payments.create(
            source_id="cnon:card-nonce-ok",
            idempotency_key=str(uuid4()),
            amount_money={"amount": 1999, "currency": "USD"},
            autocomplete=False,
        ).payment
        assert made is not None
        assert made.id is not None
        assert made.status == "APPROVED"
        client.payments.update(
            payment_id=made.id,
            idempotency_key=str(uuid4()),
            payment={"amount_money": {"amount": 1200, "currency": "USD"}, "version_token": made.version_token},
        )
        assert client.payments.complete(payment_id=made.id).payment is not None
        refund = client.refunds.refund_payment(
            idempotency_key=str(uuid4()), payment_id=made.id, amount_money={"amount": 500, "currency": "USD"}
        ).refund
        assert refund is not None
        assert refund.status == "PENDING"
        assert [one.id for one in client.payments.list()] == [made.id]
        with pytest.raises(ApiError) as declined:
            client.payments.create(
                source_id="cnon:card-nonce-declined",
                idempotency_key=str(uuid4()),
                amount_money={"amount": 1, "currency": "USD"},
            )
        body: Any = declined.value.body
        assert unknown_fields(Error.model_validate(body["errors"][0])) == []
        assert client.payments.cancel_by_idempotency_key(idempotency_key="nobody").errors is None


def test_squares_own_client_keeps_a_card_pays_with_it_and_disables_it(square_stage: SquareStage) -> None:
    with httpx.Client() as http:
        client = square.Square(token=square_stage.api_key, base_url=square_stage.base_url, httpx_client=http)
        amount: Any = {"amount": 1999, "currency": "USD"}
        customer = client.customers.create(idempotency_key=str(uuid4()), given_name="Ada", reference_id="ours").customer
        assert customer is not None
        assert unknown_fields(Customer.model_validate(customer.model_dump())) == []
        paid = client.payments.create(
            source_id="cnon:card-nonce-ok", idempotency_key=str(uuid4()), amount_money=amount, customer_id=customer.id
        ).payment
        assert paid is not None
        card = client.cards.create(
            idempotency_key=str(uuid4()), source_id=str(paid.id), card={"customer_id": customer.id}
        ).card
        assert card is not None
        assert unknown_fields(Card.model_validate(card.model_dump())) == []
        again: dict[str, Any] = {"source_id": card.id, "customer_id": customer.id, "amount_money": amount}
        assert client.payments.create(**again, idempotency_key=str(uuid4())).payment is not None
        disabled = client.cards.disable(card_id=str(card.id)).card
        assert disabled is not None
        assert disabled.enabled is False
        with pytest.raises(ApiError):
            client.payments.create(**again, idempotency_key=str(uuid4()))
