"""Held money never expires unnoticed: it is captured a day before, or a person knows that it was not."""

from datetime import UTC, datetime, timedelta

from holdfast.flows.money.gateway_run import GatewayRun
from holdfast.flows.money.owed_operations import ATTEMPTS_MAX
from holdfast.flows.money.watch_authorizations import watch_authorizations
from holdfast.payments.capture_policy import BEFORE_EXPIRY, SAFETY_SECONDS
from tests.flows.actions import at_once, intents, last_payment, look_after_authorizations, ordered, resume, status
from tests.flows.test_capture_payment import CAPTURE, captures, held, hold_money
from tests.house import House


def ends_at(house: House, order_id: str) -> datetime:
    ends: datetime = house.value(
        "SELECT authorization_expires_at FROM payments.payments WHERE order_id = :id", id=order_id
    )
    return ends


def test_an_authorization_is_captured_in_full_before_it_runs_out(house: House) -> None:
    house.add_variant(stock=10)
    order_id = held(house)
    house.clock.now = ends_at(house, order_id) - BEFORE_EXPIRY - timedelta(seconds=1)
    assert look_after_authorizations(house) == 0
    house.clock.advance(seconds=1)
    assert look_after_authorizations(house) == 1
    payment = last_payment(house, order_id)
    assert (payment["status"], payment["captured_minor"]) == ("captured", payment["amount_minor"])
    assert status(house, order_id) == "confirmed"
    assert look_after_authorizations(house) == 0
    assert house.failures() == []
    assert house.violations() == []


def test_what_cannot_be_captured_is_known_a_day_before_and_asked_for_no_more(house: House) -> None:
    house.add_variant(stock=10)
    order_id = held(house)
    end = ends_at(house, order_id)
    house.clock.now = end - BEFORE_EXPIRY
    house.stripe_behaves(match=CAPTURE, http_status=503, times=None)
    assert look_after_authorizations(house) == 1
    while house.failures() == []:
        house.clock.advance(minutes=1)
        look_after_authorizations(house)
        resume(house)
    assert house.failures() == ["CaptureFailed"]
    assert house.clock.now <= end - timedelta(seconds=SAFETY_SECONDS)
    assert [(state, attempts) for state, attempts, _ in captures(house)] == [("failed", ATTEMPTS_MAX)]
    assert look_after_authorizations(house) == 0


def test_a_refusal_calls_a_person_at_once_and_only_once(house: House) -> None:
    house.add_variant(stock=10)
    order_id = held(house)
    house.clock.now = ends_at(house, order_id) - BEFORE_EXPIRY
    house.stripe_behaves(match=CAPTURE, http_status=400, times=None)
    for _ in range(3):
        look_after_authorizations(house)
        house.clock.advance(minutes=1)
    assert house.failures() == ["CaptureFailed"]
    assert len(captures(house)) == 1


def test_an_authorization_of_a_dead_order_that_nobody_returned_is_voided(house: House) -> None:
    house.add_variant(stock=10)
    order_id = held(house)
    house.cancel(order_id)
    end = ends_at(house, order_id)
    house.forge(
        "UPDATE payments.payments SET status = 'authorized', capturable_amount = amount,"
        " facts = facts || '{\"cancelled\": false}'"
        " WHERE order_id = :id",
        id=order_id,
    )
    house.sql("DELETE FROM orders.order_operations WHERE order_id = :id", id=order_id)
    house.clock.now = end - BEFORE_EXPIRY
    assert look_after_authorizations(house) == 1
    assert last_payment(house, order_id)["status"] == "cancelled"
    assert house.charges()["captured"] == 0
    assert house.violations() == []


def test_one_that_ran_out_all_the_same_is_found_without_its_webhook(house: House) -> None:
    house.add_variant(stock=10)
    order_id = held(house)
    (intent,) = intents(house, order_id)
    house.stripe("POST", f"/payment_intents/{intent['id']}/expire")
    house.clock.now = ends_at(house, order_id) + timedelta(minutes=1)
    look_after_authorizations(house)
    assert set(house.failures()) == {"CaptureFailed", "PaymentFellThrough"}
    assert last_payment(house, order_id)["status"] == "cancelled"


def test_two_watchdogs_at_once_decide_once(house: House) -> None:
    house.add_variant(stock=10)
    order_id = held(house)
    house.clock.now = ends_at(house, order_id) - BEFORE_EXPIRY
    at_once(*[lambda: look_after_authorizations(house)] * 3)
    assert [state for state, _, _ in captures(house)] == ["done"]
    assert house.charges()["charges_captured"] == 1
    assert house.violations() == []


def test_a_run_stops_when_its_time_is_up(house: House) -> None:
    house.add_variant(stock=10)
    orders = [held(house) for _ in range(2)]
    house.clock.now = ends_at(house, orders[0]) - BEFORE_EXPIRY + timedelta(minutes=1)
    left = iter([30.0, 30.0])
    assert watch_authorizations(house.system, house.clock, GatewayRun(lambda: next(left, 0.0))) == 1
    assert look_after_authorizations(house) == 1
    assert house.violations() == []


def test_an_authorization_whose_end_no_webhook_told_is_asked_about_and_captured_in_time(house: House) -> None:
    house.add_variant(stock=10)
    hold_money(house)
    house.stripe_behaves(match={"operation": "payment_intents.create"}, fault="timeout_after")
    order_id = ordered(house, {"TEE": 1})
    (webhook,) = house.webhooks("payment_intent.amount_capturable_updated")
    house.deliver(webhook)
    house.work()
    assert status(house, order_id) == "confirmed"
    assert ends_at(house, order_id) is None
    look_after_authorizations(house)
    assert ends_at(house, order_id) is None, "an answer of ours may still tell it"
    house.clock.advance(hours=1, seconds=1)
    look_after_authorizations(house)
    house.clock.now = ends_at(house, order_id) - BEFORE_EXPIRY
    assert look_after_authorizations(house) == 1
    assert last_payment(house, order_id)["status"] == "captured"
    assert house.violations() == []


def test_one_whose_end_the_gateway_never_tells_is_taken_to_end_in_a_week_and_captured_in_time(house: House) -> None:
    house.add_variant(stock=10)
    hold_money(house)
    house.stripe_behaves(match={"operation": "payment_intents.create"}, fault="timeout_after")
    order_id = ordered(house, {"TEE": 1})
    (intent,) = intents(house, order_id)
    house.stripe("POST", f"/payment_intents/{intent['id']}/klarna")
    (webhook,) = house.webhooks("payment_intent.amount_capturable_updated")
    house.deliver(webhook)
    house.work()
    house.clock.advance(hours=1, seconds=1)
    look_after_authorizations(house)
    begun = datetime.fromtimestamp(intent["charges"][0]["created"], UTC)
    assert ends_at(house, order_id) == begun + timedelta(days=7)
    house.clock.now = begun + timedelta(days=6)
    assert look_after_authorizations(house) == 1
    assert last_payment(house, order_id)["status"] == "captured"
    assert house.failures() == []
    assert house.violations() == []
