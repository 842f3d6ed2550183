"""What any gateway reports of a payment leads to one state of order, stock and money.

The order of the reports and their repetition do not matter. The real webhooks of each gateway are verified, stored and
applied by the real flows.

What happened to one payment is retold about others, with their ids in place of its own. Its events were verified before
that, since a retold one could not be signed. ``test_webhook_permutations.py`` does more of this with Stripe, signatures
included.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest

from holdfast.flows.money.event_record import store_event
from holdfast.gateways.port import AuthorizeRequest, GatewayEvent
from holdfast.values.money import Money
from tests.flows.actions import killed_before_the_gateway_was_asked, last_payment
from tests.gateways.served import ServedStage
from tests.till import Till

ALL_ORDERS_MAX_EVENTS = 3
"""A story of up to this many events is told in every order: at most 6, and each also with everything told twice."""
ORDERS_OF_MORE = 12
"""A longer story is told in this many orders, drawn with its own seed, the straight and the reversed one included."""
TEE_WITH_SHIPPING = 2857


@pytest.fixture
def till(till: Till) -> Till:
    """A house with plenty of tees and an account at each of the gateways in turn."""
    till.house.receive("TEE", "EWR", 1_000)
    return till


def key() -> dict[str, Any]:
    return {"idempotency_key": str(uuid4()), "deadline_seconds": 5.0}


def paid(stage: ServedStage, request: AuthorizeRequest) -> list[GatewayEvent]:
    stage.gateway.authorize(request, deadline_seconds=5)
    return stage.events_until("capture_succeeded")


def captured_later(stage: ServedStage, request: AuthorizeRequest) -> list[GatewayEvent]:
    payment = stage.gateway.authorize(request, deadline_seconds=5).gateway_transaction_id
    stage.gateway.capture(payment, request.amount, **key())
    return stage.events_until("authorization_succeeded", "capture_succeeded")


def refused(stage: ServedStage, request: AuthorizeRequest) -> list[GatewayEvent]:
    stage.gateway.authorize(request, deadline_seconds=5)
    return stage.events_until("authorization_failed")


def refunded_in_part(stage: ServedStage, request: AuthorizeRequest) -> list[GatewayEvent]:
    return _given_back(stage, request, 700)


def refunded(stage: ServedStage, request: AuthorizeRequest) -> list[GatewayEvent]:
    return _given_back(stage, request, request.amount.amount_minor)


def refunded_and_returned(stage: ServedStage, request: AuthorizeRequest) -> list[GatewayEvent]:
    _given_back(stage, request, 700)
    (refund_id,) = {e.gateway_refund_id for e in stage.events_until("refund_succeeded") if e.gateway_refund_id}
    stage.fail_refund(str(refund_id))
    return stage.events_until("capture_succeeded", "refund_succeeded", "refund_failed")


def _given_back(stage: ServedStage, request: AuthorizeRequest, amount_minor: int) -> list[GatewayEvent]:
    payment = stage.gateway.authorize(request, deadline_seconds=5).gateway_transaction_id
    stage.events_until("capture_succeeded")
    stage.gateway.refund(payment, Money(amount_minor, "USD"), refund_id=uuid4(), **key())
    return stage.events_until("capture_succeeded", "refund_succeeded")


Story = Callable[[ServedStage, AuthorizeRequest], list[GatewayEvent]]
STORIES: dict[Story, tuple[str, str, tuple[int, int]]] = {
    paid: ("confirmed", "captured", (-1, 0)),
    captured_later: ("confirmed", "captured", (-1, 0)),
    refused: ("payment_failed", "failed", (0, 1)),
    refunded_in_part: ("confirmed", "partially_refunded", (-1, 0)),
    refunded: ("cancelled", "refunded", (0, 0)),
    refunded_and_returned: ("confirmed", "captured", (-1, 0)),
}


def tell(till: Till, events: Sequence[GatewayEvent], known: AuthorizeRequest) -> dict[str, Any]:
    """Apply the events to a new order of the same amount, and return how it ends."""
    house = till.house
    before = house.stock()["EWR"]
    order_id = killed_before_the_gateway_was_asked(house, gateway=till.gateway, token=till.stage.token_ok)
    payment_id, mark = UUID(last_payment(house, order_id)["id"]), uuid4().hex
    account_id = house.value("SELECT id FROM tenancy.gateway_accounts WHERE endpoint_key = :k", k=till.endpoint_key)
    for number, event in enumerate(events):
        assert event.payment_id in {known.payment_id, None}
        told = replace(
            event,
            gateway_event_id=f"{mark}:{number}",
            # Some of a gateway's events name only its own transaction. They wait until another has named both ids.
            payment_id=None if event.payment_id is None else payment_id,
            gateway_transaction_id=event.gateway_transaction_id and f"{event.gateway_transaction_id}:{mark}",
            gateway_refund_id=event.gateway_refund_id and f"{event.gateway_refund_id}:{mark}",
            refund_id=None,
        )
        with house.runtime.database.transaction(house.organization_id, now=house.clock(), actor="webhook") as taken:
            store_event(taken, told, gateway=till.gateway, gateway_account_id=account_id)
        house.work()
    for _ in range(4):
        house.clock.advance(minutes=10)
        house.work()
    order, payment, stock = house.order(order_id), last_payment(house, order_id), house.stock()["EWR"]
    untold = "SELECT count(*) FROM payments.payment_events WHERE state NOT IN ('processed', 'ignored')"
    return {
        "order": (order["status"], order["payment_status"]),
        "payment": payment["status"],
        "captured": payment["captured_minor"],
        "refunded": (payment["refunded_minor"], order["amounts"]["refunded_minor"]),
        "stock": (stock[0] - before[0], stock[1] - before[1]),
        "untold": house.value(untold),
    }


def orders_of(events: list[GatewayEvent], seed: int) -> list[list[GatewayEvent]]:
    """Return all orders of a few events, or some of many, and then each once more with everything retold backwards."""
    if len(events) <= ALL_ORDERS_MAX_EVENTS:
        orders = [list(order) for order in permutations(events)]
    else:
        drawn = random.Random(seed)
        orders = [list(events), events[::-1]]
        orders += [drawn.sample(events, len(events)) for _ in range(ORDERS_OF_MORE - len(orders))]
    return [*orders, *([*order, *reversed(order)] for order in orders[:ORDERS_OF_MORE])]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_every_arrangement_of_a_payments_news_ends_alike(till: Till, story: Story) -> None:
    status, payment, stock = STORIES[story]
    token = till.stage.token_declined if story is refused else None
    request = till.stage.request(token=token, amount_minor=TEE_WITH_SHIPPING, capture_now=story is not captured_later)
    events = [event for event in story(till.stage, request) if event.event_type]
    ends = [tell(till, order, request) for order in orders_of(events, seed=len(story.__name__))]
    assert [end for end in ends if end != ends[0]] == []
    assert (ends[0]["order"][0], ends[0]["payment"], ends[0]["stock"], ends[0]["untold"]) == (status, payment, stock, 0)
    assert till.house.violations() == []
