"""Stripe's own SDK against the local server: what the SDK cannot parse or verify, Stripe would not have sent."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import stripe

from tests.gateways.stripe_stage import StripeStage


@pytest.fixture
def client(stripe_stage: StripeStage) -> Iterator[stripe.StripeClient]:
    """Yield the SDK's client for this test's account, with its own retries off."""
    http_client = stripe.RequestsClient()
    yield stripe.StripeClient(
        stripe_stage.api_key,
        base_addresses={"api": stripe_stage.base_url},
        max_network_retries=0,
        http_client=http_client,
    )
    http_client.close()  # type: ignore[no-untyped-call]


def pay(client: stripe.StripeClient, token: str = "pm_card_visa", **more: Any) -> stripe.PaymentIntent:
    params: Any = {
        "amount": 1999,
        "currency": "usd",
        "confirm": True,
        "payment_method": token,
        "allowed_payment_method_types": ["card"],
        "expand": ["latest_charge"],
        **more,
    }
    return client.v1.payment_intents.create(params)


def test_the_sdk_reads_a_payment_and_its_charge(client: stripe.StripeClient) -> None:
    intent = pay(client, metadata={"order_id": "o-1"})
    assert isinstance(intent, stripe.PaymentIntent)
    assert (intent.status, intent.amount_received) == ("succeeded", 1999)
    assert intent.metadata.to_dict() == {"order_id": "o-1"}
    charge = intent.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert (charge.captured, charge.amount_captured) == (True, 1999)
    assert charge.payment_method_details is not None
    assert charge.payment_method_details.card is not None
    assert charge.payment_method_details.card.last4 == "4242"
    again = client.v1.payment_intents.retrieve(intent.id)
    assert again.latest_charge == charge.id


def test_an_intent_is_created_confirmed_captured_and_found_step_by_step(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create(
        {"amount": 2000, "currency": "usd", "capture_method": "manual", "allowed_payment_method_types": ["card"]}
    )
    assert intent.status == "requires_payment_method"
    intent = client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_mastercard"})
    assert (intent.status, intent.amount_capturable) == ("requires_capture", 2000)
    charge = client.v1.charges.retrieve(str(intent.latest_charge))
    details = charge.payment_method_details
    assert details is not None
    assert details.card is not None
    assert details.card.brand == "mastercard"
    assert details.card.capture_before == charge.created + 7 * 24 * 3600
    intent = client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 1500})
    assert (intent.status, intent.amount_received, intent.amount_capturable) == ("succeeded", 1500, 0)
    # Since API version 2025-03-31, the amount that a partial capture releases does not count as refunded.
    assert client.v1.charges.retrieve(charge.id).amount_refunded == 0
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount"):
        client.v1.refunds.create({"payment_intent": intent.id, "amount": 1501})
    assert [found.id for found in client.v1.payment_intents.list().data] == [intent.id]


def test_the_sdk_reads_refunds_and_their_list(client: stripe.StripeClient) -> None:
    intent = pay(client)
    refund = client.v1.refunds.create({"payment_intent": intent.id, "amount": 400, "reason": "duplicate"})
    assert isinstance(refund, stripe.Refund)
    assert (refund.status, refund.amount, refund.charge) == ("succeeded", 400, intent.latest_charge.id)  # type: ignore[union-attr]
    assert client.v1.refunds.retrieve(refund.id).id == refund.id
    listed = client.v1.refunds.list({"payment_intent": intent.id})
    assert [found.id for found in listed.data] == [refund.id]
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount"):
        client.v1.refunds.create({"payment_intent": intent.id, "amount": 1600})
    client.v1.refunds.create({"payment_intent": intent.id})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"payment_intent": intent.id})
    assert refused.value.code == "charge_already_refunded"


@pytest.mark.parametrize(
    ("token", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
    ],
)
def test_the_sdk_raises_a_card_error_with_the_intent_inside(
    client: stripe.StripeClient, token: str, code: str, decline_code: str
) -> None:
    with pytest.raises(stripe.CardError) as declined:
        pay(client, token)
    error = declined.value.error
    assert error is not None
    assert (declined.value.http_status, declined.value.code, error.decline_code) == (402, code, decline_code)
    assert error.payment_intent is not None
    assert error.payment_intent.status == "requires_payment_method"
    assert error.payment_intent.last_payment_error is not None
    assert error.payment_intent.payment_method is None
    retried = client.v1.payment_intents.confirm(error.payment_intent.id, {"payment_method": "pm_card_visa"})
    assert (retried.status, retried.last_payment_error) == ("succeeded", None)


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"currency": "usd"}, "parameter_missing", "amount"),
        ({"amount": 1999, "currency": "usd", "colour": "blue"}, "parameter_unknown", "colour"),
        ({"amount": "many", "currency": "usd"}, "parameter_invalid_integer", "amount"),
        ({"amount": 10, "currency": "usd"}, "amount_too_small", "amount"),
        ({"amount": 10**8, "currency": "usd"}, "amount_too_large", "amount"),
        ({"amount": 1999, "currency": "xyz"}, None, "currency"),
        (
            {"amount": 1999, "currency": "usd", "payment_method_types": ["card"]},
            "payment_method_types_no_longer_supported",
            "payment_method_types",
        ),
        ({"amount": 150, "currency": "isk"}, "invalid_charge_amount_no_decimal_compatible", "amount"),
        ({"amount": 1999, "currency": "usd", "payment_method": "pm_nobody"}, "resource_missing", "payment_method"),
        ({"amount": 1999, "currency": "usd", "metadata": {"k" * 41: "v"}}, None, f"metadata[{'k' * 41}]"),
        (
            {"amount": 1999, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa"},
            None,
            "return_url",
        ),
    ],
)
def test_a_bad_request_is_refused_with_stripes_code_and_parameter(
    client: stripe.StripeClient, params: dict[str, object], code: str | None, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.create(params)  # type: ignore[arg-type]
    assert (refused.value.http_status, refused.value.code, refused.value.param) == (400, code, param)


def test_a_state_that_forbids_it_is_an_error_with_the_intent_inside(client: stripe.StripeClient) -> None:
    intent = pay(client)
    for call in (client.v1.payment_intents.capture, client.v1.payment_intents.cancel):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            call(intent.id)
        assert refused.value.code == "payment_intent_unexpected_state"
        assert refused.value.error is not None
        assert refused.value.error.payment_intent is not None
        assert refused.value.error.payment_intent.status == "succeeded"


def test_the_errors_of_keys_are_the_sdks(client: stripe.StripeClient, stripe_stage: StripeStage) -> None:
    with pytest.raises(stripe.InvalidRequestError) as missing:
        client.v1.payment_intents.retrieve("pi_nobody")
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")
    stranger = stripe.StripeClient("pk_nobody", base_addresses={"api": stripe_stage.base_url})
    with pytest.raises(stripe.AuthenticationError):
        stranger.v1.payment_intents.retrieve("pi_nobody")
    key = str(uuid4())
    params: Any = {"amount": 1999, "currency": "usd"}
    client.v1.payment_intents.create(params, {"idempotency_key": key})
    params["amount"] = 2999
    with pytest.raises(stripe.IdempotencyError):
        client.v1.payment_intents.create(params, {"idempotency_key": key})


def test_the_sdk_verifies_and_reads_every_webhook(client: stripe.StripeClient, stripe_stage: StripeStage) -> None:
    intent = pay(client, capture_method="manual")
    client.v1.payment_intents.capture(intent.id)
    client.v1.refunds.create({"payment_intent": intent.id, "amount": 100})
    with pytest.raises(stripe.CardError):
        pay(client, "pm_card_chargeDeclined")
    client.v1.payment_intents.cancel(pay(client, capture_method="manual").id)
    pay(client, "pm_card_authenticationRequired")
    disputed = pay(client, "pm_card_createDispute")
    stripe_stage.control("POST", f"/payment_intents/{disputed.id}/dispute", {"status": "won"})
    expected = {
        "payment_intent.created": stripe.PaymentIntent,
        "payment_intent.amount_capturable_updated": stripe.PaymentIntent,
        "payment_intent.succeeded": stripe.PaymentIntent,
        "payment_intent.payment_failed": stripe.PaymentIntent,
        "payment_intent.requires_action": stripe.PaymentIntent,
        "payment_intent.canceled": stripe.PaymentIntent,
        "charge.succeeded": stripe.Charge,
        "charge.captured": stripe.Charge,
        "charge.failed": stripe.Charge,
        "charge.refunded": stripe.Charge,
        "charge.dispute.created": stripe.Dispute,
        "charge.dispute.funds_withdrawn": stripe.Dispute,
        "charge.dispute.closed": stripe.Dispute,
        "charge.dispute.funds_reinstated": stripe.Dispute,
        "refund.created": stripe.Refund,
    }

    def events() -> list[stripe.Event]:
        return [
            stripe.Webhook.construct_event(
                delivery.body, delivery.headers["stripe-signature"], stripe_stage.secret, api_key=stripe_stage.api_key
            )
            for delivery in stripe_stage.receiver.received
        ]

    stripe_stage.receiver.wait_until(lambda _: {event.type for event in events()} >= expected.keys())
    for event in events():
        assert isinstance(event, stripe.Event)
        assert isinstance(event.data.object, expected[event.type]), event.type
        assert event.api_version == stripe.api_version


def test_an_endpoint_tells_its_secret_once_and_gets_only_what_it_wants(
    client: stripe.StripeClient, stripe_stage: StripeStage
) -> None:
    stripe_stage.stop_webhooks()
    endpoint = client.v1.webhook_endpoints.create(
        {"url": stripe_stage.receiver.url, "enabled_events": ["payment_intent.succeeded"]}
    )
    assert endpoint.secret is not None
    assert endpoint.secret.startswith("whsec_")
    assert "secret" not in client.v1.webhook_endpoints.retrieve(endpoint.id)
    assert [known.id for known in client.v1.webhook_endpoints.list().data] == [endpoint.id]
    for _ in range(3):
        pay(client)
    arrived = stripe_stage.receiver.wait_until(lambda received: len(received) >= 3)
    types = {
        stripe.Webhook.construct_event(one.body, one.headers["stripe-signature"], endpoint.secret, api_key="sk_").type
        for one in arrived
    }
    assert types == {"payment_intent.succeeded"}
    client.v1.webhook_endpoints.delete(endpoint.id)
    # The stage deletes its endpoint at the end, so it needs one.
    stripe_stage.endpoint_id = client.v1.webhook_endpoints.create(
        {"url": stripe_stage.receiver.url, "enabled_events": ["charge.expired"]}
    ).id
