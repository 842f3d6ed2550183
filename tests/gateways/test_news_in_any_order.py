"""A payment's news from any gateway: in whatever order it arrives, and however often, it ends in one state.

The news is the webhooks that the gateway sent and the answers to our calls, since both are processed alike.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import permutations
from typing import Any
from uuid import uuid4

import pytest

from holdfast.flows.money.event_record import tidings_of
from holdfast.gateways.answers import event_from_refund_snapshot, event_from_snapshot
from holdfast.gateways.port import AuthorizeRequest, GatewayEvent, PaymentSnapshot
from holdfast.payments.model import PaymentStatus
from holdfast.payments.state import PaymentFacts, derive_status, join
from holdfast.values.money import Money
from tests.gateways.stage import Stage

EVENTS_MAX = 6
Story = Callable[[Stage], tuple[AuthorizeRequest, list[GatewayEvent]]]


def once() -> dict[str, Any]:
    return {"idempotency_key": str(uuid4()), "deadline_seconds": 5.0}


def refund_that_came_back(stage: Stage) -> tuple[AuthorizeRequest, list[GatewayEvent]]:
    request = stage.request(capture_now=False)
    payment = stage.gateway.authorize(request, deadline_seconds=5).gateway_transaction_id
    stage.gateway.capture(payment, Money(1999, "USD"), **once())
    stage.events_until("capture_succeeded")
    refund = stage.gateway.refund(payment, Money(700, "USD"), refund_id=uuid4(), **once())
    stage.events_until("refund_succeeded")
    stage.fail_refund(refund.gateway_refund_id)
    return request, stage.events_until("authorization_succeeded", "capture_succeeded", "refund_failed")


def given_back_in_part(stage: Stage) -> tuple[AuthorizeRequest, list[GatewayEvent]]:
    request = stage.request()
    payment = stage.gateway.authorize(request, deadline_seconds=5).gateway_transaction_id
    stage.events_until("capture_succeeded")
    stage.gateway.refund(payment, Money(700, "USD"), refund_id=uuid4(), **once())
    return request, stage.events_until("capture_succeeded", "refund_succeeded")


def let_go(stage: Stage) -> tuple[AuthorizeRequest, list[GatewayEvent]]:
    request = stage.request(capture_now=False)
    payment = stage.gateway.authorize(request, deadline_seconds=5).gateway_transaction_id
    stage.gateway.cancel(payment, **once())
    return request, stage.events_until("authorization_succeeded", "cancellation_succeeded")


def ran_out(stage: Stage) -> tuple[AuthorizeRequest, list[GatewayEvent]]:
    request = stage.request(capture_now=False)
    payment = stage.gateway.authorize(request, deadline_seconds=5).gateway_transaction_id
    stage.expire_authorization(payment)
    return request, stage.events_until("authorization_succeeded", "authorization_expired")


def captured_in_part_and_given_back_in_part(stage: Stage) -> tuple[AuthorizeRequest, list[GatewayEvent]]:
    request, refund_id = stage.request(capture_now=False), uuid4()
    authorized = stage.gateway.authorize(request, deadline_seconds=5)
    payment = authorized.gateway_transaction_id
    captured = stage.gateway.capture(payment, Money(1200, "USD"), **once())
    stage.events_until("capture_succeeded")
    refund = stage.gateway.refund(payment, Money(500, "USD"), refund_id=refund_id, **once())
    told = stage.events_until("authorization_succeeded", "capture_succeeded", "refund_succeeded")
    answers = [answer(one, request) for one in (authorized, captured)]
    answers.append(
        event_from_refund_snapshot(
            refund, transaction_id=payment, payment_id=request.payment_id, refund_id=refund_id, now=datetime.now(UTC)
        )
    )
    return request, [*answers, *told]


def captured_twice_and_the_rest_let_go(stage: Stage) -> tuple[AuthorizeRequest, list[GatewayEvent]]:
    if not stage.gateway.multiple_captures:
        pytest.skip("this gateway captures once")
    request = stage.request(capture_now=False)
    authorized = stage.gateway.authorize(request, deadline_seconds=5)
    payment = authorized.gateway_transaction_id
    answers = [authorized]
    for nth in (1, 2):
        answers.append(stage.gateway.capture(payment, Money(700, "USD"), is_final=False, **once()))
        stage.events_until(*["capture_succeeded"] * nth)
    answers.append(stage.gateway.cancel(payment, **once()))
    told = stage.events_until(
        "authorization_succeeded", "capture_succeeded", "capture_succeeded", "cancellation_succeeded"
    )
    return request, [*told, *(answer(one, request) for one in answers)]


def refused(stage: Stage) -> tuple[AuthorizeRequest, list[GatewayEvent]]:
    request = stage.request(token=stage.token_declined)
    said = stage.gateway.authorize(request, deadline_seconds=5)
    return request, [answer(said, request), *stage.events_until("authorization_failed")]


def acted(stage: Stage) -> tuple[AuthorizeRequest, list[GatewayEvent]]:
    return _acted(stage, succeed=True)


def acted_in_vain(stage: Stage) -> tuple[AuthorizeRequest, list[GatewayEvent]]:
    return _acted(stage, succeed=False)


def _acted(stage: Stage, *, succeed: bool) -> tuple[AuthorizeRequest, list[GatewayEvent]]:
    if stage.token_action is None:
        pytest.skip("at this gateway the shopper acts before there is a payment")
    request = stage.request(token=stage.token_action)
    asked = stage.gateway.authorize(request, deadline_seconds=5)
    stage.complete_action(asked.gateway_transaction_id, succeed=succeed)
    told = stage.events_until("capture_succeeded" if succeed else "authorization_failed")
    return request, [answer(asked, request), *told]


def answer(said: PaymentSnapshot, request: AuthorizeRequest) -> GatewayEvent:
    return event_from_snapshot(said, request.payment_id, datetime.now(UTC))


def outcome_of(request: AuthorizeRequest, events: Sequence[GatewayEvent]) -> tuple[PaymentStatus, PaymentFacts]:
    facts = PaymentFacts(amount_minor=request.amount.amount_minor)
    for event in events:
        facts = join(facts, tidings_of(event, None).news)
    return derive_status(facts), facts


def arrangements(events: list[GatewayEvent]) -> Iterator[list[GatewayEvent]]:
    """Yield every order of up to ``EVENTS_MAX`` events.

    Of more events, yield every order of the first and of the last ``EVENTS_MAX``, each before and after the rest.
    """
    for moved, rest in ((events[:EVENTS_MAX], events[EVENTS_MAX:]), (events[-EVENTS_MAX:], events[:-EVENTS_MAX])):
        for order in permutations(moved):
            yield [*order, *rest]
            yield [*rest, *order]


@pytest.mark.parametrize(
    ("story", "status", "captured", "refunded"),
    [
        (refund_that_came_back, PaymentStatus.CAPTURED, 1999, 0),
        (given_back_in_part, PaymentStatus.PARTIALLY_REFUNDED, 1999, 700),
        (captured_in_part_and_given_back_in_part, PaymentStatus.PARTIALLY_REFUNDED, 1200, 500),
        (captured_twice_and_the_rest_let_go, PaymentStatus.CAPTURED, 1400, 0),
        (refused, PaymentStatus.FAILED, 0, 0),
        (acted, PaymentStatus.CAPTURED, 1999, 0),
        (acted_in_vain, PaymentStatus.FAILED, 0, 0),
        (let_go, PaymentStatus.CANCELLED, 0, 0),
        (ran_out, PaymentStatus.CANCELLED, 0, 0),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_order_of_arrival_and_every_repetition_ends_in_the_same_state(
    stage: Stage, story: Story, status: PaymentStatus, captured: int, refunded: int
) -> None:
    request, told = story(stage)
    events = [event for event in told if event.event_type]
    assert len({event.gateway_transaction_id for event in events} - {None}) <= 1
    assert {event.payment_id for event in events} <= {request.payment_id, None}
    ends = {outcome_of(request, order) for order in arrangements(events)}
    ends |= {outcome_of(request, [*order, *reversed(order), order[0]]) for order in arrangements(events)}
    ((end, facts),) = ends
    assert (end, facts.standing_minor, facts.refunded_minor) == (status, captured, refunded)
