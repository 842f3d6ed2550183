"""What only Adyen does: several events in one notification, outcomes that only webhooks report, ids that come late."""

import json
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from holdfast.database.errors import ConnectionLost
from holdfast.flows.money import receive_webhook as receiving
from holdfast.flows.money.owed_operations import ATTEMPTS_MAX
from holdfast.gateways.unread import NO_CURRENCY
from holdfast.payments.refund_plan import Wanted
from holdfast.payments.retry_policy import RETRIES_MAX
from holdfast.values.errors import RefundExceeds
from tests.flows.actions import announced, check, last_payment, operations, resume, status
from tests.flows.test_money_given_up import given_up, live_through, retry
from tests.gateways.adyen_stage import AdyenStage
from tests.gateways.receiver import Received
from tests.refunding import refund
from tests.till import Till

pytestmark = pytest.mark.parametrize("stage", ["adyen"], indirect=True)
NOT_YET = json.dumps({"type": "sepadirectdebit", "holderName": "APPROVED"})


def together(*deliveries: Received) -> Received:
    """Return one notification with the items of several. Each item carries its own signature."""
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
    # Events that repeat what the answer already said are processed; only the others are announced.
    assert len(announced(till.house)) == sum(state == "pending" for _, state, _ in there)
    # Adyen did not get the reply that it expects, so it delivers the whole notification again.
    assert till.deliver(notification) == 1
    assert len({event_id for event_id, *_ in kept(till)}) == 3
    assert till.deliver(notification) == 0


def test_an_item_that_cannot_be_read_becomes_a_dead_letter_and_stops_nothing(till: Till) -> None:
    first, second, third = three(till)
    document = json.loads(together(first, second, third).body)
    # The signature does not cover the date, so the item is verifiably Adyen's, but cannot be understood.
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


def test_a_return_that_staff_retry_cancels_anew_and_does_not_repeat_what_adyen_received_before(till: Till) -> None:
    house = till.house
    house.sql('UPDATE tenancy.organizations SET settings = settings || \'{"capture_policy": "per_shipment"}\'')
    order_id = till.place()["order"]["id"]
    till.deliver_until(lambda: last_payment(house, order_id)["status"] == "authorized")
    cancels = {"operation": "payments.cancels"}
    till.stage.behave(match=cancels, decline_code="Acquirer Error", times=ATTEMPTS_MAX)
    house.cancel(order_id)
    live_through(house, timedelta(hours=8))
    assert (operations(house)[0][0], house.failures()) == ("failed", ["ReturnMoney"])
    retry(house, given_up(house))
    resume(house)
    till.deliver_until(lambda: last_payment(house, order_id)["status"] == "cancelled")
    live_through(house, timedelta(hours=1))
    assert operations(house)[0][0] == "done"
    assert house.violations() == []


# --- disputes -------------------------------------------------------------------------------------------------------


def disputed(till: Till, *stages: tuple[str, str], **more: Any) -> tuple[str, list[Received]]:
    """Return an order whose payment is disputed, and a notification of each stage.

    The notifications are dated a second apart, which is as exact as Adyen's dates are.
    """
    order_id = till.place()["order"]["id"]
    till.deliver_until(lambda: last_payment(till.house, order_id)["status"] == "captured")
    transaction_id = till.house.value(
        "SELECT gateway_transaction_id FROM payments.payments WHERE order_id = :id", id=order_id
    )
    known = len(till.stage.receiver.received)
    for code, dispute_status in stages:
        assert isinstance(till.stage, AdyenStage)
        till.stage.tell_of_dispute(transaction_id, code, dispute_status, **more)
    told = till.stage.receiver.wait_until(lambda received: len(received) >= known + len(stages))[known:]
    return order_id, [dated(delivery, second) for second, delivery in enumerate(told)]


def dated(delivery: Received, second: int) -> Received:
    """Change the date of a notification, which the signature does not cover."""
    document = json.loads(delivery.body)
    for wrapped in document["notificationItems"]:
        wrapped["NotificationRequestItem"]["eventDate"] = f"2030-01-01T12:00:{second:02d}+00:00"
    return Received(delivery.headers, json.dumps(document).encode())


def tell(till: Till, *told: Received) -> None:
    """Deliver and apply each notification. One that has to wait for another is tried again when it is due."""
    for delivery in told:
        till.deliver(delivery)
        till.house.work()
    till.house.clock.advance(minutes=2)
    till.house.work()


def dispute_as_it_is(till: Till, order_id: str) -> tuple[Any, ...]:
    (row,) = till.house.rows(
        "SELECT d.status, d.outcome, d.lost_amount FROM payments.disputes d"
        " JOIN payments.payments p ON p.id = d.payment_id WHERE p.order_id = :id",
        id=order_id,
    )
    shown = till.house.order(order_id)
    return (*row.values(), last_payment(till.house, order_id)["charged_back_minor"], shown["has_open_dispute"])


UNDEFENDED = (
    ("NOTIFICATION_OF_CHARGEBACK", "Undefended"),
    ("CHARGEBACK", "Undefended"),
    ("DISPUTE_DEFENSE_PERIOD_ENDED", "Lost"),
)
LOST_AFTER_ALL = (("CHARGEBACK", "Pending"), ("CHARGEBACK_REVERSED", "Pending"), ("PREARBITRATION_LOST", "Lost"))
WON_AT_LAST = (("CHARGEBACK", "Pending"), ("CHARGEBACK_REVERSED", "Pending"), ("PREARBITRATION_WON", "Won"))


@pytest.mark.parametrize("names_original", [True, False])
@pytest.mark.parametrize(("stages", "outcome"), [(UNDEFENDED, "lost"), (LOST_AFTER_ALL, "lost"), (WON_AT_LAST, "won")])
def test_a_dispute_ends_as_adyen_says_in_every_order_and_however_often(
    till: Till, stages: tuple[tuple[str, str], ...], outcome: str, names_original: bool
) -> None:
    """An account has to ask Adyen for the payment's reference, so the dispute is told with it and without it."""
    for order in permutations(range(len(stages))):
        order_id, told = disputed(till, *stages, original_reference=names_original)
        tell(till, *(told[nth] for nth in order), *told)
        paid_minor = last_payment(till.house, order_id)["captured_minor"]
        lost_minor = paid_minor if outcome == "lost" else 0
        assert dispute_as_it_is(till, order_id) == ("closed", outcome, lost_minor, lost_minor, False)
    assert till.house.violations() == []


def test_money_that_a_chargeback_took_for_good_is_not_given_back(till: Till) -> None:
    order_id, told = disputed(till, *UNDEFENDED)
    tell(till, *told)
    assert till.house.failures() == ["DisputeLost"]
    with pytest.raises(RefundExceeds):
        refund(till.house, order_id, Wanted(amount_minor=1))
    assert till.house.violations() == []


def test_a_word_about_no_dispute_that_is_known_waits_and_then_is_a_dead_letter(till: Till) -> None:
    _, told = disputed(till, ("SECOND_CHARGEBACK", "Lost"), original_reference=False)
    till.deliver(told[0])
    states = []
    for _ in range(RETRIES_MAX + 1):
        states += till.house.work()
        till.house.clock.advance(minutes=10)
    assert states == ["retry_scheduled"] * RETRIES_MAX + ["dead_lettered"]
    assert till.house.value("SELECT count(*) FROM payments.disputes") == 0
    assert till.house.violations() == []
