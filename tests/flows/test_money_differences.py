"""An open difference of money ends with its cause, or with a person: no age and no number ends it."""

from typing import Any

import pytest

from holdfast.flows.dead_letters.work_dead_letters import Step, take_step
from holdfast.flows.money import look_for_differences
from holdfast.flows.operations.work_process_failures import reopen_process_failure, resolve_process_failure
from holdfast.payments.dead_letters import DeadLetterAction
from tests.flows.actions import intents, ordered, staff
from tests.flows.dead_lettering import dead_letter_of, fail_until_given_up
from tests.flows.test_money_report import (
    _shelf,  # noqa: F401 -- a fixture
    days_later,
    on_the_next_day,
    open_differences,
    stripe_call,
    watch,
)
from tests.flows.test_money_troubles import payment_of, told
from tests.house import House


def kept(house: House, count: int = 1) -> list[str]:
    """Return orders that are cancelled, whose money is still here, and whose return was given up."""
    house.stripe_behaves(match={"operation": "refunds.create"}, http_status=402, times=None)
    orders = [ordered(house) for _ in range(count)]
    for order_id in orders:
        house.cancel(order_id)
    house.sql("UPDATE orders.order_operations SET state = 'failed', finished_at = now()")
    house.sql("UPDATE payments.refunds SET status = 'failed'")
    house.sql("UPDATE payments.payments SET refunding_amount = 0")
    house.clock.advance(hours=2)
    return orders


def test_money_that_is_still_here_is_a_difference_however_old_it_gets(house: House) -> None:
    (order_id,) = kept(house)
    watch(house)
    before = open_differences(house)
    assert [kind for kind, _ in before] == ["captured_without_live_order"]
    days_later(house, look_for_differences.WINDOW_DAYS + 1)
    assert watch(house).differences == 1
    assert open_differences(house) == before
    assert list(told(house)) == [payment_of(house, order_id)]


def test_more_differences_than_one_look_takes_on_close_none(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_for_differences, "FOUND_MAX_ROWS", 1)
    orders = kept(house, 3)
    for expected in (1, 2, 3, 3):
        assert watch(house).differences == expected
        house.clock.advance(hours=1)
    assert sorted(told(house)) == sorted(payment_of(house, order_id) for order_id in orders)


def test_a_difference_that_is_gone_after_its_window_is_closed(house: House) -> None:
    (order_id,) = kept(house)
    watch(house)
    days_later(house, look_for_differences.WINDOW_DAYS + 1)
    house.sql("UPDATE payments.payments SET refunded_amount = captured_amount WHERE order_id = :id", id=order_id)
    assert watch(house).differences == 0
    assert told(house) == {}


def put_to_rest(house: House) -> dict[str, Any]:
    """Have a person resolve the only call about a difference, and let an hour pass."""
    rows = house.rows(
        "SELECT id, version FROM operations.process_failures WHERE process_name = 'MoneyDifference' AND status = 'open'"
    )
    (failure,) = rows
    now = house.clock()
    how = {"note": "paid by bank transfer", "version": failure["version"], "now": now}
    resolved = resolve_process_failure(house.runtime, staff(house), failure["id"], **how)
    house.clock.advance(hours=1)
    return dict(resolved)


def resolutions(house: House) -> list[str]:
    rows = house.rows("SELECT resolution FROM payments.money_differences WHERE status = 'resolved' ORDER BY id")
    return [row["resolution"] for row in rows]


def test_what_a_person_resolves_stays_at_rest_while_it_says_the_same(house: House) -> None:
    kept(house)
    assert watch(house).differences == 1
    put_to_rest(house)
    for _ in range(3):
        assert watch(house).differences == 0, "the alarm ends, and can ring for the next one"
        house.clock.advance(hours=1)
    assert (told(house), resolutions(house)) == ({}, ["put to rest by a person: see the process failure"])
    assert len(house.rows("SELECT id FROM operations.process_failures WHERE process_name = 'MoneyDifference'")) == 1


def test_what_a_person_put_to_rest_calls_again_when_its_amount_changes(house: House) -> None:
    (order_id,) = kept(house)
    watch(house)
    put_to_rest(house)
    watch(house)
    house.forge("UPDATE payments.payments SET refunded_amount = 100")
    assert watch(house).differences == 1
    assert list(told(house)) == [payment_of(house, order_id)]


def test_what_a_person_put_to_rest_is_open_again_once_the_call_is_reopened(house: House) -> None:
    (order_id,) = kept(house)
    watch(house)
    resolved = put_to_rest(house)
    watch(house)
    how = {"note": "it never arrived", "version": resolved["version"], "now": house.clock()}
    reopen_process_failure(house.runtime, staff(house), resolved["id"], **how)
    assert watch(house).differences == 1
    assert list(told(house)) == [payment_of(house, order_id)]


def test_of_two_differences_of_a_payment_a_person_puts_one_to_rest_at_a_time(house: House) -> None:
    order_id = ordered(house)
    (intent,) = intents(house, order_id)
    stripe_call(house, "refunds", payment_intent=intent["id"], amount="700")
    house.forge("UPDATE payments.payments SET amount = amount + 5, captured_amount = captured_amount + 5")
    on_the_next_day(house)
    both = [("captured_differs", 5), ("refunded_differs", 700)]
    watch(house)
    assert open_differences(house) == both
    assert "captured_differs" in told(house)[payment_of(house, order_id)]
    put_to_rest(house)
    watch(house)
    assert open_differences(house) == both[1:]
    assert "refunded_differs" in told(house)[payment_of(house, order_id)]
    put_to_rest(house)
    assert watch(house).differences == 0
    assert told(house) == {}


def unmatched(house: House) -> Any:
    """Bring in an event of a payment that nobody knows; return its id."""
    (event,) = house.webhooks("payment_intent.succeeded", order_id=ordered(house))
    stray = {**event, "id": "evt_stray"}
    stray["data"] = {"object": {**event["data"]["object"], "id": "pi_stray", "metadata": {}}}
    house.deliver(stray)
    fail_until_given_up(house)
    house.clock.advance(hours=2)
    assert watch(house).differences == 1
    return house.value("SELECT id FROM payments.payment_events WHERE gateway_event_id = 'evt_stray'")


def test_an_event_that_a_person_discarded_is_no_difference(house: House) -> None:
    letter = dead_letter_of(house, unmatched(house))
    discard = Step(DeadLetterAction.DISCARDED, letter["id"], letter["version"], note="of our other shop")
    take_step(house.runtime, staff(house), discard, house.clock())
    house.clock.advance(hours=1)
    assert watch(house).differences == 0
    assert told(house) == {}


def test_an_event_that_was_processed_without_a_payment_is_no_difference(house: House) -> None:
    """As one of an order that was purged, or one that was replayed when its order was."""
    event_id = unmatched(house)
    house.sql("UPDATE payments.payment_events SET state = 'processed' WHERE id = :id", id=event_id)
    house.clock.advance(hours=1)
    assert watch(house).differences == 0
    assert told(house) == {}
