"""What is Adyen's own: several events in one notification, an outcome that only webhooks tell, ids that come late."""

import json
from typing import Any

import pytest

from holdfast.database.errors import ConnectionLost
from holdfast.flows.money import receive_webhook as receiving
from holdfast.gateways.adyen_webhooks import NO_CURRENCY
from tests.flows.actions import announced, check, last_payment, operations, resume, status
from tests.gateways.receiver import Received
from tests.till import Till

pytestmark = pytest.mark.parametrize("stage", ["adyen"], indirect=True)
NOT_YET = json.dumps({"type": "sepadirectdebit", "holderName": "APPROVED"})


def together(*deliveries: Received) -> Received:
    """One notification of the items of several; each item carries its own signature."""
    items = [item for delivery in deliveries for item in json.loads(delivery.body)["notificationItems"]]
    return Received(deliveries[0].headers, json.dumps({"live": "false", "notificationItems": items}).encode())


def three(till: Till) -> list[Received]:
    for _ in range(3):
        till.place()
    return till.stage.receiver.wait_until(lambda received: len(received) >= 3)[:3]


def kept(till: Till) -> list[tuple[Any, ...]]:
    rows = till.house.rows(
        "SELECT gateway_event_id, state, event_type FROM payments.payment_events"
        " WHERE gateway_event_type <> 'answer' ORDER BY id"
    )
    return [tuple(row.values()) for row in rows]


def test_an_item_that_cannot_be_stored_keeps_the_others_not_back_and_comes_again(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    notification = together(*three(till))
    real, calls = receiving.store_event, []

    def fails_once(*arguments: Any, **how: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 1:
            raise ConnectionError("the database went away for a moment")
        return real(*arguments, **how)

    monkeypatch.setattr(receiving, "store_event", fails_once)
    with pytest.raises(ConnectionLost):
        till.deliver(notification)
    there = kept(till)
    assert len(there) == 2
    # What the answer had said already is done with; the rest is announced.
    assert len(announced(till.house)) == sum(state == "pending" for _, state, _ in there)
    # Adyen was not answered with its word and delivers the whole again.
    assert till.deliver(notification) == 1
    assert len({event_id for event_id, *_ in kept(till)}) == 3
    assert till.deliver(notification) == 0


def test_an_item_that_cannot_be_read_becomes_a_dead_letter_and_stops_nothing(till: Till) -> None:
    first, second, third = three(till)
    document = json.loads(together(first, second, third).body)
    # The date is not under the signature: what arrives is Adyen's, and not as we know it.
    document["notificationItems"][1]["NotificationRequestItem"]["eventDate"] = "yesterday"
    assert till.deliver(Received(first.headers, json.dumps(document).encode())) == 3
    till.house.work()
    assert sorted((state, kind) for _, state, kind in kept(till)) == [
        ("dead_lettered", "capture_succeeded"),
        ("processed", "capture_succeeded"),
        ("processed", "capture_succeeded"),
    ]
    said = "SELECT last_error FROM payments.payment_events WHERE state = 'dead_lettered'"
    assert NO_CURRENCY in till.house.value(said)
    assert till.house.violations() == []


def test_a_payment_that_adyen_has_and_has_not_decided_is_not_asked_about(till: Till) -> None:
    house = till.house
    body = till.place(NOT_YET)
    assert body["payment"]["status"] == "processing"
    asked = house.value("SELECT count(*) FROM operations.api_calls")
    for _ in range(3):
        house.clock.advance(minutes=5)
        check(house)
    assert house.value("SELECT count(*) FROM operations.api_calls") == asked
    transaction_id = house.value("SELECT gateway_transaction_id FROM payments.payments")
    till.stage.control("POST", f"/payments/{transaction_id}/settle")
    till.deliver_until(lambda: status(house, body["order"]["id"]) == "confirmed")
    assert house.violations() == []


def test_an_order_that_is_cancelled_while_its_shopper_acts_ends_when_adyen_says_so(till: Till) -> None:
    house = till.house
    body = till.place(till.stage.token_action)
    order_id = body["order"]["id"]
    assert house.value("SELECT gateway_transaction_id FROM payments.payments") is None
    house.cancel(order_id)
    assert (status(house, order_id), operations(house)[0][0]) == ("cancelled", "running")
    till.deliver_until(lambda: last_payment(house, order_id)["status"] == "cancelled")
    house.clock.advance(minutes=5)
    assert resume(house) == 1
    assert operations(house)[0][0] == "done"
    assert house.violations() == []
