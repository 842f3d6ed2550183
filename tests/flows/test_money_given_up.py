"""Money owed back in a long gateway outage: a call that certainly was not executed is no attempt and not given up."""

import json
import uuid
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.flows.money.owed_operations import ATTEMPTS_MAX
from holdfast.flows.money.retry_operation import OPERATION, retry_operation
from holdfast.payments.refund_plan import Wanted
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, Forbidden, NotFound
from holdfast.web.answers import change_answer
from tests.flows.actions import authenticate, last_payment, operations, ordered, resume, staff, status
from tests.flows.test_capture_payment import captures, held, hold_money
from tests.house import House
from tests.refunding import at_gateway, refund, total
from tests.till import Till

ASKS = "pm_card_authenticationRequired"
REFUND = {"operation": "refunds.create"}
CREATE = {"operation": "payment_intents.create"}


def live_through(house: House, time: timedelta) -> int:
    """Tick the watchdog every quarter of an hour for this time; return how many orders it looked at in all."""
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


def retry(house: House, operation_id: UUID, *, caller: Caller | None = None, key: str | None = None) -> dict[str, Any]:
    """Ask for another try as staff, and return the operation from the answer."""
    caller = caller or staff(house)
    claim = Claim(caller.actor, OPERATION, key or uuid.uuid4().hex, fingerprint_of({"operation": operation_id}))
    render = change_answer("operation")
    answer = retry_operation(house.runtime, caller, claim, operation_id, house.clock(), render)
    assert answer.status == 201
    told: dict[str, Any] = json.loads(answer.body)["operation"]
    return told


def given_up(house: House) -> UUID:
    """Return the operation that a person is called for."""
    (failure,) = house.rows("SELECT payload FROM operations.process_failures WHERE status = 'open'")
    return UUID(failure["payload"]["operation_id"])


def test_staff_have_a_refund_that_was_given_up_tried_again(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house)
    house.stripe_behaves(match=REFUND, http_status=503, times=ATTEMPTS_MAX)
    refund(house, order_id)
    live_through(house, timedelta(hours=8))
    operation_id, boss = given_up(house), staff(house)
    told = retry(house, operation_id, caller=boss, key="once")
    assert (told["state"], told["finished_at"], told["attempts"]) == ("running", None, 1)
    assert retry(house, operation_id, caller=boss, key="once") == told
    with pytest.raises(Conflict, match="running"):
        retry(house, operation_id)
    resume(house)
    assert at_gateway(house, order_id) == [("succeeded", total(house, order_id))]
    with pytest.raises(Conflict, match="done"):
        retry(house, operation_id)
    (audited,) = house.rows("SELECT * FROM operations.audit_log WHERE table_name = 'orders.order_operations'")
    assert (audited["actor"], audited["record_id"]) == (boss.actor, operation_id)
    assert (audited["old_values"]["state"], audited["changed_values"]["state"]) == ("failed", "running")
    assert house.violations() == []


def test_staff_have_the_money_of_a_cancelled_order_returned_after_all(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house)
    house.stripe_behaves(match=REFUND, http_status=401, times=None)
    house.cancel(order_id)
    live_through(house, timedelta(days=7, hours=2))
    house.stripe("DELETE", "/behaviors")
    retry(house, given_up(house))
    resume(house)
    assert last_payment(house, order_id)["status"] == "refunded", "however old: it surely was not made before"
    assert len(at_gateway(house, order_id)) == 1
    assert house.violations() == []


def test_what_may_have_been_made_is_not_tried_again_once_its_key_may_be_forgotten(house: House) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house)
    house.stripe_behaves(match=REFUND, http_status=500, execute=True, times=ATTEMPTS_MAX)
    refund(house, order_id)
    live_through(house, timedelta(hours=8))
    operation_id = given_up(house)
    house.clock.advance(hours=24)
    with pytest.raises(Conflict, match="may have been made"):
        retry(house, operation_id)
    assert at_gateway(house, order_id) == [("succeeded", total(house, order_id))]
    assert house.violations() == []


@pytest.mark.parametrize("stage", ["square"], indirect=True)
def test_square_does_not_say_how_long_it_remembers_and_is_not_trusted_for_ever(till: Till) -> None:
    house, order_id = till.house, till.place()["order"]["id"]
    till.deliver_until(lambda: last_payment(house, order_id)["status"] == "captured")
    till.stage.behave(match=REFUND, fault="timeout_after", times=ATTEMPTS_MAX)
    refund(house, order_id, Wanted(amount_minor=500))
    live_through(house, timedelta(hours=8))
    operation_id = given_up(house)
    house.clock.advance(days=30)
    with pytest.raises(Conflict, match="look for it at square"):
        retry(house, operation_id)
    assert house.violations() == []


@pytest.mark.parametrize("asked", ["refund", "cancel"])
def test_what_was_refused_is_asked_for_anew_and_not_tried_again(house: House, asked: str) -> None:
    house.add_variant(stock=10)
    order_id = ordered(house)
    house.stripe_behaves(match=REFUND, http_status=400)
    refund(house, order_id) if asked == "refund" else house.cancel(order_id)
    with pytest.raises(Conflict, match="ask for another"):
        retry(house, given_up(house))
    assert house.violations() == []


def test_captures_strangers_and_shoppers_have_nothing_tried_again(house: House) -> None:
    house.add_variant(stock=10)
    hold_money(house)
    held(house)
    operation_id = uuid.uuid4()
    with pytest.raises(NotFound):
        retry(house, operation_id)
    house.sql(
        "INSERT INTO orders.order_operations (organization_id, id, order_id, payment_id, operation, amount, state,"
        " requested_by, next_attempt_at, created_at, finished_at)"
        " SELECT organization_id, :id, order_id, id, 'capture', 1, 'failed', 'test', :now, :now, :now"
        " FROM payments.payments",
        id=operation_id,
        now=house.clock.now,
    )
    with pytest.raises(Conflict, match="capture the order"):
        retry(house, operation_id)
    for nobody in (house.customer, staff(house, "member")):
        with pytest.raises(Forbidden):
            retry(house, operation_id, caller=nobody)
    assert captures(house)[0][0] == "failed"
