"""Money owed back while its gateway is away for long: what surely was not executed is no attempt, and not given up."""

from datetime import timedelta

import pytest

from tests.flows.actions import authenticate, last_payment, operations, ordered, resume, status
from tests.house import House
from tests.refunding import at_gateway, refund, total

ASKS = "pm_card_authenticationRequired"
REFUND = {"operation": "refunds.create"}
CREATE = {"operation": "payment_intents.create"}


def live_through(house: House, time: timedelta) -> int:
    """The watchdog ticks every quarter of an hour; how often it found something to do."""
    found, end = 0, house.clock.now + time
    while house.clock.now < end:
        house.clock.advance(minutes=15)
        found += resume(house)
    return found


@pytest.mark.parametrize("http_status", [401, 403, 429])
def test_a_refund_that_surely_was_not_executed_is_made_once_its_gateway_lets_us_in_again(
    house: House, http_status: int
) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house)
    house.stripe_behaves(match=REFUND, http_status=http_status, times=None)
    refund(house, order_id)
    found = live_through(house, timedelta(days=3))
    assert 3 * 20 < found < 3 * 24 + 10, "once an hour, in the end"
    assert (house.failures(), at_gateway(house, order_id)) == ([], [])
    assert house.value("SELECT attempts FROM orders.order_operations") == 0
    assert "Gateway" in house.value("SELECT last_error FROM orders.order_operations")
    house.stripe("DELETE", "/behaviors")
    live_through(house, timedelta(hours=2))
    assert at_gateway(house, order_id) == [("succeeded", total(house, order_id))], "its key was never seen there"
    assert house.failures() == []
    assert house.violations() == []


def test_the_money_of_a_cancelled_order_waits_for_days_for_a_gateway_that_cannot_be_reached(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house)
    house.stripe_behaves(match=REFUND, http_status=429, times=None)
    house.cancel(order_id)
    live_through(house, timedelta(days=2))
    assert (operations(house), house.failures()) == ([("running", "customer_request")], [])
    house.stripe("DELETE", "/behaviors")
    live_through(house, timedelta(hours=2))
    assert (operations(house), last_payment(house, order_id)["status"]) == ([("done", "customer_request")], "refunded")
    assert len(at_gateway(house, order_id)) == 1
    assert house.violations() == []


def test_a_gateway_that_never_lets_us_in_again_calls_a_person_after_days(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house)
    house.stripe_behaves(match=REFUND, http_status=401, times=None)
    refund(house, order_id)
    live_through(house, timedelta(days=7, hours=2))
    assert (house.failures(), operations(house)) == (["RefundFailed"], [("failed", "customer_request")])
    assert at_gateway(house, order_id) == []
    assert house.violations() == []


def test_a_refund_that_may_have_been_made_before_the_gateway_went_away_is_not_asked_for_once_its_key_may_be_forgotten(
    house: House,
) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house)
    house.stripe_behaves(match=REFUND, http_status=500, execute=True)
    house.stripe_behaves(match=REFUND, http_status=401, times=None)
    refund(house, order_id)
    live_through(house, timedelta(days=1))
    house.stripe("DELETE", "/behaviors")
    live_through(house, timedelta(hours=2))
    assert at_gateway(house, order_id) == [("succeeded", total(house, order_id))]
    assert (house.failures(), operations(house)) == (["RefundFailed"], [("failed", "customer_request")])
    assert house.violations() == []


def test_a_capture_that_is_heard_of_after_its_return_was_given_up_is_returned_all_the_same(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house, token=ASKS)
    house.stripe_behaves(match={"operation": "payment_intents"}, http_status=503, times=None)
    house.cancel(order_id)
    live_through(house, timedelta(hours=12))
    assert (operations(house), house.failures()) == ([("failed", "customer_request")], ["ReturnMoney"])
    house.stripe("DELETE", "/behaviors")
    authenticate(house, order_id)
    (webhook,) = house.webhooks("payment_intent.succeeded", order_id=order_id)
    house.deliver(webhook)
    house.work()
    live_through(house, timedelta(hours=1))
    assert (status(house, order_id), last_payment(house, order_id)["status"]) == ("cancelled", "refunded")
    assert [state for state, _ in operations(house)] == ["failed", "done"]
    assert house.charges()["captured"] == house.charges()["refunded"] > 0
    house.deliver(webhook)
    house.work()
    assert len(operations(house)) == 2
    assert house.violations() == []
