from datetime import timedelta

from holdfast.flows.money.gateway_run import GatewayRun
from holdfast.flows.money.watch_payments import CHECKS_BEFORE_ALARM, check_payments
from holdfast.gateways.stripe import StripeGateway
from tests.flows.actions import (
    at_once,
    authenticate,
    check,
    expire,
    hold_ends,
    intents,
    killed_before_the_gateway_was_asked,
    last_payment,
    ordered,
    resume,
    status,
)
from tests.house import House

ASKS = "pm_card_authenticationRequired"
CREATE = {"operation": "payment_intents.create"}


def in_processing(house: House) -> str:
    """Place an order whose payment the gateway has but does not decide, and return its id."""
    order_id = ordered(house, token=ASKS)
    house.forge("UPDATE payments.payments SET facts = facts || '{\"requires_action\": false, \"processing\": true}',"
              " status = 'processing', next_check_at = created_at + interval '60 seconds'")  # fmt: skip
    return order_id


def test_a_payment_whose_answer_was_lost_is_found_under_its_own_key(house: House) -> None:
    house.add_variant(stock=10)
    house.stripe_behaves(match=CREATE, fault="timeout_after")
    order_id = ordered(house)
    assert check(house) == 0
    house.clock.advance(seconds=60)
    assert check(house) == 1
    assert status(house, order_id) == "confirmed"
    assert len(intents(house, order_id)) == 1
    house.clock.advance(hours=2)
    assert check(house) == 0
    assert house.violations() == []


def test_a_payment_in_processing_is_fetched_and_its_hold_does_not_live_for_ever(house: House) -> None:
    house.add_variant(stock=10)
    house.stripe_behaves(match={"operation": "payment_intents.retrieve"}, http_status=503, times=None)
    order_id = in_processing(house)
    placed_at = house.clock.now
    checked = 0
    for _ in range(45):
        house.clock.advance(minutes=1)
        checked += check(house)
        expire(house)
    assert checked == 5
    assert house.stock() == {"EWR": (10, 0)}
    assert status(house, order_id) == "payment_processing"
    house.stripe("DELETE", "/behaviors")
    authenticate(house, order_id)
    house.clock.now = placed_at + timedelta(hours=2)
    assert check(house) == 1
    assert status(house, order_id) == "confirmed"
    assert house.stock() == {"EWR": (9, 0)}
    assert house.violations() == []


def test_a_shopper_who_never_comes_back_from_three_d_secure_has_until_the_hold_ends(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token=ASKS)
    house.clock.now = hold_ends(house, order_id) - timedelta(seconds=1)
    assert check(house) == 0
    house.clock.advance(seconds=1)
    assert check(house) == 1
    assert [intent["status"] for intent in intents(house, order_id)] == ["canceled"]
    assert (status(house, order_id), last_payment(house, order_id)["status"]) == ("payment_failed", "cancelled")
    assert expire(house).released == 1
    assert house.violations() == []


def test_an_action_that_is_found_late_is_still_left_to_the_shopper_while_the_hold_lives(house: House) -> None:
    house.add_variant(stock=10)
    house.stripe_behaves(match=CREATE, fault="timeout_after")
    order_id = ordered(house, token=ASKS)
    house.clock.advance(seconds=61)
    check(house)
    assert last_payment(house, order_id)["client_action"]["client_secret"]
    for _ in range(20):
        house.clock.advance(minutes=1)
        check(house)
    assert [intent["status"] for intent in intents(house, order_id)] == ["requires_action"]
    house.clock.advance(minutes=10)
    check(house)
    assert [intent["status"] for intent in intents(house, order_id)] == ["canceled"]


def test_money_that_came_without_a_word_is_taken_for_the_order_even_as_the_hold_ends(house: House) -> None:
    house.add_variant(stock=10)
    house.sql(
        'UPDATE tenancy.organizations SET settings = \'{"currency": "USD", "capture_policy": "at_first_shipment"}\''
    )
    order_id = ordered(house, token=ASKS)
    authenticate(house, order_id)
    house.clock.now = hold_ends(house, order_id)
    assert check(house) == 1
    assert (status(house, order_id), last_payment(house, order_id)["status"]) == ("confirmed", "authorized")
    assert house.violations() == []


def test_an_attempt_older_than_the_gateways_memory_of_keys_is_never_repeated(house: House) -> None:
    house.add_variant(stock=10)
    order_id = killed_before_the_gateway_was_asked(house)
    house.clock.advance(seconds=StripeGateway.repeatable_seconds + 1)
    check(house)
    expire(house)
    assert intents(house, order_id) == []
    assert house.failures() == ["PaymentUndecided"]
    house.clock.advance(days=2)
    assert check(house) == 0
    assert status(house, order_id) == "pending_payment"
    assert house.violations() == []


def test_an_attempt_just_young_enough_is_repeated(house: House) -> None:
    house.add_variant(stock=10)
    order_id = killed_before_the_gateway_was_asked(house)
    house.clock.advance(seconds=StripeGateway.repeatable_seconds)
    assert check(house) == 1
    assert status(house, order_id) == "confirmed"
    assert house.violations() == []


def test_an_old_attempt_that_the_gateway_has_a_transaction_for_is_fetched(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token=ASKS)
    authenticate(house, order_id)
    house.clock.advance(days=2)
    expire(house)
    assert check(house) == 1
    assert status(house, order_id) == "confirmed"
    assert house.failures() == []
    assert house.violations() == []


def test_a_payment_that_stays_undecided_calls_a_person_once(house: House) -> None:
    house.add_variant(stock=10)
    house.stripe_behaves(match={"operation": "payment_intents"}, http_status=503, times=None)
    ordered(house)
    for number in range(1, CHECKS_BEFORE_ALARM + 3):
        house.clock.advance(hours=1, seconds=1)
        assert check(house) == 1
        assert house.failures() == (["PaymentUndecided"] if number >= CHECKS_BEFORE_ALARM else [])
    assert house.violations() == []


def test_a_wrong_key_of_ours_does_not_make_a_payment_fail(house: House) -> None:
    house.add_variant(stock=10)
    order_id = in_processing(house)
    authenticate(house, order_id)
    house.stripe_behaves(match={"operation": "payment_intents.retrieve"}, http_status=401)
    house.clock.advance(seconds=61)
    check(house)
    assert last_payment(house, order_id)["status"] == "processing"
    house.clock.advance(seconds=121)
    check(house)
    assert status(house, order_id) == "confirmed"
    assert house.violations() == []


def test_a_token_that_was_refused_is_a_failed_attempt_also_when_the_refusal_was_lost(house: House) -> None:
    house.add_variant(stock=10)
    house.stripe_behaves(match=CREATE, http_status=503)
    order_id = ordered(house, token="pm_card_unheard_of")
    assert status(house, order_id) == "payment_processing"
    house.clock.advance(seconds=61)
    check(house)
    assert status(house, order_id) == "payment_failed"
    assert house.violations() == []


def test_the_trouble_of_one_payment_does_not_stop_the_others(house: House) -> None:
    house.add_variant(stock=10)
    house.stripe_behaves(match=CREATE, fault="timeout_after", times=3)
    orders = [ordered(house) for _ in range(3)]
    house.sql(
        "UPDATE payments.payments SET facts = jsonb_build_object('of', 'nobody') WHERE order_id = :id", id=orders[0]
    )
    house.clock.advance(seconds=61)
    assert check(house) == 2
    assert [status(house, order_id) for order_id in orders[1:]] == ["confirmed", "confirmed"]
    assert house.failures() == ["PaymentUndecided"]
    house.clock.advance(minutes=5)
    assert house.value("SELECT count(*) FROM payments.payments WHERE next_check_at <= :now", now=house.clock.now) == 0


def test_a_run_asks_no_more_gateways_when_its_time_is_up(house: House) -> None:
    house.add_variant(stock=10)
    house.stripe_behaves(match=CREATE, fault="timeout_after", times=3)
    for _ in range(3):
        ordered(house)
    house.clock.advance(seconds=61)
    left = iter([30.0, 0.0])
    assert check_payments(house.system, house.clock, GatewayRun(lambda: next(left, 0.0))) == 1
    assert check(house) == 2
    assert house.violations() == []


def test_two_watchdogs_at_once_ask_about_a_payment_once(house: House) -> None:
    house.add_variant(stock=10)
    order_id = in_processing(house)
    house.clock.advance(seconds=61)
    at_once(*[lambda: check(house)] * 3)
    calls = house.value("SELECT checks FROM payments.payments WHERE order_id = :id", id=order_id)
    assert calls == 1


def test_nothing_is_returned_that_is_not_owed(house: House) -> None:
    house.add_variant(stock=10)
    ordered(house)
    house.clock.advance(days=1)
    assert (check(house), resume(house)) == (0, 0)
    assert house.charges()["refunded"] == 0
