"""PayPal's news on its way into the payment's state, through the registry: whatever order it arrives in."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest

from holdfast.flows.charge_payment import tidings_of
from holdfast.gateways.port import (
    AuthorizeRequest,
    GatewayEvent,
    Outcome,
    event_from_refund_snapshot,
    event_from_snapshot,
)
from holdfast.gateways.registry import GatewayRegistry
from holdfast.payments.model import PaymentStatus
from holdfast.payments.state import PaymentFacts, derive_status, join
from holdfast.settings import settings_from
from holdfast.values.errors import SignatureInvalid
from holdfast.values.money import Money
from tests.gateways.paypal_stage import PayPalStage

KEY: dict[str, Any] = {"idempotency_key": "key", "deadline_seconds": 5.0}
Story = Callable[[PayPalStage], tuple[AuthorizeRequest, list[GatewayEvent]]]


def now() -> datetime:
    return datetime.now(UTC)


def news_of(stage: PayPalStage, *types: str) -> list[GatewayEvent]:
    return [event for event in stage.events_until(*types) if event.event_type]


def given_back_in_part(stage: PayPalStage) -> tuple[AuthorizeRequest, list[GatewayEvent]]:
    request, refund_id = stage.request(capture_now=False), uuid4()
    held = stage.gateway.authorize(request, deadline_seconds=5)
    order_id = held.gateway_transaction_id
    captured = stage.gateway.capture(order_id, Money(1200, "USD"), **KEY)
    refund = stage.gateway.refund(order_id, Money(500, "USD"), refund_id=refund_id, **KEY)
    answers = [event_from_snapshot(one, request.payment_id, now()) for one in (held, captured)]
    answers.append(
        event_from_refund_snapshot(
            refund, transaction_id=order_id, payment_id=request.payment_id, refund_id=refund_id, now=now()
        )
    )
    return request, [*answers, *news_of(stage, "authorization_succeeded", "capture_succeeded", "refund_succeeded")]


def refund_that_came_back(stage: PayPalStage) -> tuple[AuthorizeRequest, list[GatewayEvent]]:
    request = stage.request(token="paypal")
    asked = stage.gateway.authorize(request, deadline_seconds=5)
    order_id = asked.gateway_transaction_id
    stage.approve(order_id)
    taken = stage.gateway.fetch(order_id, deadline_seconds=5)
    stage.fail_refund(stage.gateway.refund(order_id, Money(1999, "USD"), refund_id=uuid4(), **KEY).gateway_refund_id)
    answers = [event_from_snapshot(one, request.payment_id, now()) for one in (asked, taken)]
    webhooks = news_of(stage, "payment_processing", "capture_succeeded", "refund_succeeded", "refund_failed")
    return request, [*answers, *webhooks]


def declined_after_approval(stage: PayPalStage) -> tuple[AuthorizeRequest, list[GatewayEvent]]:
    request = stage.request(token="paypal")
    asked = stage.gateway.authorize(request, deadline_seconds=5)
    stage.approve(asked.gateway_transaction_id, "declined0500")
    refused = stage.gateway.fetch(asked.gateway_transaction_id, deadline_seconds=5)
    assert refused.outcome is Outcome.DECLINED
    answers = [event_from_snapshot(one, request.payment_id, now()) for one in (asked, refused)]
    return request, [*answers, *news_of(stage, "payment_processing", "authorization_failed")]


def voided(stage: PayPalStage) -> tuple[AuthorizeRequest, list[GatewayEvent]]:
    request = stage.request(capture_now=False)
    held = stage.gateway.authorize(request, deadline_seconds=5)
    cancelled = stage.gateway.cancel(held.gateway_transaction_id, **KEY)
    answers = [event_from_snapshot(one, request.payment_id, now()) for one in (held, cancelled)]
    return request, [*answers, *news_of(stage, "authorization_succeeded", "cancellation_succeeded")]


def outcome_of(request: AuthorizeRequest, events: Sequence[GatewayEvent]) -> tuple[PaymentStatus, PaymentFacts]:
    facts = PaymentFacts(amount_minor=request.amount.amount_minor)
    for event in events:
        facts = join(facts, tidings_of(event, None).news)
    return derive_status(facts), facts


@pytest.mark.parametrize(
    ("story", "status", "captured", "refunded"),
    [
        (given_back_in_part, PaymentStatus.PARTIALLY_REFUNDED, 1200, 500),
        (refund_that_came_back, PaymentStatus.CAPTURED, 1999, 0),
        (declined_after_approval, PaymentStatus.FAILED, 0, 0),
        (voided, PaymentStatus.CANCELLED, 0, 0),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_order_of_arrival_and_every_repetition_ends_in_the_same_state(
    paypal_stage: PayPalStage, story: Story, status: PaymentStatus, captured: int, refunded: int
) -> None:
    request, events = story(paypal_stage)
    assert {event.payment_id for event in events} == {request.payment_id}
    assert len({event.gateway_transaction_id for event in events}) == 1
    assert 4 <= len(events) <= 6
    ends = {outcome_of(request, order) for order in permutations(events)}
    ends |= {outcome_of(request, [*order, *reversed(order), order[0]]) for order in permutations(events)}
    ((end, facts),) = ends
    assert (end, facts.captured_minor, facts.refunded_minor) == (status, captured, refunded)


class Secrets:
    """An account's secret that was rotated: the fresh one differs from what was known."""

    def __init__(self, known: Mapping[str, Any], fresh: Mapping[str, Any]) -> None:
        self._known, self._fresh = known, fresh

    def read(self, reference: str, *, fresh: bool = False) -> Mapping[str, Any]:
        assert reference == "shop/paypal"
        return self._fresh if fresh else self._known


def registry_of(stage: PayPalStage, known_webhook_id: str, fresh_webhook_id: str) -> GatewayRegistry:
    secrets = [
        {"api_key": "secret", "client_id": stage.client_id, "webhook_id": webhook_id}
        for webhook_id in (known_webhook_id, fresh_webhook_id)
    ]
    environment = {
        "DATABASE_HOST": "nowhere",
        "PAYPAL_BASE_URL": stage.base_url,
        "PAYPAL_WEBHOOK_ROOTS_FILE": str(stage.roots_file),
    }
    return GatewayRegistry(settings_from(environment), Secrets(*secrets))


def test_the_registry_pays_and_verifies_with_an_accounts_secret(paypal_stage: PayPalStage) -> None:
    stage = paypal_stage
    registry = registry_of(stage, "the-one-before", stage.endpoint_id)
    request = stage.request()
    answer = registry.gateway("paypal", "shop/paypal").authorize(request, deadline_seconds=5)
    assert answer.outcome is Outcome.SUCCEEDED
    (delivery,) = stage.receiver.wait_until(bool)

    def verify(registry: GatewayRegistry, body: bytes) -> UUID | None:
        (event,) = registry.verify_and_parse_webhook("paypal", "shop/paypal", None, delivery.headers, body, now())
        return event.payment_id

    assert verify(registry, delivery.body) == request.payment_id
    with pytest.raises(SignatureInvalid):
        verify(registry, delivery.body + b" ")
    with pytest.raises(SignatureInvalid):
        verify(registry_of(stage, "the-one-before", "another"), delivery.body)
