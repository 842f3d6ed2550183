import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest

from holdfast.flows.money import apply_payment_event as flow
from holdfast.flows.orders.locked_order import lock_order
from holdfast.payments.retry_policy import RETRIES_MAX
from tests.flows.actions import (
    announced,
    at_once,
    authenticate,
    intents,
    last_payment,
    movements,
    ordered,
    status,
    sweep,
)
from tests.flows.dead_lettering import break_events, dead_letters, paid_unheard
from tests.house import House, document

ASKS = "pm_card_authenticationRequired"


def changed(webhook: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the webhook under an id of its own, with other fields in its object."""
    event_object = {**webhook["data"]["object"], **fields}
    return {**webhook, "id": f"evt_{uuid.uuid4().hex}", "data": {**webhook["data"], "object": event_object}}


def stranger(webhook: Mapping[str, Any], intent_id: str) -> dict[str, Any]:
    """Return the webhook as if its intent carried no reference to this system."""
    return changed(webhook, id=intent_id, metadata={})


def event(house: House) -> Mapping[str, Any]:
    """Return the newest stored webhook."""
    return house.rows(
        "SELECT * FROM payments.payment_events WHERE gateway_event_type <> 'answer' ORDER BY id DESC LIMIT 1"
    )[0]


def test_a_webhook_that_repeats_the_answer_changes_nothing(house: House) -> None:
    house.add_variant(stock=10)
    house.clock.advance(minutes=1)  # so the webhook, which the gateway's own clock dates, is no later than the answer
    order = document(house.place({"TEE": 2}))["order"]
    (webhook,) = house.webhooks("payment_intent.succeeded")
    assert house.deliver(webhook) == 1
    assert house.deliver(webhook) == 0
    assert (event(house)["state"], announced(house)) == ("processed", [])
    assert house.work() == []
    assert house.timeline(order["id"])[-1] == "confirmed"
    assert house.stock() == {"EWR": (8, 0)}
    assert house.charges()["charges_captured"] == 1
    assert house.violations() == []


def test_a_webhook_that_is_known_by_the_time_it_is_worked_on_changes_nothing_but_is_done(house: House) -> None:
    house.add_variant(stock=10)
    stored = paid_unheard(house)
    (webhook,) = house.webhooks("payment_intent.succeeded", order_id=stored["order_id"])
    house.deliver(changed(webhook))
    assert house.work() == ["processed", "processed"]
    assert movements(house, "sale") == [-1]
    assert house.value("SELECT count(*) FROM operations.outbox WHERE topic = 'order.confirmed'") == 1
    assert house.violations() == []


def test_a_webhook_that_says_more_than_the_answer_did_is_worked_on(house: House) -> None:
    house.add_variant(stock=10)
    house.place({"TEE": 2})
    (webhook,) = house.webhooks("payment_intent.succeeded")
    later = house.clock() + timedelta(minutes=2)
    house.deliver({**webhook, "id": "evt_later", "created": int(later.timestamp())})
    assert event(house)["state"] == "pending"
    assert len(announced(house)) == 1
    assert house.work() == ["processed"]
    assert house.violations() == []


def test_a_webhook_of_an_order_in_other_hands_waits_for_nobody_and_is_left_to_the_worker(house: House) -> None:
    house.add_variant(stock=10)
    house.clock.advance(minutes=1)
    order = document(house.place({"TEE": 2}))["order"]
    (webhook,) = house.webhooks("payment_intent.succeeded")
    with house.runtime.database.transaction(house.organization_id, now=house.clock()) as transaction:
        lock_order(transaction, UUID(order["id"]))
        house.deliver(webhook)
    assert event(house)["state"] == "pending"
    assert house.work() == ["processed"]
    assert house.violations() == []


def test_the_same_event_in_two_hands_at_once_is_applied_once(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token=ASKS)
    authenticate(house, order_id)
    (webhook,) = house.webhooks("payment_intent.succeeded")
    house.deliver(webhook)
    event_id: UUID = event(house)["id"]
    apply: Callable[[], object] = lambda: flow.apply_payment_event(  # noqa: E731
        house.runtime, house.organization_id, event_id, house.clock
    )
    assert sorted(map(str, at_once(apply, apply, apply))) == ["None", "None", "processed"]
    assert movements(house, "sale") == [-1]
    assert house.violations() == []


def test_webhooks_end_alike_in_every_order_of_arrival(house: House) -> None:
    house.add_variant(stock=10)
    wanted = ("payment_intent.requires_action", "payment_intent.succeeded", "payment_intent.created")
    orders: dict[str, list[Mapping[str, Any]]] = {}
    for number in range(1, 7):
        order_id = ordered(house, token=ASKS)
        authenticate(house, order_id)
        house.webhooks("payment_intent.succeeded", count=number)
        orders[order_id] = [
            webhook
            for webhook in house.webhooks(*wanted, count=3 * number)
            if webhook["data"]["object"]["metadata"]["order_id"] == order_id
        ]
    for (order_id, webhooks), arrangement in zip(orders.items(), permutations(range(3)), strict=True):
        for position in arrangement:
            house.deliver(webhooks[position])
            house.work()
        assert status(house, order_id) == "confirmed"
        assert last_payment(house, order_id)["status"] == "captured"
    assert house.stock() == {"EWR": (4, 0)}
    assert house.violations() == []


def test_an_event_of_a_payment_that_is_not_known_yet_is_matched_when_it_appears(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token=ASKS)
    authenticate(house, order_id)
    (webhook,) = house.webhooks("payment_intent.succeeded")
    intent_id = webhook["data"]["object"]["id"]
    house.sql("UPDATE payments.payments SET gateway_transaction_id = NULL")
    house.deliver(stranger(webhook, intent_id))
    assert house.work() == ["retry_scheduled"]
    assert event(house)["payment_id"] is None
    house.sql("UPDATE payments.payments SET gateway_transaction_id = :id", id=intent_id)
    assert house.work() == []
    house.clock.advance(seconds=61)
    assert house.work() == ["processed"]
    assert status(house, order_id) == "confirmed"
    assert house.violations() == []


def test_an_event_whose_payment_can_no_longer_appear_is_given_up_at_once(house: House) -> None:
    house.add_variant(stock=10)
    ordered(house)
    (webhook,) = house.webhooks("payment_intent.succeeded")
    house.deliver(stranger(webhook, "pi_of_somebody_else"))
    assert house.work() == ["retry_scheduled"]
    house.clock.advance(seconds=flow.MATCH_WINDOW_SECONDS)
    assert house.work() == ["dead_lettered"]
    assert dead_letters(house) == [("pending_classification", "critical", None)]
    assert event(house)["payload"]["data"]["object"]["id"] == "pi_of_somebody_else"
    assert house.violations() == []


def test_retries_wait_longer_each_time_and_ring_when_they_are_due(house: House) -> None:
    house.add_variant(stock=10)
    paid_unheard(house)
    break_events(house)
    waits = []
    for _ in range(RETRIES_MAX):
        assert house.work() == ["retry_scheduled"]
        due = event(house)["next_attempt_at"]
        waits.append((due - house.clock.now).total_seconds())
        house.clock.now = due
    for wait, least in zip(waits, (30, 60, 120, 240, 480), strict=True):
        assert least <= wait <= least + 30


@pytest.mark.parametrize(
    "lie",
    [
        {"currency": "eur"},
        {"amount_received": 10**9},
        {"amount_received": 0},
        {"id": "pi_second_charge_of_the_same_payment"},
    ],
    ids=["currency", "too much", "nothing", "transaction"],
)
def test_news_that_cannot_be_true_of_the_payment_is_given_to_a_person_at_once(
    house: House, lie: dict[str, Any]
) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token=ASKS)
    authenticate(house, order_id)
    (webhook,) = house.webhooks("payment_intent.succeeded")
    house.deliver(changed(webhook, **lie))
    assert house.work() == ["dead_lettered"]
    assert dead_letters(house) == [("pending_classification", "critical", None)]
    assert status(house, order_id) == "payment_processing"
    assert house.violations() == []


def test_an_authorization_of_another_sum_is_given_to_a_person_at_once(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token=ASKS)
    (webhook,) = house.webhooks("payment_intent.requires_action", order_id=order_id)
    house.deliver(changed(webhook, amount=1))
    assert house.work() == ["dead_lettered"]
    assert dead_letters(house) == [("pending_classification", "low", None)]


def test_less_money_than_the_order_costs_confirms_nothing_until_the_rest_is_known(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token=ASKS)
    authenticate(house, order_id)
    (webhook,) = house.webhooks("payment_intent.succeeded")
    house.deliver(changed(webhook, amount=1, amount_received=1))
    assert house.work() == ["processed"]
    assert (status(house, order_id), house.failures()) == ("payment_processing", ["PaidTooLittle"])
    house.deliver(webhook)
    assert house.work() == ["processed"]
    assert status(house, order_id) == "confirmed"
    assert house.violations() == []


def test_an_event_that_kills_its_process_every_time_ends_as_a_dead_letter(house: House) -> None:
    house.add_variant(stock=10)
    event_id = paid_unheard(house)["id"]
    for _ in range(RETRIES_MAX + 1):
        claimed = house.value(
            "SELECT payments.claim_event(:o, :id, :now, :lease)",
            o=house.organization_id,
            id=event_id,
            now=house.clock.now,
            lease=flow.LEASE_SECONDS,
        )
        assert claimed is not None
        assert house.work() == []
        house.clock.advance(seconds=flow.LEASE_SECONDS + 21)
        assert sweep(house) == 1
    assert house.work() == ["dead_lettered"]
    assert dead_letters(house) == [("pending_classification", "critical", None)]
    assert house.value("SELECT failure_reason FROM payments.dead_letters").startswith("ProcessDied: ")
    assert sweep(house) == 0


def test_a_bell_that_comes_before_its_event_is_due_changes_nothing_and_the_sweep_rings_again(house: House) -> None:
    house.add_variant(stock=10)
    stored = paid_unheard(house)
    break_events(house)
    announced(house)
    house.work()
    before = event(house)
    house.clock.now = before["next_attempt_at"] - timedelta(seconds=1)
    assert flow.apply_payment_event(house.runtime, house.organization_id, stored["id"], house.clock) is None
    assert event(house) == before
    house.clock.advance(seconds=21)
    assert sweep(house) == 1


def test_a_stored_event_without_a_message_is_announced_by_the_sweep_and_only_when_due(house: House) -> None:
    house.add_variant(stock=10)
    paid_unheard(house)
    announced(house)
    assert sweep(house) == 0
    house.clock.advance(seconds=21)
    assert sweep(house) == 1
    assert announced(house) == [
        {"organization_id": str(house.organization_id), "payment_event_id": str(event(house)["id"])}
    ]
    house.work()
    house.clock.advance(minutes=5)
    assert sweep(house) == 0


def test_an_event_of_a_kind_nothing_is_done_about_is_kept_and_not_worked_on(house: House) -> None:
    house.add_variant(stock=10)
    ordered(house)
    (webhook,) = house.webhooks("payment_intent.created")
    assert house.deliver(webhook) == 0
    assert event(house)["state"] == "ignored"
    assert house.work() == []


def test_a_refund_made_at_the_gateways_own_console_is_seen_in_the_order(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house)
    refund_at_console(house, order_id, amount=500)
    for webhook in house.webhooks("refund.created"):
        house.deliver(webhook)
    assert house.work() == ["processed"]
    order = house.order(order_id)
    assert (order["status"], order["payment_status"], order["amounts"]["refunded_minor"]) == (
        "confirmed",
        "partially_refunded",
        500,
    )
    assert house.violations() == []


def test_all_money_refunded_before_anything_was_shipped_cancels_the_order_and_returns_its_goods(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, {"TEE": 2})
    refund_at_console(house, order_id)
    for webhook in house.webhooks("refund.created"):
        house.deliver(webhook)
    assert house.work() == ["processed"]
    assert status(house, order_id) == "cancelled"
    assert house.stock() == {"EWR": (10, 0)}
    assert movements(house, "return") == [2]
    assert house.violations() == []


def test_money_that_falls_through_after_the_confirmation_calls_a_person_and_leaves_the_order(house: House) -> None:
    house.add_variant(stock=10)
    house.sql(
        'UPDATE tenancy.organizations SET settings = \'{"currency": "USD", "capture_policy": "at_first_shipment"}\''
    )
    order_id = ordered(house)
    assert last_payment(house, order_id)["status"] == "authorized"
    (intent,) = intents(house, order_id)
    house.stripe("POST", f"/payment_intents/{intent['id']}/expire")
    for webhook in house.webhooks("charge.expired", "payment_intent.canceled", count=2):
        house.deliver(webhook)
    assert house.work() == ["processed", "processed"]
    assert (status(house, order_id), last_payment(house, order_id)["status"]) == ("confirmed", "cancelled")
    assert house.failures() == ["PaymentFellThrough"]


def refund_at_console(house: House, order_id: str, amount: int | None = None) -> None:
    """Refund at Stripe's dashboard, without any reference to this system."""
    (intent,) = intents(house, order_id)
    answer = house.http.request(
        "POST",
        f"{house.stripe_url}/v1/refunds",
        fields={"payment_intent": intent["id"], "amount": str(amount or intent["amount"])},
        headers={"Authorization": f"Bearer {house.api_key}"},
        encode_multipart=False,
    )
    assert answer.status == 200, answer.data
